//! A member record: all that forwarding to one backend of one pool needs, in
//! one cache line. Next hops are part of it: a chunk is immutable, so a MAC
//! address can neither tear nor be half replaced.

use bytemuck::{Pod, Zeroable};

use super::chunk::Line;

/// Pool-local number of a backend: 15 bits, 0 is nobody.
pub type MemberIndex = u16;

/// Members of one pool, all in one chunk. A configuration with more backends
/// in a pool is refused.
pub const MAX_MEMBERS: usize = 2047;

/// `flags`: the next hop is known; without it a packet is dropped under a
/// counter of its own, never sent to MAC address 0.
pub const NEXT_HOP_KNOWN: u8 = 1;

/// `encap`: IPv4 in IPv4 (RFC 2003).
pub const ENCAP_IPIP: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Member {
    /// Outer source, wire order, host bits zero; IPv4 in the first word.
    pub source: [u32; 4],
    /// Outer destination: the backend, wire order; IPv4 in the first word.
    pub destination: [u32; 4],
    /// One's complement sum of the constant part of the outer IPv4 header, not
    /// folded: all 16-bit words but TOS, total length and the host bits.
    pub presum: u32,
    /// Which bits of the last source word the flow hash fills, wire order.
    pub entropy_mask: u32,
    /// Ethernet destination: the next hop.
    pub next_hop_mac: [u8; 6],
    /// Ethernet source: the interface it is reached through.
    pub interface_mac: [u8; 6],
    /// That interface.
    pub ifindex: u32,
    /// Its MTU in bytes: the longest outer IP packet.
    pub mtu: u16,
    /// Index into COUNTERS; 0: not counted.
    pub counter: u16,
    /// `ENCAP_*`.
    pub encap: u8,
    /// `NEXT_HOP_KNOWN`.
    pub flags: u8,
    pub reserved: [u8; 2],
}

impl Line for Member {}

const _: () = assert!(size_of::<Member>() == 64);
const _: () = assert!(core::mem::offset_of!(Member, next_hop_mac) == 40);
const _: () = assert!(core::mem::offset_of!(Member, ifindex) == 52);
