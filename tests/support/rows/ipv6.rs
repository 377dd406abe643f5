//! The IPv6 header: lengths, version, hop limit, sources, next headers.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use etherparse::{IpNumber, Ipv6FlowLabel};
use lb_common::verdict::Verdict;

use super::{DNS_POOL, NOT_VIP, Row, WEB_POOL, dropped, named, row, transport::port};
use crate::{
    packet::{CLIENT, CLIENT6, IP, L4_V6, Packet, cut, overwritten},
    sites::{DNS6, HOST6, RAW6, WEB, WEB6},
};

pub fn rows() -> Vec<Row> {
    named("IPv6: ", [lengths(), fields(), sources(), others()].concat())
}

fn lengths() -> Vec<Row> {
    let web = Packet::segment(CLIENT6, WEB6, b"0123456789");
    let host = Packet::segment(CLIENT6, HOST6, b"0123456789");
    let length = |packet: &Packet, bytes: u16| packet.header(|ip| ip[4..6].copy_from_slice(&bytes.to_be_bytes()));
    let too_long = dropped(Verdict::DropTotalLength);
    vec![
        row(
            "39 bytes are no header",
            cut(web.bytes(), IP + 39),
            dropped(Verdict::DropShortL3),
        ),
        row(
            "a payload length beyond the frame is dropped",
            length(&web, 31),
            too_long,
        ),
        row("a payload length of 65,535 is dropped", length(&web, 65_535), too_long),
        row(
            "a payload length beyond the frame, to the host, is passed",
            length(&host, 31),
            NOT_VIP,
        ),
        row(
            "a segment cut off by the frame is dropped",
            cut(web.bytes(), 80),
            too_long,
        ),
        row(
            "a header alone that announces TCP is dropped",
            cut(web.bytes(), L4_V6),
            too_long,
        ),
        row(
            "a payload length beyond the frame, of an unknown protocol, is dropped",
            overwritten(length(&web, 31), IP + 6, &[253]),
            too_long,
        ),
        row(
            "a payload length of 0 is too short for TCP",
            length(&web, 0),
            dropped(Verdict::DropShortL4),
        ),
        row("a payload length of 0 to the host is passed", length(&host, 0), NOT_VIP),
        row(
            "TCP cut off at three bytes, to an address with UDP VIPs only, is passed",
            Packet::syn(CLIENT6, DNS6).with(|p| p.payload.truncate(3)).bytes(),
            NOT_VIP,
        ),
        row(
            "UDP cut off at three bytes, to an address with TCP VIPs only, is passed",
            Packet::udp(CLIENT6, RAW6, b"").with(|p| p.payload.truncate(3)).bytes(),
            NOT_VIP,
        ),
        row(
            "version 4 under IPv6's EtherType belongs to nobody",
            overwritten(web.bytes(), IP, &[0x45]),
            dropped(Verdict::DropBadVersion),
        ),
        row(
            "a whole IPv4 packet under IPv6's EtherType belongs to nobody",
            overwritten(Packet::segment(CLIENT, WEB, b"data").bytes(), 12, &[0x86, 0xdd]),
            dropped(Verdict::DropBadVersion),
        ),
        row(
            "version 0 belongs to nobody",
            overwritten(host.bytes(), IP, &[0x00]),
            dropped(Verdict::DropBadVersion),
        ),
    ]
}

fn fields() -> Vec<Row> {
    let web = || Packet::syn(CLIENT6, WEB6);
    let label = |label: u32| web().with(|p| p.v6().flow_label = Ipv6FlowLabel::try_new(label).expect("20 bits"));
    vec![
        row(
            "a hop limit of 0 is dropped",
            web().with(|p| p.hops(0)).bytes(),
            dropped(Verdict::DropTtl),
        ),
        row(
            "a hop limit of 1 is dropped",
            web().with(|p| p.hops(1)).bytes(),
            dropped(Verdict::DropTtl),
        ),
        row(
            "a hop limit of 2 is forwarded and not counted down",
            web().with(|p| p.hops(2)).bytes(),
            WEB_POOL,
        ),
        row(
            "a hop limit of 1 to the host is passed",
            Packet::syn(CLIENT6, HOST6).with(|p| p.hops(1)).bytes(),
            NOT_VIP,
        ),
        row("a flow label is forwarded", label(0x12345).bytes(), WEB_POOL),
        row("the largest flow label is forwarded", label(0xfffff).bytes(), WEB_POOL),
        row(
            "a traffic class is copied outward",
            web().with(|p| p.traffic_class(0xb9)).bytes(),
            WEB_POOL,
        ),
        row(
            "a congestion mark is copied outward",
            Packet::udp(CLIENT6, DNS6, b"?").with(|p| p.traffic_class(0x8b)).bytes(),
            DNS_POOL,
        ),
    ]
}

fn sources() -> Vec<Row> {
    let from = |source: &str, to: SocketAddrV6| {
        let source: Ipv6Addr = source.parse().expect("an address");
        Packet::syn(SocketAddrV6::new(source, 1024, 0, 0), to).bytes()
    };
    let martian = |claim, source| row(claim, from(source, WEB6), dropped(Verdict::DropMartian));
    let sound = |claim, source| row(claim, from(source, WEB6), WEB_POOL);
    vec![
        martian("an unspecified source is dropped", "::"),
        martian("a loopback source is dropped", "::1"),
        martian("a multicast source is dropped", "ff02::1"),
        martian("a multicast source of another scope is dropped", "ff0e::1234"),
        martian("a mapped IPv4 source is dropped", "::ffff:198.51.100.7"),
        sound("a source just after loopback is forwarded", "::2"),
        sound("a source just before the mapped ones is forwarded", "::fffe:ffff:ffff"),
        sound("a source just after the mapped ones is forwarded", "::1:0:0:0"),
        sound("a source just before multicast is forwarded", "feff::1"),
        sound("a unique local source is forwarded", "fd12::1"),
        row("a martian source to the host is passed", from("::1", HOST6), NOT_VIP),
        row(
            "a VIP as its own source, with its own port, is dropped",
            Packet::syn(WEB6, WEB6).bytes(),
            dropped(Verdict::DropLand),
        ),
        row(
            "a VIP as its own source, from another port, is dropped",
            Packet::syn(port(WEB6.into(), 1024), WEB6).bytes(),
            dropped(Verdict::DropLand),
        ),
    ]
}

fn others() -> Vec<Row> {
    let protocol = |claim, number: IpNumber| {
        let packet = Packet::new(*CLIENT6.ip(), *WEB6.ip(), number, vec![0; 40]);
        row(claim, packet.bytes(), NOT_VIP)
    };
    let group: SocketAddr = "[ff02::fb]:443".parse().expect("an address");
    vec![
        row(
            "a multicast destination is passed",
            Packet::udp(CLIENT6, group, b"x").bytes(),
            NOT_VIP,
        ),
        protocol(
            "no next header to a VIP's address is passed",
            IpNumber::IPV6_NO_NEXT_HEADER,
        ),
        protocol("SCTP to a VIP's address is passed", IpNumber::SCTP),
        protocol("GRE to a VIP's address is passed", IpNumber::GRE),
        protocol(
            "ESP to a VIP's address is passed",
            IpNumber::ENCAPSULATING_SECURITY_PAYLOAD,
        ),
        protocol("AH to a VIP's address is passed", IpNumber::AUTHENTICATION_HEADER),
        protocol("4in6 to a VIP's address is passed", IpNumber::IPV4),
        protocol("ICMP of IPv4 to a VIP's address is passed", IpNumber::ICMP),
        row(
            "IPv6 in IPv6 to a VIP's address is passed, whatever is in it",
            Packet::syn(CLIENT6, WEB6).inside(*CLIENT6.ip(), *WEB6.ip()).bytes(),
            NOT_VIP,
        ),
        row(
            "IPv6 in IPv6 to the host with a packet for a VIP is not balanced",
            Packet::syn(CLIENT6, WEB6).inside(*CLIENT6.ip(), *HOST6.ip()).bytes(),
            NOT_VIP,
        ),
        row(
            "nested IPv6 in IPv6 to the host is passed",
            (0..8)
                .fold(Packet::syn(CLIENT6, WEB6), |inner, _| {
                    inner.inside(*CLIENT6.ip(), *HOST6.ip())
                })
                .bytes(),
            NOT_VIP,
        ),
    ]
}
