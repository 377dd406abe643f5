//! PEERS: from whom an agent takes encapsulated packets.

use bytemuck::{Pod, Zeroable};

/// Balancer prefixes of one family of one agent; `holdfast agent run` refuses
/// more.
pub const MAX_PEERS: usize = 16;

/// An IPv4 prefix, both words in wire order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PrefixV4 {
    /// Host bits zero.
    pub network: u32,
    pub mask: u32,
}

/// An IPv6 prefix, all words in wire order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PrefixV6 {
    /// Host bits zero.
    pub network: [u32; 4],
    pub mask: [u32; 4],
}

impl PrefixV4 {
    #[must_use]
    #[inline(always)]
    pub const fn contains(&self, address: u32) -> bool {
        address & self.mask == self.network
    }
}

impl PrefixV6 {
    #[must_use]
    #[inline(always)]
    pub const fn contains(&self, address: &[u32; 4]) -> bool {
        let mut differs = 0;
        let mut at = 0;
        while at < 4 {
            differs |= (address[at] & self.mask[at]) ^ self.network[at];
            at += 1;
        }
        differs == 0
    }
}

/// The only entry of PEERS. All zero: nobody is trusted, and every packet is
/// passed on untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Peers {
    /// How many of `v4` are used, from the first.
    pub v4_count: u32,
    /// How many of `v6` are used, from the first.
    pub v6_count: u32,
    pub v4: [PrefixV4; MAX_PEERS],
    pub v6: [PrefixV6; MAX_PEERS],
}

const _: () = assert!(size_of::<PrefixV4>() == 8);
const _: () = assert!(size_of::<PrefixV6>() == 32);
const _: () = assert!(size_of::<Peers>() == 648);
