use proptest::prelude::*;

use super::*;
use crate::table::{
    quotas,
    tests::{assert_meets_quotas, shares, without},
};

/// The table of a pool whose backends have all been up since it was made.
fn settled(shares: &[Share]) -> Table {
    home(&Table::nobody(), shares)
}

/// Σ max(0, have − quota), counted the plain way.
fn least_moves(previous: &Table, shares: &[Share]) -> u32 {
    let quotas = quotas(shares);
    let nobody = 65_536 - quotas.iter().sum::<u32>();
    previous
        .counts()
        .iter()
        .map(|(&owner, &have)| {
            let quota = match shares.iter().position(|share| share.member == owner) {
                Some(at) => quotas[at],
                None if owner == 0 => nobody,
                None => 0,
            };
            have.saturating_sub(quota)
        })
        .sum()
}

#[test]
fn scatter_is_a_permutation() {
    let mut seen = vec![false; SLOTS];
    for slot in walk() {
        assert!(!std::mem::replace(&mut seen[slot], true));
    }
    assert!(seen.into_iter().all(|seen| seen));
}

#[test]
fn first_table_fills_every_slot() {
    let shares = shares(&[100, 50, 0, 1]);
    let table = settled(&shares);
    assert_meets_quotas(&table, &shares);
    assert_eq!(unavoidable(&Table::nobody(), &shares), 65_536);
}

#[test]
fn without_backends_every_slot_is_nobodys() {
    let before = settled(&shares(&[1, 2]));
    assert_eq!(next(&before, &before, &[]), Table::nobody());
    assert_eq!(next(&before, &before, &shares(&[0, 0])), Table::nobody());
}

#[test]
fn nothing_moves_when_nothing_changes() {
    let shares = shares(&[5, 4, 3]);
    let table = settled(&shares);
    assert_eq!(next(&table, &table, &shares), table);
}

#[test]
fn order_of_the_shares_decides_nothing() {
    let mut shares = shares(&[9, 8, 7, 6, 5]);
    let down = without(&shares, &[2]);
    let before = settled(&shares);
    let after = next(&before, &before, &down);
    shares.reverse();
    assert_eq!(settled(&shares), before);
    assert_eq!(next(&before, &before, &without(&shares, &[2])), after);
}

#[test]
fn removed_backend_moves_its_own_slots_only() {
    let shares = shares(&[100; 100]);
    let before = settled(&shares);
    let after = next(&before, &before, &without(&shares, &[37]));
    for (slot, (&from, &to)) in before.slots().iter().zip(after.slots()).enumerate() {
        assert!(from == 37 || from == to, "slot {slot} moved from {from} to {to}");
    }
}

#[test]
fn a_flap_restores_the_table_exactly() {
    let shares = shares(&[100, 100, 50, 200, 1, 30]);
    let home = settled(&shares);
    for share in &shares {
        let down = next(&home, &home, &without(&shares, &[share.member]));
        assert_eq!(next(&down, &home, &shares), home, "after {} was down", share.name);
    }
}

#[test]
fn backends_that_fail_one_by_one_and_return_together_restore_the_table_exactly() {
    let shares = shares(&[10; 50]);
    let home = settled(&shares);
    let mut table = home.clone();
    for failed in 1..=20 {
        let down: Vec<_> = (1..=failed).collect();
        table = next(&table, &home, &without(&shares, &down));
    }
    assert_eq!(next(&table, &home, &shares), home);
}

#[test]
fn backends_that_return_one_by_one_bring_all_but_a_few_slots_in_a_thousand_home() {
    let shares = shares(&[10; 100]);
    let home = settled(&shares);
    let mut table = home.clone();
    let mut down = Vec::new();
    for failed in [3, 50, 77, 99, 12] {
        down.push(failed);
        table = next(&table, &home, &without(&shares, &down));
    }
    while !down.is_empty() {
        down.remove(0);
        table = next(&table, &home, &without(&shares, &down));
    }
    assert_meets_quotas(&table, &shares);
    let away = table.moved(&home);
    assert!(away <= 65_536 / 300, "{away} slots are not at home");
}

#[test]
fn what_moves_is_spread_over_all_receivers_and_givers() {
    let old = shares(&[1; 10]);
    let before = settled(&old);
    // Two leave: each of the others gets about half of its gain from either.
    let after = next(&before, &before, &without(&old, &[4, 5]));
    for receiver in [1, 2, 3, 6, 7, 8, 9, 10] {
        let from = |giver| {
            let pairs = before.slots().iter().zip(after.slots());
            pairs.filter(|&pair| pair == (&giver, &receiver)).count()
        };
        let (four, five) = (from(4), from(5));
        assert!(four.abs_diff(five) < 200, "{receiver} got {four} and {five}");
    }
    // Where they lie tells nothing about their owner.
    let first_half = before.slots()[..SLOTS / 2].iter().filter(|&&owner| owner == 1).count();
    assert!((3_276_usize).abs_diff(first_half) < 200, "{first_half} of 6,554");
}

/// Who is up, and whose weight becomes what.
type Step = (Vec<bool>, usize, u32);

/// Weights, and what happens to them.
fn histories() -> impl Strategy<Value = (Vec<u32>, Vec<Step>)> {
    (1_usize..40).prop_flat_map(|members| {
        let weights = prop::collection::vec(0_u32..=1_000, members);
        let step = (prop::collection::vec(any::<bool>(), members), 0..members, 0_u32..=1_000);
        (weights, prop::collection::vec(step, 1..6))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_step_meets_the_quotas_and_moves_the_minimum((mut weights, steps) in histories()) {
        let mut home = settled(&shares(&weights));
        let mut table = home.clone();
        for (up, reweighted, weight) in steps {
            weights[reweighted] = weight;
            let ready = shares(&weights);
            home = super::home(&home, &ready);
            assert_meets_quotas(&home, &ready);

            let down: Vec<_> = (1..).zip(&up).filter(|(_, up)| !**up).map(|(member, _)| member).collect();
            let in_service = without(&ready, &down);
            let after = next(&table, &home, &in_service);
            assert_meets_quotas(&after, &in_service);
            prop_assert_eq!(after.moved(&table), least_moves(&table, &in_service));
            prop_assert_eq!(after.moved(&table), unavoidable(&table, &in_service));
            table = after;
        }
    }

    #[test]
    fn any_number_down_at_once_and_back_restores_the_table(
        weights in prop::collection::vec(0_u32..=1_000, 1..40),
        up in prop::collection::vec(any::<bool>(), 40),
    ) {
        let ready = shares(&weights);
        let home = settled(&ready);
        let down: Vec<_> = (1..).zip(&up).filter(|(_, up)| !**up).map(|(member, _)| member).collect();
        let degraded = next(&home, &home, &without(&ready, &down));
        prop_assert_eq!(next(&degraded, &home, &ready), home);
    }
}
