use proptest::prelude::*;
use std::vec::Vec;

use super::{checksum::rfc_1071, packets};
use crate::{
    abi::agent::{Peer, Peers},
    agent::accept,
    verdict::AgentVerdict,
};

const BALANCER: [u8; 4] = [10, 255, 3, 4];

/// Trusts 10.255.0.0/16.
fn peers() -> Peers {
    let mut peers = Peers {
        count: 1,
        ..Peers::default()
    };
    peers.peers[0] = Peer {
        network: u32::from_ne_bytes([10, 255, 0, 0]),
        mask: u32::from_ne_bytes([255, 255, 0, 0]),
    };
    peers
}

/// Sets the checksum of the IPv4 header at `l3`, `len` bytes long.
fn fix_checksum(frame: &mut [u8], l3: usize, len: usize) {
    frame[l3 + 10..l3 + 12].fill(0);
    let sum = rfc_1071(&frame[l3..l3 + len]);
    frame[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
}

/// A TCP packet in IP-in-IP, written without the code under test.
fn encapsulated(source: [u8; 4], outer_tos: u8, inner_tos: u8) -> Vec<u8> {
    let mut inner = packets::tcp(packets::VIP, b"hello");
    inner[15] = inner_tos;
    fix_checksum(&mut inner, 14, 20);
    let total_length = ((inner.len() - 14 + 20) as u16).to_be_bytes();
    let mut outer = [
        0x45,
        outer_tos,
        total_length[0],
        total_length[1],
        0,
        0,
        0x40,
        0,
        64,
        4,
        0,
        0,
    ]
    .to_vec();
    outer.extend(source);
    outer.extend([10, 0, 1, 11]);
    let mut frame = [&inner[..14], &outer, &inner[14..]].concat();
    fix_checksum(&mut frame, 14, 20);
    frame
}

/// The verdict, and the frame as the host sees it then.
fn accepted(frame: &[u8], peers: &Peers) -> (AgentVerdict, Vec<u8>) {
    let mut packet = packets::Packet::new(frame, 0, 0xa5);
    let mut frame = packet.frame();
    let verdict = accept(&mut frame, peers);
    (verdict, frame.bytes().to_vec())
}

const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

const OUTER: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];

/// RFC 6040 §4.2, figure 4: a row for each arriving inner field, a column for
/// each arriving outer one; `None` is `<drop>`.
const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
    (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
    (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
    (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
    (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
];

#[test]
fn ecn_is_decapsulated_as_in_figure_4_of_rfc_6040() {
    // The other six bits are the inner packet's and must not change.
    const DSCP: u8 = 0b1011_1000;
    for (inner, columns) in FIGURE_4 {
        for (outer, leaving) in OUTER.into_iter().zip(columns) {
            let frame = encapsulated(BALANCER, outer, DSCP | inner);
            let (verdict, bytes) = accepted(&frame, &peers());
            let case = (inner, outer);
            let Some(leaving) = leaving else {
                assert_eq!(verdict, AgentVerdict::DropCongestion, "{case:?}");
                assert_eq!(bytes, frame, "{case:?}");
                continue;
            };
            let mut expected = packets::tcp(packets::VIP, b"hello");
            expected[15] = DSCP | leaving;
            fix_checksum(&mut expected, 14, 20);
            assert_eq!(verdict, AgentVerdict::AcceptDecapsulated, "{case:?}");
            assert_eq!(bytes, expected, "{case:?}");
        }
    }
}

#[test]
fn only_configured_peers_are_trusted() {
    for source in [[10, 254, 3, 4], [10, 0, 255, 4], [0, 0, 0, 0], [192, 0, 2, 1]] {
        let frame = encapsulated(source, 0, 0);
        assert_eq!(accepted(&frame, &peers()), (AgentVerdict::PassUntrusted, frame));
    }
    let frame = encapsulated(BALANCER, 0, 0);
    // Prefixes beyond `count` are nobody's, and so is everything without any.
    let unused = Peers { count: 0, ..peers() };
    assert_eq!(accepted(&frame, &unused).0, AgentVerdict::PassUntrusted);
    assert_eq!(accepted(&frame, &Peers::default()).0, AgentVerdict::PassUntrusted);
}

#[test]
fn damaged_or_fragmented_packets_are_passed_on_untouched() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage); 7] = [
        ("outer checksum", |frame| frame[24] ^= 1),
        ("outer fragment", |frame| frame[20] = 0x20),
        ("outer options", |frame| frame[14] = 0x46),
        ("outer length beyond the frame", |frame| frame[17] += 1),
        ("inner version", |frame| frame[34] = 0x65),
        ("inner header length", |frame| frame[34] = 0x44),
        ("inner length beyond the outer", |frame| frame[37] += 1),
    ];
    for (row, damage) in rows {
        let mut frame = encapsulated(BALANCER, 0, 0);
        damage(&mut frame);
        if !row.contains("checksum") {
            fix_checksum(&mut frame, 14, 20);
        }
        assert_eq!(
            accepted(&frame, &peers()),
            (AgentVerdict::PassMalformed, frame),
            "{row}"
        );
    }
}

#[test]
fn other_packets_are_passed_on_untouched() {
    for frame in [
        packets::tcp(packets::VIP, b"x"),
        packets::tagged(&encapsulated(BALANCER, 0, 0)),
        [0; 20].to_vec(),
    ] {
        assert_eq!(accepted(&frame, &peers()), (AgentVerdict::PassNotEncapsulated, frame));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_is_not_accepted_is_untouched(
        outer_tos: u8,
        inner_tos: u8,
        changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..3),
        sound: bool,
        cut in prop::option::weighted(0.2, 0_usize..90),
    ) {
        let mut frame = encapsulated(BALANCER, outer_tos, inner_tos);
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        if sound {
            fix_checksum(&mut frame, 14, 20);
        }
        frame.truncate(cut.unwrap_or(usize::MAX));
        let mut packet = packets::Packet::new(&frame, 4, 0xa5);
        let before = packet.buffer.clone();
        match accept(&mut packet.frame(), &peers()) {
            AgentVerdict::AcceptDecapsulated => {
                // Nothing outside of the frame is written.
                prop_assert_eq!(&packet.buffer[..4], &before[..4]);
                prop_assert_eq!(&packet.buffer[4 + frame.len()..], &before[4 + frame.len()..]);
            }
            AgentVerdict::PassNotEncapsulated
            | AgentVerdict::PassUntrusted
            | AgentVerdict::PassMalformed
            | AgentVerdict::DropCongestion => prop_assert_eq!(packet.buffer, before),
        }
    }
}
