use std::collections::BTreeSet;

use lb_common::verdict::Verdict;

use super::countable;
use crate::{
    config::{BackendState, Encap, Pool},
    part::Part,
    plan::{
        Content,
        samples::{content, hop, hops},
    },
    revision::{BackendId, Hops, Revision},
};

/// Damage is always ours.
const ALWAYS: [Verdict; 2] = [Verdict::DropUnreadable, Verdict::DropEncap];

fn revision(before: Option<&Revision>, content: Content, hops: &Hops) -> Revision {
    Revision::next(before, &Part::new(content), hops, 0).expect("few objects")
}

/// What counts beside damage, if `change` is made and `way` to the hops.
fn counts(change: impl FnOnce(&mut Content), way: impl FnOnce(&mut Hops)) -> BTreeSet<Verdict> {
    let before = content();
    let first = revision(None, before.clone(), &hops(&before));
    counts_after(&first, change, way)
}

fn counts_after(first: &Revision, change: impl FnOnce(&mut Content), way: impl FnOnce(&mut Hops)) -> BTreeSet<Verdict> {
    let mut target = Content::clone(&first.state.content);
    change(&mut target);
    let target = Content::new(target.config, target.overrides);
    let mut hops = hops(&target);
    way(&mut hops);
    let next = revision(Some(first), target, &hops);
    let all: BTreeSet<_> = countable(first, &next).into_iter().collect();
    assert!(ALWAYS.iter().all(|verdict| all.contains(verdict)), "{all:?}");
    all.into_iter().filter(|verdict| !ALWAYS.contains(verdict)).collect()
}

fn id(pool: &str, backend: &str) -> BackendId {
    BackendId {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}

fn in_maint(pool: &mut Pool) {
    pool.backends
        .iter_mut()
        .for_each(|backend| backend.state = BackendState::Maint);
}

#[test]
fn only_damage_counts_if_nothing_that_matters_changed() {
    assert_eq!(counts(|_| {}, |_| {}), [].into());
    let weights = |content: &mut Content| content.config.pools[1].backends[0].weight = 7;
    assert_eq!(counts(weights, |_| {}), [].into());
    let smaller = |content: &mut Content| content.config.pools[1].backends.truncate(1);
    assert_eq!(counts(smaller, |_| {}), [].into());
}

#[test]
fn nobody_counts_if_a_vip_lost_its_last_backend_by_the_change() {
    let empty = |content: &mut Content| in_maint(&mut content.config.pools[1]);
    assert_eq!(counts(empty, |_| {}), [Verdict::DropNoBackend].into());

    // It had nobody before: whoever asks for it then, it is no news.
    let mut before = content();
    in_maint(&mut before.config.pools[1]);
    let first = revision(None, before.clone(), &hops(&before));
    assert_eq!(counts_after(&first, |_| {}, |_| {}), [].into());
    // Nor is a new VIP that has nobody.
    let added = |content: &mut Content| {
        let mut vip = content.config.vips[3].clone();
        vip.name = "web5".to_owned();
        vip.port = 444;
        content.config.vips.push(vip);
    };
    assert_eq!(counts_after(&first, added, |_| {}), [].into());
    // Another VIP that goes there is.
    let repointed = |content: &mut Content| content.config.vips[0].pool = "web".to_owned();
    assert_eq!(counts_after(&first, repointed, |_| {}), [Verdict::DropNoBackend].into());
}

#[test]
fn missing_way_counts_if_it_is_missing_by_the_change() {
    let moved = |content: &mut Content| content.config.pools[1].backends[0].address = [10, 0, 9, 9].into();
    let lost = |hops: &mut Hops| drop(hops.remove(&id("web", "be1")));
    let counted = counts(moved, lost);
    assert!(counted.contains(&Verdict::DropNoNextHop), "{counted:?}");
    assert!(!counts(moved, |_| {}).contains(&Verdict::DropNoNextHop));
}

#[test]
fn size_counts_if_packets_go_another_way() {
    let sizes: BTreeSet<Verdict> = [Verdict::DropTooBig, Verdict::DropNoHeadroom].into();
    let encap = |content: &mut Content| content.config.pools[1].encap = Encap::Gue;
    assert_eq!(counts(encap, |_| {}), sizes);
    let family = |content: &mut Content| {
        content.config.pools[1].backends[0].address = "2001:db8::9".parse().expect("an address");
    };
    assert_eq!(counts(family, |_| {}), sizes);
    let interface = |hops: &mut Hops| {
        let mut other = hop([2, 0, 0, 0, 0, 9]);
        other.interface = "lb1".to_owned();
        hops.insert(id("web", "be1"), other);
    };
    assert_eq!(counts(|_| {}, interface), sizes);
    // A pool that no VIP of before goes to.
    let unused = |content: &mut Content| {
        let mut pool = content.config.pools[1].clone();
        pool.name = "web2".to_owned();
        pool.encap = Encap::Gue;
        content.config.pools.push(pool);
    };
    assert_eq!(counts(unused, |_| {}), [].into());
}

#[test]
fn loops_count_if_other_sources_are_ours() {
    let source = |content: &mut Content| {
        content.config.node.encap_source.v4 = Some("198.51.0.0/16".parse().expect("a prefix"));
    };
    assert_eq!(counts(source, |_| {}), [Verdict::DropLoop].into());
}
