//! ICMP: echo and errors to a VIP's address are for the VIP, which does not
//! answer yet; all else is the host's.

use lb_common::verdict::Verdict;

use super::{Expected, NOT_VIP, Row, dropped, row};
use crate::{
    packet::{CLIENT, IP, Packet, overwritten},
    sites::{DNS, HOST, WEB},
};

const DROPPED: Expected = dropped(Verdict::DropIcmp);

pub fn rows() -> Vec<Row> {
    let message = |kind, code, rest: &[u8]| Packet::icmp(*CLIENT.ip(), *WEB.ip(), kind, code, rest).bytes();
    let to_host = |kind, code, rest: &[u8]| Packet::icmp(*CLIENT.ip(), *HOST.ip(), kind, code, rest).bytes();
    let echo = [0, 7, 0, 1, b'p', b'i', b'n', b'g'];
    // What a backend sent to the client, as far as a router quotes it.
    let answer = Packet::segment(WEB, CLIENT, b"answer").bytes();
    let quoted = |bytes: usize| [&[0, 0, 5, 0xdc], &answer[IP..IP + bytes]].concat();
    vec![
        row("an echo request to a VIP is dropped", message(8, 0, &echo), DROPPED),
        row(
            "an echo request to an address with UDP VIPs only is dropped",
            Packet::icmp(*CLIENT.ip(), *DNS.ip(), 8, 0, &echo).bytes(),
            DROPPED,
        ),
        row("an echo request to the host is passed", to_host(8, 0, &echo), NOT_VIP),
        row(
            "an echo reply to a VIP's address is the host's",
            message(0, 0, &echo),
            NOT_VIP,
        ),
        row(
            "too big, with a whole packet quoted, is dropped",
            message(3, 4, &quoted(46)),
            DROPPED,
        ),
        row(
            "too big, with eight bytes of transport quoted, is dropped",
            message(3, 4, &quoted(28)),
            DROPPED,
        ),
        row(
            "too big, with half a header quoted, is dropped",
            message(3, 4, &quoted(10)),
            DROPPED,
        ),
        row("too big, with nothing quoted, is dropped", message(3, 4, &[]), DROPPED),
        row(
            "too big, with options in the quoted header, is dropped",
            overwritten(message(3, 4, &quoted(46)), IP + 28, &[0x46]),
            DROPPED,
        ),
        row(
            "too big for an MTU of 20 bytes is dropped",
            message(3, 4, &[&[0, 0, 0, 20], &answer[IP..]].concat()),
            DROPPED,
        ),
        row("too big to the host is passed", to_host(3, 4, &quoted(28)), NOT_VIP),
        row(
            "a port unreachable for a VIP's flow is dropped",
            message(3, 3, &quoted(28)),
            DROPPED,
        ),
        row(
            "a host unreachable for a VIP's flow is dropped",
            message(3, 1, &quoted(28)),
            DROPPED,
        ),
        row(
            "a time exceeded for a VIP's flow is dropped",
            message(11, 0, &quoted(28)),
            DROPPED,
        ),
        row(
            "a parameter problem for a VIP's flow is dropped",
            message(12, 0, &quoted(28)),
            DROPPED,
        ),
        row(
            "a source quench to a VIP is dropped",
            message(4, 0, &quoted(28)),
            DROPPED,
        ),
        row("a redirect to a VIP is dropped", message(5, 1, &quoted(28)), DROPPED),
        row(
            "a timestamp request to a VIP's address is the host's",
            message(13, 0, &[0; 16]),
            NOT_VIP,
        ),
        row(
            "an address mask request to a VIP's address is the host's",
            message(17, 0, &[0; 8]),
            NOT_VIP,
        ),
        row(
            "an unknown ICMP type to a VIP's address is the host's",
            message(99, 0, &[0; 8]),
            NOT_VIP,
        ),
        row("ICMP without a type is dropped", no_type(0), DROPPED),
        row(
            "ICMP without a type is dropped, whatever the padding says",
            no_type(46),
            DROPPED,
        ),
    ]
}

/// A packet that ends with its IP header.
fn no_type(padding: usize) -> Vec<u8> {
    let packet = Packet::icmp(*CLIENT.ip(), *WEB.ip(), 8, 0, &[]).with(|packet| {
        packet.payload.clear();
        packet.padding = padding;
    });
    packet.bytes()
}
