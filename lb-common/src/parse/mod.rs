//! From bytes to what the VIP lookup needs.
//!
//! `plain` knows the common shape only; `odd` with `ipv4`, `ipv6` and `icmp`
//! knows the rest. Only what cannot belong to anybody (no whole IP header, wrong
//! version) is refused here. Everything else that cannot be balanced is looked
//! up first, with a *refusal* that holds only if a VIP is found: the host's own
//! traffic never suffers from what the balancer does not understand.

mod icmp;
mod ipv4;
mod ipv6;
pub mod odd;
pub mod plain;

/// What a packet says of the age of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A TCP segment that begins a connection.
    Syn,
    /// Any other TCP segment: its connection is older.
    Segment,
    /// UDP does not say.
    Datagram,
    /// An ICMP error: it is about a packet of the flow, and not one of them.
    Quote,
}
