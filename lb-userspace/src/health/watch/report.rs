//! What `status` says of health.

use std::{collections::BTreeSet, time::Duration};

use super::{super::standing::Reason, Watch};
use crate::{clock::Moment, health::sm::Condition};

/// What is known of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendReport {
    pub condition: Condition,
    /// Held down though its checks pass.
    pub held: bool,
    /// For how long it has that condition; unless it is down, as far as this
    /// daemon knows.
    pub age: Duration,
    /// How long its last check took; `None`: none has ended yet.
    pub took: Option<Duration>,
    /// Why its last check failed; `None`: it passed.
    pub problem: Option<String>,
}

impl Watch {
    /// `None`: it is not checked.
    #[must_use]
    pub fn backend(&self, pool: &str, backend: &str, now: Moment) -> Option<BackendReport> {
        let watch = self.pools.get(pool)?.backends.get(backend)?;
        Some(BackendReport {
            condition: watch.machine.condition(),
            held: watch.machine.is_held(),
            age: now.saturating_duration_since(watch.machine.since()),
            took: watch.asked.map(|_| watch.took),
            problem: watch.problem.clone(),
        })
    }

    /// Why who serves is not who is healthy.
    #[must_use]
    pub fn reasons(&self, pool: &str) -> BTreeSet<Reason> {
        self.pools
            .get(pool)
            .map(|watch| watch.stand.reasons.clone())
            .unwrap_or_default()
    }
}
