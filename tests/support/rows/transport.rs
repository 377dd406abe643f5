//! TCP and UDP: lengths, odd flags, ports, checksums.

use std::net::SocketAddr;

use etherparse::TcpHeader;
use lb_common::verdict::Verdict;

use super::{DNS_POOL, NOT_VIP, Row, WEB_POOL, dropped, row};
use crate::{
    packet::{GUE_PORT, Packet, overwritten},
    sites::Targets,
};

pub fn twins(to: &Targets) -> Vec<Row> {
    [tcp_lengths(to), segments(to), udp(to)].concat()
}

fn tcp_lengths(to: &Targets) -> Vec<Row> {
    let l4 = Packet::syn(to.client, to.web).l4();
    let short = |bytes: usize| {
        Packet::syn(to.client, to.web)
            .with(|p| p.payload.truncate(bytes))
            .bytes()
    };
    let offset = |words: u8| {
        overwritten(
            Packet::segment(to.client, to.web, b"data").bytes(),
            l4 + 12,
            &[words << 4],
        )
    };
    let short_l4 = dropped(Verdict::DropShortL4);
    let bad_offset = dropped(Verdict::DropTcpOffset);
    vec![
        row("no TCP at all is too short", short(0), short_l4),
        row("three bytes of TCP are too short", short(3), short_l4),
        row("four bytes of TCP, its ports, are too short", short(4), short_l4),
        row("eight bytes of TCP are too short", short(8), short_l4),
        row("19 bytes of TCP are too short", short(19), short_l4),
        row(
            "ports of padding behind an empty packet are too short",
            overwritten(
                Packet::syn(to.client, to.web)
                    .with(|p| {
                        p.payload.clear();
                        p.padding = 26;
                    })
                    .bytes(),
                l4 + 2,
                &443_u16.to_be_bytes(),
            ),
            short_l4,
        ),
        row(
            "three bytes of TCP to the host are passed",
            Packet::syn(to.client, to.host).with(|p| p.payload.truncate(3)).bytes(),
            NOT_VIP,
        ),
        row(
            "four bytes of TCP to another port of a VIP's address are passed",
            Packet::syn(to.client, port(to.web, 22))
                .with(|p| p.payload.truncate(4))
                .bytes(),
            NOT_VIP,
        ),
        row("a data offset of four words is dropped", offset(4), bad_offset),
        row("a data offset of 0 is dropped", offset(0), bad_offset),
        row("a data offset beyond the packet is dropped", offset(7), bad_offset),
        row(
            "a data offset that ends with the packet is forwarded",
            offset(6),
            WEB_POOL,
        ),
        row(
            "a data offset into padding is dropped",
            overwritten(
                Packet::syn(to.client, to.web).with(|p| p.padding = 20).bytes(),
                l4 + 12,
                &[0x60],
            ),
            bad_offset,
        ),
    ]
}

fn segments(to: &Targets) -> Vec<Row> {
    let l4 = Packet::syn(to.client, to.web).l4();
    let flags = |claim, set: fn(&mut TcpHeader)| row(claim, Packet::tcp(to.client, to.web, &[], set).bytes(), WEB_POOL);
    vec![
        flags("SYN and FIN together are forwarded as their flow", |tcp| {
            (tcp.syn, tcp.fin) = (true, true);
        }),
        flags("SYN and RST together are forwarded as their flow", |tcp| {
            (tcp.syn, tcp.rst) = (true, true);
        }),
        flags("no flags at all are forwarded as their flow", |tcp| tcp.ack = false),
        flags("a Christmas tree is forwarded as its flow", |tcp| {
            (tcp.fin, tcp.psh, tcp.urg) = (true, true, true);
        }),
        flags("a reset is forwarded", |tcp| tcp.rst = true),
        row(
            "a segment without a connection is forwarded",
            Packet::segment(to.client, to.web, b"hello").bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN with data is forwarded",
            Packet::tcp(to.client, to.web, b"fast open", |tcp| tcp.syn = true).bytes(),
            WEB_POOL,
        ),
        row(
            "a wrong TCP checksum is the backend's affair",
            overwritten(Packet::syn(to.client, to.web).bytes(), l4 + 16, &[0xde, 0xad]),
            WEB_POOL,
        ),
        row(
            "another port of a VIP's address is the host's",
            Packet::syn(to.client, port(to.web, 22)).bytes(),
            NOT_VIP,
        ),
        row(
            "TCP to a UDP VIP is the host's",
            Packet::syn(to.client, to.dns).bytes(),
            NOT_VIP,
        ),
    ]
}

fn udp(to: &Targets) -> Vec<Row> {
    let l4 = Packet::syn(to.client, to.web).l4();
    let dns = |data: &[u8]| Packet::udp(to.client, to.dns, data);
    let length = |bytes: u16| overwritten(dns(b"question").bytes(), l4 + 4, &bytes.to_be_bytes());
    let bad_length = dropped(Verdict::DropUdpLength);
    let tunnel = |number| Packet::udp(port(to.client, number), port(to.web, number), b"inner").bytes();
    vec![
        row(
            "seven bytes of UDP are too short",
            dns(b"").with(|p| p.payload.truncate(7)).bytes(),
            dropped(Verdict::DropShortL4),
        ),
        row("a UDP length of seven is dropped", length(7), bad_length),
        row("a UDP length of 0 is dropped", length(0), bad_length),
        row("a UDP length beyond the packet is dropped", length(17), bad_length),
        row(
            "a UDP length into padding is dropped",
            overwritten(dns(b"question").with(|p| p.padding = 20).bytes(), l4 + 4, &[0, 20]),
            bad_length,
        ),
        row(
            "a UDP length under the packet's is forwarded (UDP options)",
            length(12),
            DNS_POOL,
        ),
        row(
            "no UDP checksum stays none (RFC 768; RFC 6936 for IPv6)",
            overwritten(dns(b"question").bytes(), l4 + 6, &[0, 0]),
            DNS_POOL,
        ),
        row(
            "a wrong UDP checksum is the backend's affair",
            overwritten(dns(b"question").bytes(), l4 + 6, &[0xde, 0xad]),
            DNS_POOL,
        ),
        row("an empty datagram is forwarded", dns(b"").bytes(), DNS_POOL),
        row(
            "a datagram from port 0 is forwarded",
            Packet::udp(port(to.client, 0), to.dns, b"x").bytes(),
            DNS_POOL,
        ),
        row(
            "UDP to the port of a TCP VIP goes to the UDP VIP there",
            Packet::udp(to.client, to.quic, &[0xc3; 1200]).bytes(),
            DNS_POOL,
        ),
        row(
            "a QUIC short header of one byte is a datagram",
            Packet::udp(to.client, to.quic, &[0x40]).bytes(),
            DNS_POOL,
        ),
        row(
            "UDP to the port of a tunnel on a VIP's address is the host's",
            tunnel(GUE_PORT),
            NOT_VIP,
        ),
        row(
            "UDP to the host is passed",
            Packet::udp(to.client, port(to.host, 53), b"x").bytes(),
            NOT_VIP,
        ),
    ]
}

pub const fn port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
