//! What time it is, for whoever is told.

use std::{
    ops::{Add, AddAssign},
    time::Duration,
};

use jiff::Timestamp;
use lb_common::abi::flows::{Seconds, seconds};
use serde::{Deserialize, Serialize};

/// Read by the daemon alone; everybody else has it as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For people.
    pub time: Timestamp,
    /// For the program: the clock it reads.
    pub coarse: Seconds,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self {
            time: Timestamp::now(),
            coarse: seconds(coarse_ns()),
        }
    }
}

/// The clock that the program reads, nanoseconds.
fn coarse_ns() -> u64 {
    let coarse = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    coarse.tv_sec.cast_unsigned() * 1_000_000_000 + coarse.tv_nsec.cast_unsigned()
}

/// What that clock says after so long.
#[must_use]
pub fn coarse_ns_after(duration: Duration) -> u64 {
    coarse_ns().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A point of this boot, in milliseconds of `CLOCK_MONOTONIC`, which setting the
/// wall clock does not move. Unlike an `Instant` it can be written down, and says
/// the same to the next daemon. After a reboot it says nothing: whoever keeps one
/// keeps it where nothing outlives the boot (the pinned maps), or beside the
/// kernel's boot id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// Reads the clock.
    #[must_use]
    pub fn read() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self(now.tv_sec.cast_unsigned() * 1000 + now.tv_nsec.cast_unsigned() / 1_000_000)
    }

    /// Nothing, if that is yet to come.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// So long before; not before the boot.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Rounded up, so that what is due after a time is not due before.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
