use proptest::prelude::*;
use std::vec::Vec;

use super::{
    maps::{self, ENCAPS},
    outer::{Mix, fix_checksum, mixes, peers, set_tos},
    packets::{self, VIP4},
};
use crate::{
    abi::agent::{MAX_PEERS, Peers, PrefixV4, PrefixV6},
    agent::accept,
    encap::{self, Inner},
    frame::Frame as _,
    hash::FlowHash,
    verdict::AgentVerdict,
};

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
fn ecn_is_decapsulated_as_in_figure_4_of_rfc_6040_in_every_mix() {
    // The other six bits are the inner packet's and must not change.
    const DSCP: u8 = 0b1011_1000;
    const OUTER_DSCP: u8 = 0b0101_0100;
    for mix in mixes() {
        for (inner, columns) in FIGURE_4 {
            for (outer, leaving) in OUTER.into_iter().zip(columns) {
                let frame = mix.encapsulated(OUTER_DSCP | outer, &mix.inner(DSCP | inner));
                let (verdict, bytes) = accepted(&frame, &peers());
                let case = (mix, inner, outer);
                let Some(leaving) = leaving else {
                    assert_eq!(verdict, AgentVerdict::DropCongestion, "{case:?}");
                    assert_eq!(bytes, frame, "{case:?}");
                    continue;
                };
                assert_eq!(verdict, AgentVerdict::AcceptDecapsulated, "{case:?}");
                assert_eq!(bytes, mix.inner(DSCP | leaving), "{case:?}");
            }
        }
    }
}

#[test]
fn only_configured_peers_are_trusted() {
    for mix in mixes() {
        let frame = mix.encapsulated(0, &mix.inner(0));
        // In IPv4 and in IPv6: another network, one that differs in its last
        // bit, and nobody.
        let (at, len, last) = if mix.outer_is_v4 { (26, 4, 1) } else { (22, 16, 7) };
        for change in [0x80, 0x01] {
            let mut frame = frame.clone();
            frame[at + last] ^= change;
            if mix.outer_is_v4 {
                fix_checksum(&mut frame);
            }
            assert_eq!(
                accepted(&frame, &peers()),
                (AgentVerdict::PassUntrusted, frame),
                "{mix:?}"
            );
        }
        let mut nobody = frame.clone();
        nobody[at..at + len].fill(0);
        if mix.outer_is_v4 {
            fix_checksum(&mut nobody);
        }
        assert_eq!(
            accepted(&nobody, &peers()),
            (AgentVerdict::PassUntrusted, nobody),
            "{mix:?}"
        );
        // Prefixes beyond the count are nobody's, and so is everything without
        // any, or with those of the other family.
        let (v4_count, v6_count) = if mix.outer_is_v4 { (0, 1) } else { (1, 0) };
        let other = Peers {
            v4_count,
            v6_count,
            ..peers()
        };
        assert_eq!(accepted(&frame, &other).0, AgentVerdict::PassUntrusted, "{mix:?}");
        assert_eq!(
            accepted(&frame, &Peers::default()).0,
            AgentVerdict::PassUntrusted,
            "{mix:?}"
        );
    }
}

#[test]
fn each_of_the_prefixes_is_trusted() {
    for mix in mixes() {
        let frame = mix.encapsulated(0, &mix.inner(0));
        for at in 0..MAX_PEERS {
            let mut others = Peers {
                v4_count: MAX_PEERS as u32,
                v6_count: MAX_PEERS as u32,
                ..Peers::default()
            };
            others.v4.fill(PrefixV4 {
                network: 1,
                mask: u32::MAX,
            });
            others.v6.fill(PrefixV6 {
                network: [1; 4],
                mask: [u32::MAX; 4],
            });
            assert_eq!(accepted(&frame, &others).0, AgentVerdict::PassUntrusted);
            others.v4[at] = peers().v4[0];
            others.v6[at] = peers().v6[0];
            assert_eq!(
                accepted(&frame, &others).0,
                AgentVerdict::AcceptDecapsulated,
                "{mix:?} {at}"
            );
        }
    }
}

#[test]
fn damaged_or_fragmented_packets_are_passed_on_untouched() {
    for mix in mixes() {
        let whole = mix.encapsulated(0, &mix.inner(0));
        assert_eq!(
            accepted(&whole, &peers()).0,
            AgentVerdict::AcceptDecapsulated,
            "{mix:?}"
        );
        for (row, at, byte) in damages(mix, &whole) {
            let mut frame = whole.clone();
            frame[at] = byte;
            if mix.outer_is_v4 && (14..34).contains(&at) && row != "outer checksum" {
                fix_checksum(&mut frame);
            }
            let malformed = (AgentVerdict::PassMalformed, frame.clone());
            assert_eq!(accepted(&frame, &peers()), malformed, "{mix:?}: {row}");
        }
    }
}

/// What may be wrong with a packet of this mix: the place and what stands there.
fn damages(mix: Mix, frame: &[u8]) -> Vec<(&'static str, usize, u8)> {
    let inner = 14 + mix.overhead();
    let gue = inner - mix.gue.map_or(0, |words| 4 + usize::from(words) * 4);
    let mut damages = Vec::new();
    if mix.outer_is_v4 {
        damages.extend([
            ("outer checksum", 24, frame[24] ^ 1),
            ("outer fragment", 20, 0x20),
            ("outer version", 14, 0x65),
            ("outer length beyond the frame", 17, frame[17] + 1),
            ("outer length cuts the inner packet", 17, frame[17] - 1),
        ]);
        if mix.gue.is_none() {
            damages.push(("outer options", 14, 0x46));
        }
    } else {
        damages.extend([
            ("outer version", 14, 0x40),
            ("outer length beyond the frame", 19, frame[19] + 1),
            ("outer length cuts the inner packet", 19, frame[19] - 1),
        ]);
    }
    if mix.gue.is_some() {
        damages.extend([
            ("UDP length", gue - 3, frame[gue - 3] ^ 1),
            ("GUE variant 1", gue, frame[gue] | 0x40),
            ("GUE variant 2", gue, frame[gue] | 0x80),
            ("GUE control message", gue, frame[gue] | 0x20),
            ("GUE protocol", gue + 1, 6),
            ("GUE of the other family", gue + 1, 4 + 41 - frame[gue + 1]),
            // From 31 words on there are no more: one less finds private data.
            ("GUE private data", gue, if frame[gue] == 31 { 30 } else { 31 }),
        ]);
    }
    damages.push(("inner version", inner, frame[inner] ^ 0x20));
    if mix.inner.is_ipv4() {
        damages.extend([
            ("inner header length", inner, 0x44),
            ("inner length beyond the outer", inner + 3, frame[inner + 3] + 1),
            ("inner length below its header", inner + 3, 19),
        ]);
    } else {
        damages.push(("inner length beyond the outer", inner + 5, frame[inner + 5] + 1));
    }
    damages
}

#[test]
fn other_packets_are_passed_on_untouched() {
    let mut frames = [[0; 20].to_vec(), Vec::new()].to_vec();
    for mix in mixes() {
        let whole = mix.encapsulated(0, &mix.inner(0));
        frames.push(mix.inner(0));
        frames.push(packets::udp(mix.inner, b"x"));
        frames.push(packets::tagged(&whole));
        frames.push(whole[..14 + if mix.outer_is_v4 { 19 } else { 39 }].to_vec());
        if mix.gue.is_some() {
            let port = 14 + if mix.outer_is_v4 { 20 } else { 40 } + 3;
            let mut frame = whole;
            frame[port] ^= 1;
            frames.push(frame);
        }
    }
    for frame in frames {
        assert_eq!(accepted(&frame, &peers()), (AgentVerdict::PassNotEncapsulated, frame));
    }
}

/// Behind the outer packet there may be padding (RFC 894), behind the inner one
/// what the balancer got.
#[test]
fn padding_is_no_part_of_the_packet() {
    for mix in mixes() {
        let frame = mix.encapsulated(0, &mix.inner(0));
        let (verdict, bytes) = accepted(&[&frame[..], &[0; 9]].concat(), &peers());
        assert_eq!(verdict, AgentVerdict::AcceptDecapsulated);
        assert_eq!(bytes, [&mix.inner(0)[..], &[0; 9]].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn takes_off_what_encap_put_on(
        encap in prop::sample::select(&ENCAPS[..4]),
        vip in prop::sample::select(&packets::BOTH[..]),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        hash: u64,
        tos: u8,
        padding in 0_usize..20,
    ) {
        let mut frame = packets::udp(vip, &payload);
        set_tos(&mut frame, tos);
        let inner = Inner {
            protocol: if vip == VIP4 { 4 } else { 41 },
            tos,
            length: (frame.len() - 14) as u16,
        };
        frame.resize(frame.len() + padding, 0);
        let member = maps::member(encap);
        let overhead = usize::from(member.overhead);
        let mut packet = packets::Packet::new(&frame, overhead, 0);
        prop_assert!(encap::encapsulate(&mut packet.frame(), &member, FlowHash(hash), inner));

        packet.headroom = 0;
        packet.len += overhead;
        let mut encapsulated = packet.frame();
        prop_assert_eq!(accept(&mut encapsulated, &peers()), AgentVerdict::AcceptDecapsulated);
        prop_assert_eq!(encapsulated.linear_len() as usize, frame.len());
        prop_assert_eq!(&encapsulated.bytes()[12..], &frame[12..]);
        prop_assert_eq!(&encapsulated.bytes()[..6], maps::NEXT_HOP_MAC);
    }

    #[test]
    fn any_number_of_words_of_private_data_is_skipped(
        words in 0_u8..=31,
        outer_is_v4: bool,
        inner in prop::sample::select(&packets::BOTH[..]),
    ) {
        let mix = Mix { outer_is_v4, gue: Some(words), inner };
        let (verdict, bytes) = accepted(&mix.encapsulated(0, &mix.inner(0)), &peers());
        prop_assert_eq!(verdict, AgentVerdict::AcceptDecapsulated);
        prop_assert_eq!(bytes, mix.inner(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_not_accepted_is_untouched(
        mix in prop::sample::select(mixes()),
        outer_tos: u8,
        inner_tos: u8,
        changes in prop::collection::vec((0_usize..130, any::<u8>()), 0..3),
        sound: bool,
        cut in prop::option::weighted(0.2, 0_usize..150),
    ) {
        let mut frame = mix.encapsulated(outer_tos, &mix.inner(inner_tos));
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        if sound && mix.outer_is_v4 {
            fix_checksum(&mut frame);
        }
        frame.truncate(cut.unwrap_or(usize::MAX));
        let mut packet = packets::Packet::new(&frame, 4, 0xa5);
        let before = packet.buffer.clone();
        let mut other = packets::Packet::new(&frame, 9, 0x5a);
        let verdict = accept(&mut packet.frame(), &peers());
        // What is around the frame decides nothing.
        prop_assert_eq!(accept(&mut other.frame(), &peers()), verdict);
        match verdict {
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
