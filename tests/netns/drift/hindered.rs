//! What is to be healed while something else is wrong, too: the store is locked by somebody, the
//! counters are garbage.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_common::abi::counters::{Counter, FIRST_FREE};
use rusqlite::Connection;
use support::{
    rig::{Layout, Rig},
    topology::Shape,
    wait,
};

use super::{HEALED, SEEN, bpftool, datagrams, drifts, hex, hex4, is_whole, pin, streams, write_active};

/// Nobody opens a store for writing that a daemon has; but root can.
#[test]
fn locked_store_delays_no_healing_and_has_all_of_it_afterwards() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 2))?;
    let load = streams(&rig)?;
    let slots = super::slots(&rig)?;
    let path = rig.installation.state.join("holdfast.db");
    let thief = Connection::open(&path)?;
    thief.execute_batch("BEGIN EXCLUSIVE")?;
    for (what, happens) in [
        ("the pins", remove_pins as fn(&Rig) -> Result<()>),
        ("ACTIVE", |rig| write_active(rig, [0; 8])),
        ("a link", |rig| {
            bpftool(&["link", "detach", "pinned", &pin(rig, "links/lb0")])
        }),
    ] {
        let began = Instant::now();
        happens(&rig)?;
        wait::until(SEEN, what, || serves(&rig, slots).then_some(())).with_context(|| rig.daemon_log())?;
        let took = began.elapsed();
        println!("{what}: {took:?}");
        ensure!(took <= HEALED + LOCKED, "{what}: healed after {took:?}");
    }
    thief.execute_batch("ROLLBACK")?;
    drop(thief);
    // Nothing of it is forgotten, and the sentinel did not look away meanwhile.
    wait::until(SEEN, "all entries of the journal", || {
        let drifts = drifts(&rig).ok()?;
        let found = |what: &str| drifts.iter().any(|drift| drift["payload"]["what"] == what);
        ["PinLost", "ActiveOverwritten", "LinkLost"]
            .into_iter()
            .all(found)
            .then_some(())
    })
    .with_context(|| rig.daemon_log())?;
    let began = Instant::now();
    remove_pins(&rig)?;
    wait::until(SEEN, "the pins", || is_whole(&rig).then_some(())).with_context(|| rig.daemon_log())?;
    ensure!(
        began.elapsed() <= HEALED,
        "healed after {:?}, when nobody locks the store any more",
        began.elapsed()
    );
    let report = load.stop()?;
    assert_eq!(report.connections(), report.completed(), "{report}");
    Ok(())
}

/// What is to be journaled waits for somebody who has the store.
const LOCKED: Duration = Duration::from_secs(1);

/// As far as it is to be seen without the journal.
fn serves(rig: &Rig, slots: [u16; 4]) -> bool {
    let pinned = ["maps/CHUNKS", "prog/odd", "links/lb0", "links/lb1"];
    pinned.iter().all(|pin| rig.installation.pins.join(pin).exists())
        && super::slots(rig).is_ok_and(|now| now == slots)
        && rig.installation.status().is_ok()
        && rig
            .network
            .balancer
            .ip("link show lb0")
            .is_ok_and(|shown| shown.contains("xdp"))
}

fn remove_pins(rig: &Rig) -> Result<()> {
    Ok(fs::remove_dir_all(&rig.installation.pins)?)
}

#[test]
fn garbage_in_counters_stops_neither_traffic_nor_the_daemon() -> Result<()> {
    let mut rig = Rig::build(&Layout::of(Shape::TwoArm, 2))?;
    let datagrams = datagrams(&rig)?;
    let counters = pin(&rig, "maps/COUNTERS");
    // The same on each CPU: the sum is more than there is room for.
    let ones = hex(&[0xff; size_of::<Counter>()]);
    for key in 0..FIRST_FREE + 8 {
        bpftool(&["map", "update", "pinned", &counters, "key", &hex4(key), "value", &ones])?;
    }
    thread::sleep(Duration::from_secs(2));
    for command in ["status", "top", "vip", "backend"] {
        let arguments: &[&str] = match command {
            "top" => &["top", "-n", "1"],
            "vip" => &["vip", "list"],
            "backend" => &["backend", "list"],
            _ => &["status"],
        };
        let outcome = rig.installation.run(arguments)?;
        ensure!(outcome.code == Some(0), "{command}: {}", outcome.said());
    }
    let began = Instant::now();
    bpftool(&["link", "detach", "pinned", &pin(&rig, "links/lb0")])?;
    wait::until(SEEN, "the link", || is_whole(&rig).then_some(())).with_context(|| rig.daemon_log())?;
    ensure!(began.elapsed() <= HEALED, "{:?}", began.elapsed());
    // Nor the next one.
    rig.kill_daemon()?;
    rig.start_daemon()?;
    ensure!(is_whole(&rig), "{}", rig.daemon_log());
    ensure!(!rig.daemon_log().contains("panicked"), "{}", rig.daemon_log());
    let report = datagrams.stop()?;
    ensure!(report.wrong == 0 && report.answered > report.sent / 2, "{report:?}");
    Ok(())
}
