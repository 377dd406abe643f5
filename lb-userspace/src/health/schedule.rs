//! When each backend is checked next. Pure: time is an argument.
//!
//! Invariants: a backend that is being checked is not due; every other one
//! stands in `queue` once, at its `planned`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::revision::BackendId;

/// Intervals vary by so much, up and down, so that balancers that started
/// together do not ask together: parts of a thousand.
const JITTER: u32 = 100;

/// Which target of a backend a check was begun for.
pub type Serial = u64;

/// A check to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub backend: BackendId,
    pub serial: Serial,
    /// How much later than planned.
    pub late: Duration,
}

pub struct Schedule {
    entries: BTreeMap<BackendId, Entry>,
    queue: BTreeSet<(Instant, BackendId)>,
    serial: Serial,
    random: fastrand::Rng,
}

struct Entry {
    interval: Duration,
    serial: Serial,
    /// Of the next check; of the one that runs while one does.
    planned: Instant,
    running: bool,
}

impl Schedule {
    pub const fn new(random: fastrand::Rng) -> Self {
        Self {
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            serial: 0,
            random,
        }
    }

    /// Backends that are new, or checked in another way: first checks are
    /// spread over the interval.
    pub fn add(&mut self, added: Vec<(BackendId, Duration)>, now: Instant) {
        let count = added.len().max(1) as u32;
        for (nth, (backend, interval)) in (0..).zip(added) {
            self.remove(&backend);
            self.serial += 1;
            let planned = now + interval * nth / count;
            self.queue.insert((planned, backend.clone()));
            let entry = Entry {
                interval,
                serial: self.serial,
                planned,
                running: false,
            };
            self.entries.insert(backend, entry);
        }
    }

    pub fn remove(&mut self, backend: &BackendId) {
        if let Some(entry) = self.entries.remove(backend)
            && !entry.running
        {
            self.queue.remove(&(entry.planned, backend.clone()));
        }
    }

    /// When the next check is due.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(planned, _)| *planned)
    }

    /// Checks to begin now, at most `room`: those that waited longest.
    pub fn due(&mut self, now: Instant, room: usize) -> Vec<Due> {
        let mut due = Vec::new();
        while due.len() < room && self.next().is_some_and(|planned| planned <= now) {
            let Some((planned, backend)) = self.queue.pop_first() else {
                break;
            };
            let entry = self.entries.get_mut(&backend).expect("who is queued has an entry");
            entry.running = true;
            due.push(Due {
                backend,
                serial: entry.serial,
                late: now.saturating_duration_since(planned),
            });
        }
        due
    }

    /// A check ended. Of an earlier target nothing is to be known: false.
    pub fn ended(&mut self, backend: &BackendId, serial: Serial, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(backend) else {
            return false;
        };
        if entry.serial != serial {
            return false;
        }
        let step = entry.interval * self.random.u32(1000 - JITTER..=1000 + JITTER) / 1000;
        // From plan to plan, so that lateness does not add up; never two
        // checks of one backend at once, and none to catch up with.
        entry.planned = (entry.planned + step).max(now);
        entry.running = false;
        self.queue.insert((entry.planned, backend.clone()));
        true
    }
}

#[cfg(test)]
mod tests;
