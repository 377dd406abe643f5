use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::table::{
    minmove,
    tests::{assert_meets_quotas, shares, without},
};

/// The owner of each slot by name.
fn owners<'s>(table: &Table, shares: &'s [Share]) -> Vec<&'s str> {
    let names: BTreeMap<_, _> = shares.iter().map(|share| (share.member, share.name.as_str())).collect();
    table.slots().iter().map(|member| names[member]).collect()
}

#[test]
fn without_weight_every_slot_is_nobodys() {
    assert_eq!(build(&[]), Table::nobody());
    assert_eq!(build(&shares(&[0, 0])), Table::nobody());
}

#[test]
fn a_preference_visits_every_slot() {
    for name in ["", "be1", "be2", "ü"] {
        let mut seen = vec![false; SLOTS];
        let mut preference = Preference::of(name);
        for _ in 0..SLOTS {
            assert!(!std::mem::replace(&mut seen[preference.next()], true));
        }
    }
}

#[test]
fn offset_and_skip_are_the_first_bytes_of_the_digest() {
    // printf be1 | sha256sum | cut -c 1-8
    let Preference { at, skip } = Preference::of("be1");
    assert_eq!((at, skip), (0xc85e, 0x049f));
}

#[test]
fn heavy_backend_among_many_light_ones_gets_its_quota_and_no_more() {
    let mut weights = [1; 1_001];
    weights[0] = 1_000;
    let shares = shares(&weights);
    assert_eq!(build(&shares).counts()[&1], 32_768);
}

#[test]
fn removing_one_of_100_moves_less_than_three_times_the_minimum() {
    let shares = shares(&[100; 100]);
    let before = build(&shares);
    for removed in [1, 50, 100] {
        let rest = without(&shares, &[removed]);
        let moved = before.moved(&build(&rest));
        let least = minmove::unavoidable(&before, &rest);
        assert!(moved < 3 * least, "{moved} slots moved, {least} had to");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_slot_is_filled_and_every_quota_met(weights in prop::collection::vec(0_u32..=65_535, 1..200)) {
        let shares = shares(&weights);
        assert_meets_quotas(&build(&shares), &shares);
    }

    #[test]
    fn neither_order_nor_member_indices_decide(
        weights in prop::collection::vec(1_u32..=1_000, 1..50),
        rotation in 0_usize..50,
    ) {
        let one = shares(&weights);
        let mut other = one.clone();
        other.rotate_left(rotation % weights.len());
        other.reverse();
        for (member, share) in (100..).step_by(7).zip(&mut other) {
            share.member = member;
        }
        prop_assert_eq!(owners(&build(&one), &one), owners(&build(&other), &other));
    }
}
