use lb_common::{
    abi::flows::{FLOW_LINES, FlowPlace},
    hash::FlowHash,
};

use super::*;
use crate::table::{
    Table,
    dirty::{Change, Dirty},
};

const IDLE: Seconds = 10;
const DEADLINE: Seconds = 100;
const SLOT: u16 = 0x1234;

fn filled(owner: u16, of_slot: u16) -> Table {
    let mut bytes = vec![owner; 65_536];
    bytes[usize::from(SLOT)] = of_slot;
    Table::from_bytes(bytemuck::cast_slice(&bytes)).expect("owners are members")
}

/// Slot [`SLOT`] went from 2 to 3 and then to 4, at time 0.
fn draining() -> Vec<Draining> {
    let serving = BTreeSet::from([1, 2, 3, 4]);
    let step = |dirty: &Dirty, before: u16, after: u16| {
        dirty.after(&Change {
            before: &filled(1, before),
            after: &filled(1, after),
            serving: &serving,
            now: 0,
        })
    };
    let dirty = step(&step(&Dirty::default(), 2, 3), 3, 4);
    vec![Draining {
        pool: "web".to_owned(),
        dirty,
        idle: IDLE,
        deadline: DEADLINE,
    }]
}

fn flows() -> Vec<AtomicU64> {
    let entries = FLOW_LINES as usize * FLOWS_PER_LINE;
    std::iter::repeat_with(AtomicU64::default).take(entries).collect()
}

/// Puts an entry where the program would.
fn note(flows: &[AtomicU64], slot: u16, tag: u32, member: u16, seen: Seconds) -> usize {
    let place = FlowPlace::of(u32::from(slot), FlowHash(u64::from(tag)));
    let at = place.line as usize * FLOWS_PER_LINE + 3;
    flows[at].store(FlowEntry::new(place.tag, member, true, seen).0, Ordering::Relaxed);
    at
}

fn clean(sightings: &Sightings, blind: bool, now: Seconds) -> bool {
    due(&draining(), sightings, blind, now) == BTreeMap::from([("web".to_owned(), BTreeSet::from([SLOT]))])
}

#[test]
fn a_slot_is_clean_when_no_old_flow_was_seen_for_long_enough() {
    let nobody = Sightings::new();
    assert!(due(&draining(), &nobody, false, IDLE).is_empty());
    assert!(clean(&nobody, false, IDLE + 1));
    let seen = Sightings::from([(("web".to_owned(), SLOT), 5)]);
    assert!(due(&draining(), &seen, false, IDLE + 5).is_empty());
    assert!(clean(&seen, false, IDLE + 6));
}

#[test]
fn at_the_deadline_it_is_clean_whatever_is_seen() {
    let seen = Sightings::from([(("web".to_owned(), SLOT), DEADLINE)]);
    assert!(due(&draining(), &seen, true, DEADLINE).is_empty());
    assert!(clean(&seen, true, DEADLINE + 1));
}

#[test]
fn silence_proves_nothing_to_the_blind() {
    assert!(due(&draining(), &Sightings::new(), true, IDLE + 50).is_empty());
    let mut blind = Blind::default();
    let draining = draining();
    assert!(!blind.look(0, &draining, 5));
    assert!(blind.look(1, &draining, 6));
    assert!(blind.look(1, &draining, 6 + IDLE));
    assert!(!blind.look(1, &draining, 7 + IDLE));
}

#[test]
fn old_flows_are_seen_and_new_ones_are_not() {
    let flows = flows();
    note(&flows, SLOT, 0xdead_0001, 2, 7);
    note(&flows, SLOT, 0xdead_0002, 3, 9);
    note(&flows, SLOT, 0xdead_0003, 4, 11);
    let sightings = sweep(&flows, &draining(), 12);
    assert_eq!(sightings, Sightings::from([(("web".to_owned(), SLOT), 9)]));
}

#[test]
fn what_nobody_needs_is_taken_out_and_all_else_stays() {
    let flows = flows();
    let now = IDLE + 20;
    let gone = [
        // Of a clean slot; of a member that the chain does not name; idle, and
        // its owner is the one taken for granted.
        note(&flows, SLOT + 1, 0xbeef_0001, 2, now),
        note(&flows, SLOT, 0xbeef_0002, 9, now),
        note(&flows, SLOT, 0xbeef_0003, 2, now - IDLE - 1),
    ];
    let stays = [
        note(&flows, SLOT, 0xbeef_0004, 2, now - IDLE),
        // Without these, the flows would go to the oldest owner.
        note(&flows, SLOT, 0xbeef_0005, 3, 0),
        note(&flows, SLOT, 0xbeef_0006, 4, 0),
    ];
    drop(sweep(&flows, &draining(), now));
    assert!(gone.iter().all(|at| flows[*at].load(Ordering::Relaxed) == 0));
    assert!(stays.iter().all(|at| flows[*at].load(Ordering::Relaxed) != 0));
}

#[test]
fn drain_of_a_backend_ends_at_its_own_deadline_and_only_its_own() {
    use crate::{
        part::Part,
        plan::{
            BackendWish, Content, Overrides,
            samples::{content, hops},
        },
    };
    let base = content();
    let hops = hops(&base);
    let at = |seconds| Timestamp::from_second(seconds).expect("a time");
    let next = |before: Option<&Revision>, content: Content| {
        Revision::next(before, &Part::new(content), &hops, 0).expect("few objects")
    };
    let first = next(None, base.clone());
    let wished = |content: &Content, name: &str, deadline| {
        let wish = BackendWish::Drain { deadline };
        let object = name.parse().expect("an object");
        let overrides = Overrides::wished(content, &object, wish, at(0)).expect("it can be");
        Content::new(content.config.clone(), overrides)
    };
    let timed = wished(&base, "backend/web/be1", Some(config::Seconds(30)));
    let both = wished(&timed, "backend/web/be2", None);
    let drained = next(Some(&next(Some(&first), timed)), both);
    let index = |name: &str| drained.state.pools["web"].members[name].index;
    assert_eq!(ended(&drained, at(29)), BTreeMap::new());
    let over = ended(&drained, at(30));
    assert_eq!(
        over,
        BTreeMap::from([("web".to_owned(), BTreeSet::from([index("be1")]))])
    );
    let after = drained.cleaned(&BTreeMap::new(), &over);
    let earlier = after.tables["web"].dirty.earlier();
    assert!(
        !earlier.contains(&index("be1")) && earlier.contains(&index("be2")),
        "{earlier:?}"
    );
    assert_eq!(after.tables["web"].current, drained.tables["web"].current);
    assert_eq!(ended(&after, at(99)), BTreeMap::new(), "it ends once");
}
