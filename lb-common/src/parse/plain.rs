//! The common shape, at constant offsets: untagged, no IPv4 options and no IPv6
//! extension headers, no fragment, TCP or UDP, lengths that fit.

use crate::{
    abi::vip::MAPPED,
    frame::Frame,
    hash::{FlowV4, FlowV6},
    verdict::Verdict,
    wire::{
        ETHERNET_LEN, IPV4_LEN, IPV6_LEN, IS_FRAGMENT, Ipv4, Ipv6, PROTOCOL_TCP, PROTOCOL_UDP, Ports, TCP_LEN, UDP_LEN,
        VERSION_IHL,
    },
};

use super::Opening;

/// A packet of the common shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<T> {
    pub flow: T,
    pub tos: u8,
    /// Bytes of the IP packet.
    pub length: u16,
    pub opening: Opening,
    /// Its fate if it is for a VIP; `None`: forward it.
    pub refusal: Option<Verdict>,
}

impl<T> Plain<T> {
    /// The same packet with its flow in another shape.
    #[inline(always)]
    pub fn map<U>(self, shape: impl FnOnce(T) -> U) -> Plain<U> {
        Plain {
            flow: shape(self.flow),
            tos: self.tos,
            length: self.length,
            opening: self.opening,
            refusal: self.refusal,
        }
    }
}

/// `fits` says whether so many bytes are in the frame. `None`: it is of another
/// shape.
#[inline(always)]
pub fn v4<F: Frame>(frame: &F, group: bool, fits: impl FnOnce(u32) -> bool) -> Option<Plain<FlowV4>> {
    const L4: u32 = ETHERNET_LEN + IPV4_LEN;
    let ip = frame.load::<Ipv4>(ETHERNET_LEN)?;
    let ports = frame.load::<Ports>(L4)?;
    let length = u16::from_be(ip.total_length);
    if ip.version_ihl != VERSION_IHL
        || ip.fragment & IS_FRAGMENT != 0
        || u32::from(length) < IPV4_LEN + UDP_LEN
        || !fits(ETHERNET_LEN + u32::from(length))
    {
        return None;
    }
    let transport = transport::<F, L4>(frame, ip.protocol, u32::from(length) - IPV4_LEN)?;
    Some(Plain {
        flow: FlowV4 {
            source: ip.source,
            destination: ip.destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.protocol,
        },
        tos: ip.tos,
        length,
        opening: transport.opening,
        refusal: refuse_v4(&ip, group, true).or(transport.refusal),
    })
}

/// As [`v4`].
#[inline(always)]
pub fn v6<F: Frame>(frame: &F, group: bool, fits: impl FnOnce(u32) -> bool) -> Option<Plain<FlowV6>> {
    const L4: u32 = ETHERNET_LEN + IPV6_LEN;
    let ip = frame.load::<Ipv6>(ETHERNET_LEN)?;
    let ports = frame.load::<Ports>(L4)?;
    let payload = u32::from(u16::from_be(ip.payload_length));
    // What is longer than a packet can state (RFC 2675) is odd.
    if ip.version() != 6
        || is_mapped(ip.destination)
        || payload < UDP_LEN
        || payload > u32::from(u16::MAX) - IPV6_LEN
        || !fits(ETHERNET_LEN + IPV6_LEN + payload)
    {
        return None;
    }
    let transport = transport::<F, L4>(frame, ip.next_header, payload)?;
    Some(Plain {
        flow: FlowV6 {
            source: ip.source,
            destination: ip.destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.next_header,
        },
        tos: ip.traffic_class(),
        length: (payload + IPV6_LEN) as u16,
        opening: transport.opening,
        refusal: refuse_v6(&ip, group, true).or(transport.refusal),
    })
}

/// ::ffff:0:0/96 (RFC 4291 §2.5.5.2): what [`crate::abi::vip::VipKey`] makes of
/// an IPv4 address, and so nobody's where it stands in an IPv6 packet.
#[inline(always)]
pub const fn is_mapped(address: [u32; 4]) -> bool {
    address[2] == MAPPED && address[0] | address[1] == 0
}

struct Transport {
    opening: Opening,
    refusal: Option<Verdict>,
}

/// `None`: neither TCP nor UDP.
#[inline(always)]
fn transport<F: Frame, const L4: u32>(frame: &F, protocol: u8, l4_len: u32) -> Option<Transport> {
    match protocol {
        PROTOCOL_TCP => {
            // RFC 9293 §3.1: the data offset is in the upper half of byte 12,
            // the flags are in byte 13.
            let word = frame.load::<[u8; 2]>(L4 + 12);
            let [offset, flags] = word.unwrap_or_default();
            Some(Transport {
                opening: opening(flags),
                refusal: refuse_tcp(word.is_some(), offset, l4_len),
            })
        }
        PROTOCOL_UDP => Some(Transport {
            opening: Opening::Datagram,
            refusal: refuse_udp(frame.load::<u16>(L4 + 4), l4_len),
        }),
        _ => None,
    }
}

/// A SYN alone begins a connection; one with ACK, RST or FIN does not.
#[inline(always)]
const fn opening(flags: u8) -> Opening {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    if flags & (FIN | SYN | RST | ACK) == SYN {
        Opening::Syn
    } else {
        Opening::Segment
    }
}

/// What in a well-formed IPv4 header, or around it, forbids to balance it.
/// `forwarded`: it would be, so its TTL matters.
#[inline(always)]
pub const fn refuse_v4(ip: &Ipv4, group: bool, forwarded: bool) -> Option<Verdict> {
    if group {
        return Some(Verdict::DropL2Multicast);
    }
    // RFC 2003 §3.1: the encapsulator discards what it could not forward.
    if forwarded && ip.ttl <= 1 {
        return Some(Verdict::DropTtl);
    }
    if ip.source == ip.destination {
        return Some(Verdict::DropLand);
    }
    // RFC 1812 §5.3.7, RFC 6890: 0/8, 127/8, 224/4 and 240/4.
    let first = ip.source.to_ne_bytes()[0];
    if first == 0 || first == 127 || first >= 224 {
        return Some(Verdict::DropMartian);
    }
    None
}

/// As [`refuse_v4`].
#[inline(always)]
pub const fn refuse_v6(ip: &Ipv6, group: bool, forwarded: bool) -> Option<Verdict> {
    if group {
        return Some(Verdict::DropL2Multicast);
    }
    if forwarded && ip.hop_limit <= 1 {
        return Some(Verdict::DropTtl);
    }
    let [s0, s1, s2, s3] = ip.source;
    let [d0, d1, d2, d3] = ip.destination;
    if (s0 ^ d0) | (s1 ^ d1) | (s2 ^ d2) | (s3 ^ d3) == 0 {
        return Some(Verdict::DropLand);
    }
    // RFC 4291 §2.5.2, §2.5.3, §2.5.5.2 and §2.7: ::, ::1, ::ffff:0:0/96, ff00::/8.
    if s0.to_ne_bytes()[0] == 0xff {
        return Some(Verdict::DropMartian);
    }
    let nobody = s2 == 0 && (s3 == 0 || s3 == 1_u32.to_be());
    if s0 | s1 == 0 && (s2 == MAPPED || nobody) {
        return Some(Verdict::DropMartian);
    }
    None
}

/// `offset`: byte 12 of the header, if it is `there`.
#[inline(always)]
fn refuse_tcp(there: bool, offset: u8, l4_len: u32) -> Option<Verdict> {
    if !there || l4_len < TCP_LEN {
        return Some(Verdict::DropShortL4);
    }
    let header_len = u32::from(offset >> 4) * 4;
    (header_len < TCP_LEN || header_len > l4_len).then_some(Verdict::DropTcpOffset)
}

/// `length`: bytes 4 and 5 of the header, if they are there.
#[inline(always)]
fn refuse_udp(length: Option<u16>, l4_len: u32) -> Option<Verdict> {
    let Some(length) = length.map(|length| u32::from(u16::from_be(length))) else {
        return Some(Verdict::DropShortL4);
    };
    (length < UDP_LEN || length > l4_len).then_some(Verdict::DropUdpLength)
}
