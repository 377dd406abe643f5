use std::time::Duration;

use super::{Baseline, PATIENCE, kept_by};
use crate::{
    activity::Activity,
    config::{BackendState, Check, CheckVia, Damping, Health, Initial, Milliseconds, Percent},
    health::sm::Condition,
    part::Part,
    plan::{
        Content,
        samples::{self, hops},
    },
    revision::{BackendId, Inputs, MemberHealth, Revision, Standing},
};

/// Pool web is checked.
fn content() -> Content {
    content_with(|_| {})
}

fn content_with(change: impl FnOnce(&mut Content)) -> Content {
    let mut content = samples::content();
    content.config.pools[1].health = Some(Health {
        check: Check::Icmp {},
        via: CheckVia::Direct,
        interval: Milliseconds(10_000),
        timeout: Milliseconds(2_000),
        rise: 3,
        fall: 3,
        initial: Initial::Up,
        slow_start: Milliseconds(0),
        floor: Percent::ZERO,
        velocity: None,
        damping: Damping::default(),
    });
    change(&mut content);
    Content::new(content.config.clone(), content.overrides.clone())
}

/// Served, with `down` of pool web down.
fn served(before: Option<&Revision>, content: &Content, down: &[&str]) -> Revision {
    let standing: Standing = down
        .iter()
        .map(|backend| {
            let id = BackendId {
                pool: "web".to_owned(),
                backend: (*backend).to_owned(),
            };
            let health = MemberHealth {
                condition: Condition::Down,
                ..MemberHealth::default()
            };
            (id, health)
        })
        .collect();
    let inputs = Inputs {
        hops: &hops(content),
        standing: &standing,
        now: 0,
    };
    let content = Part::new(content.clone());
    let next = Revision::following(before, &content, &inputs).expect("few objects");
    // What is new stands as it begins, until it was checked.
    Revision::following(Some(&next), &content, &inputs).expect("few objects")
}

fn healthy_in(content: &Content, revision: &Revision) -> Option<u32> {
    kept_by(content, revision).get("web").map(|kept| kept.healthy)
}

#[test]
fn baseline_counts_healthy_backends_that_the_change_keeps() {
    let before = content();
    let first = served(None, &before, &["be5"]);
    let unchanged = Baseline::of(&first, &first, &Activity::default());
    assert_eq!(unchanged.healthy["web"], 2);
    // One that is taken out, one that is added: neither is missed or counted.
    let target = content_with(|content| {
        let web = &mut content.config.pools[1].backends;
        web[0].state = BackendState::Drain;
        let mut added = web[2].clone();
        added.name = "be6".to_owned();
        added.address = [10, 0, 0, 66].into();
        web.push(added);
    });
    let next = served(Some(&first), &target, &["be5"]);
    assert_eq!(Baseline::of(&first, &next, &Activity::default()).healthy["web"], 1);
    assert_eq!(healthy_in(&before, &next), Some(1));
    let worse = served(Some(&next), &target, &["be2", "be5"]);
    assert_eq!(healthy_in(&before, &worse), Some(0));
    let better = served(None, &target, &[]);
    assert_eq!(healthy_in(&before, &better), Some(2));
}

#[test]
fn pool_that_goes_or_is_new_is_not_compared() {
    let before = content();
    let first = served(None, &before, &[]);
    let renamed = content_with(|content| {
        content.config.pools[1].name = "web2".to_owned();
        content
            .config
            .vips
            .iter_mut()
            .filter(|vip| vip.pool == "web")
            .for_each(|vip| vip.pool = "web2".to_owned());
    });
    let next = served(Some(&first), &renamed, &[]);
    let baseline = Baseline::of(&first, &next, &Activity::default());
    assert_eq!(baseline.healthy.keys().collect::<Vec<_>>(), ["dns"]);
    assert_eq!(healthy_in(&before, &next), None);
}

#[test]
fn backend_without_a_way_is_not_healthy() {
    let before = content();
    let first = served(None, &before, &[]);
    let moved = content_with(|content| content.config.pools[1].backends[0].address = [10, 0, 9, 9].into());
    let mut hops = hops(&moved);
    hops.retain(|id, _| id.backend != "be1");
    let next = Revision::next(Some(&first), &Part::new(moved), &hops, 0).expect("few objects");
    assert_eq!(healthy_in(&before, &next), Some(2));
}

#[test]
fn backend_that_begins_down_at_another_address_is_given_time_for_its_checks() {
    let checked = |content: &mut Content| {
        content
            .config
            .pools
            .iter_mut()
            .filter_map(|pool| pool.health.as_mut())
            .for_each(|health| health.initial = Initial::Down);
    };
    let before = content_with(checked);
    let patience = |target: &Content| kept_by(&before, &served(None, target, &[]))["web"].patience;
    assert_eq!(patience(&before), PATIENCE);
    let moved = content_with(|content| {
        checked(content);
        content.config.pools[1].backends[0].address = [10, 0, 9, 9].into();
    });
    assert_eq!(patience(&moved), PATIENCE + Duration::from_secs(36));
}
