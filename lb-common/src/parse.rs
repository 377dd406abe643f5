//! From bytes to what the VIP lookup needs.
//!
//! Only what cannot belong to anybody (no whole IP header, wrong version) is
//! refused here. Everything else that cannot be balanced is looked up first,
//! with a *refusal* that holds only if a VIP is found: the host's own traffic
//! never suffers from what the balancer does not understand.

use crate::{
    abi::vip::{HAS_TCP, HAS_UDP, VipKey},
    frame::Frame,
    hash::FlowV4,
    verdict::Verdict,
    wire::{
        ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, Ethernet, IPV4_LEN, IPV6_LEN, IS_FRAGMENT, Ipv4,
        PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, Ports, TCP_LEN, UDP_LEN, VERSION_IHL, VLAN_TAG_LEN,
    },
};

/// A packet that may be for a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub key: VipKey,
    /// For address records: flags of which one at least must be set.
    pub protocols: u16,
    /// Its fate if it is for a VIP; `None`: forward it.
    pub refusal: Option<Verdict>,
    /// Meaningful only without a refusal.
    pub flow: FlowV4,
    pub tos: u8,
    /// IPv4 total length in bytes.
    pub total_length: u16,
    /// Bytes of the frame, of all its buffers, for the counters.
    pub frame_len: u32,
}

/// # Errors
/// The verdict of a packet that needs no lookup, and the bytes of its frame.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F) -> Result<Parsed, (Verdict, u32)> {
    let linear = frame.linear_len();
    let Some(ethernet) = frame.load::<Ethernet>(0) else {
        return Err((Verdict::DropRunt, linear));
    };
    match ethernet.ethertype {
        ETHERTYPE_IPV4 => parse_ipv4(frame, &ethernet, ETHERNET_LEN, linear, None),
        ETHERTYPE_IPV6 => Err(parse_ipv6(frame, linear)),
        ETHERTYPE_VLAN => {
            const INNER: u32 = ETHERNET_LEN + VLAN_TAG_LEN;
            match frame.load::<u16>(INNER - 2) {
                Some(ETHERTYPE_IPV4) => parse_ipv4(frame, &ethernet, INNER, linear, Some(Verdict::DropVlan)),
                Some(_) | None => Err((Verdict::PassNotIp, linear)),
            }
        }
        _ => Err((Verdict::PassNotIp, linear)),
    }
}

/// Not balanced yet: only its length is looked at.
#[inline(always)]
fn parse_ipv6<F: Frame>(frame: &F, linear: u32) -> (Verdict, u32) {
    // Version, and the payload length at bytes 4 and 5 (RFC 8200 §3).
    let (Some(version), Some(payload), true) = (
        frame.load::<u8>(ETHERNET_LEN),
        frame.load::<u16>(ETHERNET_LEN + 4),
        linear >= ETHERNET_LEN + IPV6_LEN,
    ) else {
        return (Verdict::DropShortL3, linear);
    };
    if version >> 4 != 6 {
        return (Verdict::DropBadVersion, linear);
    }
    let stated = ETHERNET_LEN + IPV6_LEN + u32::from(u16::from_be(payload));
    (Verdict::PassIpv6, frame_len(frame, linear, stated))
}

/// `refusal` is what already stands against balancing it.
#[inline(always)]
fn parse_ipv4<F: Frame>(
    frame: &F,
    ethernet: &Ethernet,
    l3: u32,
    linear: u32,
    refusal: Option<Verdict>,
) -> Result<Parsed, (Verdict, u32)> {
    let Some(ip) = frame.load::<Ipv4>(l3) else {
        return Err((Verdict::DropShortL3, linear));
    };
    if ip.version_ihl >> 4 != 4 {
        return Err((Verdict::DropBadVersion, linear));
    }
    let total_length = u16::from_be(ip.total_length);
    let stated = l3 + u32::from(total_length);
    let frame_len = frame_len(frame, linear, stated);
    let header_len = u32::from(ip.version_ihl & 0xf) * 4;
    let parsed = Parsed {
        key: VipKey::v4_address(ip.destination),
        protocols: HAS_TCP | HAS_UDP,
        refusal,
        flow: FlowV4 {
            source: ip.source,
            destination: ip.destination,
            source_port: 0,
            destination_port: 0,
            protocol: ip.protocol,
        },
        tos: ip.tos,
        total_length,
        frame_len,
    };

    // RFC 1812 §5.2.2: a header of at least 20 bytes, a total length that
    // covers it, and a packet as long as its total length.
    if header_len < IPV4_LEN || l3 + header_len > linear {
        return Ok(parsed.refuse(Verdict::DropHeaderLength));
    }
    if u32::from(total_length) < header_len || stated > frame_len {
        return Ok(parsed.refuse(Verdict::DropTotalLength));
    }
    let parsed = match ip.protocol {
        PROTOCOL_TCP => Parsed {
            protocols: HAS_TCP,
            ..parsed
        },
        PROTOCOL_UDP => Parsed {
            protocols: HAS_UDP,
            ..parsed
        },
        PROTOCOL_ICMP => return parse_icmp(frame, parsed, &ip, l3 + header_len, stated),
        _ => return Err((Verdict::PassNotVip, frame_len)),
    };
    if ip.fragment & IS_FRAGMENT != 0 {
        return Ok(parsed.refuse(Verdict::DropFragment));
    }
    let l4 = l3 + header_len;
    let l4_len = u32::from(total_length) - header_len;
    let ports = if l4_len >= size_of::<Ports>() as u32 {
        frame.load::<Ports>(l4)
    } else {
        None
    };
    let Some(ports) = ports else {
        return Ok(parsed.refuse(Verdict::DropShortL4));
    };
    let mut parsed = Parsed {
        key: VipKey::v4(ip.destination, ports.destination, ip.protocol),
        flow: FlowV4 {
            source_port: ports.source,
            destination_port: ports.destination,
            ..parsed.flow
        },
        ..parsed
    };
    if let Some(verdict) = refuse_ipv4(&ip).or_else(|| refuse_l4(frame, ip.protocol, l4, l4_len)) {
        parsed = parsed.refuse(verdict);
    }
    if ethernet.destination[0] & 1 != 0 {
        parsed = parsed.refuse(Verdict::DropL2Multicast);
    }
    Ok(parsed)
}

/// What in a well-formed IPv4 header forbids to balance it.
#[inline(always)]
fn refuse_ipv4(ip: &Ipv4) -> Option<Verdict> {
    if ip.version_ihl != VERSION_IHL {
        return Some(Verdict::DropOptions);
    }
    // RFC 2003 §3.1: the encapsulator discards what it could not forward.
    if ip.ttl <= 1 {
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

/// What in the TCP or UDP header at `l4`, with `l4_len` bytes, forbids to
/// balance it.
#[inline(always)]
fn refuse_l4<F: Frame>(frame: &F, protocol: u8, l4: u32, l4_len: u32) -> Option<Verdict> {
    if protocol == PROTOCOL_TCP {
        if l4_len < TCP_LEN {
            return Some(Verdict::DropShortL4);
        }
        // RFC 9293 §3.1: data offset, "the number of 32-bit words in the TCP
        // header", in the upper half of byte 12.
        let Some(offset) = frame.load::<u8>(l4 + 12) else {
            return Some(Verdict::DropShortL4);
        };
        let header_len = u32::from(offset >> 4) * 4;
        (header_len < TCP_LEN || header_len > l4_len).then_some(Verdict::DropTcpOffset)
    } else {
        if l4_len < UDP_LEN {
            return Some(Verdict::DropShortL4);
        }
        let Some(length) = frame.load::<u16>(l4 + 4) else {
            return Some(Verdict::DropShortL4);
        };
        let length = u32::from(u16::from_be(length));
        (length < UDP_LEN || length > l4_len).then_some(Verdict::DropUdpLength)
    }
}

/// Echo and errors to a VIP address are for the VIP; other types are the
/// host's (RFC 792; 4 and 5 are of no use to anybody, RFC 6633). The message
/// is at `l4` and the packet ends at `end`; what follows is padding.
#[inline(always)]
fn parse_icmp<F: Frame>(frame: &F, parsed: Parsed, ip: &Ipv4, l4: u32, end: u32) -> Result<Parsed, (Verdict, u32)> {
    if ip.fragment & IS_FRAGMENT != 0 {
        return Ok(parsed.refuse(Verdict::DropFragment));
    }
    let kind = if l4 < end { frame.load::<u8>(l4) } else { None };
    match kind {
        Some(3 | 4 | 5 | 8 | 11 | 12) | None => Ok(parsed.refuse(Verdict::DropIcmp)),
        Some(_) => Err((Verdict::PassNotVip, parsed.frame_len)),
    }
}

/// Bytes of the frame: only a header that states more than the first buffer
/// holds is worth the helper call.
#[inline(always)]
fn frame_len<F: Frame>(frame: &F, linear: u32, stated: u32) -> u32 {
    if stated > linear { frame.total_len() } else { linear }
}

impl Parsed {
    /// The first refusal stands.
    #[inline(always)]
    fn refuse(self, verdict: Verdict) -> Self {
        Self {
            refusal: Some(match self.refusal {
                Some(earlier) => earlier,
                None => verdict,
            }),
            ..self
        }
    }
}
