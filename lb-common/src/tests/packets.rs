//! Packets of both families, whole and damaged, for the other tests.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{vec, vec::Vec};

use etherparse::{IpHeaders, IpNumber, PacketBuilder, PacketBuilderStep};
use proptest::prelude::*;

use super::checksum::rfc_1071;
use crate::frame::BufferFrame;

pub const CLIENT4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6));
pub const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
pub const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x10));
pub const OTHER4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99));
pub const OTHER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x99));
pub const PORT: u16 = 443;
pub const CLIENT_PORT: u16 = 40_000;

/// A VIP of each family.
pub const BOTH: [IpAddr; 2] = [VIP4, VIP6];

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Bits of byte 13 of a TCP header (RFC 9293 §3.1).
pub const SYN: u8 = 2;
pub const ACK: u8 = 16;

/// Garbage behind every frame: bytes nobody may read or write.
const BEHIND: usize = 96;

/// A frame in a buffer, with room in front and garbage behind. It came in by
/// interface 7.
#[derive(Clone, Debug)]
pub struct Packet {
    pub buffer: Vec<u8>,
    pub headroom: usize,
    pub len: usize,
}

impl Packet {
    pub fn new(frame: &[u8], headroom: usize, garbage: u8) -> Self {
        let mut buffer = vec![garbage; headroom + frame.len() + BEHIND];
        buffer[headroom..headroom + frame.len()].copy_from_slice(frame);
        Self {
            buffer,
            headroom,
            len: frame.len(),
        }
    }

    pub fn frame(&mut self) -> BufferFrame<'_> {
        BufferFrame::new(&mut self.buffer, self.headroom, self.len, 7)
    }
}

pub fn octets4(address: IpAddr) -> [u8; 4] {
    let IpAddr::V4(address) = address else {
        panic!("{address} is not IPv4");
    };
    address.octets()
}

pub fn octets16(address: IpAddr) -> [u8; 16] {
    let IpAddr::V6(address) = address else {
        panic!("{address} is not IPv6");
    };
    address.octets()
}

/// Its bytes on the wire.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Bytes of an IP header without options or extensions.
pub const fn header_len(address: IpAddr) -> usize {
    if address.is_ipv4() { 20 } else { 40 }
}

/// The client of this family.
pub const fn client(destination: IpAddr) -> IpAddr {
    if destination.is_ipv4() { CLIENT4 } else { CLIENT6 }
}

fn between(source: IpAddr, destination: IpAddr) -> PacketBuilderStep<IpHeaders> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => builder.ipv4(source.octets(), destination.octets(), 63),
        (IpAddr::V6(source), IpAddr::V6(destination)) => builder.ipv6(source.octets(), destination.octets(), 63),
        _ => panic!("addresses of two families"),
    }
}

pub fn tcp(destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    tcp_between((client(destination), CLIENT_PORT), (destination, PORT), payload)
}

pub fn tcp_between(source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let builder = between(source.0, destination.0).tcp(source.1, destination.1, 1, 64_000);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes everything");
    frame
}

/// A TCP segment from a port of the client's, with these flags.
pub fn segment(destination: IpAddr, source_port: u16, flags: u8) -> Vec<u8> {
    let mut frame = tcp_between((client(destination), source_port), (destination, PORT), b"");
    frame[14 + header_len(destination) + 13] = flags;
    frame
}

pub fn udp(destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    udp_from(destination, CLIENT_PORT, payload)
}

pub fn udp_from(destination: IpAddr, source_port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = between(client(destination), destination).udp(source_port, PORT);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes everything");
    frame
}

pub fn echo(destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let step = between(client(destination), destination);
    let written = if destination.is_ipv4() {
        step.icmpv4_echo_request(1, 2).write(&mut frame, payload)
    } else {
        step.icmpv6_echo_request(1, 2).write(&mut frame, payload)
    };
    written.expect("a vector takes everything");
    frame
}

/// An ICMP message of this type, code and word, with a right checksum.
pub fn icmp(destination: IpAddr, kind: u8, code: u8, word: u32, body: &[u8]) -> Vec<u8> {
    let source = client(destination);
    let mut message = [&[kind, code, 0, 0], &word.to_be_bytes()[..], body].concat();
    let sum = icmp_checksum(source, destination, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let protocol = if destination.is_ipv4() {
        IpNumber::ICMP
    } else {
        IpNumber::IPV6_ICMP
    };
    let mut frame = Vec::new();
    let step = between(source, destination);
    step.write(&mut frame, protocol, &message)
        .expect("a vector takes everything");
    frame
}

/// Over `message` and, for ICMPv6, the pseudo-header of RFC 8200 §8.1. 0: the
/// message has its right checksum.
pub fn icmp_checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    if destination.is_ipv4() {
        return rfc_1071(message);
    }
    let length = (message.len() as u32).to_be_bytes();
    rfc_1071(
        &[
            &octets(source),
            &octets(destination),
            &length[..],
            &[0, 0, 0, 58],
            message,
        ]
        .concat(),
    )
}

/// An error of this type about the packet of a VIP to its client.
pub fn error(destination: IpAddr, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    icmp(destination, kind, code, 0, quoted)
}

/// The packet, without Ethernet, that a VIP sends from its port to the client's.
pub fn reply(vip: IpAddr, client_port: u16) -> Vec<u8> {
    tcp_between((vip, PORT), (client(vip), client_port), b"reply").split_off(14)
}

/// The frame with an 802.1Q tag.
pub fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0x00, 0x05], &frame[12..]].concat()
}

/// "Destination unreachable" of the family.
pub const fn unreachable(destination: IpAddr) -> u8 {
    if destination.is_ipv4() { 3 } else { 1 }
}

/// Mostly packets for a VIP with a few bytes changed, cut off or padded; some
/// whole ones, and some that are nothing but random bytes.
pub fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let destination = prop_oneof![4 => Just(VIP4), 4 => Just(VIP6), 1 => Just(OTHER4), 1 => Just(OTHER6)];
    let payload = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..80),
        1 => prop::collection::vec(any::<u8>(), 400..1500),
    ];
    let whole = (destination, payload, 0..7).prop_map(|(destination, payload, kind)| match kind {
        0 => udp(destination, &payload),
        1 => echo(destination, &payload),
        2 => tagged(&tcp(destination, &payload)),
        3 => error(
            destination,
            unreachable(destination),
            0,
            &reply(destination, CLIENT_PORT),
        ),
        4 => segment(destination, CLIENT_PORT, SYN),
        _ => tcp(destination, &payload),
    });
    // Most of what can go wrong is in the headers.
    let place = prop_oneof![4 => 0_usize..62, 1 => 0_usize..130];
    let change = (place, prop_oneof![any::<u8>(), Just(0), Just(0xff)]);
    let changes = prop::collection::vec(change, 0..4);
    let padding = prop_oneof![8 => 0_usize..30, 1 => 400_usize..1100];
    let damaged = (whole, changes, prop::option::weighted(0.3, 0_usize..150), padding);
    let damaged = damaged.prop_map(|(mut frame, changes, cut, padding)| {
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.resize(frame.len() + padding, 0);
        frame.truncate(cut.unwrap_or(usize::MAX));
        frame
    });
    prop_oneof![9 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..120)]
}
