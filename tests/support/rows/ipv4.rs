//! The IPv4 header: lengths, version, options, TTL, sources.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Options};
use lb_common::verdict::Verdict;

use super::{DNS_POOL, NOT_VIP, Row, WEB_POOL, dropped, row, transport::port};
use crate::{
    packet::{CLIENT, IP, Packet, cut, overwritten},
    sites::{DNS, HOST, RAW, WEB},
};

pub fn rows() -> Vec<Row> {
    [lengths(), options(), fields(), sources(), others()].concat()
}

fn lengths() -> Vec<Row> {
    let web = Packet::segment(CLIENT, WEB, b"0123456789");
    let host = Packet::segment(CLIENT, HOST, b"0123456789");
    let length = |packet: &Packet, bytes: u16| packet.header(|ip| ip[2..4].copy_from_slice(&bytes.to_be_bytes()));
    let words = |packet: &Packet, words: u8| packet.header(|ip| ip[0] = 0x40 | words);
    vec![
        row(
            "a total length beyond the frame is dropped",
            length(&web, 51),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "a total length of 65,535 is dropped",
            length(&web, 65_535),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "a total length under the header's is dropped",
            length(&web, 19),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "a total length of 0 is dropped",
            length(&web, 0),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "a total length beyond the frame, to the host, is passed",
            length(&host, 51),
            NOT_VIP,
        ),
        row(
            "a segment cut off by the frame is dropped",
            cut(web.bytes(), 60),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "a header length of four words is dropped",
            words(&web, 4),
            dropped(Verdict::DropHeaderLength),
        ),
        row(
            "a header length of 0 is dropped",
            words(&web, 0),
            dropped(Verdict::DropHeaderLength),
        ),
        row(
            "a header beyond the frame is dropped",
            words(&web, 15),
            dropped(Verdict::DropHeaderLength),
        ),
        row(
            "a header length of four words, to the host, is passed",
            words(&host, 4),
            NOT_VIP,
        ),
        row(
            "a header beyond its total length is dropped",
            overwritten(length(&web, 23), IP, &[0x46]),
            dropped(Verdict::DropTotalLength),
        ),
        row(
            "version 6 under IPv4's EtherType belongs to nobody",
            overwritten(web.bytes(), IP, &[0x65]),
            dropped(Verdict::DropBadVersion),
        ),
        row(
            "version 0 belongs to nobody",
            overwritten(host.bytes(), IP, &[0x05]),
            dropped(Verdict::DropBadVersion),
        ),
    ]
}

fn options() -> Vec<Row> {
    let with = |packet: Packet, options: &[u8]| {
        let options = Ipv4Options::try_from(options).expect("whole words of options");
        packet.with(|packet| packet.v4().options = options).bytes()
    };
    let web = || Packet::syn(CLIENT, WEB);
    let udp = Packet::udp(CLIENT, DNS, b"question");
    // RFC 791 §3.1: no operation, record route, timestamp, loose and strict
    // source route; RFC 2113: router alert.
    vec![
        row(
            "NOP options are dropped",
            with(web(), &[1, 1, 1, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "record route is dropped",
            with(web(), &[7, 7, 4, 0, 0, 0, 0, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "a timestamp option is dropped",
            with(web(), &[68, 8, 5, 0, 0, 0, 0, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "router alert is dropped",
            with(web(), &[148, 4, 0, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "a loose source route to a VIP is dropped",
            with(web(), &[131, 7, 4, 10, 0, 0, 1, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "a strict source route to a VIP is dropped",
            with(web(), &[137, 7, 4, 10, 0, 0, 1, 0]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "40 bytes of options are dropped",
            with(udp.clone(), &[1; 40]),
            dropped(Verdict::DropOptions),
        ),
        row(
            "options to another port of a VIP's address are passed",
            with(Packet::syn(CLIENT, port(WEB.into(), 22)), &[1, 1, 1, 0]),
            NOT_VIP,
        ),
        row(
            "options to the host are passed",
            with(Packet::syn(CLIENT, HOST), &[1, 1, 1, 0]),
            NOT_VIP,
        ),
        row(
            "four bytes of UDP behind options are too short",
            with(udp.with(|p| p.payload.truncate(4)), &[1; 40]),
            dropped(Verdict::DropShortL4),
        ),
    ]
}

fn fields() -> Vec<Row> {
    let web = || Packet::syn(CLIENT, WEB);
    let congested = |packet: Packet, ecn| {
        packet.with(|packet| {
            packet.v4().dscp = IpDscp::AF41;
            packet.v4().ecn = ecn;
        })
    };
    let checksum = IP + 10;
    vec![
        row(
            "a wrong header checksum is forwarded unrepaired",
            overwritten(web().bytes(), checksum, &[0xde, 0xad]),
            WEB_POOL,
        ),
        row(
            "TTL 0 is dropped",
            web().with(|p| p.hops(0)).bytes(),
            dropped(Verdict::DropTtl),
        ),
        row(
            "TTL 1 is dropped",
            web().with(|p| p.hops(1)).bytes(),
            dropped(Verdict::DropTtl),
        ),
        row(
            "TTL 2 is forwarded and not counted down",
            web().with(|p| p.hops(2)).bytes(),
            WEB_POOL,
        ),
        row(
            "TTL 1 to the host is passed",
            Packet::syn(CLIENT, HOST).with(|p| p.hops(1)).bytes(),
            NOT_VIP,
        ),
        row(
            "the reserved bit alone is no fragment",
            web().header(|ip| ip[6] |= 0x80),
            WEB_POOL,
        ),
        row(
            "don't fragment is no fragment",
            web().with(|p| p.v4().dont_fragment = true).bytes(),
            WEB_POOL,
        ),
        row(
            "without don't fragment, the outer header has it still",
            web().with(|p| p.v4().dont_fragment = false).bytes(),
            WEB_POOL,
        ),
        row(
            "DSCP and ECT(0) are copied outward",
            congested(web(), IpEcn::Ect0).bytes(),
            WEB_POOL,
        ),
        row(
            "DSCP and ECT(1) are copied outward",
            congested(web(), IpEcn::Ect1).bytes(),
            WEB_POOL,
        ),
        row(
            "a congestion mark is copied outward",
            congested(Packet::udp(CLIENT, DNS, b"?"), IpEcn::CongestionExperienced).bytes(),
            DNS_POOL,
        ),
    ]
}

fn sources() -> Vec<Row> {
    let martian = |claim, source: [u8; 4]| {
        let from = SocketAddrV4::new(Ipv4Addr::from(source), 1024);
        row(claim, Packet::syn(from, WEB).bytes(), dropped(Verdict::DropMartian))
    };
    let from = |source: [u8; 4], to| Packet::syn(SocketAddrV4::new(Ipv4Addr::from(source), 1024), to).bytes();
    vec![
        martian("a source in 0/8 is dropped", [0, 0, 0, 0]),
        martian("a source in 127/8 is dropped", [127, 0, 0, 1]),
        martian("a multicast source is dropped", [224, 0, 0, 5]),
        martian("a source in 240/4 is dropped", [240, 0, 0, 1]),
        martian("the broadcast address as source is dropped", [255, 255, 255, 255]),
        row(
            "a source in 126/8 is forwarded",
            from([126, 255, 255, 255], WEB),
            WEB_POOL,
        ),
        row(
            "a source in 223/8 is forwarded",
            from([223, 255, 255, 255], WEB),
            WEB_POOL,
        ),
        row(
            "a martian source to the host is passed",
            from([127, 0, 0, 1], HOST),
            NOT_VIP,
        ),
        row(
            "a VIP as its own source, with its own port, is dropped",
            Packet::syn(WEB, WEB).bytes(),
            dropped(Verdict::DropLand),
        ),
        row(
            "a VIP as its own source, from another port, is dropped",
            Packet::syn(port(WEB.into(), 1024), WEB).bytes(),
            dropped(Verdict::DropLand),
        ),
        row(
            "a source in the encapsulation prefix is a loop",
            from([10, 255, 0, 7], RAW),
            dropped(Verdict::DropLoop),
        ),
    ]
}

fn others() -> Vec<Row> {
    let to_group =
        |address: [u8; 4]| Packet::udp(CLIENT, SocketAddrV4::new(Ipv4Addr::from(address), 443), b"x").bytes();
    let protocol = |claim, number: IpNumber| {
        let packet = Packet::new(*CLIENT.ip(), *WEB.ip(), number, vec![0; 40]);
        row(claim, packet.bytes(), NOT_VIP)
    };
    vec![
        row("a multicast destination is passed", to_group([224, 0, 0, 251]), NOT_VIP),
        row(
            "the broadcast destination is passed",
            to_group([255, 255, 255, 255]),
            NOT_VIP,
        ),
        protocol("SCTP to a VIP's address is passed", IpNumber::SCTP),
        protocol("GRE to a VIP's address is passed", IpNumber::GRE),
        protocol(
            "ESP to a VIP's address is passed",
            IpNumber::ENCAPSULATING_SECURITY_PAYLOAD,
        ),
        protocol("6in4 to a VIP's address is passed", IpNumber::IPV6),
        row(
            "IP-in-IP to a VIP's address is passed, whatever is in it",
            Packet::syn(CLIENT, WEB).inside(*CLIENT.ip(), *WEB.ip()).bytes(),
            NOT_VIP,
        ),
        row(
            "IP-in-IP to the host with a packet for a VIP is not balanced",
            Packet::syn(CLIENT, WEB).inside(*CLIENT.ip(), *HOST.ip()).bytes(),
            NOT_VIP,
        ),
    ]
}
