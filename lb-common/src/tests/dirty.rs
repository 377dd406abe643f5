//! Dirty slots: whose is a flow in a slot that changed owner?

use super::{
    maps::Maps,
    packets::{ACK, BOTH, Packet, SYN, VIP4, error, reply, segment, udp_from, unreachable},
};
use crate::{
    abi::{
        chain::{CHAIN_LENGTH, Chain},
        flows::{FLOWS_PER_LINE, FlowEntry, FlowPlace, Seconds, seconds},
        member::MemberIndex,
        vip::{SIPHASH, SOURCE_AFFINITY},
    },
    dirty::{self, DATAGRAM_LEARNING, UNCONFIRMED},
    hash::FlowHash,
    parse::Opening,
    path::balance,
    verdict::{FlowEvent, Verdict},
    view::View as _,
};

pub const OLD: MemberIndex = 1;
pub const OWNER: MemberIndex = 2;
/// When the slots became dirty: now, as the maps begin.
pub const SINCE: Seconds = 1000;

/// Member 1's until [`SINCE`], member 2's now.
pub const CHAIN: Chain = Chain {
    owner: OWNER,
    earlier: [OLD, 0, 0, 0],
    reserved: 0,
    since: SINCE,
};

/// A flow in line `line` of FLOWS, in slot 0.
pub fn flow(line: u16, number: u16) -> FlowHash {
    FlowHash(u64::from(number) << 16 | u64::from(line))
}

/// The member for a packet of `flow`.
pub fn ask(maps: &Maps, flow: FlowHash, opening: Opening) -> MemberIndex {
    dirty::member(maps, &CHAIN, flow.slot(), flow, opening)
}

fn later(maps: &Maps, by: Seconds) {
    maps.now.set(maps.now.get().wrapping_add(by));
}

/// Noted flows that were seen more than once, so that nobody takes their place.
pub fn fill(maps: &Maps, line: u16) {
    for place in 0..FLOWS_PER_LINE {
        let tag = flow(line, 60_000 + place as u16).0 as u32;
        maps.put_flow(line.into(), place, FlowEntry::new(tag, OWNER, true, maps.now.get()));
    }
}

#[test]
fn new_connection_goes_to_the_new_owner_and_stays() {
    let maps = Maps::dirty(&CHAIN);
    let flow = flow(7, 1);
    assert_eq!(ask(&maps, flow, Opening::Syn), OWNER);
    assert_eq!(maps.events(FlowEvent::NotedNew), 1);
    for _ in 0..100 {
        later(&maps, 60);
        assert_eq!(ask(&maps, flow, Opening::Segment), OWNER);
    }
    assert_eq!(maps.events(FlowEvent::NotedNew), 1);
    assert_eq!(maps.events(FlowEvent::NotedOld), 0);
}

#[test]
fn segment_without_an_entry_goes_to_the_oldest_owner_and_is_noted() {
    let maps = Maps::dirty(&CHAIN);
    let flow = flow(7, 1);
    assert_eq!(ask(&maps, flow, Opening::Segment), OLD);
    assert_eq!(maps.events(FlowEvent::NotedOld), 1);
    later(&maps, 5);
    assert_eq!(ask(&maps, flow, Opening::Segment), OLD);
    let [(line, entry)] = maps.entries()[..] else {
        panic!("one entry");
    };
    assert_eq!((line, entry.tag(), entry.member()), (7, flow.0 as u32, OLD));
    assert!(entry.confirmed());
    assert_eq!(entry.age(maps.now.get()), 0);
    // A SYN on a known tuple is of the flow that is there.
    assert_eq!(ask(&maps, flow, Opening::Syn), OLD);
}

#[test]
fn oldest_is_the_last_of_those_before() {
    let chain = |earlier| Chain { earlier, ..CHAIN };
    for (earlier, oldest) in [
        ([0; CHAIN_LENGTH], 0),
        ([3, 0, 0, 0], 3),
        ([3, 4, 0, 0], 4),
        ([3, 4, 5, 0], 5),
        ([3, 4, 5, 1], 1),
    ] {
        let chain = chain(earlier);
        assert_eq!(chain.oldest(), oldest);
        let maps = Maps::dirty(&chain);
        // Nobody had it: then there are no older flows.
        let expected = if oldest == 0 { OWNER } else { oldest };
        assert_eq!(dirty::member(&maps, &chain, 0, flow(1, 1), Opening::Segment), expected);
        assert_eq!(dirty::member(&maps, &chain, 0, flow(1, 2), Opening::Syn), OWNER);
        for member in 1..=6 {
            let named = member == OWNER || earlier.contains(&member);
            assert_eq!(chain.names(member), named, "{earlier:?} {member}");
        }
    }
}

/// Its later packets will not be found either.
#[test]
fn connection_that_finds_no_room_is_the_oldest_owners_from_its_first_packet_on() {
    let maps = Maps::dirty(&CHAIN);
    fill(&maps, 7);
    let flow = flow(7, 1);
    let before = maps.entries();
    for opening in [Opening::Syn, Opening::Segment, Opening::Segment] {
        assert_eq!(ask(&maps, flow, opening), OLD);
        later(&maps, 100);
    }
    assert_eq!(maps.events(FlowEvent::RefusedNew), 1);
    assert_eq!(maps.events(FlowEvent::RefusedOld), 2);
    assert_eq!(maps.entries(), before);
}

#[test]
fn without_flows_everything_is_the_oldest_owners() {
    let mut maps = Maps::dirty(&CHAIN);
    maps.flows = None;
    for opening in [Opening::Syn, Opening::Segment, Opening::Datagram, Opening::Quote] {
        assert_eq!(ask(&maps, flow(7, 1), opening), OLD);
    }
}

#[test]
fn entry_of_which_only_the_first_packet_was_seen_is_taken_over_after_a_while() {
    let maps = Maps::dirty(&CHAIN);
    for number in 0..FLOWS_PER_LINE as u16 {
        assert_eq!(ask(&maps, flow(7, number), Opening::Syn), OWNER);
    }
    later(&maps, UNCONFIRMED);
    assert_eq!(ask(&maps, flow(7, 100), Opening::Syn), OLD);
    // One of them is more than a SYN: it stays for ever.
    assert_eq!(ask(&maps, flow(7, 3), Opening::Segment), OWNER);
    later(&maps, 1);
    let others = (FLOWS_PER_LINE - 1) as u16;
    for number in 0..others {
        assert_eq!(ask(&maps, flow(7, 200 + number), Opening::Syn), OWNER);
    }
    assert_eq!(ask(&maps, flow(7, 300), Opening::Syn), OLD);
    assert_eq!(ask(&maps, flow(7, 3), Opening::Segment), OWNER);
    assert_eq!(maps.events(FlowEvent::NotedNew), 8 + u64::from(others));
    assert_eq!(maps.events(FlowEvent::RefusedNew), 2);
}

/// A retransmitted SYN is a sign of life.
#[test]
fn retransmitted_syn_keeps_its_entry() {
    let maps = Maps::dirty(&CHAIN);
    fill(&maps, 7);
    maps.put_flow(7, 4, FlowEntry::default());
    for _ in 0..3 {
        assert_eq!(ask(&maps, flow(7, 1), Opening::Syn), OWNER);
        later(&maps, UNCONFIRMED);
    }
    assert_eq!(ask(&maps, flow(7, 2), Opening::Syn), OLD);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Segment), OWNER);
}

/// A client may be slow; while there is room, nobody is put out.
#[test]
fn empty_place_is_taken_before_that_of_an_unconfirmed_flow() {
    for place in 0..FLOWS_PER_LINE {
        let maps = Maps::dirty(&CHAIN);
        let slow = flow(7, 1);
        maps.put_flow(7, place, FlowEntry::new(slow.0 as u32, OWNER, false, SINCE));
        later(&maps, 60);
        for number in 2..=FLOWS_PER_LINE as u16 {
            assert_eq!(ask(&maps, flow(7, number), Opening::Syn), OWNER);
        }
        assert_eq!(maps.entries().len(), FLOWS_PER_LINE);
        assert_eq!(ask(&maps, slow, Opening::Segment), OWNER, "place {place}");
    }
}

#[test]
fn datagrams_are_taken_for_old_ones_until_enough_time_has_passed() {
    let maps = Maps::dirty(&CHAIN);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Datagram), OLD);
    maps.now.set(SINCE + DATAGRAM_LEARNING);
    assert_eq!(ask(&maps, flow(7, 2), Opening::Datagram), OLD);
    maps.now.set(SINCE + DATAGRAM_LEARNING + 1);
    assert_eq!(ask(&maps, flow(7, 3), Opening::Datagram), OWNER);
    for (number, member) in [(1, OLD), (2, OLD), (3, OWNER)] {
        assert_eq!(ask(&maps, flow(7, number), Opening::Datagram), member);
    }
    assert_eq!(
        (maps.events(FlowEvent::NotedOld), maps.events(FlowEvent::NotedNew)),
        (2, 1)
    );
}

/// One that is new stays so without being noted.
#[test]
fn datagrams_that_find_no_room_go_where_their_time_says() {
    let maps = Maps::dirty(&CHAIN);
    fill(&maps, 7);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Datagram), OLD);
    later(&maps, DATAGRAM_LEARNING + 1);
    assert_eq!(ask(&maps, flow(7, 2), Opening::Datagram), OWNER);
    assert_eq!(
        (maps.events(FlowEvent::RefusedOld), maps.events(FlowEvent::RefusedNew)),
        (1, 1)
    );
}

#[test]
fn errors_follow_the_flow_and_note_nothing() {
    let maps = Maps::dirty(&CHAIN);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Quote), OLD);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Syn), OWNER);
    let writes = maps.flow_writes.get();
    later(&maps, 3);
    assert_eq!(ask(&maps, flow(7, 1), Opening::Quote), OWNER);
    assert_eq!(maps.flow_writes.get(), writes);
    assert!(!maps.entries()[0].1.confirmed());
}

/// Another pool's flow with the same tag, or an owner from too long ago.
#[test]
fn entry_whose_member_the_chain_does_not_name_is_ignored() {
    let maps = Maps::dirty(&CHAIN);
    let flow = flow(7, 1);
    let foreign = FlowEntry::new(flow.0 as u32, 5, true, SINCE);
    maps.put_flow(7, 0, foreign);
    assert_eq!(ask(&maps, flow, Opening::Quote), OLD);
    assert_eq!(ask(&maps, flow, Opening::Syn), OWNER);
    assert_eq!(ask(&maps, flow, Opening::Segment), OWNER);
    assert_eq!(
        maps.flows(7).map(|line| crate::view::FlowLine::load(&line, 0)),
        Some(foreign)
    );
}

#[test]
fn packets_of_a_known_flow_write_once_a_second_at_most() {
    let maps = Maps::dirty(&CHAIN);
    ask(&maps, flow(7, 1), Opening::Syn);
    for _ in 0..10 {
        ask(&maps, flow(7, 1), Opening::Segment);
    }
    // Noted, then confirmed.
    assert_eq!(maps.flow_writes.get(), 2);
    later(&maps, 1);
    for _ in 0..10 {
        ask(&maps, flow(7, 1), Opening::Segment);
    }
    assert_eq!(maps.flow_writes.get(), 3);
}

#[test]
fn clock_may_wrap_around() {
    for start in [u32::MAX - 2, 0xffff - 2] {
        let maps = Maps::dirty(&CHAIN);
        maps.now.set(start);
        assert_eq!(ask(&maps, flow(7, 1), Opening::Syn), OWNER);
        later(&maps, 4);
        assert_eq!(ask(&maps, flow(7, 1), Opening::Segment), OWNER);
        assert_eq!(maps.entries()[0].1.age(maps.now.get()), 0);
        let chain = Chain { since: start, ..CHAIN };
        let datagram = |number| dirty::member(&maps, &chain, 0, flow(8, number), Opening::Datagram);
        assert_eq!(datagram(1), OLD);
        later(&maps, DATAGRAM_LEARNING);
        assert_eq!(datagram(2), OWNER);
    }
    assert_eq!(seconds(1 << 30), 1);
    assert_eq!(seconds((1 << 30) - 1), 0);
}

proptest::proptest! {
    #[test]
    fn entry_keeps_what_it_is_made_of(tag: u32, member in 1_u16..0x8000, confirmed: bool, now: u32, later in 0_u32..0x1_0000) {
        let entry = FlowEntry::new(tag, member, confirmed, now);
        proptest::prop_assert_eq!((entry.tag(), entry.member(), entry.confirmed()), (tag, member, confirmed));
        proptest::prop_assert_eq!(entry.age(now.wrapping_add(later)), later);
        proptest::prop_assert!(!entry.is_empty());
        // As `abi::flows` says.
        let bits = u64::from(tag) << 32 | u64::from(member) << 17 | u64::from(confirmed) << 16 | u64::from(now as u16);
        proptest::prop_assert_eq!(entry.0, bits);
    }

    #[test]
    fn slot_of_an_entry_follows_from_its_place(hash: u64) {
        let hash = FlowHash(hash);
        let place = FlowPlace::of(hash.slot(), hash);
        let entry = FlowEntry::new(place.tag, 1, false, 0);
        proptest::prop_assert_eq!(u32::from(entry.slot(place.line)), hash.slot());
        proptest::prop_assert_eq!(place.line, hash.slot() ^ (hash.0 as u32 & 0xffff));
    }
}

/// The member that a frame is sent to.
fn sent(maps: &Maps, frame: &[u8]) -> Option<MemberIndex> {
    let verdict = balance(&mut Packet::new(frame, 64, 0xa5).frame(), maps).verdict;
    assert_eq!(verdict, Verdict::ForwardTx);
    maps.take_member()
}

#[test]
fn frames_of_a_flow_and_errors_about_it_go_the_same_way() {
    for flags in [0, SIPHASH, SOURCE_AFFINITY, SIPHASH | SOURCE_AFFINITY] {
        let mut maps = Maps::dirty(&CHAIN);
        maps.publish_vips(flags, super::maps::CHAINS);
        for vip in BOTH {
            // Also where slots are by source: connections are told apart.
            for (port, opening, member) in [(1, SYN, OWNER), (2, ACK, OLD), (3, SYN, OWNER), (4, ACK | 1, OLD)] {
                assert_eq!(sent(&maps, &segment(vip, port, opening)), Some(member));
                assert_eq!(sent(&maps, &segment(vip, port, ACK)), Some(member));
                let noted = maps.entries();
                let error = error(vip, unreachable(vip), 0, &reply(vip, port));
                assert_eq!(sent(&maps, &error), Some(member), "{vip} {port} {flags}");
                assert_eq!(maps.entries(), noted);
            }
            assert_eq!(sent(&maps, &udp_from(vip, 5, b"x")), Some(OLD));
        }
        assert_eq!(maps.entries().len(), 10);
    }
}

#[test]
fn clean_slots_note_nothing() {
    let maps = Maps::shared_by_five();
    for port in 1..100 {
        sent(&maps, &segment(VIP4, port, SYN));
    }
    assert_eq!(maps.entries(), []);
    assert_eq!(maps.flow_writes.get(), 0);
}
