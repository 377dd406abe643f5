//! The outer header. All that can fail was checked before: a frame is either
//! untouched or finished.

use crate::{
    abi::member::{ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_L2, Member},
    checksum,
    frame::Frame,
    hash::FlowHash,
    wire::{
        DONT_FRAGMENT, ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetIpv4, EthernetIpv6, EthernetWords,
        GUE_LEN, GUE_PORT, Gue, IPV4_LEN, IPV6_LEN, Ipv4, Ipv6, PROTOCOL_UDP, UDP_LEN, Udp, UdpGue, VERSION_IHL,
    },
};

/// TTL and hop limit of the outer header (RFC 2003 §3.1 leaves it to us).
pub const OUTER_TTL: u8 = 64;

/// What the outer header says of the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// As an IP protocol: 4 or 41.
    pub protocol: u8,
    /// TOS or traffic class, copied outward (RFC 6040 §4.1).
    pub tos: u8,
    /// Bytes of the packet.
    pub length: u16,
}

/// The constant part of the sum over an outer IPv4 header from `source` (host
/// bits zero) to `destination`, both in wire order.
#[must_use]
pub const fn presum_v4(source: u32, destination: u32) -> u32 {
    // Version and IHL stand beside TOS, TTL beside the protocol.
    let version_tos = u16::from_ne_bytes([VERSION_IHL, 0]) as u32;
    let ttl_protocol = u16::from_ne_bytes([OUTER_TTL, 0]) as u32;
    version_tos + DONT_FRAGMENT as u32 + ttl_protocol + checksum::halves(source) + checksum::halves(destination)
}

/// Puts Ethernet and the member's outer headers in front of the inner packet.
/// `false`, and the frame untouched, if there is no room for them, or the
/// encapsulation is unknown.
#[must_use]
#[inline(always)]
pub fn encapsulate<F: Frame>(frame: &mut F, member: &Member, hash: FlowHash, inner: Inner) -> bool {
    if member.overhead != 0 && !frame.adjust_head(-i32::from(member.overhead)) {
        return false;
    }
    let is_gue = member.encap == ENCAP_GUE_V4 || member.encap == ENCAP_GUE_V6;
    let (protocol, udp_gue) = if is_gue {
        (PROTOCOL_UDP, (UDP_LEN + GUE_LEN) as u16)
    } else {
        (inner.protocol, 0)
    };
    // Lengths never wrap: the path compared the sum with the MTU.
    let payload = inner.length.wrapping_add(udp_gue);
    let after = if member.outer_is_v4() {
        if !frame.store(0, &outer_v4(member, hash, inner.tos, protocol, payload)) {
            return false;
        }
        ETHERNET_LEN + IPV4_LEN
    } else if member.outer_is_v6() {
        if !frame.store(0, &outer_v6(member, hash, inner.tos, protocol, payload)) {
            return false;
        }
        ETHERNET_LEN + IPV6_LEN
    } else {
        let (first, second, third) = member.macs.words();
        // Word by word, for the same reason as below.
        return member.encap == ENCAP_L2 && frame.store(0, &first) && frame.store(4, &second) && frame.store(8, &third);
    };
    if !is_gue {
        return true;
    }
    let header = udp_gue_to(hash, payload, inner.protocol);
    // One branch for each, so that offsets are constants.
    if after == ETHERNET_LEN + IPV4_LEN {
        frame.store(ETHERNET_LEN + IPV4_LEN, &header)
    } else {
        frame.store(ETHERNET_LEN + IPV6_LEN, &header)
    }
}

/// RFC 2003 §3.1: id 0 with DF (RFC 6864 §4.1).
#[inline(always)]
const fn outer_v4(member: &Member, hash: FlowHash, tos: u8, protocol: u8, payload: u16) -> EthernetIpv4 {
    let length = payload.wrapping_add(IPV4_LEN as u16).to_be();
    let entropy = hash.entropy() & member.entropy_mask;
    // The host bits of the prefix are zero, so its sum and theirs just add up.
    let sum = member.presum
        + u16::from_ne_bytes([0, tos]) as u32
        + u16::from_ne_bytes([0, protocol]) as u32
        + length as u32
        + checksum::halves(entropy);
    EthernetIpv4 {
        ethernet: ethernet(member, ETHERTYPE_IPV4),
        ip: Ipv4 {
            version_ihl: VERSION_IHL,
            tos,
            total_length: length,
            id: 0,
            fragment: DONT_FRAGMENT,
            ttl: OUTER_TTL,
            protocol,
            checksum: checksum::finish(sum),
            source: member.source[0] | entropy,
            destination: member.destination[0],
        },
    }
}

/// RFC 2473 §6.
#[inline(always)]
const fn outer_v6(member: &Member, hash: FlowHash, tos: u8, next_header: u8, payload: u16) -> EthernetIpv6 {
    let [s0, s1, s2, s3] = member.source;
    // Word by word: copied as a whole, it is a call of `memmove`.
    let [d0, d1, d2, d3] = member.destination;
    EthernetIpv6 {
        ethernet: ethernet(member, ETHERTYPE_IPV6),
        ip: Ipv6 {
            version_class_label: (6 << 28 | (tos as u32) << 20 | hash.flow_label()).to_be(),
            payload_length: payload.to_be(),
            next_header,
            hop_limit: OUTER_TTL,
            source: [s0, s1, s2, s3 | (hash.entropy() & member.entropy_mask)],
            destination: [d0, d1, d2, d3],
        },
    }
}

/// GUE, variant 0, without private data. No UDP checksum, over IPv6 either
/// (RFC 6935, RFC 6936): the inner packet has its own.
#[inline(always)]
const fn udp_gue_to(hash: FlowHash, length: u16, protocol: u8) -> UdpGue {
    UdpGue {
        udp: Udp {
            source: hash.source_port(),
            destination: GUE_PORT,
            length: length.to_be(),
            checksum: 0,
        },
        gue: Gue {
            variant_length: 0,
            protocol,
            flags: 0,
        },
    }
}

#[inline(always)]
const fn ethernet(member: &Member, ethertype: u16) -> EthernetWords {
    let (first, second, third) = member.macs.words();
    EthernetWords {
        first,
        second,
        third,
        ethertype,
    }
}
