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

/// `encap`: either family in IPv4 (RFC 2003, RFC 4213).
pub const ENCAP_IPIP_V4: u8 = 1;
/// `encap`: either family in UDP in IPv4 (draft-ietf-intarea-gue-09).
pub const ENCAP_GUE_V4: u8 = 2;
/// `encap`: either family in IPv6 (RFC 2473).
pub const ENCAP_IPIP_V6: u8 = 3;
/// `encap`: either family in UDP in IPv6 (draft-ietf-intarea-gue-09).
pub const ENCAP_GUE_V6: u8 = 4;
/// `encap`: none; the frame gets new MAC addresses (direct server return).
pub const ENCAP_L2: u8 = 5;

/// Bytes that an encapsulation puts in front of the inner packet; `None`:
/// there is no such encapsulation.
#[must_use]
#[inline(always)]
pub const fn encap_overhead(encap: u8) -> Option<u8> {
    Some(match encap {
        ENCAP_IPIP_V4 => 20,
        ENCAP_GUE_V4 => 32,
        ENCAP_IPIP_V6 => 40,
        ENCAP_GUE_V6 => 52,
        ENCAP_L2 => 0,
        _ => return None,
    })
}

/// The two addresses at the start of a frame, in three words: bytes would be
/// copied one by one, and an array by a call of `memmove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Macs {
    first: u32,
    second: u32,
    third: u32,
}

impl Macs {
    #[must_use]
    pub const fn new(destination: [u8; 6], source: [u8; 6]) -> Self {
        let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (destination, source);
        Self::of_words(
            u32::from_ne_bytes([d0, d1, d2, d3]),
            u32::from_ne_bytes([d4, d5, s0, s1]),
            u32::from_ne_bytes([s2, s3, s4, s5]),
        )
    }

    /// Twelve bytes as they stand in a frame, word by word.
    #[must_use]
    #[inline(always)]
    pub const fn of_words(first: u32, second: u32, third: u32) -> Self {
        Self { first, second, third }
    }

    #[must_use]
    #[inline(always)]
    pub const fn words(self) -> (u32, u32, u32) {
        (self.first, self.second, self.third)
    }

    /// Destination and source.
    #[must_use]
    pub const fn split(self) -> ([u8; 6], [u8; 6]) {
        let (a, b, c) = self.words();
        let ([d0, d1, d2, d3], [d4, d5, s0, s1], [s2, s3, s4, s5]) =
            (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes());
        ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Member {
    /// Outer source, wire order, host bits zero; IPv4 in the first word.
    pub source: [u32; 4],
    /// Outer destination: the backend, wire order; IPv4 in the first word.
    pub destination: [u32; 4],
    /// One's complement sum of the constant part of the outer IPv4 header, not
    /// folded: all 16-bit words but TOS, protocol, total length and the host
    /// bits. Unused for IPv6, whose header has no checksum.
    pub presum: u32,
    /// Which bits of the source the flow hash fills, wire order: of the first
    /// word for IPv4, of the last for IPv6.
    pub entropy_mask: u32,
    /// Ethernet destination, the next hop, and source, the interface it is
    /// reached through: twelve bytes as they stand in a frame.
    pub macs: Macs,
    /// That interface.
    pub ifindex: u32,
    /// The longest outer IP packet in bytes: the interface's MTU, or what was
    /// learned of the path to the backend.
    pub mtu: u16,
    /// Index into COUNTERS; 0: not counted.
    pub counter: u16,
    /// `ENCAP_*`.
    pub encap: u8,
    /// `NEXT_HOP_KNOWN`.
    pub flags: u8,
    /// [`encap_overhead`] of `encap`, so that the program need not look.
    pub overhead: u8,
    pub reserved: u8,
}

impl Line for Member {}

impl Member {
    #[must_use]
    #[inline(always)]
    pub const fn outer_is_v4(&self) -> bool {
        self.encap == ENCAP_IPIP_V4 || self.encap == ENCAP_GUE_V4
    }

    #[must_use]
    #[inline(always)]
    pub const fn outer_is_v6(&self) -> bool {
        self.encap == ENCAP_IPIP_V6 || self.encap == ENCAP_GUE_V6
    }
}

const _: () = assert!(size_of::<Macs>() == 12);
const _: () = assert!(size_of::<Member>() == 64);
const _: () = assert!(core::mem::offset_of!(Member, macs) == 40);
const _: () = assert!(core::mem::offset_of!(Member, ifindex) == 52);
