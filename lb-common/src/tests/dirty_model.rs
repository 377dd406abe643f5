//! Dirty slots against a model: random packets and steps of the clock.

use proptest::prelude::*;
use std::{collections::HashMap, vec, vec::Vec};

use super::{
    dirty::{CHAIN, OLD, OWNER, SINCE, fill, flow},
    maps::Maps,
};
use crate::{
    abi::{
        flows::{FLOWS_PER_LINE, FlowPlace, Seconds},
        member::MemberIndex,
    },
    dirty::{self, DATAGRAM_LEARNING, UNCONFIRMED},
    hash::FlowHash,
    parse::Opening,
};

fn ask(maps: &Maps, flow: FlowHash, opening: Opening) -> MemberIndex {
    dirty::member(maps, &CHAIN, flow.slot(), flow, opening)
}

fn any_opening() -> impl Strategy<Value = Opening> {
    prop_oneof![
        Just(Opening::Syn),
        Just(Opening::Segment),
        Just(Opening::Datagram),
        Just(Opening::Quote),
    ]
}

fn any_step() -> impl Strategy<Value = Seconds> {
    prop_oneof![6 => Just(0), 3 => 1_u32..10, 1 => 10_u32..100]
}

/// Flows of which no more than a line's worth meet in a line: as many as fit in
/// one line, and others anywhere.
fn flows_with_room() -> impl Strategy<Value = Vec<FlowHash>> {
    let anywhere = prop::collection::vec(any::<u64>(), 0..20);
    (any::<u16>(), anywhere).prop_map(|(line, anywhere)| {
        let mut flows: Vec<FlowHash> = (0..FLOWS_PER_LINE as u16).map(|number| flow(line, number)).collect();
        let full = FlowPlace::of(0, flows[0]).line;
        let anywhere = anywhere.into_iter().map(FlowHash);
        flows.extend(anywhere.filter(|flow| FlowPlace::of(flow.slot(), *flow).line != full));
        flows
    })
}

/// A connection in a line that is too small for all of them.
#[derive(Clone, Copy, Debug)]
struct Connection {
    /// It began before the slot became dirty: there is no SYN.
    old: bool,
    /// When its SYN was seen, while nothing else was.
    opened: Option<Seconds>,
    member: Option<MemberIndex>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Where there is room, a flow is what it was when it was first seen, for
    /// ever.
    #[test]
    fn with_room_no_flow_changes_its_member(
        flows in flows_with_room(),
        packets in prop::collection::vec((any::<prop::sample::Index>(), any_opening(), any_step()), 0..300),
    ) {
        let maps = Maps::dirty(&CHAIN);
        let mut model: HashMap<u64, MemberIndex> = HashMap::new();
        for (which, opening, step) in packets {
            maps.now.set(maps.now.get() + step);
            let flow = *which.get(&flows);
            let learning = maps.now.get() - SINCE <= DATAGRAM_LEARNING;
            let expected = match (model.get(&flow.0), opening) {
                (Some(member), _) => *member,
                (None, Opening::Syn) => OWNER,
                (None, Opening::Segment | Opening::Quote) => OLD,
                (None, Opening::Datagram) => if learning { OLD } else { OWNER },
            };
            if opening != Opening::Quote {
                model.insert(flow.0, expected);
            }
            prop_assert_eq!(ask(&maps, flow, opening), expected);
        }
        prop_assert_eq!(maps.entries().len(), model.len());
        for (line, entry) in maps.entries() {
            let slot = u64::from(entry.slot(line));
            let known = model.iter().find(|(flow, _)| **flow as u32 == entry.tag() && **flow >> 48 == slot);
            prop_assert_eq!(known.map(|(_, member)| *member), Some(entry.member()));
        }
    }

    /// With five times as many connections as fit, and a flood of SYNs and
    /// datagrams between them. What a connection has to do for it: to answer
    /// its SYN-ACK within [`UNCONFIRMED`].
    #[test]
    fn without_room_no_connection_changes_its_member(
        old in prop::collection::vec(any::<bool>(), 40),
        packets in prop::collection::vec((0_usize..60, any::<bool>(), any_step()), 0..600),
        full: bool,
    ) {
        let maps = Maps::dirty(&CHAIN);
        if full {
            fill(&maps, 9);
        }
        let mut connections: Vec<Connection> = old
            .into_iter()
            .map(|old| Connection { old, opened: None, member: None })
            .collect();
        let mut flood = 1000;
        let mut seen = vec![];
        for (which, datagram, step) in packets {
            seen.clear();
            // Whoever would be late answers before the clock is put on.
            let then = maps.now.get() + step;
            let late = |connection: &Connection| connection.opened.is_some_and(|opened| then - opened > UNCONFIRMED);
            seen.extend((0..connections.len()).filter(|&at| late(&connections[at])).map(|at| (at, maps.now.get())));
            seen.extend((which < connections.len()).then_some((which, then)));
            if which >= connections.len() {
                let opening = if datagram { Opening::Datagram } else { Opening::Syn };
                flood += 1;
                ask(&maps, flow(9, flood), opening);
            }
            for &(at, now) in &seen {
                maps.now.set(now);
                let connection = &mut connections[at];
                let opens = connection.member.is_none() && !connection.old;
                let opening = if opens { Opening::Syn } else { Opening::Segment };
                let member = ask(&maps, flow(9, at as u16), opening);
                prop_assert_eq!(*connection.member.get_or_insert(member), member, "connection {}", at);
                prop_assert!(!connection.old || member == OLD);
                connection.opened = opens.then_some(now);
            }
            maps.now.set(then);
        }
    }
}
