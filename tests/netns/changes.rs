//! A change under load moves the fewest slots there are to move, and breaks no
//! connection: neither one whose slot stays, nor one whose slot moves.

use std::time::Duration;

use anyhow::{Result, ensure};
use support::{
    addresses::Family,
    change::{self, Changed},
    config::{Fleet, STREAMS},
    contract::{Applied, SLOTS},
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

const OPEN: usize = 96;

#[test]
fn one_arm_backend_removed_under_load_breaks_no_connection() -> Result<()> {
    removal_breaks_no_connection(Shape::OneArm, Family::V4)
}

#[test]
fn backend_removed_under_ipv6_load_breaks_no_connection() -> Result<()> {
    removal_breaks_no_connection(Shape::OneArm, Family::V6)
}

#[test]
fn two_arm_backend_removed_under_load_breaks_no_connection() -> Result<()> {
    removal_breaks_no_connection(Shape::TwoArm, Family::V4)
}

#[test]
fn backend_added_under_load_takes_only_its_share_of_slots() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 4, 3)?;
    let host = rig.host("be4").expect("four backends were made");
    let changed = change_under_load(&rig, Family::V4, &rig.fleet.clone().with("web", host))?;
    let effect = changed.effect("web");
    let share = slots_of(&rig, "be4")?;
    ensure!(share.abs_diff(SLOTS / 4) <= 1, "be4 owns {share} slots");
    assert_eq!(effect.slots_moved, share, "{effect:?}");
    let shape = LoadShape::short(STREAMS.v4(), Topology::client_addresses(Family::V4), 200, 400);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "200 connections", |report| {
        report.completed() == 200
    })?;
    let report = load.stop()?;
    ensure!(report.by_backend().contains_key("be4"), "nobody reached be4: {report}");
    Ok(())
}

#[test]
fn backend_reweighted_under_load_gives_up_only_the_difference() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 4, 4)?;
    let changed = change_under_load(&rig, Family::V4, &rig.fleet.clone().weighing("web", "be1", 50))?;
    // From a quarter to 50 of 350.
    let expected = SLOTS / 4 - SLOTS * 50 / 350;
    let moved = changed.effect("web").slots_moved;
    ensure!(
        moved.abs_diff(expected) <= 1,
        "{moved} slots moved, {expected} expected"
    );
    let share = slots_of(&rig, "be1")?;
    ensure!(share.abs_diff(SLOTS * 50 / 350) <= 1, "be1 owns {share} slots");
    Ok(())
}

fn removal_breaks_no_connection(shape: Shape, family: Family) -> Result<()> {
    let rig = Rig::build(&Layout {
        outer: family,
        ..Layout::of(shape, 4)
    })?;
    let changed = change_under_load(&rig, family, &rig.fleet.clone().without("web", "be4"))?;
    assert_eq!(changed.effect("web").slots_moved, SLOTS / 4);
    ensure!(
        rig.installation.status()?.backend("web", "be4").is_none(),
        "be4 is still there"
    );
    Ok(())
}

/// Applies the change, and checks what is true of every change.
fn change_under_load(rig: &Rig, family: Family, next: &Fleet) -> Result<Changed> {
    let shape = LoadShape::long_lived(STREAMS.of(family), Topology::client_addresses(family), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    let changed = change::under_load(&rig.installation, &load, || rig.installation.apply(next))?;
    println!("{changed}");
    println!("{:?}", changed.applied.effects);
    let effect = changed.effect("web");
    assert_eq!(
        effect.slots_moved, effect.slots_unavoidable,
        "more slots moved than had to"
    );
    assert_eq!(changed.broken.len(), 0, "{changed}");
    assert!(
        changed.broken_without_cause.is_empty(),
        "{changed}: {:?}",
        changed.broken_without_cause
    );
    let report = load.stop()?;
    println!("{report}");
    assert_eq!((report.completed(), report.connections()), (OPEN, OPEN), "{report}");
    Ok(changed)
}

fn slots_of(rig: &Rig, backend: &str) -> Result<u32> {
    let status = rig.installation.status()?;
    Ok(status.backend("web", backend).map_or(0, |backend| backend.slots))
}

#[test]
fn rollback_is_a_new_generation_that_serves_as_the_old_one_did() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 4, 4)?;
    let first = rig.installation.status()?;
    rig.installation.apply(&rig.fleet.clone().without("web", "be4"))?;
    let applied: Applied = rig.installation.ask(&["rollback"])?;
    assert_eq!((first.generation, applied.generation), (1, 3));
    let now = rig.installation.status()?;
    assert_eq!(now.digest, first.digest, "not the content of generation 1");
    // Backends that come back get the slots they had.
    assert_eq!(now.pools[0].table_digest, first.pools[0].table_digest);
    Ok(())
}
