//! `holdfast backend drain --wait` on a real terminal of 80 by 24, and without one.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use support::{
    addresses::Family,
    config::STREAMS,
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    terminal::Screen,
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 48;
const SOON: Duration = Duration::from_secs(20);
/// Some looks.
const A_WHILE: Duration = Duration::from_secs(2);

fn rig() -> Result<(Rig, Load)> {
    let rig = Rig::build_with(&Layout::of(Shape::TwoArm, 2).beside(), |fleet| {
        fleet.draining("2s", "1h")
    })?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(SOON, "open streams", |report| {
        report.open().filter(|record| record.backend.is_some()).count() == OPEN
    })?;
    let on_it = |record: &&support::streams::Record| record.backend.as_deref() == Some("be1");
    ensure!(load.report().open().filter(on_it).count() > 0, "no stream is on be1");
    Ok((rig, load))
}

fn command(rig: &Rig) -> Command {
    let mut command = Command::new(rig.installation.binaries.holdfast());
    command.arg("--socket").arg(&rig.installation.socket);
    command.args(["backend", "drain", "web/be1", "--deadline", "30m", "--wait"]);
    command
}

/// What the bar says of slots, where it is drawn.
fn left(text: &str) -> Option<u32> {
    let (_, said) = text.split_once("] draining web/be1: ")?;
    let (number, _) = said.split_once(" slots left, until ")?;
    number.replace(',', "").parse().ok()
}

#[test]
fn bar_moves_as_connections_end_and_is_gone_at_the_end() -> Result<()> {
    let (rig, load) = rig()?;
    let mut screen = Screen::open(&command(&rig))?;
    let mut seen = BTreeSet::new();
    // Slots without connections are clean after two seconds, the others are not.
    wait::until(SOON, "a bar that moves", || {
        seen.extend(left(&screen.text()));
        (seen.len() > 1).then_some(())
    })
    .with_context(|| format!("{seen:?}\n{}", screen.text()))?;
    // Half of all slots were its own.
    ensure!(seen.last().is_some_and(|most| *most > 10_000), "it began at {seen:?}");
    thread::sleep(A_WHILE);
    let few = left(&screen.text());
    ensure!(
        few.is_some_and(|few| few > 0 && few as usize <= OPEN),
        "{few:?} slots of {OPEN} streams: {}",
        screen.text()
    );
    let report = load.stop()?;
    ensure!(report.broken().count() == 0, "{report}");
    let ended = screen.ended(SOON)?;
    ensure!(ended.success(), "{ended}: {}", screen.text());
    screen.wait_for("web/be1 has no connections any more")?;
    ensure!(left(&screen.text()).is_none(), "the bar stays: {}", screen.text());
    ensure!(screen.is_given_back(), "{:?}", screen.written());
    Ok(())
}

#[test]
fn ctrl_c_ends_the_watching_with_130_and_leaves_the_terminal_as_it_was() -> Result<()> {
    let (rig, load) = rig()?;
    let mut screen = Screen::open(&command(&rig))?;
    let before = format!("{:?}", screen.modes()?);
    wait::until(SOON, "a bar", || left(&screen.text())).with_context(|| screen.text())?;
    screen.press(b"\x03")?;
    let ended = screen.ended(SOON)?;
    ensure!(ended.code() == Some(130), "{ended}: {}", screen.text());
    screen.wait_for("the drain of web/be1 goes on")?;
    // Where the terminal echoed ^C, the bar may stay in the row above.
    ensure!(
        screen
            .rows()
            .iter()
            .any(|row| row.starts_with("the drain of web/be1 goes on")),
        "it is not in a row of its own: {:#?}",
        screen.rows()
    );
    ensure!(screen.is_given_back(), "{:?}", screen.written());
    assert_eq!(format!("{:?}", screen.modes()?), before);
    let status = rig.installation.status()?;
    let state = status.backend("web", "be1").map(|backend| backend.state.clone());
    assert_eq!(state.as_deref(), Some("drain"), "the drain ended with its watcher");
    let report = load.stop()?;
    ensure!(report.broken().count() == 0, "{report}");
    Ok(())
}

#[test]
fn nothing_but_lines_is_written_where_there_is_no_terminal() -> Result<()> {
    let (rig, load) = rig()?;
    let child = command(&rig)
        .env("TERM", "xterm-256color")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    thread::sleep(A_WHILE);
    load.stop()?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("draining web/be1: connections may be left in"), "{said}");
    ensure!(said.contains("web/be1 has no connections any more"), "{said}");
    let printed = String::from_utf8(output.stdout)?;
    for text in [&said, &printed] {
        ensure!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "control codes: {text:?}"
        );
    }
    Ok(())
}
