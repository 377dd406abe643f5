//! Packets with their fates, one row each: run natively and in the kernel,
//! and held against the oracle. A row's claim says what the packet is.
//!
//! Rows hold for every site of [`crate::sites`]: they use only the VIPs that
//! all of them have.

mod agent;
mod forwarding;
mod fragments;
mod icmp;
mod ipv4;
mod link;
mod transport;

use lb_common::verdict::Verdict;

pub use agent::{AgentExpected, AgentRow, BALANCERS, agent_rows};

/// A frame, and what has to become of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub claim: &'static str,
    pub frame: Vec<u8>,
    pub expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// To a backend of this pool, byte for byte in an outer header.
    Forwarded(&'static str),
    /// Not changed; passed or dropped, as the verdict says.
    Unchanged(Verdict),
}

/// All rows of the balancer.
#[must_use]
pub fn rows() -> Vec<Row> {
    let chapters = [
        link::rows(),
        ipv4::rows(),
        fragments::rows(),
        transport::rows(),
        icmp::rows(),
        forwarding::rows(),
    ];
    chapters.concat()
}

const fn row(claim: &'static str, frame: Vec<u8>, expected: Expected) -> Row {
    Row { claim, frame, expected }
}

/// Shorthands for the tables.
const fn passed(verdict: Verdict) -> Expected {
    Expected::Unchanged(verdict)
}

const fn dropped(verdict: Verdict) -> Expected {
    Expected::Unchanged(verdict)
}

const WEB_POOL: Expected = Expected::Forwarded("web");
const DNS_POOL: Expected = Expected::Forwarded("dns");
const NOT_VIP: Expected = passed(Verdict::PassNotVip);
