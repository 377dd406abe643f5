//! Backends drained, reweighted and taken out by command, under streams: what
//! is set by command is a generation like any other, survives files and
//! daemons, and breaks no connection that it need not.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use support::{
    addresses::Family,
    config::STREAMS,
    contract::Applied,
    rig::{Layout, Rig},
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 96;
/// Several chunks of every stream.
const SETTLE: Duration = Duration::from_millis(800);

fn rig(idle: &'static str, deadline: &'static str) -> Result<Rig> {
    Rig::build_with(&Layout::of(Shape::TwoArm, 4).beside(), |fleet| {
        fleet.draining(idle, deadline)
    })
}

fn open(rig: &Rig) -> Result<Load> {
    let shape = LoadShape {
        short_per_second: 20,
        short_at_most: usize::MAX,
        pause: Duration::from_millis(150),
        ..LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN)
    };
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(15), "open streams", |report| {
        report
            .open()
            .filter(|record| record.long_lived && record.backend.is_some())
            .count()
            == OPEN
    })?;
    Ok(load)
}

fn on(report: &Report, backend: &str) -> usize {
    let open = report.open().filter(|record| record.long_lived);
    open.filter(|record| record.backend.as_deref() == Some(backend)).count()
}

fn ensure_unbroken(load: &Load, when: &str) -> Result<()> {
    let report = load.report();
    let broken: Vec<_> = report.broken().collect();
    ensure!(broken.is_empty(), "{when}: {} broken: {broken:?}", broken.len());
    Ok(())
}

/// Weight, state, and whether something is set by command.
type Seen<'a> = (u32, &'a str, bool);

fn web(rig: &Rig, name: &str) -> Result<(u32, String, bool)> {
    let status = rig.installation.status()?;
    let backend = status.backend("web", name).context("the backend")?;
    Ok((backend.weight, backend.state.clone(), backend.overridden.is_some()))
}

#[test]
fn drain_ready_and_weight_by_command_break_nothing_and_survive_files_and_kills() -> Result<()> {
    let mut rig = rig("1m", "1h")?;
    let load = open(&rig)?;
    let steps: [(&[&str], Seen<'_>); 6] = [
        (
            &["backend", "weight", "web/be2", "50", "-m", "it is slow"],
            (50, "ready", true),
        ),
        (
            &["backend", "drain", "web/be2", "--deadline", "30m"],
            (50, "drain", true),
        ),
        (&["backend", "ready", "web/be2"], (50, "ready", true)),
        (&["backend", "weight", "web/be2", "100"], (100, "ready", false)),
        (&["backend", "drain", "web/be2"], (100, "drain", true)),
        (&["backend", "reset", "web/be2"], (100, "ready", false)),
    ];
    for (command, expected) in steps {
        let before = rig.installation.status()?.generation;
        let applied: Applied = rig.installation.ask(command)?;
        assert_eq!(applied.generation, before + 1, "{command:?}");
        thread::sleep(SETTLE);
        let (weight, state, set) = web(&rig, "be2")?;
        assert_eq!((weight, state.as_str(), set), expected, "{command:?}");
        ensure_unbroken(&load, &command.join(" "))?;
    }

    // A file that changes something else keeps it, and so does a new daemon.
    let _: Applied = rig
        .installation
        .ask(&["backend", "drain", "web/be2", "--deadline", "30m"])?;
    rig.installation.apply(&rig.fleet.clone().weighing("web", "be4", 50))?;
    assert_eq!(web(&rig, "be2")?, (100, "drain".to_owned(), true));
    ensure!(
        rig.installation.status()?.in_sync,
        "an override is not a file out of sync"
    );
    let until = |rig: &Rig| -> Result<Value> {
        let status = rig.installation.status()?;
        let set = status
            .backend("web", "be2")
            .and_then(|backend| backend.overridden.clone());
        Ok(set.context("an override")?["until"].clone())
    };
    let before = until(&rig)?;
    rig.kill_daemon()?;
    rig.start_daemon()?;
    assert_eq!(until(&rig)?, before);
    ensure!(before.is_string(), "{before}");
    ensure_unbroken(&load, "after the kill")?;
    let list = rig.installation.run(&["backend", "list"])?.stdout;
    ensure!(list.contains("(file: ready)"), "{list}");
    let file = rig.installation.config.to_string_lossy().into_owned();
    let diff = rig.installation.run(&["diff", "-f", &file])?;
    ensure!(
        diff.code == Some(0) && diff.stdout.contains("set by command: backend/web/be2 drain until"),
        "{}",
        diff.said()
    );
    let show = rig
        .installation
        .run(&["show", &rig.installation.status()?.generation.to_string()])?;
    ensure!(show.stdout.contains("backend/web/be2"), "{}", show.stdout);

    // A roll-back undoes it; a file without the backend takes it along.
    let _: Applied = rig.installation.ask(&["rollback", "1"])?;
    assert_eq!(web(&rig, "be2")?, (100, "ready".to_owned(), false));
    let _: Applied = rig.installation.ask(&["backend", "weight", "web/be2", "50"])?;
    let without = rig.fleet.clone().without("web", "be2");
    let plan = rig.installation.plan(&without)?;
    ensure!(plan.to_string().contains("HF2030"), "{plan}");
    rig.installation.apply(&without)?;
    rig.installation.apply(&rig.fleet.clone())?;
    rig.wait_resolved()?;
    assert_eq!(web(&rig, "be2")?, (100, "ready".to_owned(), false));
    let report = load.stop()?;
    println!("{report}");
    assert_eq!(report.broken().count(), 0, "{report}");
    Ok(())
}

#[test]
fn maint_by_command_ends_its_connections_and_no_others() -> Result<()> {
    let rig = rig("1m", "1h")?;
    let load = open(&rig)?;
    let theirs = on(&load.report(), "be1");
    ensure!(theirs > 0, "no stream is on be1");
    let _: Applied = rig.installation.ask(&["backend", "maint", "web/be1"])?;
    let report = load.wait(Duration::from_secs(10), "breaks", |report| {
        report.broken().filter(|record| record.long_lived).count() >= theirs
    })?;
    let others = report
        .broken()
        .filter(|record| record.backend.as_deref().is_some_and(|name| name != "be1"));
    assert_eq!(others.count(), 0, "{report}");
    Ok(())
}

#[test]
fn refused_wishes_change_nothing_and_say_what_can_be_done() -> Result<()> {
    let rig = rig("1m", "1h")?;
    let before = rig.installation.status()?.generation;
    let cases: [(&[&str], i32, &str); 5] = [
        (&["backend", "drain", "web/be9"], 1, "HF5007"),
        (&["backend", "drain", "nope/be1"], 1, "there is no such pool"),
        (&["backend", "weight", "web/be1", "65536"], 64, "0..=65535"),
        (&["backend", "drain", "web/be1", "--deadline", "2h"], 64, "HF5002"),
        (
            &["backend", "drain", "web/be1", "--deadline", "soon"],
            64,
            "30s, 5m or 1h",
        ),
    ];
    for (command, code, said) in cases {
        let outcome = rig.installation.run(command)?;
        assert_eq!(outcome.code, Some(code), "{command:?}: {}", outcome.said());
        ensure!(outcome.stderr.contains(said), "{command:?}: {}", outcome.said());
    }
    let planned = rig.installation.run(&["backend", "drain", "web/be1", "--plan"])?;
    ensure!(
        planned.code == Some(0) && planned.stdout.contains("ready → drain (file: ready)"),
        "{}",
        planned.said()
    );
    assert_eq!(rig.installation.status()?.generation, before);
    for backend in ["be1", "be2", "be3"] {
        let _: Applied = rig.installation.ask(&["backend", "drain", &format!("web/{backend}")])?;
    }
    let last = rig.installation.run(&["backend", "drain", "web/be4"])?;
    assert_eq!(last.code, Some(3), "{}", last.said());
    ensure!(
        last.stderr.contains("HF2000") && last.stderr.contains("backend ready|reset"),
        "{}",
        last.said()
    );
    Ok(())
}

#[test]
fn wait_ends_when_the_connections_end() -> Result<()> {
    let rig = rig("2s", "1h")?;
    let load = open(&rig)?;
    ensure!(on(&load.report(), "be1") > 0, "no stream is on be1");
    let waiting = wait_for(&rig, &["--deadline", "10m", "-o", "json"])?;
    thread::sleep(Duration::from_secs(5));
    ensure_unbroken(&load, "while it drains")?;
    let status = rig.installation.status()?;
    ensure!(
        status
            .backend("web", "be1")
            .is_some_and(|backend| backend.dirty_slots > 0),
        "drained although streams live"
    );
    let report = load.stop()?;
    assert_eq!(report.broken().count(), 0, "{report}");
    let (code, lines, stderr) = finish(waiting)?;
    assert_eq!(code, Some(0), "{stderr}");
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds[0], "Applied", "{lines:?}");
    let last = lines.last().context("a last line")?;
    assert_eq!(
        (&last["kind"], &last["stage"]),
        (&json!("DrainProgress"), &json!("drained")),
        "{lines:?}"
    );
    Ok(())
}

#[test]
fn wait_ends_at_the_deadline_which_ends_only_its_connections() -> Result<()> {
    let rig = rig("2s", "1h")?;
    let load = open(&rig)?;
    let theirs = on(&load.report(), "be1");
    ensure!(theirs > 0, "no stream is on be1");
    let begun = Instant::now();
    let (code, lines, stderr) = finish(wait_for(&rig, &["--deadline", "6s", "-o", "json"])?)?;
    let took = begun.elapsed();
    assert_eq!(code, Some(1), "{stderr}");
    ensure!(stderr.contains("HF5011"), "{stderr}");
    ensure!(
        took > Duration::from_secs(5) && took < Duration::from_secs(12),
        "{took:?}"
    );
    ensure!(lines.iter().any(|line| line["stage"] == "deadline"), "{lines:?}");
    let report = load.wait(Duration::from_secs(10), "the ends", |report| {
        report.broken().filter(|record| record.long_lived).count() >= theirs
    })?;
    let others = report
        .broken()
        .filter(|record| record.backend.as_deref().is_some_and(|name| name != "be1"));
    assert_eq!(others.count(), 0, "{report}");
    Ok(())
}

#[test]
fn drain_goes_on_without_its_watcher_and_is_cancelled_by_ready() -> Result<()> {
    let rig = rig("2s", "1h")?;
    let load = open(&rig)?;
    let theirs = on(&load.report(), "be1");
    let watcher = wait_for(&rig, &[])?;
    wait::until(Duration::from_secs(10), "the drain", || {
        web(&rig, "be1").ok().filter(|(_, state, _)| state == "drain")
    })?;
    thread::sleep(SETTLE);
    let pid = rustix::process::Pid::from_child(&watcher);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let (code, _, stderr) = finish(watcher)?;
    assert_eq!(code, Some(130), "{stderr}");
    ensure!(stderr.contains("goes on; holdfast backend ready web/be1"), "{stderr}");
    assert_eq!(web(&rig, "be1")?.1, "drain");

    let watcher = wait_for(&rig, &[])?;
    thread::sleep(SETTLE);
    let _: Applied = rig.installation.ask(&["backend", "ready", "web/be1"])?;
    let (code, _, stderr) = finish(watcher)?;
    ensure!(code == Some(1) && stderr.contains("HF5012"), "{code:?} {stderr}");
    thread::sleep(SETTLE);
    let report = load.report();
    assert_eq!(
        (on(&report, "be1") >= theirs, report.broken().count()),
        (true, 0),
        "{report}"
    );
    Ok(())
}

/// `holdfast backend drain web/be1 --wait` with these arguments, running.
fn wait_for(rig: &Rig, arguments: &[&str]) -> Result<std::process::Child> {
    let child = Command::new(rig.installation.binaries.holdfast())
        .arg("--socket")
        .arg(&rig.installation.socket)
        .args(["backend", "drain", "web/be1", "--wait"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
}

/// Its exit code, the documents it printed, and what it said.
fn finish(child: std::process::Child) -> Result<(Option<i32>, Vec<Value>, String)> {
    let output = child.wait_with_output()?;
    let stdout = String::from_utf8(output.stdout)?;
    let documents = stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok((
        output.status.code(),
        documents.collect(),
        String::from_utf8(output.stderr)?,
    ))
}
