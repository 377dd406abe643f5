//! Checks all backends, again and again: one task plans, each check is a task.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{
    Observed, Target,
    probe::Prober,
    schedule::{Due, Schedule, Serial},
};
use crate::revision::BackendId;

/// Checks that run at once, if there are descriptors for so many; then more
/// begin late, which is seen.
const AT_ONCE: usize = 8192;

/// Every check is a socket, and those of HTTP or a program need another.
const DESCRIPTORS_EACH: u64 = 2;

/// Checks what it is told to, until it is dropped.
pub struct Runner {
    targets: mpsc::UnboundedSender<BTreeMap<BackendId, Target>>,
    planner: AbortHandle,
}

impl Runner {
    /// What is observed goes to `sender`. If nobody takes it, checks wait.
    #[must_use]
    pub fn start(sender: mpsc::Sender<Observed>, prober: Arc<Prober>) -> Self {
        let (targets, told) = mpsc::unbounded_channel();
        let planner = Planner {
            schedule: Schedule::new(fastrand::Rng::new()),
            targets: BTreeMap::new(),
            checks: JoinSet::new(),
            running: HashMap::new(),
            prober,
            sender,
            at_once: at_once(),
        };
        Self {
            targets,
            planner: tokio::spawn(planner.run(told)).abort_handle(),
        }
    }

    /// Checks these from now on, and no others. A check of an unchanged target
    /// that is under way goes on.
    pub fn set(&self, targets: BTreeMap<BackendId, Target>) {
        if self.targets.send(targets).is_err() {
            crate::event!(error, ChecksEnded, "checks have ended, so the daemon ends");
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.planner.abort();
    }
}

/// Raises the limit of descriptors as far as it may be.
fn at_once() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    // Half of them, so that the daemon itself has always some left.
    current.map_or(AT_ONCE, |current| {
        let fit = current / 2 / DESCRIPTORS_EACH;
        usize::try_from(fit).map_or(AT_ONCE, |fit| fit.clamp(1, AT_ONCE))
    })
}

struct Planner {
    schedule: Schedule,
    targets: BTreeMap<BackendId, Target>,
    checks: JoinSet<(BackendId, Serial)>,
    running: HashMap<BackendId, AbortHandle>,
    prober: Arc<Prober>,
    sender: mpsc::Sender<Observed>,
    at_once: usize,
}

impl Planner {
    async fn run(mut self, mut told: mpsc::UnboundedReceiver<BTreeMap<BackendId, Target>>) {
        loop {
            let room = self.at_once.saturating_sub(self.checks.len());
            for due in self.schedule.due(Instant::now(), room) {
                self.begin(due);
            }
            let next = self.schedule.next().filter(|_| self.checks.len() < self.at_once);
            let wait = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                targets = told.recv() => match targets {
                    Some(targets) => self.set(targets),
                    None => return,
                },
                Some(ended) = self.checks.join_next() => {
                    // One that was aborted is none of the schedule's any more.
                    if let Ok((backend, serial)) = ended
                        && self.schedule.ended(&backend, serial, Instant::now())
                    {
                        self.running.remove(&backend);
                    }
                }
                () = wait => {}
            }
        }
    }

    fn set(&mut self, targets: BTreeMap<BackendId, Target>) {
        let (old, new) = (&self.targets, &targets);
        let gone: Vec<_> = old.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
        let changed = new.iter().filter(|(id, target)| old.get(*id) != Some(*target));
        let changed: Vec<_> = changed.map(|(id, target)| (id.clone(), target.interval)).collect();
        for backend in gone.iter().chain(changed.iter().map(|(id, _)| id)) {
            if let Some(check) = self.running.remove(backend) {
                check.abort();
            }
        }
        for backend in &gone {
            self.schedule.remove(backend);
        }
        self.schedule.add(changed, Instant::now());
        self.targets = targets;
    }

    fn begin(&mut self, due: Due) {
        let Some(target) = self.targets.get(&due.backend).cloned() else {
            return;
        };
        let (prober, sender) = (Arc::clone(&self.prober), self.sender.clone());
        let Due { backend, serial, late } = due;
        let of = backend.clone();
        let check = async move {
            let began = Instant::now();
            let result = prober.probe(&backend, &target).await;
            let observed = Observed {
                backend: backend.clone(),
                result,
                took: began.elapsed(),
                late,
            };
            // Nobody listens while the daemon stops.
            sender.send(observed).await.ok();
            (backend, serial)
        };
        self.running.insert(of, self.checks.spawn(check));
    }
}

#[cfg(test)]
mod tests;
