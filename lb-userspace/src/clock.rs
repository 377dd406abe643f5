//! What time it is, for whoever is told.

use jiff::Timestamp;
use lb_common::abi::flows::{Seconds, seconds};

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
        let coarse = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        let nanoseconds = coarse.tv_sec.cast_unsigned() * 1_000_000_000 + coarse.tv_nsec.cast_unsigned();
        Self {
            time: Timestamp::now(),
            coarse: seconds(nanoseconds),
        }
    }
}
