//! What the balancer answers itself: echo requests to a VIP, and packets that
//! are too long for the path to their backend.

use std::net::IpAddr;

use lb_common::verdict::Verdict;

use super::{Expected, NOT_VIP, Row, dropped, row};
use crate::{
    packet::{CLIENT, CLIENT6, IP, L4, L4_V6, Packet, cut, overwritten},
    sites::{MIXES, Targets, WEB, WEB6, mix},
};

/// Identifier, sequence number, data.
const ECHO: [u8; 8] = [0, 7, 0, 1, b'p', b'i', b'n', b'g'];

pub fn twins(to: &Targets) -> Vec<Row> {
    [echoed(to), unechoed(to), too_big(to)].concat()
}

fn request(to: &Targets, vip: IpAddr, rest: &[u8]) -> Packet {
    let kind = if vip.is_ipv4() { 8 } else { 128 };
    Packet::icmp(to.client.ip(), vip, kind, 0, rest)
}

fn echoed(to: &Targets) -> Vec<Row> {
    let answered = |claim, frame| row(claim, frame, Expected::Echoed);
    let web = || request(to, to.web.ip(), &ECHO);
    let checksum = web().l4() + 2;
    vec![
        answered("an echo request to a VIP is answered", web().bytes()),
        answered(
            "an echo request to an address with UDP VIPs only is answered",
            request(to, to.dns.ip(), &ECHO).bytes(),
        ),
        answered(
            "an echo request to an address whose pool cannot be reached is answered",
            request(to, to.lost.ip(), &ECHO).bytes(),
        ),
        answered(
            "an echo request without data is answered",
            request(to, to.web.ip(), &ECHO[..4]).bytes(),
        ),
        answered(
            "an echo request of 1,400 bytes is answered",
            request(to, to.web.ip(), &[0x42; 1400]).bytes(),
        ),
        answered(
            "an echo request of an odd number of bytes is answered",
            request(to, to.web.ip(), &ECHO[..7]).bytes(),
        ),
        answered(
            "an echo request with one hop left has arrived",
            web().with(|p| p.hops(1)).bytes(),
        ),
        answered(
            "an echo request that keeps its traffic class is answered",
            web().with(|p| p.traffic_class(0xb9)).bytes(),
        ),
        answered(
            "a padded echo request is answered with its padding",
            web().with(|p| p.padding = 18).bytes(),
        ),
        answered(
            "an echo request with a wrong checksum is answered with a wrong one",
            overwritten(web().bytes(), checksum, &[0xde, 0xad]),
        ),
        answered(
            "an echo request of nothing but zeros is answered with a checksum that holds",
            request(to, to.web.ip(), &[0; 12]).bytes(),
        ),
        answered(
            "an echo request whose answer has the sum zero is answered with a checksum that holds",
            zero_sum(&request(to, to.web.ip(), &ECHO)),
        ),
    ]
}

/// The request, with a sequence number that makes the words of the answer,
/// without its checksum, add up to zero.
fn zero_sum(request: &Packet) -> Vec<u8> {
    let l4 = request.l4();
    let kind = request.payload[0];
    // Of the answer: its type is 0, or one more than the request's.
    let answer = if kind == 8 { 0 } else { kind + 1 };
    let frames = (0..=u16::MAX).map(|sequence| {
        let mut message = request.payload.clone();
        message[6..8].copy_from_slice(&sequence.to_be_bytes());
        message
    });
    let found = frames.into_iter().find_map(|message| {
        let (source, destination) = request.addresses();
        let answered = Packet::icmp(destination, source, answer, 0, &message[4..]);
        let asked = Packet::icmp(source, destination, kind, 0, &message[4..]);
        (answered.payload[2..4] == [0, 0]).then(|| asked.bytes())
    });
    let frame = found.expect("one of 65,536 sequence numbers");
    assert_eq!(frame.len(), l4 + request.payload.len());
    frame
}

fn unechoed(to: &Targets) -> Vec<Row> {
    let web = || request(to, to.web.ip(), &ECHO);
    let from = |source: IpAddr| {
        let kind = if source.is_ipv4() { 8 } else { 128 };
        Packet::icmp(source, to.web.ip(), kind, 0, &ECHO).bytes()
    };
    let [martian, group]: [IpAddr; 2] = if to.client.is_ipv4() {
        ["127.0.0.1", "224.0.0.1"]
    } else {
        ["::1", "ff02::1"]
    }
    .map(|text| text.parse().expect("an address"));
    let code = web().l4() + 1;
    vec![
        row(
            "an echo request to the host is passed",
            request(to, to.host.ip(), &ECHO).bytes(),
            NOT_VIP,
        ),
        row(
            "an echo request to a group is passed",
            request(to, group, &ECHO).bytes(),
            NOT_VIP,
        ),
        row(
            "an echo request from a group is not answered",
            from(group),
            dropped(Verdict::DropMartian),
        ),
        row(
            "an echo request from a martian is not answered",
            from(martian),
            dropped(Verdict::DropMartian),
        ),
        row(
            "an echo request from the VIP itself is not answered",
            from(to.web.ip()),
            dropped(Verdict::DropLand),
        ),
        row(
            "an echo request in a broadcast frame is not answered",
            overwritten(web().bytes(), 0, &[0xff; 6]),
            dropped(Verdict::DropL2Multicast),
        ),
        row(
            "a tagged echo request is not answered",
            web().with(|p| p.tags = vec![[0x8100, 5]]).bytes(),
            dropped(Verdict::DropVlan),
        ),
        row(
            "an echo request of another code is dropped",
            overwritten(web().bytes(), code, &[1]),
            dropped(Verdict::DropIcmp),
        ),
        row(
            "an echo request cut off by the frame is dropped",
            cut(web().bytes(), web().bytes().len() - 1),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "seven bytes of an echo request are dropped",
            web().with(|p| p.payload.truncate(7)).bytes(),
            dropped(Verdict::DropIcmp),
        ),
    ]
}

fn too_big(to: &Targets) -> Vec<Row> {
    // Longer than any interface of any site carries.
    let long = vec![0x42; 9000];
    let mut rows = vec![
        row(
            "a segment too long for every MTU is answered",
            Packet::segment(to.client, to.web, &long).bytes(),
            Expected::TooBig,
        ),
        row(
            "a datagram too long for every MTU is answered",
            Packet::udp(to.client, to.dns, &long).bytes(),
            Expected::TooBig,
        ),
        row(
            "a segment too long for every MTU, with a traffic class, is answered without",
            Packet::segment(to.client, to.web, &long)
                .with(|p| p.traffic_class(0xb8))
                .bytes(),
            Expected::TooBig,
        ),
        row(
            "a padded segment too long for every MTU is answered without its padding",
            Packet::segment(to.client, to.web, &long)
                .with(|p| p.padding = 10)
                .bytes(),
            Expected::TooBig,
        ),
    ];
    rows.extend(MIXES.map(|pool| {
        let claim = format!("a segment too long for every MTU through {pool} is answered");
        row(
            claim,
            Packet::segment(to.client, mix(to, pool), &long).bytes(),
            Expected::TooBig,
        )
    }));
    rows
}

/// Sums of zero, which have two representations.
pub fn rows() -> Vec<Row> {
    let v4 = request(&crate::sites::V4, (*WEB.ip()).into(), &ECHO);
    let v6 = request(&crate::sites::V6, (*WEB6.ip()).into(), &ECHO);
    vec![
        row(
            "an echo request whose checksum is zero is answered",
            overwritten(v4.bytes(), L4 + 2, &[0, 0]),
            Expected::Echoed,
        ),
        row(
            "ICMPv6: an echo request whose checksum is zero is answered",
            overwritten(v6.bytes(), L4_V6 + 2, &[0, 0]),
            Expected::Echoed,
        ),
        row(
            "an echo request whose answer's IPv4 header has the sum zero is answered",
            zero_header(),
            Expected::Echoed,
        ),
        row(
            "an echo request with a wrong IPv4 header checksum is answered with a wrong one",
            overwritten(v4.bytes(), IP + 10, &[0xde, 0xad]),
            Expected::Echoed,
        ),
        row(
            "IPv6: an echo request in the header of IPv4's ICMP is the host's",
            Packet::icmp(*CLIENT6.ip(), *WEB6.ip(), 8, 0, &ECHO).bytes(),
            NOT_VIP,
        ),
        row(
            "an echo request of ICMPv6's type in ICMP is the host's",
            Packet::icmp(*CLIENT.ip(), *WEB.ip(), 128, 0, &ECHO).bytes(),
            NOT_VIP,
        ),
    ]
}

/// A request with an identification that makes the checksum of the answer's
/// IPv4 header zero.
fn zero_header() -> Vec<u8> {
    let asked = |identification: u16, hops: u8| {
        let packet = Packet::icmp(*CLIENT.ip(), *WEB.ip(), 8, 0, &ECHO).with(|packet| {
            packet.v4().identification = identification;
            packet.hops(hops);
        });
        packet.bytes()
    };
    // As the answer has it: the addresses' order changes no sum.
    let zero = (0..=u16::MAX).find(|&identification| asked(identification, 64)[IP + 10..IP + 12] == [0, 0]);
    asked(zero.expect("one of 65,536 identifications"), 57)
}
