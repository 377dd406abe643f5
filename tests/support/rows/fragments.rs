//! Fragments: only the first one has ports, so none is balanced; the host's
//! are the host's.

use etherparse::{IpFragOffset, IpNumber};
use lb_common::verdict::Verdict;

use super::{NOT_VIP, Row, dropped, row};
use crate::{
    packet::{CLIENT, Packet},
    sites::{DNS, HOST, RAW, WEB},
};

const DROPPED: super::Expected = dropped(Verdict::DropFragment);

pub fn rows() -> Vec<Row> {
    let web = || Packet::segment(CLIENT, WEB, &[0x42; 64]);
    let dns = || Packet::udp(CLIENT, DNS, &[0x42; 64]);
    let host = || Packet::udp(CLIENT, HOST, &[0x42; 64]);
    let icmp = |to| Packet::icmp(*CLIENT.ip(), to, 8, 0, &[0; 64]);
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
            "a tiny first fragment is dropped",
            piece(web().with(|p| p.payload.truncate(8)), 0, true),
            DROPPED,
        ),
        row(
            "a fragment over the TCP flags is dropped",
            piece(web(), 1, false),
            DROPPED,
        ),
        row(
            "a fragment with no payload is dropped",
            piece(web().with(|p| p.payload.clear()), 0, true),
            DROPPED,
        ),
        row(
            "a fragment that would end beyond 65,535 bytes is dropped",
            piece(web(), 8191, false),
            DROPPED,
        ),
        row(
            "a fragment of ICMP to a VIP's address is dropped",
            piece(icmp(*WEB.ip()), 0, true),
            DROPPED,
        ),
        row(
            "a fragment of TCP to an address with UDP VIPs only is passed",
            piece(Packet::segment(CLIENT, DNS, &[0; 64]), 0, true),
            NOT_VIP,
        ),
        row(
            "a fragment of UDP to an address with TCP VIPs only is passed",
            piece(Packet::udp(CLIENT, RAW, &[0; 64]), 0, true),
            NOT_VIP,
        ),
        row(
            "a fragment of GRE to a VIP's address is passed",
            piece(other(IpNumber::GRE), 0, true),
            NOT_VIP,
        ),
        row(
            "a tagged fragment to a VIP is dropped for its tag",
            piece(web().with(|p| p.tags = vec![[0x8100, 100]]), 0, true),
            dropped(Verdict::DropVlan),
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
        row(
            "a fragment of ICMP to the host is passed",
            piece(icmp(*HOST.ip()), 185, false),
            NOT_VIP,
        ),
    ]
}

fn piece(packet: Packet, offset: u16, more: bool) -> Vec<u8> {
    let fragment = packet.with(|packet| {
        packet.v4().identification = 0x4242;
        packet.v4().dont_fragment = false;
        packet.v4().more_fragments = more;
        packet.v4().fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
    });
    fragment.bytes()
}

fn other(protocol: IpNumber) -> Packet {
    Packet::new(*CLIENT.ip(), *WEB.ip(), protocol, vec![0; 64])
}
