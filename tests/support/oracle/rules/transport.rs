//! TCP and UDP.

use etherparse::IpNumber;

use super::{Balanced, Datagram, Ruling, refused, to_address};
use crate::oracle::{hash::Flow, site::Site};

/// No transport header is shorter than eight bytes.
const SHORTEST: usize = 8;

pub fn rule<'f>(site: &Site, packet: Datagram<'f>) -> Ruling<'f> {
    let payload = packet.payload();
    let [s0, s1, d0, d1, ..] = payload else {
        let verdict = to_address(site, packet.destination, Some(packet.protocol), "DropShortL4");
        return Ruling::Settled(verdict);
    };
    let flow = Flow {
        source: packet.source,
        source_port: u16::from_be_bytes([*s0, *s1]),
        destination: packet.destination,
        destination_port: u16::from_be_bytes([*d0, *d1]),
        protocol: packet.protocol.0,
    };
    let Some(vip) = site.vip(flow.destination, flow.destination_port, flow.protocol) else {
        return Ruling::Settled("PassNotVip");
    };
    let wrong = (payload.len() < SHORTEST)
        .then_some("DropShortL4")
        .or(packet.has_options.then_some("DropOptions"))
        .or_else(|| refused(&packet, true))
        .or_else(|| match packet.protocol {
            IpNumber::TCP => tcp(payload),
            _ => udp(payload),
        });
    match wrong {
        Some(verdict) => Ruling::Settled(verdict),
        None => Ruling::Balance(Balanced {
            packet,
            vip: vip.clone(),
            flow,
            is_error: false,
        }),
    }
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
    let length = usize::from(u16::from_be_bytes([datagram[4], datagram[5]]));
    (!(SHORTEST..=datagram.len()).contains(&length)).then_some("DropUdpLength")
}
