//! A build whose maps have another layout takes over, and back, while frames and
//! streams never stop: none is lost, counters go on, and wherever the daemon is
//! killed, the next one of either build has a whole balancer.

use std::{env, fs, process::Command, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::MapInfo;
use lb_common::abi::ABI_VERSION;
use support::{
    addresses::Family,
    config::STREAMS,
    contract::Status,
    daemon::Installation,
    netns::Namespace,
    process::Process,
    rig::{Layout, Rig},
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
};

use crate::{
    switches::{Bench, NEW, OLD},
    upgrade::{Counted, forwarded},
};

/// Steps with one interface: make, fill, maps, chunks, link, grace, rest, programs,
/// end.
const STEPS: usize = 9;

/// Time for a break to show: several chunks of every stream.
const SETTLE: Duration = Duration::from_millis(800);

/// A build of the daemon, by the layout of its maps.
#[derive(Clone, Copy, Debug)]
enum Build {
    Usual,
    Relaid,
}

impl Build {
    fn command(self, installation: &Installation) -> Command {
        Command::new(match self {
            Self::Usual => installation.binaries.holdfastd(),
            Self::Relaid => installation.binaries.relaid(),
        })
    }

    fn start(self, installation: &Installation, namespace: &Namespace) -> Result<Process> {
        installation.start_by(namespace, self.command(installation), &[])
    }

    /// The maps that are pinned are this build's, and no others are left beside.
    fn ensure_has_layout(self, installation: &Installation) -> Result<()> {
        let entries = match self {
            Self::Usual => 65_536,
            Self::Relaid => 131_072,
        };
        for name in ["COUNTERS", "FLOWS"] {
            let map = MapInfo::from_pin(installation.pins.join("maps").join(name))?;
            ensure!(map.max_entries() == entries, "{name} has {} entries", map.max_entries());
        }
        ensure!(!installation.pins.join("beside").exists(), "the other set is left");
        Ok(())
    }

    /// Starts one that is killed after so many steps.
    fn start_cut(self, installation: &Installation, namespace: &Namespace, steps: usize) -> Result<()> {
        let further = ["--end-after", &steps.to_string()];
        let started = installation.start_by(namespace, self.command(installation), &further);
        let Err(error) = started else {
            bail!("{self:?} was not killed after {steps} steps");
        };
        let said = format!("{error:#}");
        ensure!(said.contains("signal: 9"), "{self:?} after {steps} steps: {said}");
        Ok(())
    }
}

#[test]
fn change_of_layout_cut_short_anywhere_either_way_loses_no_frame_and_no_count() -> Result<()> {
    let mut bench = Bench::start()?;
    // Half the slots have a new owner and flows of the old one.
    bench.write_as(NEW, OLD, "drain")?;
    bench.apply_file()?;
    let first = bench.installation.status()?;
    let counted = Counted::under_mut(&mut bench, |bench| {
        let mut last = forwarded(bench)?;
        let (mut before, mut after) = (Build::Usual, Build::Relaid);
        // By turns there and back; their number is odd, so that a second round, of the
        // long run, has each the other way.
        let rounds = if env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1") {
            2
        } else {
            1
        };
        let cuts = (0..rounds).flat_map(|_| 1..=STEPS);
        for cut in cuts {
            // Cut short, and the build from before goes back; again, and the new one
            // goes on.
            for next in [before, after] {
                bench.daemon.take().context("no daemon")?.kill()?;
                if cut < STEPS {
                    after.start_cut(&bench.installation, &bench.inside, cut)?;
                }
                bench.daemon = Some(next.start(&bench.installation, &bench.inside)?);
                let status = bench.installation.status()?;
                let when = || format!("{next:?} after {cut} steps of {after:?}");
                same_as(&first, &status).with_context(when)?;
                next.ensure_has_layout(&bench.installation).with_context(when)?;
                let now = forwarded(bench)?;
                ensure!(now >= last, "{}: counters went from {last} to {now}", when());
                last = now;
            }
            (before, after) = (after, before);
        }
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("changes of layout")?;
    let last = bench.installation.status()?;
    assert_eq!(last.packets("PassNoOddPath"), 0, "a tail call led nowhere");
    assert_eq!(last.packets("PassNoGeneration"), 0, "a packet met an empty set");
    Ok(())
}

#[test]
fn streams_of_dirty_slots_stay_through_another_layout_and_back() -> Result<()> {
    const OPEN: usize = 200;
    let layout = Layout {
        configured: 3,
        ..Layout::of(Shape::TwoArm, 5)
    };
    let mut rig = Rig::build_with(&layout, |fleet| fleet.draining("1m", "1h"))?;
    let old = open(&rig, OPEN)?;
    // Slots change owners: old streams stay with the ones before.
    let mut fleet = rig.fleet.clone();
    for host in &rig.network.backends[3..] {
        fleet = fleet.with("web", host);
    }
    rig.installation.apply(&fleet)?;
    rig.wait_resolved()?;
    rig.installation.apply(&fleet.clone().stating("web", "be1", "drain"))?;
    // And new ones, in the same slots, are the new owners', which FLOWS alone knows.
    let new = open(&rig, OPEN)?;
    let drained = |load: &Load| load.report().by_backend().get("be1").copied().unwrap_or(0);
    ensure!(
        drained(&old) > 0 && drained(&new) == 0,
        "be1 is not drained: {}",
        new.report()
    );
    let before = rig.installation.status()?;
    for build in [Build::Relaid, Build::Usual, Build::Relaid] {
        rig.kill_daemon()?;
        rig.start_daemon_by(build.command(&rig.installation))?;
        thread::sleep(SETTLE);
        let status = rig.installation.status()?;
        same_as(&before, &status).with_context(|| format!("{build:?}"))?;
        build.ensure_has_layout(&rig.installation)?;
        assert_eq!(status.pools[0].table_digest, before.pools[0].table_digest, "{build:?}");
        for load in [&old, &new] {
            unbroken(&load.report()).with_context(|| format!("{build:?}"))?;
        }
    }
    // It is no dead end: changes go on, in the other layout.
    rig.installation.apply(&fleet.stating("web", "be1", "ready"))?;
    thread::sleep(SETTLE);
    for load in [old, new] {
        let before = load.report();
        load.wait(Duration::from_secs(10), "every stream to go on", |report| {
            let mut pairs = before.records.iter().zip(&report.records);
            pairs.all(|(before, now)| now.bytes > before.bytes)
        })?;
        let report = load.stop()?;
        println!("{report}");
        assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    }
    Ok(())
}

#[test]
fn layout_that_cannot_be_carried_whole_is_left_as_it_is_with_the_reason() -> Result<()> {
    let mut bench = Bench::start()?;
    let before = bench.installation.status()?;
    let away = bench.installation.state.with_extension("away");
    let counted = Counted::under_mut(&mut bench, |bench| {
        bench.daemon.take().context("no daemon")?.kill()?;
        fs::rename(&bench.installation.state, &away)?;
        fs::create_dir(&bench.installation.state)?;
        let started = Build::Relaid.start(&bench.installation, &bench.inside);
        let said = format!("{:#}", started.err().context("it started")?);
        let serves = format!(
            "HF3013: a version with layout {ABI_VERSION} serves generation {}",
            before.generation
        );
        let why = format!(
            "the kernel serves revision {}, which the journal does not know",
            before.revision
        );
        for part in [&serves, &why] {
            ensure!(said.contains(part), "no `{part}` in: {said}");
        }
        fs::remove_dir_all(&bench.installation.state)?;
        fs::rename(&away, &bench.installation.state)?;
        bench.daemon = Some(Build::Usual.start(&bench.installation, &bench.inside)?);
        thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("start without the store")?;
    same_as(&before, &bench.installation.status()?)
}

/// The same generation, of which each start may publish a later revision.
fn same_as(before: &Status, now: &Status) -> Result<()> {
    ensure!(
        (now.generation, &now.digest, now.mode.as_str()) == (before.generation, &before.digest, "normal")
            && now.revision >= before.revision
            && now.program_problem.is_none(),
        "generation {} ({}), revision {}, {}; {:?}",
        now.generation,
        now.digest,
        now.revision,
        now.mode,
        now.program_problem
    );
    Ok(())
}

fn open(rig: &Rig, streams: usize) -> Result<Load> {
    let shape = LoadShape {
        pause: Duration::from_millis(100),
        ..LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), streams)
    };
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(15), "open streams", |report| {
        report.open().count() == streams
    })?;
    Ok(load)
}

fn unbroken(report: &Report) -> Result<()> {
    let broken: Vec<_> = report.broken().collect();
    ensure!(broken.is_empty(), "{} broken: {broken:?}", broken.len());
    Ok(())
}
