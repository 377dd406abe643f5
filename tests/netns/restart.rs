//! The daemon may die: the kernel goes on, and the next daemon takes over what
//! it serves.

use std::{
    fs,
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use holdfast::kernel::sys;
use support::{
    addresses::Family,
    config::STREAMS,
    rig::Rig,
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
};

const OPEN: usize = 64;

#[test]
fn daemon_killed_under_load_is_noticed_by_no_connection() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 4, 4)?;
    let load = open_streams(&rig)?;
    let before = rig.installation.status()?;
    rig.kill_daemon()?;

    // Nobody is there to steer; every stream goes on, and new ones open.
    let at_kill = load.report();
    let shape = LoadShape::short(STREAMS.v4(), Topology::client_addresses(Family::V4), 200, 400);
    let short = Load::start(&rig.network.client, shape)?;
    short.wait(Duration::from_secs(10), "new connections without a daemon", |report| {
        report.completed() == 200
    })?;
    ensure_progress(&at_kill, &load.report())?;

    rig.start_daemon()?;
    let after = rig.installation.status()?;
    assert_eq!(
        (after.generation, after.revision, &after.digest),
        (before.generation, before.revision, &before.digest)
    );
    let program = |status: &support::contract::Status| status.interfaces[0].prog_id;
    assert_eq!(program(&after), program(&before), "the program was replaced");
    // Counters went on while nobody looked: 200 connections are 1,000 frames at least.
    ensure!(
        after.forwarded().packets >= before.forwarded().packets + 1000,
        "counters do not continue: {:?}, then {:?}",
        before.forwarded(),
        after.forwarded()
    );
    let report = load.stop()?;
    println!("{report}");
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}

#[test]
fn file_that_changed_while_the_daemon_was_away_is_only_compared() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 2, 2)?;
    let before = rig.installation.status()?;
    ensure!(before.in_sync, "out of sync from the start");
    rig.kill_daemon()?;
    rig.installation.write(&rig.fleet.clone().weighing("web", "be1", 7))?;
    rig.start_daemon()?;
    let after = rig.installation.status()?;
    ensure!(!after.in_sync, "the file differs, and status does not say so");
    assert_eq!((after.generation, &after.digest), (before.generation, &before.digest));
    assert_eq!(after.pools[0].table_digest, before.pools[0].table_digest);
    Ok(())
}

fn open_streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    Ok(load)
}

/// Every stream that was open has carried more since.
fn ensure_progress(before: &Report, after: &Report) -> Result<()> {
    let still = before
        .records
        .iter()
        .zip(&after.records)
        .filter(|(before, after)| before.bytes == after.bytes)
        .count();
    ensure!(still == 0, "{still} streams stand still");
    Ok(())
}

#[test]
fn daemon_told_to_stop_leaves_the_kernel_serving() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 2, 2)?;
    let load = open_streams(&rig)?;
    let started = Instant::now();
    rig.stop_daemon()?;
    println!("stopped in {:?}", started.elapsed());
    let at_stop = load.report();
    thread::sleep(Duration::from_secs(1));
    ensure_progress(&at_stop, &load.report())?;
    let report = load.stop()?;
    assert_eq!(report.completed(), OPEN, "{report}");
    Ok(())
}

/// An empty map in its place would be taken for what serves: no key, no slots.
#[test]
fn pin_that_was_removed_while_no_daemon_ran_is_pinned_again_with_the_map_that_serves() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 4, 4)?;
    let load = open_streams(&rig)?;
    let before = rig.installation.status()?;
    let id = |rig: &Rig, name: &str| -> Result<u32> {
        let pin = sys::open_pin(&rig.installation.pins.join("maps").join(name))?;
        Ok(sys::map_id(pin.as_fd())?)
    };
    let pins = fs::read_dir(rig.installation.pins.join("maps"))?;
    let names = pins.map(|pin| Ok(pin?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    ensure!(names.len() >= 11, "{names:?}");
    for name in &names {
        let map = id(&rig, name)?;
        rig.kill_daemon()?;
        fs::remove_file(rig.installation.pins.join("maps").join(name))?;
        rig.start_daemon().with_context(|| name.clone())?;
        let after = rig.installation.status()?;
        assert_eq!(
            (after.generation, &after.digest, after.mode.as_str()),
            (before.generation, &before.digest, "normal"),
            "{name}"
        );
        assert_eq!(id(&rig, name)?, map, "another {name}");
    }
    let verified = rig.installation.run(&["bpf", "verify"])?;
    assert_eq!(verified.code, Some(0), "{}", verified.said());
    // The key in use is the one in the file.
    let recovered: serde_json::Value = rig.installation.ask(&["recover", "--dry-run"])?;
    assert_eq!(recovered["hashKey"], "same", "{recovered}");
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}
