//! One plan against what is served.

use std::collections::BTreeSet;

use super::*;
use crate::{
    config::{Affinity, Encap, Percent, Pool},
    plan::{
        BackendOverride,
        blast::Why,
        samples::{node, pool},
    },
    revision::{Inputs, MemberHealth, Standing, guest_name},
};

type Edit = fn(&mut Content);

fn whys(blast: &Blast) -> Vec<(String, Why)> {
    let breaks = blast.breaks.iter();
    breaks.map(|broken| (broken.what.clone(), broken.why)).collect()
}

#[test]
fn each_way_to_end_connections_is_found_and_counted() {
    let cases: &[(&str, Edit, &str, Why, u64)] = &[
        ("gone", |to| drop(to.config.vips.pop()), "vip/web4", Why::Leaves, 10_000),
        (
            "moved",
            |to| to.config.vips[3].port = 1,
            "vip/web4",
            Why::Leaves,
            10_000,
        ),
        (
            "repointed",
            |to| to.config.vips[3].pool = "dns".to_owned(),
            "vip/web4",
            Why::Repointed,
            10_000,
        ),
        (
            "hashed",
            |to| to.config.vips[3].affinity = Affinity::Source,
            "vip/web4",
            Why::Hashed,
            10_000,
        ),
        (
            "encap",
            |to| to.config.pools[1].encap = Encap::Gue,
            "pool/web",
            Why::Encapsulated,
            10_000,
        ),
        (
            "address",
            |to| the(to, "web", "be1").address = [10, 9, 9, 9].into(),
            "backend/web/be1",
            Why::Readdressed,
            1667,
        ),
        (
            "maint",
            |to| the(to, "web", "be1").state = BackendState::Maint,
            "backend/web/be1",
            Why::Ended,
            1667,
        ),
        (
            "hop",
            |to| the(to, "web", "be1").next_hop = Some(given([2, 6, 6, 6, 6, 6])),
            "backend/web/be1",
            Why::Rerouted,
            1667,
        ),
        (
            "source",
            |to| to.config.node.encap_source.v4 = "10.9.0.0/16".parse().ok(),
            "node",
            Why::Source,
            10_100,
        ),
        (
            "gone interface",
            |to| to.config.node = node(&["lb0"]),
            "interface lb1",
            Why::Unwatched,
            10_100,
        ),
        (
            "detached",
            |to| to.overrides.detached = ["lb1".to_owned()].into(),
            "interface lb1",
            Why::Unwatched,
            10_100,
        ),
    ];
    let scene = Scene::plain();
    for (name, edit, what, why, broken) in cases {
        let blast = scene.blast(edit);
        assert_eq!(whys(&blast), [((*what).to_owned(), *why)], "{name}");
        assert!(
            blast.broken.abs_diff(*broken) <= 2,
            "{name}: {} of {broken}",
            blast.broken
        );
    }
}

#[test]
fn what_ends_no_connection_is_not_found() {
    let cases: &[(&str, Edit)] = &[
        ("nothing", |_| ()),
        ("renamed VIP", |to| to.config.vips[3].name = "web5".to_owned()),
        ("weight", |to| the(to, "web", "be1").weight = 90),
        ("drain", |to| drain(to, "be1")),
        ("removal", |to| remove(to, "be1")),
        ("the next hop it has, given", |to| {
            the(to, "web", "be1").next_hop = Some(given([2, 0, 0, 0, 1, 11]));
        }),
        ("v6 source without v6 backends", |to| {
            to.config.node.encap_source.v6 = None;
        }),
        ("longer drain", |to| to.config.pools[1].drain.deadline = Seconds(7200)),
        ("order of interfaces", |to| to.config.node.interfaces.reverse()),
    ];
    let scene = Scene::plain();
    for (name, edit) in cases {
        assert_eq!(whys(&scene.blast(edit)), [], "{name}");
    }
}

#[test]
fn two_reasons_end_a_packet_once() {
    let blast = Scene::plain().blast(|to| {
        to.config.pools[1].encap = Encap::Gue;
        the(to, "web", "be1").state = BackendState::Maint;
        to.config.vips[3].port = 1;
    });
    assert_eq!(blast.broken, 10_000);
    assert_eq!(blast.breaks.len(), 3);
    assert_eq!(blast.vips_broken, BTreeSet::from(["old".to_owned(), "web4".to_owned()]));
}

#[test]
fn broken_share_without_any_counted_backend_is_that_of_the_members() {
    let mut scene = Scene::plain();
    scene.traffic.0.retain(|name, _| !name.contains('/'));
    let blast = scene.blast(|to| the(to, "web", "be1").state = BackendState::Maint);
    assert_eq!(blast.broken, 10_000_u64.div_ceil(6));
}

#[test]
fn drained_backend_ends_nothing_and_one_that_drains_does() {
    let draining = Scene::plain().then(|to| drain(to, "be1"));
    let maint: Edit = |to| the(to, "web", "be1").state = BackendState::Maint;
    assert_eq!(
        whys(&draining.blast(maint)),
        [("backend/web/be1".to_owned(), Why::Ended)]
    );
    assert_eq!(whys(&draining.drained().blast(maint)), []);
}

#[test]
fn drain_that_is_cut_short_ends_what_it_drains() {
    let draining = Scene::plain().then(|to| drain(to, "be1"));
    let hasty: Edit = |to| to.config.pools[1].drain.idle = Seconds(1);
    assert_eq!(whys(&draining.blast(hasty)), [("pool/web".to_owned(), Why::Hurried)]);
    assert_eq!(whys(&Scene::plain().blast(hasty)), []);

    let until = |seconds| {
        move |to: &mut Content| {
            let of = BackendOverride {
                state: Some(BackendState::Drain),
                weight: None,
                until: Some(now() + jiff::SignedDuration::from_secs(seconds)),
            };
            to.overrides.backends.insert(object("backend/web/be2"), of);
        }
    };
    // The sample's flows may be silent for a minute.
    assert_eq!(
        whys(&draining.blast(until(59))),
        [("backend/web/be2".to_owned(), Why::Hurried)]
    );
    assert_eq!(whys(&draining.blast(until(60))), []);
    let patient = draining.then(until(600));
    assert_eq!(
        whys(&patient.blast(until(5))),
        [("backend/web/be2".to_owned(), Why::Hurried)]
    );
    assert_eq!(whys(&patient.blast(until(900))), []);
}

#[test]
fn interface_of_next_hops_that_goes_takes_their_backends() {
    let mut scene = Scene::of(|content| content.overrides.detached = ["lb0".to_owned()].into());
    let gone: Edit = |to| {
        to.config.node = node(&["lb1"]);
        to.overrides.detached.clear();
    };
    let blast = scene.blast(gone);
    assert_eq!(whys(&blast), [("interface lb0".to_owned(), Why::Unreachable)]);
    assert_eq!(blast.broken, 10_100);
    assert_eq!(blast.capacity_left["web"], Percent::ZERO);
    // Where no next hop leads through it nothing ends.
    for pool in scene.running.state.pools.values_mut() {
        let mut other = crate::revision::PoolState::clone(pool);
        for member in other.members.values_mut() {
            member.hop = member.hop.take().map(|hop| crate::revision::Hop {
                interface: "lb1".to_owned(),
                ..hop
            });
        }
        *pool = Part::new(other);
    }
    assert!(scene.blast(gone).is_harmless());
}

/// Pool web is down, and pool spare serves for it.
fn fallen_back() -> Scene {
    let health: Pool = crate::config::parse("test.yaml", CHECKED)
        .expect("a sound file")
        .config
        .pools[0]
        .clone();
    let mut scene = Scene::of(|content| {
        content
            .config
            .pools
            .insert(1, pool("spare", vec![backend("s1", 41, 100), backend("s2", 42, 100)]));
        let web = &mut content.config.pools[2];
        (web.health, web.fallback_pool) = (health.health.clone(), Some("spare".to_owned()));
    });
    let id = |name: &str| BackendId {
        pool: "web".to_owned(),
        backend: name.to_owned(),
    };
    let share = |percent| MemberHealth {
        share: Percent::new(percent).expect("a share"),
        ..MemberHealth::default()
    };
    scene.traffic.0.retain(|name, _| !name.starts_with("web/"));
    let mut standing = Standing::new();
    for backend in &scene.running.config().pools[2].backends {
        standing.insert(id(&backend.name), share(0));
    }
    for spare in ["s1", "s2"] {
        standing.insert(id(&guest_name("spare", spare)), share(100));
        scene.traffic.0.insert(format!("web/spare/{spare}"), 5000);
    }
    let content = scene.running.state.content.clone();
    let inputs = Inputs {
        hops: &hops(&content),
        standing: &standing,
        now: 0,
    };
    scene.running = Revision::following(Some(&scene.running), &content, &inputs).expect("few objects");
    scene.drained()
}

const CHECKED: &str = "apiVersion: holdfast/v1
environment: lab
node: { interfaces: [{ name: lb0 }], encapSource: { v4: 10.255.0.0/16 }, hashKeyFile: /k }
pools: [{ name: web, health: { tcp: { port: 80 } }, backends: [{ name: be1, address: 10.0.1.11 }] }]
vips: [{ name: web4, address: 203.0.113.10, port: 443, protocol: tcp, pool: web }]
";

#[test]
fn guests_are_backends_of_those_they_serve() {
    let scene = fallen_back();
    let maint = scene.blast(|to| the(to, "spare", "s1").state = BackendState::Maint);
    assert_eq!(whys(&maint), [("backend/spare/s1".to_owned(), Why::Ended)]);
    assert!(maint.broken >= 4900, "{}", maint.broken);
    let encap = scene.blast(|to| to.config.pools[1].encap = Encap::Gue);
    assert_eq!(whys(&encap), [("pool/spare".to_owned(), Why::Encapsulated)]);
    let gone = scene.blast(|to| to.config.pools[2].fallback_pool = None);
    assert_eq!(whys(&gone), [("pool/web".to_owned(), Why::Unserved)]);
    let drained = scene.blast(|to| the(to, "spare", "s1").state = BackendState::Drain);
    assert_eq!(drained.capacity_left["spare"].get(), 50);
}

#[test]
fn pool_that_nobody_uses_breaks_and_loses_nothing() {
    let scene = Scene::of(|content| content.config.vips.truncate(2));
    let blast = scene.blast(|to| {
        to.config.pools[1].encap = Encap::Gue;
        to.config.pools[1].backends.truncate(1);
        the(to, "web", "be1").address = [10, 9, 9, 9].into();
    });
    assert!(blast.is_harmless(), "{blast:?}");
    assert_eq!(blast.backends, 2);
}

#[test]
fn capacity_is_relative_to_the_weights_there_were() {
    let cases: &[(&str, Edit, u8, usize)] = &[
        ("one drained", |to| drain(to, "be1"), 83, 1),
        ("one removed", |to| remove(to, "be1"), 83, 1),
        (
            "one at another address",
            |to| the(to, "web", "be1").address = [10, 9, 9, 9].into(),
            83,
            1,
        ),
        ("one at half", |to| the(to, "web", "be1").weight = 50, 91, 0),
        ("one at less than half", |to| the(to, "web", "be1").weight = 49, 91, 1),
        ("all lowered alike", |to| weights(to, |_| 1), 100, 0),
        ("all raised alike", |to| weights(to, |_| 60_000), 100, 0),
        (
            "one left heavy",
            |to| weights(to, |at| if at == 0 { 100 } else { 1 }),
            17,
            5,
        ),
        (
            "all lowered, one most",
            |to| weights(to, |at| if at == 0 { 3 } else { 1 }),
            44,
            5,
        ),
        (
            "one four times as heavy",
            |to| the(to, "web", "be1").weight = 400,
            100,
            0,
        ),
        ("one too heavy", |to| the(to, "web", "be1").weight = 65_535, 16, 5),
        (
            "a new one with most",
            |to| to.config.pools[1].backends.push(backend("new", 99, 65_535)),
            0,
            6,
        ),
        (
            "all lowered under a new one",
            |to| {
                weights(to, |_| 1);
                to.config.pools[1].backends.push(backend("new", 99, 100));
            },
            4,
            6,
        ),
        (
            "new ones beside them",
            |to| to.config.pools[1].backends.push(backend("new", 99, 100)),
            100,
            0,
        ),
    ];
    let scene = Scene::plain();
    for (name, edit, left, out) in cases {
        let blast = scene.blast(edit);
        let found = blast.capacity_left.get("web").map_or(100, |left| left.get());
        assert_eq!((found, blast.taken_out.len()), (*left, *out), "{name}");
    }
}

fn weights(to: &mut Content, weight: fn(usize) -> u32) {
    for (at, backend) in to.config.pools[1].backends.iter_mut().enumerate() {
        backend.weight = weight(at);
    }
}

#[test]
fn command_takes_as_a_file_does() {
    let blast = Scene::plain().blast(|to| {
        let of = BackendOverride {
            weight: Some(0),
            ..BackendOverride::default()
        };
        to.overrides.backends.insert(object("backend/web/be1"), of);
    });
    assert_eq!(blast.taken_out, [(object("backend/web/be1"), 100)].into());
}
