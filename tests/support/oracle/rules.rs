//! The rules, in their order.
//!
//! Where a packet cannot be read to its ports, it is for a VIP if its address
//! is a VIP's; where its protocol is known, that VIP must be of this protocol.
//! What is not for a VIP is passed, whatever is wrong with it; only frames
//! without a whole IP header, and of another IP version than they claim, are
//! nobody's.

use std::net::Ipv4Addr;

use etherparse::{
    EtherType, Ethernet2HeaderSlice, IpDscp, IpEcn, IpNumber, Ipv4HeaderSlice, SingleVlanHeaderSlice,
    err::ipv4::{HeaderError, HeaderSliceError},
};

use super::{hash::Flow, site::Site};

/// What the rules say of a frame.
pub enum Ruling {
    Settled(&'static str),
    /// Nothing speaks against forwarding it.
    Balance(Balanced),
}

/// A packet to be forwarded, as far as that needs.
pub struct Balanced {
    pub pool: String,
    pub flow: Flow,
    /// Bytes of the IP packet.
    pub total_length: u16,
    pub dscp: IpDscp,
    pub ecn: IpEcn,
}

pub fn rule(site: &Site, frame: &[u8]) -> Ruling {
    let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else {
        return Ruling::Settled("DropRunt");
    };
    let rest = &frame[ethernet.slice().len()..];
    match ethernet.ether_type() {
        EtherType::IPV4 => ipv4(site, rest, ethernet.destination()),
        EtherType::VLAN_TAGGED_FRAME => tagged(site, rest, ethernet.destination()),
        EtherType::IPV6 => Ruling::Settled(ipv6(rest)),
        _ => Ruling::Settled("PassNotIp"),
    }
}

/// One 802.1Q tag: dropped if it is for a VIP, and judged like others if not.
fn tagged(site: &Site, rest: &[u8], to_mac: [u8; 6]) -> Ruling {
    let Some(tag) = SingleVlanHeaderSlice::from_slice(rest)
        .ok()
        .filter(|tag| tag.ether_type() == EtherType::IPV4)
    else {
        return Ruling::Settled("PassNotIp");
    };
    match ipv4(site, &rest[tag.slice().len()..], to_mac) {
        Ruling::Balance(_) => Ruling::Settled("DropVlan"),
        Ruling::Settled(verdict) => Ruling::Settled(match verdict {
            "PassNotVip" | "DropShortL3" | "DropBadVersion" => verdict,
            _ => "DropVlan",
        }),
    }
}

fn ipv6(packet: &[u8]) -> &'static str {
    const HEADER: usize = 40;
    if packet.len() < HEADER {
        return "DropShortL3";
    }
    match packet[0] >> 4 {
        6 => "PassIpv6",
        _ => "DropBadVersion",
    }
}

fn ipv4(site: &Site, packet: &[u8], to_mac: [u8; 6]) -> Ruling {
    const SHORTEST: usize = 20;
    if packet.len() < SHORTEST {
        return Ruling::Settled("DropShortL3");
    }
    let destination = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
    let to_address = |protocol, verdict| {
        let ours = site.has_vip_on(destination, protocol);
        Ruling::Settled(if ours { verdict } else { "PassNotVip" })
    };
    let header = match Ipv4HeaderSlice::from_slice(packet) {
        Ok(header) => header,
        Err(HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. })) => {
            return Ruling::Settled("DropBadVersion");
        }
        Err(
            HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) | HeaderSliceError::Len(_),
        ) => {
            return to_address(None, "DropHeaderLength");
        }
    };
    // What follows the packet in the frame is padding, and nobody's business.
    let Some(payload) = packet
        .get(..usize::from(header.total_len()))
        .and_then(|whole| whole.get(header.slice().len()..))
    else {
        return to_address(None, "DropTotalLength");
    };
    let fragment = header.more_fragments() || header.fragments_offset().value() != 0;
    let protocol = header.protocol();
    match protocol {
        IpNumber::TCP | IpNumber::UDP if fragment => to_address(Some(protocol.0), "DropFragment"),
        IpNumber::TCP | IpNumber::UDP => match payload {
            [s0, s1, d0, d1, ..] => {
                let flow = Flow {
                    source: header.source_addr(),
                    source_port: u16::from_be_bytes([*s0, *s1]),
                    destination,
                    destination_port: u16::from_be_bytes([*d0, *d1]),
                    protocol: protocol.0,
                };
                to_port(site, &header, payload, flow, to_mac)
            }
            _ => to_address(Some(protocol.0), "DropShortL4"),
        },
        IpNumber::ICMP if fragment => to_address(None, "DropFragment"),
        IpNumber::ICMP => match payload.first() {
            // Errors, echo requests, and what cannot be told.
            Some(3 | 4 | 5 | 8 | 11 | 12) | None => to_address(None, "DropIcmp"),
            Some(_) => Ruling::Settled("PassNotVip"),
        },
        _ => Ruling::Settled("PassNotVip"),
    }
}

/// A TCP or UDP packet with both of its ports.
fn to_port(site: &Site, header: &Ipv4HeaderSlice<'_>, payload: &[u8], flow: Flow, to_mac: [u8; 6]) -> Ruling {
    let Some(vip) = site.vip(flow.destination, flow.destination_port, flow.protocol) else {
        return Ruling::Settled("PassNotVip");
    };
    let [first, ..] = flow.source.octets();
    let rules = [
        // No transport header is shorter than eight bytes.
        (payload.len() < 8, "DropShortL4"),
        (!header.options().is_empty(), "DropOptions"),
        (to_mac[0] & 1 == 1, "DropL2Multicast"),
        (header.ttl() < 2, "DropTtl"),
        (flow.source == flow.destination, "DropLand"),
        (first == 0 || first == 127 || first >= 224, "DropMartian"),
    ];
    if let Some((_, verdict)) = rules.into_iter().find(|(broken, _)| *broken) {
        return Ruling::Settled(verdict);
    }
    let transport = if flow.protocol == IpNumber::TCP.0 {
        tcp(payload)
    } else {
        udp(payload)
    };
    if let Some(verdict) = transport {
        return Ruling::Settled(verdict);
    }
    Ruling::Balance(Balanced {
        pool: vip.pool.clone(),
        flow,
        total_length: header.total_len(),
        dscp: header.dcp(),
        ecn: header.ecn(),
    })
}

fn tcp(segment: &[u8]) -> Option<&'static str> {
    const SHORTEST: usize = 20;
    if segment.len() < SHORTEST {
        return Some("DropShortL4");
    }
    let header = usize::from(segment[12] >> 4) * 4;
    (!(SHORTEST..=segment.len()).contains(&header)).then_some("DropTcpOffset")
}

fn udp(datagram: &[u8]) -> Option<&'static str> {
    const SHORTEST: usize = 8;
    let length = usize::from(u16::from_be_bytes([datagram[4], datagram[5]]));
    (!(SHORTEST..=datagram.len()).contains(&length)).then_some("DropUdpLength")
}
