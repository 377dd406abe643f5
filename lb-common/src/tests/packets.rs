//! Packets, whole and damaged, for the other tests.

use std::{vec, vec::Vec};

use etherparse::PacketBuilder;
use proptest::prelude::*;

pub const CLIENT: [u8; 4] = [192, 0, 2, 1];
pub const VIP: [u8; 4] = [203, 0, 113, 10];
pub const OTHER: [u8; 4] = [203, 0, 113, 99];
pub const PORT: u16 = 443;

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Garbage around every frame: bytes nobody may read or write.
const BEHIND: usize = 96;

/// A frame in a buffer, with room in front and garbage behind.
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

    pub fn frame(&mut self) -> crate::frame::BufferFrame<'_> {
        crate::frame::BufferFrame::new(&mut self.buffer, self.headroom, self.len, 7)
    }
}

pub fn tcp(destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC)
        .ipv4(CLIENT, destination, 63)
        .tcp(40_000, PORT, 1, 64_000);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes everything");
    frame
}

pub fn udp(destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC)
        .ipv4(CLIENT, destination, 63)
        .udp(40_000, PORT);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes everything");
    frame
}

pub fn echo(destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC)
        .ipv4(CLIENT, destination, 63)
        .icmpv4_echo_request(1, 2);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes everything");
    frame
}

/// The frame with an 802.1Q tag.
pub fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0x00, 0x05], &frame[12..]].concat()
}

/// Mostly packets for the VIP with a few bytes changed, cut off or padded;
/// some whole ones, and some that are nothing but random bytes.
pub fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let destination = prop_oneof![4 => Just(VIP), 1 => Just(OTHER)];
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    let whole = (destination, payload, 0..5).prop_map(|(destination, payload, kind)| match kind {
        0 => udp(destination, &payload),
        1 => echo(destination, &payload),
        2 => tagged(&tcp(destination, &payload)),
        _ => tcp(destination, &payload),
    });
    // Most of what can go wrong is in the first 60 bytes.
    let change = (0_usize..60, prop_oneof![any::<u8>(), Just(0), Just(0xff)]);
    let changes = prop::collection::vec(change, 0..4);
    let damaged = (whole, changes, prop::option::weighted(0.3, 0_usize..150), 0_usize..30);
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
