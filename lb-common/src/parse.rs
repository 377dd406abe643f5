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
    let (l3, refusal) = match ethernet.ethertype {
        ETHERTYPE_IPV4 => {
            if let Some(plain) = parse_plain(frame, &ethernet, linear) {
                return Ok(plain);
            }
            (ETHERNET_LEN, None)
        }
        ETHERTYPE_VLAN => {
            const INNER: u32 = ETHERNET_LEN + VLAN_TAG_LEN;
            if frame.load::<u16>(INNER - 2) != Some(ETHERTYPE_IPV4) {
                return Err((Verdict::PassNotIp, linear));
            }
            (INNER, Some(Verdict::DropVlan))
        }
        ETHERTYPE_IPV6 => return Err(parse_ipv6(frame, linear)),
        _ => return Err((Verdict::PassNotIp, linear)),
    };
    parse_odd(frame, l3, linear, refusal)
}

/// The common shape, at constant offsets: untagged, no IPv4 options, no
/// fragment, TCP or UDP, lengths that fit. `None`: look again, as odd.
#[inline(always)]
fn parse_plain<F: Frame>(frame: &F, ethernet: &Ethernet, linear: u32) -> Option<Parsed> {
    const L4: u32 = ETHERNET_LEN + IPV4_LEN;
    let ip = frame.load::<Ipv4>(ETHERNET_LEN)?;
    let ports = frame.load::<Ports>(L4)?;
    let total_length = u16::from_be(ip.total_length);
    let stated = ETHERNET_LEN + u32::from(total_length);
    if ip.version_ihl != VERSION_IHL || ip.fragment & IS_FRAGMENT != 0 || u32::from(total_length) < IPV4_LEN + 8 {
        return None;
    }
    let frame_len = frame_len(frame, linear, stated);
    if stated > frame_len {
        return None;
    }
    let l4_len = u32::from(total_length) - IPV4_LEN;
    let refusal = match ip.protocol {
        // RFC 9293 §3.1: the data offset is in the upper half of byte 12.
        PROTOCOL_TCP => refuse_tcp(frame.load::<u8>(L4 + 12), l4_len),
        PROTOCOL_UDP => refuse_udp(frame.load::<u16>(L4 + 4), l4_len),
        _ => return None,
    };
    Some(Parsed {
        key: VipKey::v4(ip.destination, ports.destination, ip.protocol),
        protocols: 0,
        refusal: refuse_ipv4(&ip, ethernet).or(refusal),
        flow: FlowV4 {
            source: ip.source,
            destination: ip.destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.protocol,
        },
        tos: ip.tos,
        total_length,
        frame_len,
    })
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

/// Every other IPv4 packet, its header at `l3`. None of them is balanced, so
/// all that is asked is whether it is for a VIP: with its ports if it has
/// them, else by its address and protocol.
#[inline(always)]
fn parse_odd<F: Frame>(frame: &F, l3: u32, linear: u32, refusal: Option<Verdict>) -> Result<Parsed, (Verdict, u32)> {
    let Some(ip) = frame.load_variable::<Ipv4>(l3) else {
        return Err((Verdict::DropShortL3, linear));
    };
    if ip.version_ihl >> 4 != 4 {
        return Err((Verdict::DropBadVersion, linear));
    }
    let total_length = u16::from_be(ip.total_length);
    let stated = l3 + u32::from(total_length);
    let frame_len = frame_len(frame, linear, stated);
    let header_len = u32::from(ip.version_ihl & 0xf) * 4;
    let l4 = l3 + header_len;
    let odd = Odd { ip, frame_len, refusal };

    // RFC 1812 §5.2.2: a header of at least 20 bytes, a total length that
    // covers it, and a packet as long as its total length.
    if header_len < IPV4_LEN || l4 > linear {
        return Ok(odd.refused(Verdict::DropHeaderLength, HAS_TCP | HAS_UDP));
    }
    if u32::from(total_length) < header_len || stated > frame_len {
        return Ok(odd.refused(Verdict::DropTotalLength, HAS_TCP | HAS_UDP));
    }
    let fragment = ip.fragment & IS_FRAGMENT != 0;
    let protocols = match ip.protocol {
        PROTOCOL_TCP => HAS_TCP,
        PROTOCOL_UDP => HAS_UDP,
        PROTOCOL_ICMP if fragment => return Ok(odd.refused(Verdict::DropFragment, HAS_TCP | HAS_UDP)),
        // Echo and errors to a VIP address are for the VIP; other types are
        // the host's. Types 4 and 5 are of no use to anybody (RFC 6633).
        PROTOCOL_ICMP => {
            // What follows the end of the packet is padding, not a type.
            let kind = if l4 < stated {
                frame.load_variable::<u8>(l4)
            } else {
                None
            };
            return match kind {
                Some(3 | 4 | 5 | 8 | 11 | 12) | None => Ok(odd.refused(Verdict::DropIcmp, HAS_TCP | HAS_UDP)),
                Some(_) => Err((Verdict::PassNotVip, frame_len)),
            };
        }
        _ => return Err((Verdict::PassNotVip, frame_len)),
    };
    if fragment {
        return Ok(odd.refused(Verdict::DropFragment, protocols));
    }
    let l4_len = u32::from(total_length) - header_len;
    let ports = if l4_len >= size_of::<Ports>() as u32 {
        frame.load_variable::<Ports>(l4)
    } else {
        None
    };
    match ports {
        None => Ok(odd.refused(Verdict::DropShortL4, protocols)),
        // Ports, but not the whole of the shorter header.
        Some(ports) if l4_len < UDP_LEN || header_len == IPV4_LEN => Ok(odd.refused_at(Verdict::DropShortL4, ports)),
        Some(ports) => Ok(odd.refused_at(Verdict::DropOptions, ports)),
    }
}

/// What is known of an odd packet.
struct Odd {
    ip: Ipv4,
    frame_len: u32,
    /// Stands before any other.
    refusal: Option<Verdict>,
}

impl Odd {
    /// By address, if some VIP there has one of `protocols`.
    #[inline(always)]
    const fn refused(self, verdict: Verdict, protocols: u16) -> Parsed {
        self.parsed(verdict, VipKey::v4_address(self.ip.destination), protocols)
    }

    /// By address and port.
    #[inline(always)]
    const fn refused_at(self, verdict: Verdict, ports: Ports) -> Parsed {
        let key = VipKey::v4(self.ip.destination, ports.destination, self.ip.protocol);
        self.parsed(verdict, key, 0)
    }

    #[inline(always)]
    const fn parsed(&self, verdict: Verdict, key: VipKey, protocols: u16) -> Parsed {
        Parsed {
            key,
            protocols,
            refusal: Some(match self.refusal {
                Some(earlier) => earlier,
                None => verdict,
            }),
            flow: FlowV4 {
                source: self.ip.source,
                destination: self.ip.destination,
                source_port: 0,
                destination_port: 0,
                protocol: self.ip.protocol,
            },
            tos: self.ip.tos,
            total_length: u16::from_be(self.ip.total_length),
            frame_len: self.frame_len,
        }
    }
}

/// What in a well-formed IPv4 header, or around it, forbids to balance it.
#[inline(always)]
const fn refuse_ipv4(ip: &Ipv4, ethernet: &Ethernet) -> Option<Verdict> {
    // The group bit (IEEE 802-2014 §8.2.2).
    if ethernet.destination[0] & 1 != 0 {
        return Some(Verdict::DropL2Multicast);
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

/// `offset`: byte 12 of the header, if it is there.
#[inline(always)]
fn refuse_tcp(offset: Option<u8>, l4_len: u32) -> Option<Verdict> {
    let Some(offset) = offset.filter(|_| l4_len >= TCP_LEN) else {
        return Some(Verdict::DropShortL4);
    };
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

/// Bytes of the frame: only a header that states more than the first buffer
/// holds is worth the helper call.
#[inline(always)]
fn frame_len<F: Frame>(frame: &F, linear: u32, stated: u32) -> u32 {
    if stated > linear { frame.total_len() } else { linear }
}
