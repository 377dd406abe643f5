//! `holdfast top` on a real terminal of 80 by 24, and without one.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::Value;
use support::{
    addresses::Family,
    config::STREAMS,
    rig::Rig,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

/// A terminal with `top` in it.
struct Screen {
    keys: File,
    drawn: Arc<Mutex<vt100::Parser>>,
    child: Child,
}

impl Screen {
    fn open(rig: &Rig) -> Result<Self> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&near, size)?;
        let name = ptsname(&near, Vec::new())?.into_string()?;
        let far = File::options().read(true).write(true).open(name)?;
        let child = Command::new(rig.installation.binaries.holdfast())
            .arg("--socket")
            .arg(&rig.installation.socket)
            .args(["top", "--interval", "500ms"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(far.try_clone()?))
            .stdout(Stdio::from(far.try_clone()?))
            .stderr(Stdio::from(far))
            .spawn()?;
        let drawn = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let keys = File::from(near);
        let (mut from, written) = (keys.try_clone()?, Arc::clone(&drawn));
        // Ends when the other end is closed.
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let mut parser = written.lock().unwrap_or_else(PoisonError::into_inner);
                parser.process(&buffer[..length]);
            }
        });
        Ok(Self { keys, drawn, child })
    }

    fn text(&self) -> String {
        self.drawn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen()
            .contents()
    }

    fn wait_for(&self, part: &str) -> Result<()> {
        wait::until(Duration::from_secs(15), part, || {
            self.text().contains(part).then_some(())
        })
        .with_context(|| self.text())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("warning: top: {error}");
        }
    }
}

#[test]
fn top_draws_what_is_served_survives_the_daemon_and_gives_the_terminal_back() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), 16);
    let load = Load::start(&rig.network.client, shape)?;
    let mut screen = Screen::open(&rig)?;
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
    screen.keys.write_all(b"s")?;
    screen.wait_for("sort: name")?;
    rig.kill_daemon()?;
    screen.wait_for("DAEMON AWAY")?;
    rig.start_daemon()?;
    screen.wait_for("SERVING generation 1")?;
    screen.keys.write_all(b"q")?;
    let ended = wait::until(Duration::from_secs(5), "the end of top", || {
        screen.child.try_wait().ok()?
    })?;
    ensure!(ended.success(), "{ended}");
    ensure!(
        !screen
            .drawn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen()
            .alternate_screen(),
        "its screen stays"
    );
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
