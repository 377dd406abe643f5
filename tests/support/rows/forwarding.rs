//! What is forwarded, and what keeps a good packet from it.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::verdict::Verdict;

use super::{DNS_POOL, NOT_VIP, Row, WEB_POOL, dropped, row};
use crate::{
    packet::{CLIENT, Packet},
    sites::{DNS, HOST, LOST, QUIC, RAW, WEB},
};

pub fn rows() -> Vec<Row> {
    let client = |host: u8, port: u16| SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, host), port);
    // Ethernet is not part of the MTU; IPv4 and TCP take 40 bytes.
    let ip_bytes = |bytes: usize| Packet::segment(CLIENT, WEB, &vec![0x42; bytes - 40]).bytes();
    vec![
        row("a SYN is forwarded", Packet::syn(CLIENT, WEB).bytes(), WEB_POOL),
        row(
            "a SYN from another port is forwarded",
            Packet::syn(client(7, 40_001), WEB).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN from another host is forwarded",
            Packet::syn(client(8, 40_000), WEB).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN from port 0 is forwarded",
            Packet::syn(client(7, 0), WEB).bytes(),
            WEB_POOL,
        ),
        row(
            "a SYN to another VIP of the pool is forwarded",
            Packet::syn(CLIENT, RAW).bytes(),
            WEB_POOL,
        ),
        row(
            "a datagram is forwarded",
            Packet::udp(CLIENT, DNS, b"question").bytes(),
            DNS_POOL,
        ),
        row(
            "a datagram to the address of a TCP VIP is forwarded",
            Packet::udp(CLIENT, QUIC, b"initial").bytes(),
            DNS_POOL,
        ),
        row(
            "a SYN to the host is passed",
            Packet::syn(CLIENT, HOST).bytes(),
            NOT_VIP,
        ),
        row(
            "an answer from a VIP to a client is passed",
            Packet::segment(WEB, CLIENT, b"answer").bytes(),
            NOT_VIP,
        ),
        row(
            "a packet to a backend itself is passed",
            Packet::syn(CLIENT, SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 11), 443)).bytes(),
            NOT_VIP,
        ),
        row(
            "the longest packet for every MTU is forwarded",
            ip_bytes(1480),
            WEB_POOL,
        ),
        row(
            "a packet too long for every MTU is dropped",
            ip_bytes(9000),
            dropped(Verdict::DropTooBig),
        ),
        row(
            "a packet to a pool that cannot be reached is dropped",
            Packet::syn(CLIENT, LOST).bytes(),
            dropped(Verdict::DropNoNextHop),
        ),
    ]
}
