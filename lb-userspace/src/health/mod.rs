//! Whether backends serve. `probe` asks one of them, `runner` asks all of them
//! again and again, `tunnel` takes the question the way their traffic goes.
//!
//! And what follows: `sm` decides about one backend, `standing` about a pool,
//! `watch` about all of them, `targets` which way each is checked. These are pure.

pub mod probe;
pub mod runner;
mod schedule;
pub mod sm;
pub mod standing;
pub mod targets;
pub mod tunnel;
pub mod watch;

use std::{net::IpAddr, sync::Arc, time::Duration};

use lb_common::abi::member::Member;

use self::probe::ProbeError;
use crate::{config::Check, revision::BackendId};

/// What is checked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The backend's own.
    pub address: IpAddr,
    pub check: Arc<Check>,
    /// From the start of one check to the start of the next, ± a tenth.
    pub interval: Duration,
    /// From the start of a check; at most the interval.
    pub timeout: Duration,
    pub via: Via,
}

/// Which way a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// To the backend's own address, as any host would ask it.
    Direct,
    /// To a VIP *on* this backend, in the outer headers that its traffic gets:
    /// it passes only if decapsulation and the VIP's address work there, too.
    Tunnel { vip: IpAddr, member: Member },
}

/// A check that begins so much later than planned is late: the balancer is too busy
/// to check as often as it was told.
pub const LATE: Duration = Duration::from_millis(250);

/// How one check ended.
#[derive(Debug)]
pub struct Observed {
    pub backend: BackendId,
    pub result: Result<(), ProbeError>,
    /// From its start to its end.
    pub took: Duration,
    /// How much later than planned it began.
    pub late: Duration,
}
