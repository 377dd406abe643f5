use proptest::prelude::*;

use super::*;
use crate::table::{maglev, minmove, tests::shares};

const NOW: Seconds = 77;

fn everybody() -> BTreeSet<MemberIndex> {
    (1..=9).collect()
}

/// A table in which all slots are `owner`'s, but for slot 5.
fn table(owner: MemberIndex, of_five: MemberIndex) -> Table {
    let mut slots = filled_with(owner);
    slots[5] = of_five;
    Table::of(slots)
}

fn after(dirty: &Dirty, before: MemberIndex, after: MemberIndex, serving: &BTreeSet<MemberIndex>) -> Dirty {
    dirty.after(&Change {
        before: &table(1, before),
        after: &table(1, after),
        serving,
        now: NOW,
    })
}

fn chain_of_five(dirty: &Dirty) -> Option<(MemberIndex, [MemberIndex; CHAIN_LENGTH])> {
    dirty.chains().get(&5).map(|chain| (chain.owner, chain.earlier))
}

#[test]
fn a_slot_that_changed_owner_remembers_the_earlier_ones() {
    let all = everybody();
    let once = after(&Dirty::default(), 2, 3, &all);
    assert_eq!(chain_of_five(&once), Some((3, [2, 0, 0, 0])));
    assert_eq!(once.len(), 1);
    let twice = after(&once, 3, 4, &all);
    assert_eq!(chain_of_five(&twice), Some((4, [3, 2, 0, 0])));
    let back = after(&twice, 4, 2, &all);
    assert_eq!(chain_of_five(&back), Some((2, [4, 3, 2, 0])));
    let often = after(&after(&back, 2, 5, &all), 5, 6, &all);
    // The oldest stays; those in the middle go.
    assert_eq!(chain_of_five(&often), Some((6, [5, 2, 4, 2])));
}

#[test]
fn who_cannot_serve_is_not_remembered() {
    let all = everybody();
    let without_two = &all - &BTreeSet::from([2]);
    assert!(after(&Dirty::default(), 2, 3, &without_two).is_empty());
    let chained = after(&after(&Dirty::default(), 2, 3, &all), 3, 4, &all);
    let lost = after(&chained, 4, 4, &without_two);
    assert_eq!(chain_of_five(&lost), Some((4, [3, 0, 0, 0])));
    assert!(after(&lost, 4, 4, &BTreeSet::from([1, 4])).is_empty());
}

#[test]
fn owners_that_changed_are_written_though_the_chains_did_not() {
    let before = Dirty::default();
    assert_eq!(before.written(&table(1, 2)).table, table(1, 2));
    // The earlier owner is in maint: no slot becomes dirty.
    let after = after(&before, 2, 3, &BTreeSet::from([1, 3]));
    assert!(after.is_empty());
    assert_eq!(after.written(&table(1, 3)).table, table(1, 3));
}

#[test]
fn time_begins_anew_with_each_owner_and_only_then() {
    let all = everybody();
    let at = |dirty: &Dirty, before, after, now| {
        dirty.after(&Change {
            before: &table(1, before),
            after: &table(1, after),
            serving: &all,
            now,
        })
    };
    let since = |dirty: &Dirty| dirty.chains()[&5].since;
    let once = at(&Dirty::default(), 2, 3, 10);
    assert_eq!(since(&at(&once, 3, 3, 20)), 10);
    assert_eq!(since(&at(&once, 3, 4, 20)), 20);
}

#[test]
fn clean_slots_are_forgotten() {
    let dirty = after(&Dirty::default(), 2, 3, &everybody());
    assert!(dirty.without(&BTreeSet::from([5])).is_empty());
    assert_eq!(dirty.without(&BTreeSet::from([6])), dirty);
}

#[test]
fn single_slots_forget_an_owner_and_others_do_not() {
    let all = everybody();
    let both = after(&after(&Dirty::default(), 2, 3, &all), 3, 4, &all);
    let forgetting = |dirty: &Dirty, slot, members: &[MemberIndex]| {
        let slots = BTreeMap::from([(slot, members.to_vec())]);
        chain_of_five(&dirty.forgetting_in(&slots))
    };
    assert_eq!(forgetting(&both, 5, &[3]), Some((4, [2, 0, 0, 0])));
    assert_eq!(forgetting(&both, 5, &[2]), Some((4, [3, 0, 0, 0])));
    assert_eq!(forgetting(&both, 5, &[2, 3]), None);
    assert_eq!(forgetting(&both, 6, &[2, 3]), Some((4, [3, 2, 0, 0])));
    // What is left was the owner's own.
    let home = after(&both, 4, 2, &all);
    assert_eq!(chain_of_five(&home), Some((2, [4, 3, 2, 0])));
    assert_eq!(forgetting(&home, 5, &[3, 4]), None);
    assert_eq!(forgetting(&home, 5, &[4]), Some((2, [3, 2, 0, 0])));
}

/// If single slots forgot, there would be more different chains than fit.
#[test]
fn nothing_is_forgotten_where_chains_would_not_fit() {
    let chain = |number: u16, earlier| Chain {
        owner: 1,
        earlier,
        reserved: 0,
        since: u32::from(number),
    };
    let most = MAX_CHAINS as u16;
    let pair = |number| {
        [
            (number, chain(number, [3, 2, 0, 0])),
            (20_000 + number, chain(number, [3, 2, 0, 0])),
        ]
    };
    let dirty = Dirty::of((0..most).flat_map(pair).collect());
    let one = dirty.forgetting_in(&BTreeMap::from([(7, vec![3])]));
    assert_eq!(one, dirty);
    let both = BTreeMap::from([(7, vec![3]), (20_007, vec![3])]);
    assert_eq!(dirty.forgetting_in(&both).chains()[&7].earlier, [2, 0, 0, 0]);
}

#[test]
fn a_table_without_dirty_slots_is_written_as_it_is() {
    let table = table(1, 2);
    let dirty = Dirty::default();
    let written = dirty.written(&table);
    assert_eq!(written.table, table);
    assert!(written.chains.is_none());
}

#[test]
fn damaged_chains_are_not_read() {
    let current = table(1, 3);
    let dirty = after(&Dirty::default(), 2, 3, &everybody());
    let Written { table, chains } = dirty.written(&current).clone();
    let chains = chains.expect("a slot is dirty");
    assert_eq!(Dirty::read(table.as_bytes(), None), None);
    assert_eq!(Dirty::read(table.as_bytes(), Some(&ChunkImage::zeroed())), None);
    assert_eq!(Dirty::read(&table.as_bytes()[2..], Some(&chains)), None);
}

/// More different chains than fit: those of single slots go first.
#[test]
fn too_many_chains_are_cut() {
    let chain = |number: u16| Chain {
        owner: 1,
        earlier: [2, 0, 0, 0],
        reserved: 0,
        since: u32::from(number),
    };
    let common = (0..10_000).map(|slot| (slot, chain(0)));
    let single = (10_000..30_000).map(|slot| (slot, chain(slot)));
    let left = cut(common.chain(single).collect());
    assert_eq!(left.len(), 10_000 + MAX_CHAINS - 1);
    assert!((0..10_000).all(|slot| left.contains_key(&slot)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_is_read_back(
        steps in prop::collection::vec(prop::collection::vec(0_u32..5, 6), 1..5),
    ) {
        let serving: BTreeSet<MemberIndex> = (1..=6).collect();
        let mut current = maglev::build(&shares(&[1; 6]));
        let mut dirty = Dirty::default();
        for (now, weights) in (1..).zip(steps) {
            let next = minmove::next(&current, &current, &shares(&weights));
            dirty = dirty.after(&Change { before: &current, after: &next, serving: &serving, now });
            current = next;
            for (slot, chain) in dirty.chains() {
                prop_assert_eq!(chain.owner, current.slots()[usize::from(*slot)]);
                prop_assert!(chain.names(chain.oldest()));
            }
            let written = dirty.written(&current);
            let read = Dirty::read(written.table.as_bytes(), written.chains.as_ref());
            prop_assert_eq!(read, Some((current.clone(), dirty.clone())));
        }
    }
}
