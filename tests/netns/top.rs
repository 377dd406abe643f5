//! `holdfast top` on a real terminal of 80 by 24, and without one.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{
    addresses::Family,
    config::STREAMS,
    rig::Rig,
    streams::{Load, LoadShape},
    terminal::Screen,
    topology::{Shape, Topology},
    wait,
};

/// A terminal with `top` in it.
fn open(rig: &Rig) -> Result<Screen> {
    let mut command = Command::new(rig.installation.binaries.holdfast());
    command.arg("--socket").arg(&rig.installation.socket);
    command.args(["top", "--interval", "500ms"]);
    Screen::open(&command)
}

#[test]
fn top_draws_what_is_served_survives_the_daemon_and_gives_the_terminal_back() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), 16);
    let load = Load::start(&rig.network.client, shape)?;
    let mut screen = open(&rig)?;
    for part in [
        "SERVING generation 1",
        "web4",
        "web/be1",
        "ready up",
        "ForwardRedirect",
        "q quit",
    ] {
        screen.wait_for(part)?;
    }
    // Streams flow: some backend has a rate.
    wait::until(Duration::from_secs(10), "a rate", || {
        let text = screen.text();
        let line = text.lines().find(|line| line.starts_with("forwarded "))?;
        (!line.starts_with("forwarded 0 pps")).then_some(())
    })
    .with_context(|| screen.text())?;
    screen.press(b"s")?;
    screen.wait_for("sort: name")?;
    rig.kill_daemon()?;
    screen.wait_for("DAEMON AWAY")?;
    rig.start_daemon()?;
    screen.wait_for("SERVING generation 1")?;
    screen.press(b"q")?;
    let ended = screen.ended(Duration::from_secs(5))?;
    ensure!(ended.success(), "{ended}");
    ensure!(screen.is_given_back(), "its screen stays");
    load.stop()?;
    Ok(())
}

#[test]
fn top_without_a_terminal_prints_a_line_each_interval() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), 16);
    let load = Load::start(&rig.network.client, shape)?;
    let outcome = rig
        .installation
        .run(&["top", "-n", "3", "--interval", "300ms", "-o", "json"])?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    let lines: Vec<Value> = outcome
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 3, "{}", outcome.said());
    ensure!(
        lines.iter().any(|line| line["forwardedPps"].as_f64() > Some(0.0)),
        "{lines:?}"
    );
    let text = rig.installation.run(&["top", "-n", "1", "--interval", "300ms"])?;
    ensure!(
        text.code == Some(0) && text.stdout.contains("web/be1"),
        "{}",
        text.said()
    );
    load.stop()?;
    Ok(())
}
