//! Objects that come back.

use super::*;
use crate::plan::{
    BackendOverride,
    diff::diff,
    samples::{content, vip},
};

fn object(name: &str) -> ObjectName {
    name.parse().expect("an object")
}

fn without(change: impl FnOnce(&mut Content)) -> Content {
    let mut content = content();
    change(&mut content);
    content
}

#[test]
fn each_kind_of_object_comes_back_as_it_was() {
    type Case = (&'static str, fn(&mut Content));
    let cases: &[Case] = &[
        ("vip/dns", |of| drop(of.config.vips.remove(0))),
        ("vip/web4", |of| drop(of.config.vips.pop())),
        ("backend/web/be2", |of| drop(of.config.pools[1].backends.remove(1))),
        ("pool/dns", |of| drop(of.config.pools.remove(0))),
    ];
    for (name, remove) in cases {
        let mut running = without(remove);
        assert!(running.take_back(&object(name), &content()), "{name}");
        assert_eq!(running, content(), "{name}");
    }
}

#[test]
fn vip_brings_its_pool_with_it() {
    let mut running = without(|of| {
        of.config.pools.remove(0);
        of.config.vips.drain(..2);
    });
    assert!(running.take_back(&object("vip/dns"), &content()));
    assert_eq!(running.config.pools, content().config.pools);
    // The other VIP of the pool was not asked for.
    let names: Vec<_> = running.config.vips.iter().map(|vip| vip.name.as_str()).collect();
    assert_eq!(names, ["dns", "old", "web4"]);
}

#[test]
fn what_is_there_or_never_was_does_not_come_back() {
    for name in [
        "vip/dns",
        "pool/web",
        "backend/web/be1",
        "vip/new",
        "pool/new",
        "backend/web/new",
        "backend/new/be1",
    ] {
        let mut running = content();
        assert!(!running.take_back(&object(name), &content()), "{name}");
        assert_eq!(running, content(), "{name}");
    }
    // A backend whose pool is gone is not brought back without it.
    let mut running = without(|of| drop(of.config.pools.remove(1)));
    assert!(!running.take_back(&object("backend/web/be1"), &content()));
}

#[test]
fn what_changed_since_stays_changed() {
    let mut running = without(|of| {
        of.config.vips.remove(0);
        of.config
            .vips
            .push(vip("xmas", 80, 80, crate::config::Protocol::Tcp, "web"));
        of.overrides.detached.insert("lb1".to_owned());
    });
    let before = running.clone();
    assert!(running.take_back(&object("vip/dns"), &content()));
    assert_eq!(diff(Some(&before), &running).len(), 1);
}

#[test]
fn emptied_serves_nothing_and_keeps_the_rest() {
    let mut full = content();
    full.config.protection.approvals.remove = 2;
    full.overrides.detached.insert("lb1".to_owned());
    let of = BackendOverride {
        weight: Some(1),
        ..BackendOverride::default()
    };
    full.overrides.backends.insert(object("backend/web/be1"), of);
    let empty = full.emptied();
    assert!(empty.config.pools.is_empty() && empty.config.vips.is_empty());
    assert_eq!(
        (&empty.config.node, &empty.config.protection),
        (&full.config.node, &full.config.protection)
    );
    assert!(empty.overrides.backends.is_empty());
    assert_eq!(empty.overrides.detached, full.overrides.detached);
}
