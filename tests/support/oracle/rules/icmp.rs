//! ICMP and ICMPv6: echo requests to a VIP are answered, errors about a flow
//! of a VIP go where the flow goes, errors about what we sent ourselves are
//! noted.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Balanced, Datagram, Ruling, refused};
use crate::oracle::{hash::Flow, site::Site};

/// Bytes of an ICMP header; an error's quote follows.
const HEADER: usize = 8;
/// Bytes of a transport header that every quote has (RFC 792).
const QUOTED: usize = 8;

enum Kind {
    EchoRequest,
    Error,
    /// Source quench (RFC 6633) and redirects.
    Unwanted,
    /// Not even a type.
    Empty,
    Other,
}

pub fn rule<'f>(site: &Site, packet: Datagram<'f>) -> Ruling<'f> {
    let message = packet.payload();
    if !site.has_vip_on(packet.destination, None) {
        return Ruling::Settled(to_host(site, &packet));
    }
    let kind = kind(&packet);
    let wrong = match kind {
        Kind::Other => Some("PassNotVip"),
        Kind::Unwanted | Kind::EchoRequest | Kind::Error if packet.has_options => Some("DropOptions"),
        Kind::Unwanted | Kind::Empty => Some("DropIcmp"),
        Kind::EchoRequest | Kind::Error if message.len() < HEADER => Some("DropIcmp"),
        Kind::EchoRequest => refused(&packet, false).or_else(|| (message[1] != 0).then_some("DropIcmp")),
        Kind::Error => refused(&packet, true),
    };
    match (wrong, kind) {
        (Some(verdict), _) => Ruling::Settled(verdict),
        (None, Kind::Error) => error(site, packet),
        (None, _) => Ruling::Echo(packet),
    }
}

/// To no VIP: what concerns us all the same is about our outer headers.
fn to_host(site: &Site, packet: &Datagram<'_>) -> &'static str {
    let whole = !packet.has_options && packet.payload().len() >= HEADER;
    if whole && site.encap_source.contain(packet.destination) && matches!(kind(packet), Kind::Error) {
        "PassOuterError"
    } else {
        "PassNotVip"
    }
}

fn kind(packet: &Datagram<'_>) -> Kind {
    let Some(kind) = packet.payload().first() else {
        return Kind::Empty;
    };
    if packet.source.is_ipv4() {
        match kind {
            8 => Kind::EchoRequest,
            3 | 11 | 12 => Kind::Error,
            4 | 5 => Kind::Unwanted,
            _ => Kind::Other,
        }
    } else {
        match kind {
            128 => Kind::EchoRequest,
            1..=4 => Kind::Error,
            137 => Kind::Unwanted,
            _ => Kind::Other,
        }
    }
}

/// An error to a VIP: it belongs to the flow that it quotes a packet of.
fn error<'f>(site: &Site, packet: Datagram<'f>) -> Ruling<'f> {
    let quoted = &packet.payload()[HEADER..];
    let Some(quoted) = quoted_flow(quoted, packet.source) else {
        return Ruling::Settled("DropIcmpQuote");
    };
    let vip = site.vip(quoted.source, quoted.source_port, quoted.protocol);
    match vip {
        Some(vip) if quoted.source == packet.destination => Ruling::Balance(Balanced {
            packet,
            vip: vip.clone(),
            flow: Flow {
                source: quoted.destination,
                source_port: quoted.destination_port,
                destination: quoted.source,
                destination_port: quoted.source_port,
                protocol: quoted.protocol,
            },
            is_error: true,
        }),
        _ => Ruling::Settled("DropIcmpQuote"),
    }
}

/// The flow of a quoted packet of the same family as `like`, as it was sent.
fn quoted_flow(quoted: &[u8], like: IpAddr) -> Option<Flow> {
    let (source, destination, protocol, transport): (IpAddr, IpAddr, _, _) = match like {
        IpAddr::V4(_) => {
            let header = Ipv4HeaderSlice::from_slice(quoted).ok()?;
            // Where a later fragment has other things, there are ports here.
            if header.fragments_offset().value() != 0 {
                return None;
            }
            let transport = &quoted[header.slice().len()..];
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (source.into(), destination.into(), header.protocol(), transport)
        }
        IpAddr::V6(_) => {
            let header = Ipv6HeaderSlice::from_slice(quoted).ok()?;
            let transport = &quoted[header.slice().len()..];
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (source.into(), destination.into(), header.next_header(), transport)
        }
    };
    let ports = transport.get(..QUOTED)?;
    matches!(protocol, IpNumber::TCP | IpNumber::UDP).then(|| Flow {
        source,
        source_port: u16::from_be_bytes([ports[0], ports[1]]),
        destination,
        destination_port: u16::from_be_bytes([ports[2], ports[3]]),
        protocol: protocol.0,
    })
}
