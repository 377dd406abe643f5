//! What Prometheus scrapes: `GET /metrics` on the API's socket, and on a TCP
//! listener if `holdfastd` is started with `--metrics`. Its names are listed in
//! `docs/metrics.md`.
//!
//! A scrape takes a [`Sample`] under the writer's lock (handles, and one batched
//! read of the kernel's counters), and is written out without it, piece by
//! piece: the largest configuration makes tens of megabytes. No label names a
//! client.

mod encode;
mod gather;
mod label;
pub mod listen;
mod process;
pub mod stream;
mod tally;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use lb_common::abi::counters::Counter;
use prometheus_client::{encoding::text, registry::Registry};

#[cfg(test)]
pub use self::tests::sample;
pub use self::{
    process::Process,
    tally::{Checks, Tally},
};
use crate::{
    api::model::{GuardStatus, InterfaceStatus, Mode},
    health::standing::Reason,
    revision::{BackendId, Revision},
};

/// What prometheus-client writes (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that one scrape shows, as of one moment.
#[expect(clippy::struct_excessive_bools, reason = "each is a gauge of its own")]
#[derive(Debug)]
pub struct Sample {
    /// The program on the interfaces is of this kernel id.
    pub program: u32,
    pub served: Option<Served>,
    /// By index of COUNTERS, summed over CPUs.
    pub counters: Vec<Counter>,
    pub interfaces: Vec<InterfaceStatus>,
    /// What the kernel counted by interface, of those that the program is on.
    pub received: BTreeMap<String, Counter>,
    /// Backends whose next hop is not known now.
    pub unresolved: BTreeSet<BackendId>,
    pub maps: BTreeMap<&'static str, Filled>,
    /// The configuration file means what is served.
    pub in_sync: bool,
    pub mode: Mode,
    /// The lock is open.
    pub glass: bool,
    /// All that was published is there, and every pin.
    pub whole: bool,
    /// The store can be read and written.
    pub journal: bool,
    /// How long the program ran, and for how many packets; absent: BPF
    /// statistics are off.
    pub run: Option<(Duration, u64)>,
    pub tally: Tally,
    /// When the generation on trial is taken back, seconds since the epoch.
    pub confirm_deadline: Option<f64>,
    /// The program that serves is this daemon's own.
    pub program_current: bool,
    pub process: Option<Process>,
    pub watched: Watched,
    pub checks: Checks,
    /// What keeps others from what is ours in the kernel.
    pub guard: GuardStatus,
}

/// What the daemon knows of health, beside what is published.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// How long the last check of a backend took.
    pub checks: BTreeMap<BackendId, Duration>,
    /// Pass their checks, and are held down.
    pub held: BTreeSet<BackendId>,
    /// Why pools do not follow health; without those that do.
    pub reasons: BTreeMap<String, BTreeSet<Reason>>,
}

/// What the kernel serves.
#[derive(Debug)]
pub struct Served {
    pub generation: u64,
    pub revision: u64,
    pub state: Revision,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    pub entries: u64,
    pub capacity: u64,
}

impl Sample {
    /// Writes it as OpenMetrics text.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn write(self, writer: &mut impl fmt::Write) -> fmt::Result {
        let process = self.process.clone();
        let mut ours = Registry::with_prefix("holdfast");
        ours.register_collector(Box::new(self));
        text::encode_registry(writer, &ours)?;
        if let Some(process) = process {
            let mut every = Registry::default();
            every.register_collector(Box::new(process));
            text::encode_registry(writer, &every)?;
        }
        text::encode_eof(writer)
    }
}
