//! Health, from what checks observe to what is published. What was observed is
//! only noted; one task publishes, and what is newest then: however many
//! backends come and go, revisions never queue up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};

use super::Daemon;
use crate::{
    clock::{Moment, Now},
    event,
    health::{
        Observed,
        probe::ProbeError,
        runner::Runner,
        sm::Transition,
        standing::Reason,
        targets,
        watch::{Event, Seeing, Watch},
    },
    metrics::Checks,
    revision::BackendId,
};

/// Between two revisions at least.
const SPACING: Duration = Duration::from_millis(100);

/// What is served is looked at this often, whatever happens.
const LOOK: Duration = Duration::from_secs(1);

/// Checks that ended and were not looked at yet.
pub const OBSERVED_AT_ONCE: usize = 4096;

/// Causes that a revision names; the others are counted.
const CAUSES_NAMED: usize = 3;

/// The health of what is served.
#[derive(Default)]
pub struct Vigil {
    known: Mutex<Known>,
    /// Something may have to be published.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    watch: Watch,
    /// The revision that backends are checked for.
    checked: Option<u64>,
    /// What changed since the last revision, for people.
    causes: Vec<String>,
    /// Why pools did not follow health, as of the last look.
    reasons: BTreeMap<String, BTreeSet<Reason>>,
    checks: Checks,
}

impl Vigil {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For `status`.
    pub fn read<T>(&self, read: impl FnOnce(&Watch) -> T) -> T {
        read(&self.known().watch)
    }

    /// Other contents are served now, perhaps.
    pub fn look(&self) {
        self.changed.notify_one();
    }

    /// Checks until now.
    pub fn checks(&self) -> Checks {
        self.known().checks
    }

    fn observe(&self, observed: &Observed, now: Moment) {
        let mut known = self.known();
        known.checks.count(observed.late);
        let seeing = match &observed.result {
            Err(error) if error.is_ours() => {
                known.watch.note(&observed.backend, error.to_string());
                return;
            }
            result => Seeing {
                passed: result.is_ok(),
                heard: result.as_ref().map_or_else(ProbeError::was_answered, |()| true),
                took: observed.took,
            },
        };
        let problem = || {
            observed
                .result
                .as_ref()
                .map_or_else(ToString::to_string, |()| String::new())
        };
        let event = known.watch.observe(&observed.backend, seeing, problem, now);
        let relieved = seeing.heard && known.watch.is_suspected();
        if let Some(event) = &event {
            known.tell(event);
        }
        drop(known);
        if event.is_some() || relieved {
            self.changed.notify_one();
        }
    }
}

impl Known {
    fn tell(&mut self, event: &Event) {
        let BackendId { pool, backend } = &event.backend;
        let name = format!("{pool}/{backend}");
        let problem = event.problem.as_deref().unwrap_or("checks fail");
        let cause = match event.transition {
            Transition::Up => {
                event!(info, BackendUp, backend = name, "up");
                format!("{name} up")
            }
            Transition::Down => {
                event!(warn, BackendDown, backend = name, problem, "down");
                format!("{name} down: {problem}")
            }
            Transition::Held => {
                event!(
                    warn,
                    BackendHeld,
                    backend = name,
                    "passes its checks, and is held down: it came and went too often"
                );
                format!("{name} held down")
            }
            Transition::Released => {
                event!(info, BackendUp, backend = name, "up, and held down no longer");
                format!("{name} held down no longer")
            }
            Transition::Grew => format!("{name} starts slowly"),
        };
        self.causes.push(cause);
    }

    /// Says what begins and ends in pools.
    fn compare_reasons(&mut self, pools: impl Iterator<Item = String>) {
        let mut reasons = BTreeMap::new();
        for pool in pools {
            let now = self.watch.reasons(&pool);
            let before = self.reasons.remove(&pool).unwrap_or_default();
            for reason in now.difference(&before) {
                let loud = matches!(reason, Reason::Suspicion | Reason::Panic);
                if loud {
                    event!(error, HealthNotFollowed, pool, %reason, "health is not followed");
                } else {
                    event!(warn, HealthNotFollowed, pool, %reason, "health is not followed to the letter");
                }
                self.causes.push(format!("{pool}: {reason}"));
            }
            for reason in before.difference(&now) {
                event!(info, HealthFollowed, pool, %reason, "is over");
                self.causes.push(format!("{pool}: {reason} is over"));
            }
            if !now.is_empty() {
                reasons.insert(pool, now);
            }
        }
        self.reasons = reasons;
    }

    /// What a revision is for.
    fn take_cause(&mut self) -> String {
        let causes = std::mem::take(&mut self.causes);
        match causes.len() {
            0 => "health".to_owned(),
            count if count > CAUSES_NAMED => {
                let named = causes[..CAUSES_NAMED].join(", ");
                format!("{named} and {} more", count - CAUSES_NAMED)
            }
            _ => causes.join(", "),
        }
    }
}

/// Notes what is observed.
pub async fn observe(daemon: Arc<Daemon>, mut observed: mpsc::Receiver<Observed>) {
    while let Some(one) = observed.recv().await {
        daemon.health.observe(&one, Moment::read());
    }
}

/// Publishes what follows, and tells the runner whom to check.
pub async fn publish(daemon: Arc<Daemon>, runner: Runner) {
    loop {
        daemon.follow_health(&runner).await;
        tokio::time::sleep(SPACING).await;
        let due = daemon.health.read(Watch::due);
        let wait = due.map_or(LOOK, |due| due.saturating_duration_since(Moment::read()).min(LOOK));
        tokio::select! {
            () = daemon.health.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Daemon {
    async fn follow_health(&self, runner: &Runner) {
        // In the order in which `status` takes them.
        let resolution = self.resolution.read().await;
        let mut serving = self.serving.lock().await;
        let Some(served) = serving.served.as_ref() else {
            return;
        };
        let now = Moment::read();
        let (standing, cause) = {
            let mut known = self.health.known();
            let anew = known.watch.follow(&served.state, now);
            // Next hops are part of the way that checks go.
            if anew || known.checked != Some(served.revision) {
                let mut targets = known.watch.targets();
                targets::by_their_traffic(&mut targets, &served.state);
                runner.set(targets);
                known.checked = Some(served.revision);
            }
            for event in known.watch.tick(now) {
                known.tell(&event);
            }
            let standing = known.watch.standing(now);
            let pools = served.state.config().pools.iter().map(|pool| pool.name.clone());
            known.compare_reasons(pools);
            (standing, known.take_cause())
        };
        let stood = tokio::task::block_in_place(|| serving.stand(&standing, cause, &resolution, Now::read()));
        drop(serving);
        if let Err(failure) = stood {
            event!(
                error,
                PublishFailed,
                holdfast.code = failure.code,
                reason = failure.message,
                "health could not be published"
            );
        }
    }
}
