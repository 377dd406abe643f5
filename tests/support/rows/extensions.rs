//! IPv6 extension headers: not balanced yet, so a packet with one that is for
//! the address of a VIP is dropped; the host's are the host's.

use etherparse::IpNumber;
use lb_common::verdict::Verdict;

use super::{Expected, NOT_VIP, Row, dropped, named, row};
use crate::{
    packet::{CLIENT6, Packet},
    sites::{DNS6, HOST6, WEB6},
};

const FRAGMENT: IpNumber = IpNumber::IPV6_FRAGMENTATION_HEADER;
const HOP_BY_HOP: IpNumber = IpNumber::IPV6_HEADER_HOP_BY_HOP;
const ROUTING: IpNumber = IpNumber::IPV6_ROUTE_HEADER;
const DESTINATION: IpNumber = IpNumber::IPV6_DESTINATION_OPTIONS;

pub fn rows() -> Vec<Row> {
    named("IPv6: ", [fragments(), options()].concat())
}

fn fragments() -> Vec<Row> {
    const DROPPED: Expected = dropped(Verdict::DropFragment);
    let web = || Packet::segment(CLIENT6, WEB6, &[0x42; 64]);
    let dns = || Packet::udp(CLIENT6, DNS6, &[0x42; 64]);
    let host = || Packet::udp(CLIENT6, HOST6, &[0x42; 64]);
    vec![
        row("the first fragment to a VIP is dropped", piece(web(), 0, true), DROPPED),
        row(
            "a middle fragment to a VIP is dropped",
            piece(web(), 185, true),
            DROPPED,
        ),
        row(
            "the last fragment to a VIP is dropped",
            piece(web(), 370, false),
            DROPPED,
        ),
        row(
            "a first fragment of UDP to a VIP is dropped",
            piece(dns(), 0, true),
            DROPPED,
        ),
        row(
            "a first fragment without its whole TCP header is dropped",
            piece(web().with(|p| p.payload.truncate(8)), 0, true),
            DROPPED,
        ),
        row(
            "a fragment header and nothing behind it is dropped",
            piece(web().with(|p| p.payload.clear()), 0, true),
            DROPPED,
        ),
        row(
            "a fragment that would end beyond 65,535 bytes is dropped",
            piece(web(), 8191, false),
            DROPPED,
        ),
        row(
            "an atomic fragment is not balanced yet",
            piece(web(), 0, false),
            DROPPED,
        ),
        row(
            "a fragment of SCTP to a VIP's address is dropped: what it holds is not asked",
            piece(
                Packet::new(*CLIENT6.ip(), *WEB6.ip(), IpNumber::SCTP, vec![0; 64]),
                0,
                true,
            ),
            DROPPED,
        ),
        row(
            "half a fragment header to a VIP is dropped",
            Packet::new(*CLIENT6.ip(), *WEB6.ip(), FRAGMENT, vec![6, 0, 0, 1]).bytes(),
            DROPPED,
        ),
        row(
            "the first fragment to the host is passed",
            piece(host(), 0, true),
            NOT_VIP,
        ),
        row(
            "the last fragment to the host is passed",
            piece(host(), 185, false),
            NOT_VIP,
        ),
    ]
}

fn options() -> Vec<Row> {
    const DROPPED: Expected = dropped(Verdict::DropExtension);
    // RFC 8200 §4.2: PadN; RFC 2675: jumbo payload; RFC 5095: routing type 0.
    let padding = [0, 0, 1, 4, 0, 0, 0, 0];
    let jumbo = [0, 0, 0xc2, 4, 0, 1, 0, 0];
    let routing0 = [&[0, 2, 0, 1, 0, 0, 0, 0], &HOST6.ip().octets()[..]].concat();
    let segments = [&[0, 2, 4, 0, 0, 0, 0, 0], &HOST6.ip().octets()[..]].concat();
    let web = || Packet::segment(CLIENT6, WEB6, b"data");
    let host = || Packet::segment(CLIENT6, HOST6, b"data");
    let many = |packet: Packet| (0..20).fold(packet, |inner, _| inner.extended(DESTINATION, &padding));
    vec![
        row(
            "hop-by-hop options to a VIP are dropped",
            web().extended(HOP_BY_HOP, &padding).bytes(),
            DROPPED,
        ),
        row(
            "destination options to a VIP are dropped",
            web().extended(DESTINATION, &padding).bytes(),
            DROPPED,
        ),
        row(
            "a routing header of type 0 to a VIP is dropped",
            web().extended(ROUTING, &routing0).bytes(),
            DROPPED,
        ),
        row(
            "a segment routing header to a VIP is dropped",
            web().extended(ROUTING, &segments).bytes(),
            DROPPED,
        ),
        row(
            "a jumbogram to a VIP is dropped",
            web().extended(HOP_BY_HOP, &jumbo).header(|ip| ip[4..6].fill(0)),
            DROPPED,
        ),
        row(
            "twenty extension headers to a VIP are dropped",
            many(web()).bytes(),
            DROPPED,
        ),
        row(
            "hop-by-hop options behind others, to a VIP, are dropped",
            web()
                .extended(HOP_BY_HOP, &padding)
                .extended(DESTINATION, &padding)
                .bytes(),
            DROPPED,
        ),
        row(
            "hop-by-hop options of a packet without ports, to a VIP, are dropped",
            Packet::icmp(*CLIENT6.ip(), *WEB6.ip(), 128, 0, &[0; 8])
                .extended(HOP_BY_HOP, &padding)
                .bytes(),
            DROPPED,
        ),
        row(
            "hop-by-hop options to the host are passed",
            host().extended(HOP_BY_HOP, &padding).bytes(),
            NOT_VIP,
        ),
        row(
            "a routing header to the host is passed",
            host().extended(ROUTING, &routing0).bytes(),
            NOT_VIP,
        ),
        row(
            "twenty extension headers to the host are passed",
            many(host()).bytes(),
            NOT_VIP,
        ),
    ]
}

/// RFC 8200 §4.5.
fn piece(packet: Packet, offset: u16, more: bool) -> Vec<u8> {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    packet
        .extended(FRAGMENT, &[0, 0, high, low, 0x42, 0x42, 0x42, 0x42])
        .bytes()
}
