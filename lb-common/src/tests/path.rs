use proptest::prelude::*;
use std::vec::Vec;

use super::{
    maps::{self, CHAINS, ENCAPS, FALLBACK_VIPS, MEMBER_COUNTER, MEMBERS, Maps, TABLE, VIP_COUNTER, VIPS},
    packets::{self, BOTH, Packet, any_frame, header_len},
    parse::end_of_packet,
};
use crate::{
    abi::{
        active::Active,
        chain::Chain,
        member::ENCAP_IPIP_V4,
        table::DIRTY,
        vip::{MAINT, SIPHASH, SOURCE_AFFINITY},
    },
    frame::Frame,
    path::{Outcome, balance, fast, plain},
    verdict::{FlowEvent, Verdict},
};

/// What may be wrong with the maps, or unusual, beside the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NothingPublished,
    NoKey,
    NoNode,
    NoVips,
    NoVipsAtAll,
    NoTable,
    NoMembers,
    NobodyInSlot,
    NoNextHop,
    UnknownEncap,
    SmallMtu,
    OtherInterface,
    Dirty,
    DirtyNoChains,
    DirtyNoFlows,
    SipHash,
    BySource,
    Maint,
}

const FAULTS: [Fault; 19] = [
    Fault::None,
    Fault::NothingPublished,
    Fault::NoKey,
    Fault::NoNode,
    Fault::NoVips,
    Fault::NoVipsAtAll,
    Fault::NoTable,
    Fault::NoMembers,
    Fault::NobodyInSlot,
    Fault::NoNextHop,
    Fault::UnknownEncap,
    Fault::SmallMtu,
    Fault::OtherInterface,
    Fault::Dirty,
    Fault::DirtyNoChains,
    Fault::DirtyNoFlows,
    Fault::SipHash,
    Fault::BySource,
    Fault::Maint,
];

fn maps_with(fault: Fault, encap: u8) -> Maps {
    let mut member = maps::member(encap);
    if fault == Fault::NoNextHop {
        member.flags = 0;
    } else if fault == Fault::UnknownEncap {
        member.encap = 99;
    } else if fault == Fault::SmallMtu {
        member.mtu = 30;
    } else if fault == Fault::OtherInterface {
        member.ifindex = 8;
    }
    let mut maps = Maps::of(&member);
    let mut missing: &[u16] = &[];
    match fault {
        Fault::NoVips => missing = &[VIPS],
        Fault::NoVipsAtAll => missing = &[VIPS, FALLBACK_VIPS],
        Fault::NoTable => missing = &[TABLE],
        Fault::NoMembers => missing = &[MEMBERS],
        Fault::NothingPublished => maps.active = Active::default(),
        Fault::NoKey => maps.key = None,
        Fault::NoNode => maps.node = None,
        Fault::NobodyInSlot => maps.fill_table(0),
        Fault::SipHash => maps.publish_vips(SIPHASH, 0),
        Fault::BySource => maps.publish_vips(SOURCE_AFFINITY, 0),
        Fault::Maint => maps.publish_vips(MAINT, 0),
        Fault::Dirty | Fault::DirtyNoChains | Fault::DirtyNoFlows => {
            maps.publish_vips(0, CHAINS);
            maps.put_chain(
                1,
                &Chain {
                    owner: 1,
                    ..Chain::default()
                },
            );
            maps.fill_table(DIRTY | 1);
        }
        Fault::None | Fault::NoNextHop | Fault::UnknownEncap | Fault::SmallMtu | Fault::OtherInterface => {}
    }
    if fault == Fault::DirtyNoChains {
        missing = &[CHAINS];
    }
    if fault == Fault::DirtyNoFlows {
        maps.flows = None;
    }
    maps.chunks.retain(|chunk, _| !missing.contains(chunk));
    maps
}

#[test]
fn each_fault_has_its_verdict() {
    let expected = |fault| match fault {
        // The fallback serves as well as the active revision.
        Fault::None
        | Fault::NoNode
        | Fault::NoVips
        | Fault::SipHash
        | Fault::BySource
        | Fault::Dirty
        | Fault::DirtyNoFlows => Verdict::ForwardTx,
        Fault::OtherInterface => Verdict::ForwardRedirect,
        Fault::NothingPublished => Verdict::PassNoGeneration,
        Fault::NoVipsAtAll => Verdict::PassUnreadable,
        Fault::NoKey | Fault::NoTable | Fault::NoMembers | Fault::DirtyNoChains => Verdict::DropUnreadable,
        Fault::NobodyInSlot => Verdict::DropNoBackend,
        Fault::Maint => Verdict::DropMaint,
        Fault::NoNextHop => Verdict::DropNoNextHop,
        Fault::UnknownEncap => Verdict::DropEncap,
        Fault::SmallMtu => Verdict::DropTooBig,
    };
    for fault in FAULTS {
        for encap in ENCAPS {
            for vip in BOTH {
                let maps = maps_with(fault, encap);
                let packets = [
                    packets::tcp(vip, b"hello"),
                    packets::udp(vip, b"hello, world"),
                    packets::error(vip, packets::unreachable(vip), 0, &packets::reply(vip, 40_000)),
                ];
                for frame in packets {
                    let verdict = balance(&mut Packet::new(&frame, 60, 0).frame(), &maps).verdict;
                    assert_eq!(verdict, expected(fault), "{fault:?} {encap} {vip}");
                }
            }
        }
    }
}

#[test]
fn without_headroom_there_is_a_verdict_for_it() {
    for encap in ENCAPS {
        let overhead = usize::from(maps::member(encap).overhead);
        let maps = Maps::of(&maps::member(encap));
        for vip in BOTH {
            let verdict = |headroom| {
                let mut packet = Packet::new(&packets::tcp(vip, b"x"), headroom, 0);
                balance(&mut packet.frame(), &maps).verdict
            };
            assert_eq!(verdict(overhead), Verdict::ForwardTx);
            if overhead > 0 {
                assert_eq!(verdict(overhead - 1), Verdict::DropNoHeadroom);
            }
        }
    }
}

/// A loop is a packet of the family of our outer headers that comes from them.
#[test]
fn packets_from_our_own_outer_sources_are_loops() {
    let from = |vip, address: &[u8]| {
        let mut frame = packets::tcp(vip, b"x");
        let at = if address.len() == 4 { 26 } else { 22 };
        frame[at..at + address.len()].copy_from_slice(address);
        frame
    };
    let [vip4, vip6] = BOTH;
    let ours4 = from(vip4, &[10, 255, 9, 9]);
    let ours6 = from(
        vip6,
        &packets::octets("fd00:ff::dead:beef".parse().expect("an address")),
    );
    // Between the prefix of 64 bits and the last 32 ours are zero.
    let theirs = [
        from(vip4, &[10, 254, 9, 9]),
        from(
            vip6,
            &packets::octets("fd00:ff::1:dead:beef".parse().expect("an address")),
        ),
        from(
            vip6,
            &packets::octets("fd00:fe::dead:beef".parse().expect("an address")),
        ),
    ];
    for encap in ENCAPS {
        let member = maps::member(encap);
        let maps = Maps::of(&member);
        let verdict = |frame: &[u8]| balance(&mut Packet::new(frame, 60, 0).frame(), &maps).verdict;
        assert_eq!(verdict(&ours4) == Verdict::DropLoop, member.outer_is_v4(), "{encap}");
        assert_eq!(verdict(&ours6) == Verdict::DropLoop, member.outer_is_v6(), "{encap}");
        for frame in &theirs {
            assert_eq!(verdict(frame), Verdict::ForwardTx, "{encap}");
        }
    }
}

const fn is_forwarded(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::ForwardTx | Verdict::ForwardRedirect)
}

/// What came of a frame.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    outcome: Outcome,
    frame: Vec<u8>,
    buffer: Vec<u8>,
    counted: Vec<(u32, (u64, u64))>,
}

fn fate(frame: &[u8], headroom: usize, maps: &Maps, path: impl FnOnce(&mut Packet) -> (Outcome, Vec<u8>)) -> Fate {
    let mut packet = Packet::new(frame, headroom, 0xa5);
    let (outcome, frame) = path(&mut packet);
    Fate {
        outcome,
        frame,
        buffer: packet.buffer,
        counted: maps.counted.take().into_iter().collect(),
    }
}

fn balanced(frame: &[u8], headroom: usize, maps: &Maps) -> Fate {
    fate(frame, headroom, maps, |packet| {
        let mut frame = packet.frame();
        let outcome = balance(&mut frame, maps);
        (outcome, frame.bytes().to_vec())
    })
}

fn any_headroom() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0_usize..60, 4 => Just(64)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_frame_is_untouched_or_finished(
        frame in any_frame(),
        fault in prop::sample::select(&FAULTS[..]),
        encap in prop::sample::select(&ENCAPS[..]),
        headroom in any_headroom(),
    ) {
        let maps = maps_with(fault, encap);
        let before = Packet::new(&frame, headroom, 0xa5).buffer;
        let fate = balanced(&frame, headroom, &maps);
        let overhead = usize::from(maps::member(encap).overhead);
        // Which bytes of the buffer may differ.
        let verdict = fate.outcome.verdict;
        let written = if is_forwarded(verdict) {
            prop_assert_eq!(fate.frame.len(), frame.len() + overhead);
            prop_assert_eq!(&fate.frame[overhead + 14..], &frame[14..]);
            headroom - overhead..headroom + if overhead == 0 { 12 } else { 14 }
        } else if verdict == Verdict::AnswerEcho {
            prop_assert_eq!(fate.frame.len(), frame.len());
            let l4 = if frame[12] == 0x08 { 34 } else { 54 };
            prop_assert_eq!(&fate.frame[l4 + 4..], &frame[l4 + 4..]);
            headroom..headroom + l4 + 4
        } else if verdict == Verdict::AnswerTooBig {
            let (header, quote) = if frame[12] == 0x08 { (28, 512) } else { (48, 1024) };
            prop_assert_eq!(fate.frame.len(), 14 + header + quote);
            prop_assert_eq!(&fate.frame[14 + header..], &frame[14..14 + quote]);
            headroom - header..headroom + 14
        } else {
            prop_assert_eq!(&fate.frame, &frame);
            headroom..headroom
        };
        prop_assert_eq!(&fate.buffer[..written.start], &before[..written.start]);
        prop_assert_eq!(&fate.buffer[written.end..], &before[written.end..]);
    }

    #[test]
    fn each_packet_is_counted_once_by_verdict_and_if_forwarded_by_vip_and_member(
        frame in any_frame(),
        fault in prop::sample::select(&FAULTS[..]),
        encap in prop::sample::select(&ENCAPS[..]),
        headroom in any_headroom(),
    ) {
        let maps = maps_with(fault, encap);
        let fate = balanced(&frame, headroom, &maps);
        let once = (1, frame.len() as u64);
        let mut expected = [(fate.outcome.verdict as u32, once)].to_vec();
        if is_forwarded(fate.outcome.verdict) {
            expected.push((VIP_COUNTER.into(), once));
            expected.push(((MEMBER_COUNTER + 1).into(), once));
        }
        // Beside its verdict: what happened in a dirty slot.
        let events = (0..FlowEvent::ALL.len() as u32).map(|event| crate::abi::counters::FIRST_EVENT + event);
        let events: Vec<u32> = events.collect();
        let counted: Vec<_> = fate.counted.into_iter().filter(|(index, _)| !events.contains(index)).collect();
        prop_assert_eq!(counted, expected);
    }

    #[test]
    fn padding_changes_no_fate(
        frame in any_frame(),
        encap in prop::sample::select(&ENCAPS[..]),
        small: bool,
        padding: u8,
        more in 0_usize..700,
    ) {
        let Some(end) = end_of_packet(&frame).filter(|&end| end <= frame.len()) else {
            return Ok(());
        };
        let maps = maps_with(if small { Fault::SmallMtu } else { Fault::None }, encap);
        let cut = balanced(&frame[..end], 64, &maps);
        let notes = maps.noted.take();
        let mut padded = frame[..end].to_vec();
        padded.resize(end + more, padding);
        let padded = balanced(&padded, 64, &maps);
        prop_assert_eq!(cut.outcome.verdict, padded.outcome.verdict);
        prop_assert_eq!(cut.outcome.ifindex, padded.outcome.ifindex);
        prop_assert_eq!(&cut.frame[..], &padded.frame[..cut.frame.len()]);
        prop_assert_eq!(notes, maps.noted.take());
    }

    /// The first path leaves no trace of what it gives up, and decides the rest
    /// as the second would.
    #[test]
    fn fast_path_agrees_with_the_plain_one_or_gives_up_without_a_trace(
        frame in any_frame(),
        fault in prop::sample::select(&FAULTS[..]),
        encap in prop::sample::select(&ENCAPS[..]),
        headroom in any_headroom(),
    ) {
        let maps = maps_with(fault, encap);
        let mut packet = Packet::new(&frame, headroom, 0xa5);
        let before = packet.buffer.clone();
        let mut view = packet.frame();
        let Ok(outcome) = fast::balance(&mut view, &maps) else {
            prop_assert_eq!(view.bytes(), &frame[..]);
            prop_assert_eq!(packet.buffer, before);
            prop_assert!(maps.counted.take().is_empty());
            prop_assert_eq!(maps.flow_writes.get(), 0);
            return Ok(());
        };
        if outcome.verdict == Verdict::PassNotIp {
            return Ok(());
        }
        let bytes = view.bytes().to_vec();
        let fast = fate(&frame, headroom, &maps, |other| {
            other.buffer = packet.buffer;
            (outcome, bytes)
        });
        let plain = fate(&frame, headroom, &maps, |packet| {
            let mut frame = packet.frame();
            let outcome = plain::balance(&mut frame, &maps);
            (outcome, frame.bytes().to_vec())
        });
        prop_assert_eq!(fast, plain);
    }
}

/// Short headers come in frames of their own too, so each length is tried.
#[test]
fn every_prefix_of_a_packet_has_a_fate_of_its_whole_length() {
    let maps = Maps::of(&maps::member(ENCAP_IPIP_V4));
    for vip in BOTH {
        for whole in [
            packets::tcp(vip, b"x"),
            packets::udp(vip, b"x"),
            packets::echo(vip, b"x"),
        ] {
            for len in 0..whole.len() {
                let mut packet = Packet::new(&whole[..len], 64, 0xff);
                let outcome = balance(&mut packet.frame(), &maps);
                assert_eq!(outcome.frame_len as usize, len);
                let expected = match len {
                    0..14 => Verdict::DropRunt,
                    _ if len < 14 + header_len(vip) => Verdict::DropShortL3,
                    _ => Verdict::DropTotalLength,
                };
                assert_eq!(outcome.verdict, expected, "{vip} {len}");
                assert_eq!(packet.frame().linear_len() as usize, len);
            }
        }
    }
}
