//! How long a publish took, part by part.

use std::time::{Duration, Instant};

/// In the order in which they are taken; `chunks` and `install` by turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Emptying the slots of earlier revisions.
    pub collect: Duration,
    /// Creating, filling, freezing and reading back what is new.
    pub chunks: Duration,
    /// The batched updates of CHUNKS, each of which waits for a grace period.
    pub install: Duration,
    pub rehearse: Duration,
    /// The store to ACTIVE.
    pub switch: Duration,
}

/// Cuts time into laps.
pub struct Lap(Instant);

impl Lap {
    pub const fn since(began: Instant) -> Self {
        Self(began)
    }

    /// Since the last cut.
    pub fn cut(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
