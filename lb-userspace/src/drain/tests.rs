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
        owners: BTreeSet::from([1, 2, 3, 4]),
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
    let over = due(&draining(), sightings, blind, now);
    over.clean == BTreeMap::from([("web".to_owned(), BTreeSet::from([SLOT]))])
}

fn seen(member: MemberIndex, at: Seconds) -> ((String, u16, MemberIndex), Seconds) {
    (("web".to_owned(), SLOT, member), at)
}

#[test]
fn a_slot_is_clean_when_no_old_flow_was_seen_for_long_enough() {
    let nobody = Sightings::new();
    assert!(due(&draining(), &nobody, false, IDLE).is_nothing());
    assert!(clean(&nobody, false, IDLE + 1));
    let seen = Sightings::from([seen(2, 5)]);
    assert!(due(&draining(), &seen, false, IDLE + 5).is_nothing());
    assert!(clean(&seen, false, IDLE + 6));
}

#[test]
fn at_the_deadline_it_is_clean_whatever_is_seen() {
    let seen = Sightings::from([seen(3, DEADLINE)]);
    assert!(due(&draining(), &seen, true, DEADLINE).is_nothing());
    assert!(clean(&seen, true, DEADLINE + 1));
}

#[test]
fn silence_proves_nothing_to_the_blind() {
    assert!(due(&draining(), &Sightings::new(), true, IDLE + 50).is_nothing());
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
    assert_eq!(sightings, Sightings::from([seen(2, 7), seen(3, 9)]));
}

#[test]
fn a_drain_waits_for_no_flow_but_those_of_its_own_backend() {
    // A stream of 2 goes on in a slot that 3 owned meanwhile, and 3 is drained.
    let mut draining = draining();
    draining[0].owners.remove(&3);
    let flows = flows();
    let stream = note(&flows, SLOT, 0xfeed_0001, 2, IDLE + 1);
    let own = note(&flows, SLOT, 0xfeed_0002, 3, 1);
    let sightings = sweep(&flows, &draining, IDLE + 1);
    assert!(due(&draining, &sightings, false, IDLE + 1).is_nothing());
    assert!(due(&draining, &sightings, true, IDLE + 2).is_nothing(), "blind");
    let over = due(&draining, &sightings, false, IDLE + 2);
    let idle = BTreeMap::from([("web".to_owned(), BTreeMap::from([(SLOT, vec![3])]))]);
    assert_eq!((&over.idle, over.clean.is_empty()), (&idle, true));

    draining[0].dirty = draining[0].dirty.forgetting_in(&over.idle["web"]);
    let chain = draining[0].dirty.chains()[&SLOT];
    assert_eq!((chain.owner, chain.earlier, chain.since), (4, [2, 0, 0, 0], 0));
    // The stream keeps its place, and what 3 had is not known any more.
    let sightings = sweep(&flows, &draining, IDLE + 2);
    assert_eq!(sightings, Sightings::from([seen(2, IDLE + 1)]));
    assert_ne!(flows[stream].load(Ordering::Relaxed), 0);
    assert_eq!(flows[own].load(Ordering::Relaxed), 0);
    assert!(due(&draining, &sightings, false, IDLE + 2).is_nothing());
}

#[test]
fn who_owns_slots_is_remembered_until_the_slot_is_clean() {
    let draining = draining();
    let sightings = Sightings::from([seen(3, 20)]);
    assert!(
        due(&draining, &sightings, false, 25).is_nothing(),
        "2 is silent, and serves"
    );
    assert!(clean(&sightings, false, 20 + IDLE + 1));
}

#[test]
fn the_oldest_owner_is_forgotten_and_flows_of_the_others_stay_where_they_are() {
    let mut draining = draining();
    draining[0].owners.remove(&2);
    let flows = flows();
    let kept = note(&flows, SLOT, 0xfade_0001, 3, 15);
    let new = note(&flows, SLOT, 0xfade_0002, 4, 1);
    let sightings = sweep(&flows, &draining, 20);
    let over = due(&draining, &sightings, false, 20);
    draining[0].dirty = draining[0].dirty.forgetting_in(&over.idle["web"]);
    let chain = draining[0].dirty.chains()[&SLOT];
    assert_eq!((chain.owner, chain.earlier), (4, [3, 0, 0, 0]));
    drop(sweep(&flows, &draining, 24));
    assert!([kept, new].iter().all(|at| flows[*at].load(Ordering::Relaxed) != 0));
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
    let after = drained.cleaned(&Over {
        ended: over,
        ..Over::default()
    });
    let earlier = after.tables["web"].dirty.earlier();
    assert!(
        !earlier.contains(&index("be1")) && earlier.contains(&index("be2")),
        "{earlier:?}"
    );
    assert_eq!(after.tables["web"].current, drained.tables["web"].current);
    assert_eq!(ended(&after, at(99)), BTreeMap::new(), "it ends once");
}
