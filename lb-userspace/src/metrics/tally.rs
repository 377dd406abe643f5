//! What the daemon itself counts, since it was started. (Everything about
//! packets the kernel counts, and goes on when the daemon does not.)

use std::{collections::BTreeMap, time::Duration};

use crate::health::LATE;

/// Upper ends of the histogram of switches, seconds.
pub const BUCKETS: [f64; 12] = [
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    f64::INFINITY,
];

/// Checks of backends that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    pub ended: u64,
    /// Of them, how many began late.
    pub late: u64,
}

impl Checks {
    /// One ended that began so much later than planned.
    pub fn count(&mut self, late: Duration) {
        self.ended += 1;
        self.late += u64::from(late > LATE);
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Generations that were switched to, that failed, and plans refused.
    pub applied: u64,
    pub failed: u64,
    /// By code; of one plan each code counts once.
    pub refusals: BTreeMap<String, u64>,
    pub refused: u64,
    /// How often somebody opened the lock.
    pub glass_broken: u64,
    /// From the first chunk to the switch: how many took up to each of
    /// `BUCKETS` and more than the one before.
    pub switches: [u64; BUCKETS.len()],
    pub switching: Duration,
}

impl Tally {
    /// A plan was refused, with these codes.
    pub fn refuse(&mut self, codes: &[String]) {
        self.refused += 1;
        let codes: std::collections::BTreeSet<&String> = codes.iter().collect();
        for code in codes {
            *self.refusals.entry(code.clone()).or_default() += 1;
        }
    }

    /// A generation or a revision was switched to.
    pub fn switch(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|end| seconds <= *end);
        self.switches[bucket.unwrap_or(BUCKETS.len() - 1)] += 1;
        self.switching += took;
    }
}
