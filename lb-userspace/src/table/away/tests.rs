use proptest::prelude::*;

use super::*;
use crate::table::{
    minmove,
    tests::{shares, without},
};

#[test]
fn tables_that_are_equal_need_no_text() {
    let table = minmove::home(&Table::nobody(), &shares(&[1, 2]));
    assert_eq!(written(&table, &table.clone()), "");
    assert_eq!(read("", &table), Some(table));
}

#[test]
fn one_backend_of_31_away_takes_three_kib() {
    let all = shares(&[100; 31]);
    let home = minmove::home(&Table::nobody(), &all);
    let current = minmove::next(&home, &home, &without(&all, &[7]));
    let text = written(&current, &home);
    assert!(text.len() < 3 * 1024, "{}", text.len());
    assert_eq!(read(&text, &current), Some(home));
}

#[test]
fn all_slots_away_stay_within_the_limit() {
    let many = shares(&[1; 2_046]);
    let home = minmove::home(&Table::nobody(), &many);
    let text = written(&Table::nobody(), &home);
    assert!(text.len() < 210 * 1024, "{}", text.len());
    assert_eq!(read(&text, &Table::nobody()), Some(home));
}

#[test]
fn text_that_was_cut_or_altered_is_refused() {
    let all = shares(&[1, 1, 1]);
    let home = minmove::home(&Table::nobody(), &all);
    let current = minmove::next(&home, &home, &without(&all, &[2, 3]));
    let text = written(&current, &home);
    assert_eq!(read(&text[..text.len() - 4], &current), None);
    assert_eq!(read(&text[4..], &current), None);
    assert_eq!(read("not base64!", &current), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn home_is_found_again(
        weights in prop::collection::vec(1_u32..1000, 1..200),
        gone in prop::collection::vec(1_u16..200, 0..20),
    ) {
        let all = shares(&weights);
        let home = minmove::home(&Table::nobody(), &all);
        let current = minmove::next(&home, &home, &without(&all, &gone));
        prop_assert_eq!(read(&written(&current, &home), &current), Some(home));
    }
}
