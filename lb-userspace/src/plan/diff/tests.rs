use proptest::prelude::*;

use super::*;
use crate::{
    config::{Config, TableKind},
    plan::samples::{any_content, backend, content, node, pool, vip},
};

/// Nothing but the target's environment and node: what a first generation
/// starts from.
fn nothing(target: &Content) -> Content {
    let config = Config {
        pools: Vec::new(),
        vips: Vec::new(),
        ..target.config.clone()
    };
    Content::new(config, super::super::Overrides::default())
}

proptest! {
    #[test]
    fn applying_a_diff_gives_the_target(base in any_content(), target in any_content()) {
        prop_assert_eq!(apply_changes(&base, &diff(Some(&base), &target)), target);
    }

    #[test]
    fn diff_is_empty_if_and_only_if_contents_are_equal(base in any_content(), target in any_content()) {
        prop_assert!(diff(Some(&base), &base).is_empty());
        prop_assert_eq!(diff(Some(&base), &target).is_empty(), base == target);
    }

    #[test]
    fn diff_without_a_base_adds_the_whole_target(target in any_content()) {
        prop_assert_eq!(apply_changes(&nothing(&target), &diff(None, &target)), target);
    }

    #[test]
    fn undoing_a_diff_gives_the_base(base in any_content(), target in any_content()) {
        let there = apply_changes(&base, &diff(Some(&base), &target));
        prop_assert_eq!(apply_changes(&there, &diff(Some(&there), &base)), base);
    }
}

#[test]
fn changes_come_as_they_are_shown() {
    let base = content();
    let mut target = content();
    target.config.node = node(&["lb0"]);
    target.overrides.detached.insert("lb0".to_owned());
    target.config.pools.push(pool("xmas", vec![backend("x", 30, 1)]));
    target.config.pools[0].table = TableKind::Maglev;
    target.config.pools[1].backends.remove(0);
    target.config.vips.remove(0);
    let kinds: Vec<_> = diff(Some(&base), &target)
        .iter()
        .map(|change| serde_json::to_value(change).expect("a change")["change"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "changeNode",
            "detach",
            "changePool",
            "addPool",
            "removeBackend",
            "removeVip"
        ]
    );
}

#[test]
fn order_of_interfaces_is_a_change() {
    let base = content();
    let mut target = content();
    target.config.node = node(&["lb1", "lb0"]);
    assert_eq!(diff(Some(&base), &target).len(), 1);
}

#[test]
fn renamed_vip_is_removed_and_added() {
    let base = content();
    let mut target = content();
    target.config.vips[3].name = "web5".to_owned();
    let new = vip("web5", 10, 443, crate::config::Protocol::Tcp, "web");
    let old = base.config.vips[3].clone();
    assert_eq!(
        diff(Some(&base), &target),
        [Change::RemoveVip { vip: old }, Change::AddVip { vip: new }]
    );
}
