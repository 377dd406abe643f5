//! Plans that add up.

use std::collections::BTreeMap;

use super::*;
use crate::{
    config::Percent,
    plan::blast::{Expense, Taken},
    revision::{Inputs, MemberHealth, Standing},
};

const HOUR: Seconds = Seconds(3600);

fn at(second: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(second)
}

/// Applies `change` at `second`, and says what it spent.
fn spend(scene: &Scene, second: i64, change: impl Fn(&mut Content)) -> (Scene, Option<Expense>) {
    let blast = scene.blast(&change);
    let expense = Expense::of(&scene.running, &scene.target(&change), &blast, at(second));
    (scene.then(&change).drained(), expense)
}

fn within(expenses: &[Expense], second: i64, scene: &Scene) -> Spent {
    Spent::within(expenses, HOUR, at(second), &scene.running)
}

#[test]
fn change_of_no_backend_spends_nothing() {
    let scene = Scene::plain();
    let (_, expense) = spend(&scene, 0, |to| to.config.vips[0].protected = true);
    assert_eq!(expense, None);
    let (_, expense) = spend(&scene, 0, |to| drain(to, "be1"));
    let served = expense.expect("it takes one").served;
    assert_eq!(served.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(served["web"].len(), 6);
}

#[test]
fn two_small_plans_are_one_big_one_until_the_window_has_passed() {
    let (next, expense) = spend(&Scene::plain(), 0, |to| drain(to, "be1"));
    let expenses = [expense.expect("it takes one")];
    let drain_another = |second| {
        let mut scene = next.then(|_| ());
        scene.spent = within(&expenses, second, &scene);
        let blast = scene.blast(|to| drain(to, "be2"));
        (blast.out_within_window["web"], blast.capacity_left["web"].get())
    };
    assert_eq!(drain_another(3599), (Taken { out: 2, of: 6 }, 66));
    assert_eq!(drain_another(3600), (Taken { out: 1, of: 5 }, 80));
}

#[test]
fn what_came_back_is_credited_as_far_as_it_did() {
    let (next, expense) = spend(&Scene::plain(), 0, |to| drain(to, "be1"));
    let expenses = [expense.expect("it takes one")];
    let back = |weight| {
        let mut scene = next.then(|to| {
            let be1 = the(to, "web", "be1");
            (be1.state, be1.weight) = (BackendState::Ready, weight);
        });
        scene.spent = within(&expenses, 60, &scene);
        scene.blast(|to| drain(to, "be2")).out_within_window["web"]
    };
    assert_eq!(back(100), Taken { out: 1, of: 6 });
    // Less than half of it is not back.
    assert_eq!(back(40), Taken { out: 2, of: 6 });
}

#[test]
fn weights_lowered_little_by_little_add_up() {
    let mut scene = Scene::plain();
    let mut expenses = Vec::new();
    let mut taken = Vec::new();
    for weight in [60, 36, 22] {
        let edit = |to: &mut Content| {
            for name in ["be1", "be2"] {
                the(to, "web", name).weight = weight;
            }
        };
        scene.spent = within(&expenses, 1, &scene);
        let blast = scene.blast(edit);
        // No step takes half of anything.
        assert!(blast.taken_out.is_empty(), "{weight}");
        taken.push(blast.out_within_window["web"].out);
        let (next, expense) = spend(&scene, 0, edit);
        expenses.extend(expense);
        scene = next;
    }
    assert_eq!(taken, [0, 2, 2]);
}

#[test]
fn who_is_new_within_the_window_is_capacity_and_does_not_stretch_the_budget() {
    let (next, expense) = spend(&Scene::plain(), 0, |to| {
        for nth in 0..12 {
            to.config.pools[1]
                .backends
                .push(backend(&format!("new{nth:02}"), 60 + nth, 100));
        }
    });
    let expenses = [expense.expect("it changes a pool")];
    let mut scene = next;
    scene.spent = within(&expenses, 1, &scene);
    let blast = scene.blast(|to| ["be1", "be2", "be5"].iter().for_each(|name| drain(to, name)));
    assert_eq!(blast.out_within_window["web"], Taken { out: 3, of: 6 });
    assert_eq!(blast.capacity_left["web"].get(), 83);
}

#[test]
fn who_was_replaced_before_is_no_loss_of_a_later_plan() {
    let (next, expense) = spend(&Scene::plain(), 0, |to| {
        for (nth, backend) in to.config.pools[1].backends.iter_mut().enumerate() {
            backend.name = format!("new{nth}");
            backend.address = [10, 9, 9, nth as u8 + 1].into();
        }
    });
    let expenses = [expense.expect("it changes a pool")];
    let mut scene = next;
    scene.spent = within(&expenses, 1, &scene);
    let blast = scene.blast(|to| drain(to, "new0"));
    assert_eq!(blast.out_within_window["web"], Taken { out: 1, of: 6 });
    assert_eq!(blast.capacity_left["web"].get(), 83);
}

#[test]
fn who_goes_down_by_itself_was_taken_by_no_plan() {
    let (mut next, expense) = spend(&Scene::plain(), 0, |to| the(to, "web", "be1").weight = 90);
    let down = |name: &str| {
        let id = BackendId {
            pool: "web".to_owned(),
            backend: name.to_owned(),
        };
        let share = Percent::ZERO;
        (
            id,
            MemberHealth {
                share,
                ..MemberHealth::default()
            },
        )
    };
    let standing: Standing = ["be5", "be6"].map(down).into();
    // Checked pools only have a standing.
    let mut content = Content::clone(&next.running.state.content);
    content.config.pools[1].health = Some(checked());
    let content = Part::new(content);
    let hops = hops(&content);
    next.running = Revision::next(Some(&next.running), &content, &hops, 0).expect("few objects");
    let inputs = Inputs {
        hops: &hops,
        standing: &standing,
        now: 0,
    };
    next.running = Revision::following(Some(&next.running), &content, &inputs).expect("few objects");
    let expenses = [expense.expect("it changes a pool")];
    let spent = within(&expenses, 1, &next);
    assert_eq!(spent.of("web").len(), 1);
    assert_eq!(
        spent.of("web")[0].keys().collect::<Vec<_>>(),
        ["be1", "be2", "be7", "be8"]
    );
}

fn checked() -> crate::config::Health {
    let text = "apiVersion: holdfast/v1
environment: lab
node: { interfaces: [{ name: lb0 }], encapSource: { v4: 10.255.0.0/16 }, hashKeyFile: /k }
pools: [{ name: web, health: { tcp: { port: 80 } }, backends: [{ name: be1, address: 10.0.1.11 }] }]
vips: []
";
    let parsed = crate::config::parse("test.yaml", text).expect("a sound file");
    parsed.config.pools[0].health.clone().expect("it is checked")
}

#[test]
fn broken_packets_add_up_within_the_window() {
    let expense = |second, broken| Expense {
        at: at(second),
        served: BTreeMap::new(),
        broken,
    };
    let scene = Scene::plain();
    let expenses = [expense(0, 20), expense(1800, 30), expense(3000, 5)];
    assert_eq!(within(&expenses, 3599, &scene).broken, 55);
    assert_eq!(within(&expenses, 3600, &scene).broken, 35);
    // A clock that was set back makes nothing forgotten.
    assert_eq!(within(&expenses, -86_400, &scene).broken, 55);
}

/// With a pool of six, web2, that no VIP uses yet.
fn with_other_pool() -> Scene {
    Scene::of(|content| {
        let mut other = content.config.pools[1].clone();
        other.name = "web2".to_owned();
        for backend in &mut other.backends {
            backend.name.push('x');
            backend.address = match backend.address {
                std::net::IpAddr::V4(address) => (address | std::net::Ipv4Addr::new(0, 0, 64, 0)).into(),
                other @ std::net::IpAddr::V6(_) => other,
            };
        }
        content.config.pools.push(other);
    })
}

fn repoint(to: &mut Content, pool: &str, other: &str) {
    let vips = to.config.vips.iter_mut();
    vips.filter(|vip| vip.pool == pool)
        .for_each(|vip| vip.pool = other.to_owned());
}

/// A name, and what is changed.
type Way = (&'static str, fn(&mut Content));

#[test]
fn pool_that_was_replaced_counts_for_nothing_in_the_sum() {
    let ways: &[Way] = &[
        ("removed", |to| to.config.pools.retain(|pool| pool.name != "web")),
        ("drained", |to| {
            for name in ["be1", "be2", "be5", "be6", "be7", "be8"] {
                drain(to, name);
            }
        }),
        ("kept", |_| ()),
    ];
    for (name, way) in ways {
        let (next, expense) = spend(&with_other_pool(), 0, |to| {
            repoint(to, "web", "web2");
            way(to);
        });
        // And what is left of it goes in a plan of its own.
        let expenses: Vec<Expense> = expense.into_iter().collect();
        let (mut scene, later) = spend(&next, 1, |to| to.config.pools.retain(|pool| pool.name != "web"));
        assert_eq!(later, None, "{name}");
        scene.spent = within(&expenses, 2, &scene);
        let drained = |to: &mut Content| the(to, "dns", "d1").weight = 0;
        assert_eq!(scene.blast(drained).out_of_all, Taken { out: 1, of: 8 }, "{name}");
        let mut kept = next.then(|_| ());
        kept.spent = within(&expenses, 2, &kept);
        assert_eq!(kept.blast(drained).out_of_all, Taken { out: 1, of: 8 }, "{name}");
        let removals = kept.codes(drained).into_iter().filter(|code| code == "HF2062");
        assert_eq!(removals.count(), 0, "{name}");
    }
}

#[test]
fn way_to_another_pool_and_back_makes_nobody_forget_who_was_out() {
    let mut scene = with_other_pool();
    let mut expenses = Vec::new();
    let steps: [fn(&mut Content); 3] = [
        |to| drain(to, "be1"),
        |to| repoint(to, "web", "web2"),
        |to| repoint(to, "web2", "web"),
    ];
    for step in steps {
        let (next, expense) = spend(&scene, 0, step);
        expenses.extend(expense);
        scene = next;
    }
    scene.spent = within(&expenses, 1, &scene);
    let blast = scene.blast(|to| drain(to, "be2"));
    assert_eq!(blast.out_within_window["web"], Taken { out: 2, of: 6 });
    assert!(scene.codes(|to| drain(to, "be2")).contains(&"HF2062".to_owned()));
}

#[test]
fn backends_drained_while_no_vip_used_their_pool_are_out_when_one_does_again() {
    // Nobody lost them; whoever moves a VIP there is judged by what it ends.
    let mut scene = with_other_pool();
    let mut expenses = Vec::new();
    let steps: [fn(&mut Content); 2] = [
        |to| repoint(to, "web", "web2"),
        |to| {
            for name in ["be1", "be2", "be5", "be6", "be7"] {
                drain(to, name);
            }
        },
    ];
    for step in steps {
        let (next, expense) = spend(&scene, 0, step);
        expenses.extend(expense);
        scene = next;
    }
    scene.spent = within(&expenses, 1, &scene);
    let back: fn(&mut Content) = |to| repoint(to, "web2", "web");
    assert_eq!(scene.blast(back).broken, 10_000);
    let codes = scene.codes(back);
    assert!(codes.contains(&"HF2061".to_owned()), "{codes:?}");
}
