use std::sync::Arc;

use super::*;
use crate::{
    config::{BackendState, Encap},
    layout::Layout,
    plan::samples::{content, hop, hops, largest},
};

fn first(content: &Content) -> (Part<Content>, Revision) {
    let content = Part::new(content.clone());
    let revision = Revision::next(None, &content, &hops(&content), 0).expect("few objects");
    (content, revision)
}

fn id(pool: &str, backend: &str) -> BackendId {
    BackendId {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}

/// The revision after `before` for a content that `change` was made to.
fn after(before: &Revision, hops: &Hops, change: impl FnOnce(&mut Content)) -> Revision {
    let mut content = Content::clone(&before.state.content);
    change(&mut content);
    Revision::next(Some(before), &Part::new(content), hops, 0).expect("few objects")
}

/// Owners of slots by name, as far as there are any.
fn owners(revision: &Revision, pool: &str) -> Vec<(String, u32)> {
    let (_, tables) = revision.pool(pool).expect("the pool");
    let counts = tables.current.counts().iter();
    let named = counts.map(|(member, count)| (revision.member_name(pool, *member), *count));
    named
        .map(|(name, count)| (name.expect("a member").to_owned(), count))
        .collect()
}

#[test]
fn revision_after_nothing_happened_is_the_same_part_by_part() {
    let (content, before) = first(&content());
    let next = Revision::next(Some(&before), &content, &hops(&content), 0).expect("few objects");
    assert!(!before.differs_from(&hops(&content)));
    assert_eq!(next, before);
    assert!(next.state.content.is(&before.state.content));
    assert!(next.state.vip_counters.is(&before.state.vip_counters));
    for (name, pool) in &next.state.pools {
        assert!(pool.is(&before.state.pools[name]), "{name}");
    }
    assert!(next.effects(Some(&before)).is_empty());
    assert!(next.fresh_counters(Some(&before)).is_empty());
}

#[test]
fn next_hop_that_changed_makes_its_pool_anew_but_no_table() {
    let (content, before) = first(&content());
    let mut hops = hops(&content);
    let moved = hop([2, 9, 9, 9, 9, 9]);
    hops.insert(id("web", "be1"), moved.clone());
    assert!(before.differs_from(&hops));
    let next = Revision::next(Some(&before), &content, &hops, 0).expect("few objects");
    assert_eq!(next.state.pools["web"].members["be1"].hop, Some(moved));
    assert!(next.state.pools["dns"].is(&before.state.pools["dns"]));
    assert_eq!(next.tables, before.tables);
}

#[test]
fn backend_that_loses_its_next_hop_keeps_the_last_one_until_its_address_changes() {
    let (content, before) = first(&content());
    let mut hops = hops(&content);
    hops.remove(&id("web", "be1"));
    let next = Revision::next(Some(&before), &content, &hops, 0).expect("few objects");
    assert_eq!(next, before);

    let moved = after(&before, &hops, |content| {
        content.config.pools[1].backends[0].address = [10, 0, 9, 9].into();
    });
    assert_eq!(moved.state.pools["web"].members["be1"].hop, None);
    assert_eq!(owners(&moved, "web").len(), 2, "be1 cannot be reached");
}

#[test]
fn last_next_hop_goes_with_its_interface() {
    let (_, before) = first(&content());
    let next = after(&before, &Hops::new(), |content| {
        content
            .config
            .node
            .interfaces
            .retain(|interface| interface.name != "lb0");
    });
    assert_eq!(next.unresolved().count(), 5);
}

#[test]
fn weights_and_states_are_followed_in_their_pool_alone() {
    let (_, before) = first(&content());
    let hops = hops(&content());
    let out = after(&before, &hops, |content| {
        content.config.pools[1].backends[2].state = BackendState::Maint;
    });
    assert_eq!(owners(&out, "web").len(), 2);
    let heavier = after(&out, &hops, |content| {
        content.config.pools[1].backends[0].weight = 300;
    });
    let expected = [("be1".to_owned(), 49_152), ("be2".to_owned(), 16_384)];
    assert_eq!(owners(&heavier, "web"), expected);
    assert!(heavier.state.pools["dns"].is(&before.state.pools["dns"]));
    assert_eq!(heavier.tables["dns"], before.tables["dns"]);
}

#[test]
fn backend_that_is_resolved_late_gets_the_slots_it_would_have_had() {
    let (content, all) = first(&content());
    let mut hops = hops(&content);
    let late = hops.remove(&id("web", "be1")).expect("a hop");
    let before = Revision::next(None, &content, &hops, 0).expect("few objects");
    assert_eq!(owners(&before, "web").len(), 2);
    hops.insert(id("web", "be1"), late);
    let next = Revision::next(Some(&before), &content, &hops, 0).expect("few objects");
    assert_eq!(next.state, all.state);
    assert_eq!(next.tables["web"].current, all.tables["web"].current);
    // Flows that went to others meanwhile stay with them.
    let moved = before.tables["web"].current.moved(&next.tables["web"].current);
    assert_eq!(next.tables["web"].dirty.len(), moved as usize);
}

#[test]
fn a_backend_that_is_taken_out_keeps_its_flows_until_its_slots_are_clean() {
    let (content, before) = first(&content());
    let hops = hops(&content);
    let mut smaller = (*content).clone();
    let web = smaller
        .config
        .pools
        .iter_mut()
        .find(|pool| pool.name == "web")
        .expect("the pool");
    web.backends.retain(|backend| backend.name != "be5");
    let after = Revision::next(Some(&before), &Part::new(smaller), &hops, 7).expect("few objects");
    let index = before.state.pools["web"].members["be5"].index;
    let leaving = &after.state.pools["web"].members["be5"];
    assert_eq!((leaving.index, leaving.leaving.is_some()), (index, true));
    let dirty = &after.tables["web"].dirty;
    assert_eq!(dirty.len() as u32, before.tables["web"].current.counts()[&index]);
    assert!(
        dirty
            .chains()
            .values()
            .all(|chain| chain.oldest() == index && chain.since == 7)
    );

    let all: BTreeSet<u16> = dirty.chains().keys().copied().collect();
    let clean = after.cleaned(&Over {
        clean: BTreeMap::from([("web".to_owned(), all)]),
        ..Over::default()
    });
    assert!(clean.tables["web"].dirty.is_empty());
    assert!(!clean.state.pools["web"].members.contains_key("be5"));
    assert_eq!(clean.tables["web"].current, after.tables["web"].current);
}

#[test]
fn a_drained_backend_keeps_its_flows_and_one_in_maint_does_not() {
    let (content, before) = first(&content());
    let hops = hops(&content);
    let with = |state| {
        let mut other = (*content).clone();
        let web = other
            .config
            .pools
            .iter_mut()
            .find(|pool| pool.name == "web")
            .expect("the pool");
        web.backends[0].state = state;
        Part::new(other)
    };
    let drained = Revision::next(Some(&before), &with(BackendState::Drain), &hops, 0).expect("few objects");
    let index = before.state.pools["web"].members["be1"].index;
    let slots = before.tables["web"].current.counts()[&index];
    assert_eq!(drained.tables["web"].dirty.len() as u32, slots);
    assert!(!drained.tables["web"].current.counts().contains_key(&index));
    let gone = Revision::next(Some(&drained), &with(BackendState::Maint), &hops, 0).expect("few objects");
    assert!(gone.tables["web"].dirty.is_empty());
    assert_eq!(gone.tables["web"].current, drained.tables["web"].current);
}

#[test]
fn member_number_and_counter_of_a_removed_backend_are_not_given_away_in_the_same_step() {
    let (_, before) = first(&content());
    let hops = hops(&content());
    let next = after(&before, &hops, |content| {
        content.config.pools[1].backends[2].name = "new".to_owned();
    });
    let (old, new) = (
        &before.state.pools["web"].members["be5"],
        &next.state.pools["web"].members["new"],
    );
    assert!(old.index != new.index && old.counter != new.counter);
    assert_eq!(next.fresh_counters(Some(&before)), [new.counter]);
}

#[test]
fn slots_away_from_home_survive_being_written_and_read() {
    let (content, before) = first(&content());
    let mut hops = hops(&content);
    hops.remove(&id("web", "be1"));
    let one_down = Revision::next(None, &content, &hops, 0).expect("few objects");
    let (state, tables) = one_down.pool("web").expect("the pool");
    assert!(!state.away.is_empty());
    assert_eq!(tables.home, before.tables["web"].current);
    let currents = one_down.tables.iter();
    let currents = currents.map(|(name, tables)| (name.clone(), (tables.current.clone(), tables.dirty.clone())));
    let restored = Revision::restore(one_down.state.clone(), currents.collect()).expect("a revision");
    assert_eq!(restored, one_down);
}

#[test]
fn largest_revision_is_laid_out_and_a_small_change_costs_what_it_changes() {
    let content = Part::new(largest());
    let mut hops = hops(&content);
    let before = Revision::next(None, &content, &hops, 0).expect("it has room for all of this");
    let layout = Layout::of(&before, None).expect("it has room for all of this");
    assert_eq!(layout.tables.len(), 1_024);
    // Each pool has 31 or 32 members and nobody's line; 2,048 lines a chunk.
    assert_eq!(layout.members.len(), 17);
    assert_eq!(before.fresh_counters(None).len(), 16_384 + 32_000);

    hops.insert(id("p0500", "b15757"), hop([2, 9, 9, 9, 9, 9]));
    let resolved = Revision::next(Some(&before), &content, &hops, 0).expect("nothing is new");
    let again = Layout::of(&resolved, Some(&layout)).expect("it has room for all of this");
    assert_eq!(again.tables, layout.tables);
    let groups = layout.meta.iter().zip(&again.meta);
    let anew = groups.filter(|(before, after)| !Arc::ptr_eq(before, after)).count();
    assert_eq!(anew, 1, "of {}", layout.meta.len());

    let lighter = after(&resolved, &hops, |content| {
        content.config.pools[500].backends[0].weight += 1;
    });
    let moved: Vec<_> = lighter
        .effects(Some(&resolved))
        .into_iter()
        .map(|effect| effect.pool)
        .collect();
    assert_eq!(moved, ["p0500"]);
    let kept = lighter.state.pools.iter();
    let kept = kept.filter(|(name, pool)| pool.is(&resolved.state.pools[*name]));
    assert_eq!(kept.count(), 1_024, "weights are not part of a pool's state");
}

#[test]
fn last_next_hop_is_not_kept_for_a_pool_that_encapsulates_no_more() {
    let (_, before) = first(&content());
    let reached = |encap| {
        let next = after(&before, &Hops::new(), |content| content.config.pools[1].encap = encap);
        next.state.pools["web"].members["be1"].hop.is_some()
    };
    assert!(reached(Encap::Ipip) && reached(Encap::Gue));
    assert!(!reached(Encap::L2), "it may be a gateway's");
}
