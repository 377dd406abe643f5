//! Packets with their fates, one row each: run natively and in the kernel,
//! and held against the oracle. A row's claim says what the packet is.
//!
//! Rows hold for every site of [`crate::sites`]: they use only the VIPs that
//! all of them have. What is alike in both families is written once, for the
//! [`Targets`] of either; claims of IPv6 begin with its name.

mod agent;
mod answers;
mod extensions;
mod forwarding;
mod fragments;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod mixes;
mod outer_errors;
mod transport;

use std::borrow::Cow;

use lb_common::verdict::Verdict;

use crate::sites::{Targets, V4, V6};

pub use self::{
    agent::{AgentExpected, AgentRow, BALANCERS, agent_rows},
    outer_errors::{path_errors, too_big},
};

/// A frame, and what has to become of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub claim: Cow<'static, str>,
    pub frame: Vec<u8>,
    pub expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// To a backend of this pool, byte for byte in an outer header, or with
    /// other MAC addresses if that is the pool's way.
    Forwarded(&'static str),
    /// Not changed; passed or dropped, as the verdict says.
    Unchanged(Verdict),
    /// Sent back as an echo reply, otherwise byte for byte.
    Echoed,
    /// Sent back as a too-big that quotes the packet.
    TooBig,
}

/// All rows of the balancer.
#[must_use]
pub fn rows() -> Vec<Row> {
    let twins = |rows: fn(&Targets) -> Vec<Row>| [rows(&V4), named("IPv6: ", rows(&V6))].concat();
    let chapters = [
        link::rows(),
        twins(link::twins),
        ipv4::rows(),
        ipv6::rows(),
        extensions::rows(),
        fragments::rows(),
        twins(transport::twins),
        icmp::v4_rows(),
        named("ICMPv6: ", icmp::v6_rows()),
        twins(icmp::twins),
        twins(answers::twins),
        answers::rows(),
        outer_errors::rows(),
        twins(forwarding::twins),
        forwarding::rows(),
        twins(mixes::twins),
    ];
    chapters.concat()
}

fn row(claim: impl Into<Cow<'static, str>>, frame: Vec<u8>, expected: Expected) -> Row {
    Row {
        claim: claim.into(),
        frame,
        expected,
    }
}

/// Rows whose claims all begin with these words.
fn named(words: &str, rows: Vec<Row>) -> Vec<Row> {
    let name = |row: Row| Row {
        claim: format!("{words}{}", row.claim).into(),
        ..row
    };
    rows.into_iter().map(name).collect()
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
