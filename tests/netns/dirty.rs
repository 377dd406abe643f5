//! Slots that change owner remember the one before: connections that live stay
//! where they are through every change, as long as the pool's `drain` lets them.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use support::{
    addresses::Family,
    config::{DATAGRAMS, Fleet, STREAMS},
    contract::Applied,
    datagrams::{self, DatagramShape, Datagrams},
    flood::{self, Each, Flood},
    flow_events::FlowEvents,
    rig::{Layout, Rig},
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 500;
/// Time for a break to show after a change: several chunks of every stream.
const SETTLE: Duration = Duration::from_millis(800);
const PAUSE: Duration = Duration::from_millis(150);

#[test]
fn five_hundred_ipv4_streams_survive_adds_drains_reweights_removals_and_rollbacks() -> Result<()> {
    streams_survive_changes(Shape::OneArm, Family::V4)
}

#[test]
fn five_hundred_ipv6_streams_survive_adds_drains_reweights_removals_and_rollbacks() -> Result<()> {
    streams_survive_changes(Shape::TwoArm, Family::V6)
}

fn streams_survive_changes(shape: Shape, family: Family) -> Result<()> {
    let layout = Layout {
        configured: 4,
        outer: family,
        ..Layout::of(shape, 6)
    };
    let rig = Rig::build_with(&layout, |fleet| fleet.draining("1m", "1h"))?;
    let load = open(&rig, family, OPEN, 40)?;
    for round in 1..=2 {
        for (what, step) in steps(&rig, family) {
            let before = load.report();
            let applied: Applied = match &step {
                Some(fleet) => rig.installation.apply(fleet)?,
                None => rig.installation.ask(&["rollback"])?,
            };
            rig.wait_resolved()?;
            thread::sleep(SETTLE);
            let report = load.report();
            let moved: u32 = applied.effects.iter().map(|effect| effect.slots_moved).sum();
            println!(
                "round {round}, {what}: {moved} slots moved; {} new connections; {} broken",
                report.connections() - before.connections(),
                report.broken().count()
            );
            ensure_unbroken(&report, what)?;
        }
    }
    let report = all_go_on(load)?;
    let long_lived = report.records.iter().filter(|record| record.long_lived).count();
    assert_eq!(long_lived, OPEN, "a stream was opened in another's place");
    ensure!(report.by_backend().contains_key("be6"), "no new connection reached be6");
    Ok(())
}

/// What an operator does in a round, from four backends and back; `None` is a
/// rollback.
fn steps(rig: &Rig, family: Family) -> [(&'static str, Option<Fleet>); 7] {
    let mut added = rig.fleet.clone();
    for host in &rig.network.backends[4..] {
        added = added.with_address("web", host, family);
    }
    let drained = added.clone().stating("web", "be1", "drain");
    let heavier = drained.clone().weighing("web", "be2", 50).weighing("web", "be3", 200);
    let lighter = drained.clone().weighing("web", "be4", 25);
    let ready = added.clone().without("web", "be5");
    let four = rig.fleet.clone();
    let base = Fleet {
        removed: vec!["backend/web/be5".to_owned(), "backend/web/be6".to_owned()],
        ..four
    };
    [
        ("be5 and be6 added", Some(added)),
        ("be1 drained", Some(drained)),
        ("be2 and be3 reweighted", Some(heavier)),
        ("be2 and be3 weighted as before, be4 less", Some(lighter)),
        ("be1 ready again, be5 removed", Some(ready)),
        ("rolled back", None),
        ("four backends as in the beginning", Some(base)),
    ]
}

#[test]
fn slots_are_clean_again_once_their_old_flows_are_gone() -> Result<()> {
    let layout = Layout {
        configured: 2,
        ..Layout::of(Shape::OneArm, 3)
    };
    let rig = Rig::build_with(&layout, |fleet| fleet.draining("2s", "1h"))?;
    let load = open(&rig, Family::V4, 64, 0)?;
    ensure!(!has_dirty_slots(&rig)?, "dirty before any change");
    rig.installation
        .apply(&rig.fleet.clone().with("web", &rig.network.backends[2]))?;
    rig.wait_resolved()?;
    ensure!(has_dirty_slots(&rig)?, "no slot is dirty after the change");
    // As long as the streams live, some of the slots stay dirty.
    thread::sleep(Duration::from_secs(6));
    ensure!(has_dirty_slots(&rig)?, "clean although old flows live");
    let generation = rig.installation.status()?.generation;
    ensure_unbroken(&load.report(), "while dirty")?;
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (64, 64), "{report}");
    wait::until(Duration::from_secs(20), "clean slots", || {
        has_dirty_slots(&rig).ok().filter(|dirty| !dirty)
    })?;
    let after = rig.installation.status()?;
    assert_eq!(after.generation, generation, "cleaning makes revisions only");
    // New connections use all three, and none of them breaks.
    let load = open(&rig, Family::V4, 64, 0)?;
    thread::sleep(SETTLE);
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (64, 64), "{report}");
    ensure!(report.by_backend().len() == 3, "{report}");
    Ok(())
}

#[test]
fn drain_ends_with_its_own_connections_though_others_go_on_in_its_slots() -> Result<()> {
    let rig = Rig::build_with(&Layout::of(Shape::OneArm, 3), |fleet| fleet.draining("2s", "1h"))?;
    let load = open(&rig, Family::V4, 96, 0)?;
    // Slots of be1, with streams, become be3's; and then be2's.
    let lighter = rig.fleet.clone().weighing("web", "be1", 20);
    rig.installation.apply(&lighter)?;
    rig.installation.apply(&lighter.stating("web", "be3", "drain"))?;
    let dirty = |backend: &str| {
        let status = rig.installation.status()?;
        let found = status.backend("web", backend).map(|found| found.dirty_slots);
        found.context("the backend")
    };
    // As long as its own streams live, it has some slots.
    thread::sleep(Duration::from_secs(6));
    ensure!(dirty("be3")? > 0, "drained although its own flows live");
    load.hang_up("be3");
    wait::until(Duration::from_secs(20), "the end of the drain", || {
        (dirty("be3").ok()? == 0).then_some(())
    })?;
    ensure!(dirty("be1")? > 0, "no stream of be1 was in these slots");
    thread::sleep(SETTLE);
    ensure_unbroken(&load.report(), "after the drain")?;
    all_go_on(load)?;
    Ok(())
}

#[test]
fn deadline_ends_a_drain_and_only_streams_of_the_drained_backend() -> Result<()> {
    let rig = Rig::build_with(&Layout::of(Shape::TwoArm, 3), |fleet| fleet.draining("2s", "5s"))?;
    let load = open(&rig, Family::V4, 64, 0)?;
    let drained: Vec<SocketAddr> = load
        .report()
        .open()
        .filter(|record| record.backend.as_deref() == Some("be1"))
        .map(|record| record.source)
        .collect();
    ensure!(!drained.is_empty(), "no stream is on be1");
    rig.installation
        .apply(&rig.fleet.clone().stating("web", "be1", "drain"))?;
    thread::sleep(SETTLE);
    ensure_unbroken(&load.report(), "before the deadline")?;
    let report = load.wait(Duration::from_secs(20), "the deadline", |report| {
        report.broken().count() >= drained.len()
    })?;
    let broken: Vec<SocketAddr> = report.broken().map(|record| record.source).collect();
    let others = broken.iter().filter(|source| !drained.contains(source)).count();
    assert_eq!((others, broken.len()), (0, drained.len()), "{report}");
    wait::until(Duration::from_secs(10), "clean slots", || {
        has_dirty_slots(&rig).ok().filter(|dirty| !dirty)
    })?;
    Ok(())
}

#[test]
fn floods_into_dirty_slots_break_no_stream_and_are_refused_beyond_a_bound() -> Result<()> {
    const PER_SECOND: u32 = 40_000;
    const NOTED: u64 = 100_000;
    const REFUSED: u64 = 1_000;
    let SocketAddr::V4(target) = STREAMS.v4() else {
        bail!("an IPv4 VIP")
    };
    let layout = Layout {
        configured: 2,
        ..Layout::of(Shape::TwoArm, 4)
    };
    let rig = Rig::build_with(&layout, |fleet| fleet.draining("1m", "1h"))?;
    rig.network
        .router
        .ip(&format!("route add blackhole {}", flood::SOURCES))?;
    let load = open(&rig, Family::V4, 200, 0)?;
    // Every slot gets another owner.
    let mut fleet = rig.fleet.clone();
    for host in &rig.network.backends[2..] {
        fleet = fleet.with("web", host);
    }
    rig.installation.apply(&fleet)?;
    rig.wait_resolved()?;
    let fleet = fleet.stating("web", "be1", "drain").stating("web", "be2", "drain");
    rig.installation.apply(&fleet)?;

    let events = || FlowEvents::read(&rig.installation.pins);
    let before = events()?;
    let client = &rig.network.client;
    let flood = Flood::start(client, target, Each::Syn, PER_SECOND)?;
    wait::until(Duration::from_secs(30), "SYNs that are noted", || {
        (events().ok()?.noted_new - before.noted_new > NOTED).then_some(())
    })?;
    let syns = flood.stop()?;
    let between = events()?;
    println!("{syns} SYNs; {before:?}, then {between:?}");
    ensure_unbroken(&load.report(), "after the SYNs")?;

    // What is confirmed keeps its place, so that the table fills at any rate.
    let flood = Flood::start(client, target, Each::SynAndSegment, PER_SECOND)?;
    let refused = wait::until(Duration::from_mins(1), "refusals", || {
        (events().ok()?.refused_new - between.refused_new > REFUSED).then_some(())
    });
    let sent = flood.stop()?;
    println!("{sent} packets, two of a flow; then {:?}", events()?);
    refused?;
    let report = all_go_on(load)?;
    println!("{report}");
    Ok(())
}

#[test]
fn datagram_flows_keep_their_backends_through_changes() -> Result<()> {
    let layout = Layout {
        configured: 3,
        ..Layout::of(Shape::OneArm, 4)
    };
    let rig = Rig::build_with(&layout, |fleet| fleet.draining("1m", "1h"))?;
    for family in Family::BOTH {
        let shape = DatagramShape {
            target: DATAGRAMS.of(family),
            sources: Topology::client_addresses(family).repeat(4),
            length: datagrams::SHORT,
            per_second: 1500,
            at_most: u64::MAX,
        };
        let datagrams = Datagrams::start(&rig.network.client, shape)?;
        wait::until(Duration::from_secs(10), "an answer to every flow", || {
            let flows = datagrams.report().by_flow;
            flows.iter().all(|backends| !backends.is_empty()).then_some(())
        })?;
        let added = rig.fleet.clone().with("dns", &rig.network.backends[3]);
        rig.installation.apply(&added)?;
        rig.wait_resolved()?;
        thread::sleep(SETTLE);
        rig.installation.apply(&added.clone().stating("dns", "be1", "drain"))?;
        thread::sleep(SETTLE);
        let report = datagrams.stop()?;
        let strayed = report.by_flow.iter().filter(|backends| backends.len() != 1).count();
        assert_eq!((strayed, report.wrong), (0, 0), "{family:?}: {:?}", report.by_backend);
        assert_eq!(report.answered, report.sent, "{family:?}: {report:?}");
        rig.installation.apply(&rig.fleet.clone().without("dns", "be4"))?;
    }
    Ok(())
}

fn open(rig: &Rig, family: Family, streams: usize, short_per_second: u32) -> Result<Load> {
    let shape = LoadShape {
        short_per_second,
        short_at_most: usize::MAX,
        pause: PAUSE,
        ..LoadShape::long_lived(STREAMS.of(family), Topology::client_addresses(family), streams)
    };
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(15), "open streams", |report| {
        report.open().count() == streams
    })?;
    Ok(load)
}

fn ensure_unbroken(report: &Report, when: &str) -> Result<()> {
    let broken: Vec<_> = report.broken().collect();
    ensure!(broken.is_empty(), "{when}: {} broken: {broken:?}", broken.len());
    Ok(())
}

/// Every stream carries more; then all are closed, and none was broken.
fn all_go_on(load: Load) -> Result<Report> {
    let before = load.report();
    load.wait(Duration::from_secs(10), "every stream to go on", |report| {
        let pairs = before.records.iter().zip(&report.records);
        let still = pairs.filter(|(before, now)| before.ending.is_none() && now.ending.is_none());
        still.fold(true, |all, (before, now)| all && now.bytes > before.bytes)
    })?;
    let report = load.stop()?;
    println!("{report}");
    ensure_unbroken(&report, "at the end")?;
    assert_eq!(report.completed(), report.connections(), "{report}");
    Ok(report)
}

/// The published revision has chains of earlier owners.
fn has_dirty_slots(rig: &Rig) -> Result<bool> {
    let dump: Value = rig.installation.ask(&["bpf", "dump"])?;
    let chunks = dump["chunks"].as_array().into_iter().flatten();
    let active = chunks.filter(|chunk| {
        let by = chunk["namedBy"].as_str().unwrap_or_default();
        by.contains("active")
    });
    Ok(active.into_iter().any(|chunk| chunk["kind"] == "chains"))
}
