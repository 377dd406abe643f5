//! What is forwarded, and what keeps a good packet from it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use lb_common::verdict::Verdict;

use super::{DNS_POOL, NOT_VIP, Row, WEB_POOL, dropped, row, transport::port};
use crate::{
    packet::{CLIENT, CLIENT6, L4_V6, Packet, overwritten},
    sites::{HOST6, Targets, WEB, WEB6},
};

pub fn twins(to: &Targets) -> Vec<Row> {
    let client = |host: u8, port: u16| other_client(to, host, port);
    // Ethernet is not part of the MTU.
    let ip_bytes = |bytes: usize| {
        let headers = Packet::segment(to.client, to.web, &[]).ip_bytes().len();
        Packet::segment(to.client, to.web, &vec![0x42; bytes - headers]).bytes()
    };
    vec![
        row("a SYN is forwarded", Packet::syn(to.client, to.web).bytes(), WEB_POOL),
        row(
            "a SYN from another port is forwarded",
            Packet::syn(client(7, 40_001), to.web).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN from another host is forwarded",
            Packet::syn(client(8, 40_000), to.web).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN from port 0 is forwarded",
            Packet::syn(client(7, 0), to.web).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN to another VIP of the pool is forwarded",
            Packet::syn(to.client, to.raw).bytes(),
            WEB_POOL,
        ),
        row(
            "a datagram is forwarded",
            Packet::udp(to.client, to.dns, b"question").bytes(),
            DNS_POOL,
        ),
        row(
            "a datagram to the address of a TCP VIP is forwarded",
            Packet::udp(to.client, to.quic, b"initial").bytes(),
            DNS_POOL,
        ),
        row(
            "a SYN to the host is passed",
            Packet::syn(to.client, to.host).bytes(),
            NOT_VIP,
        ),
        row(
            "an answer from a VIP to a client is passed",
            Packet::segment(to.web, to.client, b"answer").bytes(),
            NOT_VIP,
        ),
        row(
            "the longest packet for every MTU is forwarded",
            ip_bytes(1480),
            WEB_POOL,
        ),
        row(
            "a packet to a pool that cannot be reached is dropped",
            Packet::syn(to.client, to.lost).bytes(),
            dropped(Verdict::DropNoNextHop),
        ),
        row(
            "port 0 of a VIP's address is nobody's",
            Packet::syn(to.client, port(to.web, 0)).bytes(),
            NOT_VIP,
        ),
    ]
}

/// What has no twin.
pub fn rows() -> Vec<Row> {
    let backend4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 11), 443);
    let backend6 = SocketAddrV6::new(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x15), 443, 0, 0);
    let padded = |packet: Packet| packet.with(|packet| packet.padding = 40).bytes();
    vec![
        row(
            "a packet to a backend itself is passed",
            Packet::syn(CLIENT, backend4).bytes(),
            NOT_VIP,
        ),
        row(
            "IPv6: a packet to a backend itself is passed",
            Packet::syn(CLIENT6, backend6).bytes(),
            NOT_VIP,
        ),
        row(
            "a backend as client of its VIP is forwarded",
            Packet::syn(backend4, WEB).bytes(),
            WEB_POOL,
        ),
        row(
            "IPv6: a backend as client of its VIP is forwarded",
            Packet::syn(backend6, WEB6).bytes(),
            WEB_POOL,
        ),
        row(
            "an IPv4 VIP's address in an IPv6 header is not the VIP",
            Packet::syn(CLIENT6, mapped(WEB)).bytes(),
            NOT_VIP,
        ),
        row(
            "IPv6: padding behind a datagram to the host is passed",
            overwritten(padded(Packet::udp(CLIENT6, HOST6, b"")), L4_V6 + 8, &[6; 8]),
            NOT_VIP,
        ),
    ]
}

/// RFC 4291 §2.5.5.2.
const fn mapped(socket: SocketAddrV4) -> SocketAddrV6 {
    SocketAddrV6::new(socket.ip().to_ipv6_mapped(), socket.port(), 0, 0)
}

/// A neighbour of the client with this number.
fn other_client(to: &Targets, host: u8, port: u16) -> SocketAddr {
    match to.client {
        SocketAddr::V4(_) => SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, host), port).into(),
        SocketAddr::V6(_) => {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, host.into());
            SocketAddrV6::new(address, port, 0, 0).into()
        }
    }
}
