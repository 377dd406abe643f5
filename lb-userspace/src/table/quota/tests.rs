use proptest::prelude::*;

use super::*;
use crate::table::tests::shares;

#[test]
fn equal_weights_get_equal_quotas() {
    assert_eq!(quotas(&shares(&[7; 4])), [16_384; 4]);
}

#[test]
fn slots_left_over_go_to_the_largest_remainders() {
    // 65,536 ÷ 7: 9,362.29 of weight 1, 28,086.86 of weight 3.
    assert_eq!(quotas(&shares(&[1, 3, 3])), [9_362, 28_087, 28_087]);
}

#[test]
fn ties_go_to_the_first_name_wherever_it_stands() {
    let share = |name: &str, member| Share {
        member,
        name: name.to_owned(),
        weight: 1,
    };
    assert_eq!(
        quotas(&[share("c", 1), share("b", 2), share("a", 3)]),
        [21_845, 21_845, 21_846]
    );
    assert_eq!(
        quotas(&[share("a", 1), share("c", 2), share("b", 3)]),
        [21_846, 21_845, 21_845]
    );
}

#[test]
fn without_weight_there_is_no_quota() {
    assert_eq!(quotas(&[]), [0; 0]);
    assert_eq!(quotas(&shares(&[0, 0])), [0, 0]);
}

#[test]
fn the_heaviest_weights_there_can_be_do_not_overflow() {
    let quotas = quotas(&shares(&[u32::MAX; 2047]));
    assert_eq!(quotas.iter().sum::<u32>(), 65_536);
    assert!(quotas.iter().all(|quota| (32..=33).contains(quota)));
}

proptest! {
    #[test]
    fn quotas_are_exact_shares_rounded_down_or_up(weights in prop::collection::vec(0_u32..=65_535, 1..300)) {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        prop_assume!(total > 0);
        let quotas = quotas(&shares(&weights));
        prop_assert_eq!(quotas.iter().sum::<u32>(), 65_536);
        for (&weight, &quota) in weights.iter().zip(&quotas) {
            let exact = u64::from(weight) * 65_536;
            prop_assert!((exact / total..=exact.div_ceil(total)).contains(&u64::from(quota)));
        }
    }
}
