//! The outer header. All that can fail was checked before: a frame is either
//! untouched or finished.

use crate::{
    abi::member::Member,
    checksum,
    frame::Frame,
    hash::FlowHash,
    wire::{DONT_FRAGMENT, ETHERTYPE_IPV4, Ethernet, EthernetIpv4, IPV4_LEN, Ipv4, PROTOCOL_IPIP, VERSION_IHL},
};

/// TTL of the outer header (RFC 2003 §3.1 leaves it to us).
pub const OUTER_TTL: u8 = 64;

/// The constant part of the sum over an outer IPv4 header from `source` (host
/// bits zero) to `destination`, both in wire order.
#[must_use]
pub const fn presum_v4(source: u32, destination: u32) -> u32 {
    // Version and IHL stand beside TOS, TTL beside the protocol.
    let version_tos = u16::from_ne_bytes([VERSION_IHL, 0]) as u32;
    let ttl_protocol = u16::from_ne_bytes([OUTER_TTL, PROTOCOL_IPIP]) as u32;
    version_tos + DONT_FRAGMENT as u32 + ttl_protocol + checksum::halves(source) + checksum::halves(destination)
}

/// Puts Ethernet and an outer IPv4 header in front of the inner packet
/// (RFC 2003 §3.1): TOS copied (RFC 6040 §4.1), id 0 with DF (RFC 6864 §4.1).
/// `false`, and the frame untouched, if there is no room for them.
#[must_use]
#[inline(always)]
pub fn ipip_v4<F: Frame>(frame: &mut F, member: &Member, hash: FlowHash, tos: u8, total_length: u16) -> bool {
    // Wrapping never happens: the path compared the sum with the MTU.
    let outer_length = total_length.wrapping_add(IPV4_LEN as u16).to_be();
    let entropy = hash.entropy() & member.entropy_mask;
    // The host bits of the prefix are zero, so its sum and theirs just add up.
    let sum =
        member.presum + u32::from(u16::from_ne_bytes([0, tos])) + u32::from(outer_length) + checksum::halves(entropy);
    let outer = EthernetIpv4 {
        ethernet: Ethernet {
            destination: member.next_hop_mac,
            source: member.interface_mac,
            ethertype: ETHERTYPE_IPV4,
        },
        ip: Ipv4 {
            version_ihl: VERSION_IHL,
            tos,
            total_length: outer_length,
            id: 0,
            fragment: DONT_FRAGMENT,
            ttl: OUTER_TTL,
            protocol: PROTOCOL_IPIP,
            checksum: checksum::finish(sum),
            source: member.source[0] | entropy,
            destination: member.destination[0],
        },
    };
    frame.adjust_head(-IPV4_LEN.cast_signed()) && frame.store(0, &outer)
}
