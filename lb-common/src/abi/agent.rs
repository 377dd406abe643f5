//! PEERS: from whom an agent takes encapsulated packets.

use bytemuck::{Pod, Zeroable};

/// Balancer prefixes of one agent; `holdfast agent run` refuses more.
pub const MAX_PEERS: usize = 16;

/// An IPv4 prefix, both words in wire order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Peer {
    /// Host bits zero.
    pub network: u32,
    pub mask: u32,
}

/// The only entry of PEERS. All zero: nobody is trusted, and every packet is
/// passed on untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Peers {
    /// How many of `peers` are used, from the first.
    pub count: u32,
    pub reserved: u32,
    pub peers: [Peer; MAX_PEERS],
}

const _: () = assert!(size_of::<Peer>() == 8);
const _: () = assert!(size_of::<Peers>() == 136);
