//! Puts the guard on where the running generation asks for it, tells it what there is to guard,
//! and says what it refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lb_common::abi::guard::Deed;

use super::Daemon;
use crate::{
    api::model::{GuardState, GuardStatus},
    event,
    kernel::guard::{Guard, GuardError, Loaded, Refused},
    serving::Serving,
};

/// What is pinned is looked at this often, and what was refused is told.
const WATCH: Duration = Duration::from_millis(250);

/// A kernel that had no guard to give is asked again after this.
const AGAIN: Duration = Duration::from_mins(1);

/// Of refusals that come together, so many are told one by one.
const TOLD_AT_ONCE: usize = 16;

/// The guard, if it is on.
#[derive(Default)]
pub struct Warden(Mutex<State>);

#[derive(Default)]
struct State {
    guard: Option<Guard>,
    /// It was told what there is to guard: until then it guards nothing.
    told: bool,
    /// Why it is not on, and when that was.
    problem: Option<(String, Instant)>,
    /// By guards that are off again.
    before: BTreeMap<Deed, u64>,
}

impl Warden {
    /// For `status` and metrics.
    pub fn status(&self) -> GuardStatus {
        let state = self.state();
        let refused = state.refused().into_iter().filter(|(_, count)| *count > 0);
        GuardStatus {
            state: match (&state.guard, &state.problem) {
                (Some(_), _) if state.told => GuardState::On,
                (Some(_), _) | (None, Some(_)) => GuardState::Unavailable,
                (None, None) => GuardState::Off,
            },
            reason: match &state.problem {
                None if state.guard.is_some() && !state.told => {
                    Some("it could not be told yet what there is".to_owned())
                }
                problem => problem.as_ref().map(|(problem, _)| problem.clone()),
            },
            refused: refused.map(|(deed, count)| (deed.name().to_owned(), count)).collect(),
        }
    }

    /// As it is, whatever became of a thread that had it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for ever.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    loop {
        tokio::time::sleep(WATCH).await;
        daemon.tend_guard().await;
    }
}

impl Daemon {
    /// Puts the guard on or off, as the running generation says, and keeps it up to date.
    pub async fn tend_guard(&self) {
        // Under the writer's lock: what is pinned stays so meanwhile.
        let serving = self.serving.lock().await;
        tokio::task::block_in_place(|| self.guard.state().tend(&serving, Instant::now()));
    }
}

impl State {
    fn tend(&mut self, serving: &Serving, now: Instant) {
        // Without anything served, nobody asked for anything yet.
        let wanted = serving
            .served
            .as_ref()
            .is_some_and(|served| served.state.config().node.guard);
        if !wanted {
            self.problem = None;
            self.put_off();
            return;
        }
        let directory = serving.publisher.kernel().directory();
        if self.guard.as_ref().is_some_and(|guard| !guard.is_for(directory)) {
            // What it keeps from others is not where the pins are any more.
            self.put_off();
        }
        if self.guard.is_none() {
            let tried = self.problem.as_ref().map(|(_, when)| *when);
            if tried.is_some_and(|when| now.saturating_duration_since(when) < AGAIN) {
                return;
            }
            self.put_on(serving, now);
        }
        let Some(guard) = &mut self.guard else {
            return;
        };
        match guard.follow(directory) {
            Ok(()) if self.told => {}
            Ok(()) => {
                self.told = true;
                event!(
                    info,
                    GuardOn,
                    "the kernel keeps others from changing what is ours there"
                );
            }
            // Somebody removed pins before it was on, or the kernel has no memory: the next look
            // tells. What it guards already, it guards.
            Err(error) => tracing::debug!(reason = error.whole(), "the guard could not be told what there is"),
        }
        tell(&guard.told());
    }

    fn put_on(&mut self, serving: &Serving, now: Instant) {
        match Loaded::load(serving.publisher.kernel().directory()).and_then(Loaded::attach) {
            Ok(guard) => {
                self.guard = Some(guard);
                self.told = false;
                self.problem = None;
            }
            Err(error) => {
                let reason = reason(&error);
                if self.problem.as_ref().is_none_or(|(known, _)| *known != reason) {
                    event!(
                        warn,
                        GuardUnavailable,
                        reason,
                        "the guard cannot be put on; all else goes on"
                    );
                }
                self.problem = Some((reason, now));
            }
        }
    }

    fn put_off(&mut self) {
        let Some(mut guard) = self.guard.take() else {
            return;
        };
        tell(&guard.told());
        for (deed, count) in guard.refused().unwrap_or_default() {
            *self.before.entry(deed).or_default() += count;
        }
        drop(guard);
        event!(info, GuardOff, "others may change what is ours in the kernel again");
    }

    fn refused(&self) -> BTreeMap<Deed, u64> {
        let now = self.guard.as_ref().and_then(|guard| guard.refused().ok());
        let mut refused = self.before.clone();
        for (deed, count) in now.unwrap_or_default() {
            *refused.entry(deed).or_default() += count;
        }
        refused
    }
}

fn reason(error: &GuardError) -> String {
    match error {
        GuardError::NotCalled => format!("{error}: put it into lsm= on the kernel's command line"),
        GuardError::NoTypes(_)
        | GuardError::BadTypes
        | GuardError::NoMember(..)
        | GuardError::Place(..)
        | GuardError::Kernel(_) => error.whole(),
    }
}

fn tell(refused: &[Refused]) {
    for refused in refused.iter().take(TOLD_AT_ONCE) {
        event!(
            warn,
            GuardRefused,
            deed = refused.deed.name(),
            object = refused.object,
            command = refused.command,
            pid = refused.pid,
            uid = refused.uid,
            "somebody wanted to change what is ours in the kernel, and was refused"
        );
    }
    let more = refused.len().saturating_sub(TOLD_AT_ONCE);
    if more > 0 {
        event!(
            warn,
            GuardRefused,
            more,
            "and so many more at the same time; `holdfast status` has their number"
        );
    }
}
