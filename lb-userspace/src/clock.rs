//! What time it is, for whoever is told.

use std::{
    ops::{Add, AddAssign},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
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
            time: wall(),
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

/// Seconds by which this process takes the wall clock to be wrong.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// From now on, in this process, the wall clock is so many seconds ahead of the
/// host's. For drills and tests, which cannot set the host's.
pub fn shift_wall(seconds: i64) {
    OFFSET.store(seconds, Ordering::Relaxed);
}

fn wall() -> Timestamp {
    let offset = SignedDuration::from_secs(OFFSET.load(Ordering::Relaxed));
    let now = Timestamp::now();
    now.checked_add(offset).unwrap_or(now)
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
