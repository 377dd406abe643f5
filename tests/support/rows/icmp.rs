//! ICMP and ICMPv6 to a VIP's address: errors about a flow of the VIP go to
//! the flow's backend, what is of no use is dropped, all else is the host's.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpFragOffset, IpNumber, Ipv4Options};
use lb_common::verdict::Verdict;

use super::{DNS_POOL, Expected, NOT_VIP, Row, WEB_POOL, dropped, row, transport::port};
use crate::{
    packet::{CLIENT, CLIENT6, Packet, overwritten},
    sites::{HOST, HOST6, MIXES, Targets, V4, V6, WEB, WEB6, mix},
};

const DROPPED: Expected = dropped(Verdict::DropIcmp);
const BAD_QUOTE: Expected = dropped(Verdict::DropIcmpQuote);

/// Too big, as each family says it: type, code, and what follows the checksum.
const fn too_big(to: &Targets, mtu: u16) -> (u8, u8, [u8; 4]) {
    let [high, low] = mtu.to_be_bytes();
    match to.client {
        SocketAddr::V4(_) => (3, 4, [0, 0, high, low]),
        SocketAddr::V6(_) => (2, 0, [0, 0, high, low]),
    }
}

/// A router on the way to the client.
fn router(to: &Targets) -> IpAddr {
    match to.client {
        SocketAddr::V4(_) => "192.0.2.1".parse().expect("an address"),
        SocketAddr::V6(_) => "2001:db8:2::1".parse().expect("an address"),
    }
}

/// A too-big from a router to the address of `vip`, which quotes this.
fn error_about(to: &Targets, vip: SocketAddr, quoted: &[u8]) -> Packet {
    let (kind, code, rest) = too_big(to, 1400);
    Packet::icmp(router(to), vip.ip(), kind, code, &[&rest[..], quoted].concat())
}

/// Bytes of a quoted IP header.
const fn header(to: &Targets) -> usize {
    match to.client {
        SocketAddr::V4(_) => 20,
        SocketAddr::V6(_) => 40,
    }
}

pub fn twins(to: &Targets) -> Vec<Row> {
    [flows(to), quotes(to), refusals(to)].concat()
}

/// Errors that belong to a flow.
fn flows(to: &Targets) -> Vec<Row> {
    // What a backend sent to the client.
    let answer = Packet::segment(to.web, to.client, b"answer").ip_bytes();
    let datagram = Packet::udp(to.dns, to.client, b"answer").ip_bytes();
    let about = |vip, quoted: &[u8]| error_about(to, vip, quoted).bytes();
    let mut rows = vec![
        row(
            "too big, with a whole segment quoted, goes to its flow",
            about(to.web, &answer),
            WEB_POOL,
        ),
        row(
            "too big, with eight bytes of transport quoted, goes to its flow",
            about(to.web, &answer[..header(to) + 8]),
            WEB_POOL,
        ),
        row(
            "too big about a datagram goes to its flow",
            about(to.dns, &datagram),
            DNS_POOL,
        ),
        row(
            "too big about a datagram without data goes to its flow",
            about(to.dns, &datagram[..header(to) + 8]),
            DNS_POOL,
        ),
        row(
            "too big about a flow to another port of the client goes to its flow",
            about(to.web, &Packet::segment(to.web, port(to.client, 9), b"").ip_bytes()),
            WEB_POOL,
        ),
        row(
            "too big for an MTU of 20 bytes goes to its flow",
            {
                let (kind, code, rest) = too_big(to, 20);
                Packet::icmp(router(to), to.web.ip(), kind, code, &[&rest[..], &answer].concat()).bytes()
            },
            WEB_POOL,
        ),
        row(
            "an error with a wrong checksum goes to its flow unrepaired",
            overwritten(
                error_about(to, to.web, &answer).bytes(),
                14 + header(to) + 2,
                &[0xde, 0xad],
            ),
            WEB_POOL,
        ),
        row(
            "a padded error goes to its flow with its padding",
            error_about(to, to.web, &answer).with(|p| p.padding = 9).bytes(),
            WEB_POOL,
        ),
        row(
            "too big about a flow to a pool that cannot be reached is dropped",
            about(to.lost, &Packet::segment(to.lost, to.client, b"").ip_bytes()),
            dropped(Verdict::DropNoNextHop),
        ),
    ];
    rows.extend(MIXES.map(|pool| {
        let quoted = Packet::segment(mix(to, pool), to.client, b"answer").ip_bytes();
        let claim = format!("too big goes to its flow through {pool}");
        row(claim, about(mix(to, pool), &quoted), Expected::Forwarded(pool))
    }));
    rows
}

/// Errors that belong to no flow.
fn quotes(to: &Targets) -> Vec<Row> {
    let answer = Packet::segment(to.web, to.client, b"answer").ip_bytes();
    let about = |quoted: &[u8]| error_about(to, to.web, quoted).bytes();
    let bad = |claim, quoted: &[u8]| row(claim, about(quoted), BAD_QUOTE);
    let from = |from: SocketAddr| Packet::segment(from, to.client, b"answer").ip_bytes();
    let protocol = |number| Packet::new(to.web.ip(), to.client.ip(), number, vec![0; 20]).ip_bytes();
    vec![
        bad("an error that quotes nothing is dropped", &[]),
        bad("an error that quotes half a header is dropped", &answer[..10]),
        bad(
            "an error that quotes a header but for a byte is dropped",
            &answer[..header(to) - 1],
        ),
        bad("an error that quotes a header alone is dropped", &answer[..header(to)]),
        bad(
            "an error that quotes seven bytes of transport is dropped",
            &answer[..header(to) + 7],
        ),
        bad(
            "an error about another port of a VIP's address is dropped",
            &from(port(to.web, 22)),
        ),
        bad(
            "an error about another VIP than it was sent to is dropped",
            &from(to.raw),
        ),
        bad("an error about a packet of the client's is dropped", &{
            Packet::segment(to.client, to.web, b"question").ip_bytes()
        }),
        bad("an error about UDP of a TCP VIP without UDP is dropped", &{
            Packet::udp(port(to.web, 9000), to.client, b"").ip_bytes()
        }),
        bad("an error about SCTP is dropped", &protocol(IpNumber::SCTP)),
        bad("an error about ICMP is dropped", &protocol(IpNumber::ICMP)),
        bad("an error about ICMPv6 is dropped", &protocol(IpNumber::IPV6_ICMP)),
        bad(
            "an error that quotes version 0 is dropped",
            &overwritten(answer.clone(), 0, &[0x05]),
        ),
        bad("an error that quotes the other family is dropped", &{
            let other = if to.client.is_ipv4() { V6 } else { V4 };
            Packet::segment(other.web, other.client, b"answer").ip_bytes()
        }),
        row(
            "an error to the host is passed, whatever it quotes",
            error_about(to, to.host, &answer).bytes(),
            NOT_VIP,
        ),
    ]
}

/// Errors that no packet with such a header may be.
fn refusals(to: &Targets) -> Vec<Row> {
    let quoted = Packet::segment(to.web, to.client, b"answer").ip_bytes();
    let good = || error_about(to, to.web, &quoted);
    let (kind, code, rest) = too_big(to, 1400);
    let from = |source: IpAddr| {
        let rest = [&rest[..], &quoted].concat();
        Packet::icmp(source, to.web.ip(), kind, code, &rest).bytes()
    };
    let martian: IpAddr = if to.client.is_ipv4() { "127.0.0.1" } else { "::1" }
        .parse()
        .expect("an address");
    vec![
        row(
            "an error in a broadcast frame is dropped",
            overwritten(good().bytes(), 0, &[0xff; 6]),
            dropped(Verdict::DropL2Multicast),
        ),
        row(
            "an error with one hop left is dropped",
            good().with(|p| p.hops(1)).bytes(),
            dropped(Verdict::DropTtl),
        ),
        row(
            "an error from the VIP itself is dropped",
            from(to.web.ip()),
            dropped(Verdict::DropLand),
        ),
        row(
            "an error from a martian is dropped",
            from(martian),
            dropped(Verdict::DropMartian),
        ),
        row(
            "a tagged error is dropped",
            good().with(|p| p.tags = vec![[0x8100, 5]]).bytes(),
            dropped(Verdict::DropVlan),
        ),
        row(
            "a tagged error that quotes nothing is dropped for its tag",
            error_about(to, to.web, &[])
                .with(|p| p.tags = vec![[0x8100, 5]])
                .bytes(),
            dropped(Verdict::DropVlan),
        ),
        row(
            "an error as long as it may be, once encapsulated, is forwarded",
            error_about(to, to.web, &long(to, 1480)).bytes(),
            WEB_POOL,
        ),
        row(
            "an error too long for every MTU is dropped and not answered",
            error_about(to, to.web, &long(to, 9000)).bytes(),
            dropped(Verdict::DropTooBig),
        ),
    ]
}

/// What makes an error a packet of so many bytes.
fn long(to: &Targets, bytes: usize) -> Vec<u8> {
    // Its own header, that of ICMP, the quoted one, and TCP.
    let data = bytes - 2 * header(to) - 8 - 20;
    Packet::segment(to.web, to.client, &vec![0x42; data]).ip_bytes()
}

pub fn v4_rows() -> Vec<Row> {
    let message = |kind, code, rest: &[u8]| Packet::icmp(*CLIENT.ip(), *WEB.ip(), kind, code, rest).bytes();
    let answer = Packet::segment(WEB, CLIENT, b"answer");
    let quoted = [&[0; 4], &answer.ip_bytes()[..]].concat();
    let error = |claim, kind, code| row(claim, message(kind, code, &quoted), WEB_POOL);
    let options = Ipv4Options::from([1, 1, 1, 0]);
    let with_options = |kind, code, rest: &[u8]| {
        Packet::icmp(*CLIENT.ip(), *WEB.ip(), kind, code, rest).with(|p| p.v4().options = options.clone())
    };
    let about = |quoted: Packet| error_about(&V4, V4.web, &quoted.ip_bytes()).bytes();
    vec![
        error("a port unreachable for a VIP's flow goes to it", 3, 3),
        error("a host unreachable for a VIP's flow goes to it", 3, 1),
        error("a time exceeded for a VIP's flow goes to it", 11, 0),
        error("a parameter problem for a VIP's flow goes to it", 12, 0),
        error("an error of an unknown code for a VIP's flow goes to it", 3, 200),
        row("a source quench to a VIP is dropped", message(4, 0, &quoted), DROPPED),
        row("a redirect to a VIP is dropped", message(5, 1, &quoted), DROPPED),
        row("a redirect to the host is passed", to_host4(5, 1, &quoted), NOT_VIP),
        row(
            "an echo reply to a VIP's address is the host's",
            message(0, 0, &[0; 8]),
            NOT_VIP,
        ),
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
        row(
            "an error of ICMPv6's type in ICMP is the host's",
            message(1, 0, &quoted),
            NOT_VIP,
        ),
        row("ICMP without a type is dropped", no_type(0), DROPPED),
        row(
            "ICMP without a type is dropped, whatever the padding says",
            no_type(46),
            DROPPED,
        ),
        row(
            "seven bytes of ICMP are dropped",
            Packet::icmp(*CLIENT.ip(), *WEB.ip(), 3, 4, &[0; 3]).bytes(),
            DROPPED,
        ),
        row(
            "too big about a first fragment goes to its flow",
            about(answer.clone().with(|p| p.v4().more_fragments = true)),
            WEB_POOL,
        ),
        row(
            "too big about a later fragment is dropped: it has no ports",
            about(answer.clone().with(|p| {
                p.v4().fragment_offset = IpFragOffset::try_new(185).expect("13 bits");
            })),
            BAD_QUOTE,
        ),
        row(
            "too big about a packet with options goes to its flow",
            about(answer.clone().with(|p| p.v4().options = Ipv4Options::from([1; 40]))),
            WEB_POOL,
        ),
        row(
            "too big whose quoted header says four words is dropped",
            error_about(&V4, V4.web, &overwritten(answer.ip_bytes(), 0, &[0x44])).bytes(),
            BAD_QUOTE,
        ),
        row(
            "too big whose quoted header reaches beyond the quote is dropped",
            error_about(&V4, V4.web, &overwritten(answer.ip_bytes(), 0, &[0x4f])).bytes(),
            BAD_QUOTE,
        ),
        row(
            "an error with options to a VIP is dropped",
            with_options(3, 4, &quoted).bytes(),
            dropped(Verdict::DropOptions),
        ),
        row(
            "an error with options to the host is passed",
            Packet::icmp(*CLIENT.ip(), *HOST.ip(), 3, 4, &quoted)
                .with(|p| p.v4().options = options.clone())
                .bytes(),
            NOT_VIP,
        ),
    ]
}

fn to_host4(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    Packet::icmp(*CLIENT.ip(), *HOST.ip(), kind, code, rest).bytes()
}

/// A packet that ends with its IP header.
fn no_type(padding: usize) -> Vec<u8> {
    let packet = Packet::icmp(*CLIENT.ip(), *WEB.ip(), 8, 0, &[]).with(|packet| {
        packet.payload.clear();
        packet.padding = padding;
    });
    packet.bytes()
}

pub fn v6_rows() -> Vec<Row> {
    let message = |kind, code, rest: &[u8]| Packet::icmp(*CLIENT6.ip(), *WEB6.ip(), kind, code, rest).bytes();
    let to_host = |kind, code, rest: &[u8]| Packet::icmp(*CLIENT6.ip(), *HOST6.ip(), kind, code, rest).bytes();
    let quoted = [&[0; 4], &Packet::segment(WEB6, CLIENT6, b"answer").ip_bytes()[..]].concat();
    let error = |claim, kind, code| row(claim, message(kind, code, &quoted), WEB_POOL);
    let passed = |claim, kind| row(claim, message(kind, 0, &[0; 20]), NOT_VIP);
    vec![
        error("a port unreachable for a VIP's flow goes to it", 1, 4),
        error("an address unreachable for a VIP's flow goes to it", 1, 3),
        error("a time exceeded for a VIP's flow goes to it", 3, 0),
        error("a parameter problem for a VIP's flow goes to it", 4, 1),
        row("a redirect to a VIP is dropped", message(137, 0, &[0; 36]), DROPPED),
        row("a redirect to the host is passed", to_host(137, 0, &[0; 36]), NOT_VIP),
        passed("an echo reply to a VIP's address is the host's", 129),
        passed("a multicast listener query to a VIP's address is the host's", 130),
        passed("a router solicitation to a VIP's address is the host's", 133),
        passed("a router advertisement to a VIP's address is the host's", 134),
        passed("a neighbour solicitation to a VIP's address is the host's", 135),
        passed("a neighbour advertisement to a VIP's address is the host's", 136),
        passed("an unknown type to a VIP's address is the host's", 200),
        passed("an error of ICMP's type in ICMPv6 is the host's", 11),
        row(
            "a neighbour solicitation to the host is passed",
            to_host(135, 0, &[0; 20]),
            NOT_VIP,
        ),
        row(
            "a neighbour solicitation to a group is passed",
            Packet::icmp(*CLIENT6.ip(), group(), 135, 0, &[0; 20]).bytes(),
            NOT_VIP,
        ),
        row(
            "too big about a packet with a fragment header is dropped: its ports are elsewhere",
            error_about(&V6, V6.web, &{
                Packet::segment(WEB6, CLIENT6, b"answer")
                    .extended(IpNumber::IPV6_FRAGMENTATION_HEADER, &[0; 8])
                    .ip_bytes()
            })
            .bytes(),
            BAD_QUOTE,
        ),
        row(
            "seven bytes of ICMPv6 are dropped",
            Packet::icmp(*CLIENT6.ip(), *WEB6.ip(), 2, 0, &[0; 3]).bytes(),
            DROPPED,
        ),
    ]
}

fn group() -> IpAddr {
    "ff02::1:ff00:10".parse().expect("an address")
}
