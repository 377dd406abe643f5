//! What is done to the file system that the pins are on: it is unmounted, another is mounted over
//! it, it is read-only. The daemon has it to itself, as where nobody mounted one before.

use std::{
    ops::{Deref, DerefMut},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use support::{
    rig::{Layout, Rig},
    scrape::Scrape,
    topology::Shape,
    wait,
};

use super::{HEALED, SEEN, datagrams, drifts, is_whole, streams};

/// A rig whose daemon mounts the file system of its pins.
struct Alone(Rig);

impl Alone {
    fn start() -> Result<Self> {
        let mut rig = Rig::without_daemon(&Layout::of(Shape::TwoArm, 2), |fleet| fleet)?;
        rig.installation.pins = rig.directory().join("pins");
        let mut alone = Self(rig);
        alone.start_daemon()?;
        alone.wait_resolved()?;
        Ok(alone)
    }

    fn mount(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("mount").args(arguments).arg(&self.installation.pins))
    }

    fn unmount(&self) -> Result<()> {
        run(Command::new("umount").arg("-l").arg(&self.installation.pins))
    }
}

impl Deref for Alone {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.0
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Rig {
        &mut self.0
    }
}

impl Drop for Alone {
    /// Without a daemon, which would mount it again.
    fn drop(&mut self) {
        if let Err(error) = self.0.kill_daemon() {
            eprintln!("warning: {error:#}");
        }
        while unmount(&self.0.installation.pins, UnmountFlags::DETACH).is_ok() {}
    }
}

type Accident = (&'static str, fn(&Alone) -> Result<()>);

const ACCIDENTS: [Accident; 6] = [
    ("unmounted", Alone::unmount),
    ("another one mounted over it", |alone| {
        alone.mount(&["-t", "bpf", "bpf"])
    }),
    ("a third one mounted over that", |alone| {
        alone.mount(&["-t", "bpf", "bpf"])
    }),
    ("the one on top unmounted, with older pins below", Alone::unmount),
    ("another file system mounted over it", |alone| {
        alone.mount(&["-t", "tmpfs", "tmpfs"])
    }),
    ("made read-only", |alone| alone.mount(&["-o", "remount,ro"])),
];

#[test]
fn pins_are_whole_again_within_a_second_of_what_is_mounted_or_unmounted() -> Result<()> {
    let mut alone = Alone::start()?;
    let before = alone.installation.status()?;
    let load = streams(&alone)?;
    for (what, happens) in ACCIDENTS {
        let datagrams = datagrams(&alone)?;
        let seen = lost(&alone)?;
        let began = Instant::now();
        happens(&alone).context(what)?;
        wait::until(SEEN, what, || is_whole(&alone).then_some(())).with_context(|| alone.daemon_log())?;
        let took = began.elapsed();
        let report = datagrams.stop()?;
        println!("{what:<50} {:>6} ms", took.as_millis());
        ensure!(took <= HEALED, "{what}: healed after {took:?}");
        assert_eq!((report.answered, report.wrong), (report.sent, 0), "{what}");
        ensure!(lost(&alone)? > seen, "{what}: {}", alone.daemon_log());
    }
    wait::until(SEEN, "an entry of the journal", || {
        let mut drifts = drifts(&alone).ok()?.into_iter();
        drifts
            .any(|drift| drift["payload"]["what"] == "PinLost" && drift["payload"]["healed"] == true)
            .then_some(())
    })?;
    // A change finds its way to the new place, and so does the next daemon.
    let fleet = alone.fleet.clone().weighing("web", "be1", 7);
    alone.installation.apply(&fleet)?;
    alone.kill_daemon()?;
    alone.start_daemon()?;
    let after = alone.installation.status()?;
    assert_eq!(
        (after.generation, after.mode.as_str()),
        (before.generation + 1, "normal")
    );
    ensure!(is_whole(&alone), "{}", alone.daemon_log());
    let report = load.stop()?;
    assert_eq!(report.connections(), report.completed(), "{report}");
    Ok(())
}

/// How often pins were found to be lost.
fn lost(alone: &Alone) -> Result<u64> {
    Scrape::of_socket(&alone.installation.socket)?.count("holdfast_drift_total{kind=\"pin\"}")
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
