//! What happens to the daemon's process.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::drill::{
    adapt::yaml,
    error::{DrillError, Result},
    network,
    people::Person::{Ann, Eve, Root},
    scene::Scene,
};

/// Moments after a beginning, spread over what a start and an apply take.
const MOMENTS_MS: [u64; 6] = [2, 10, 25, 60, 120, 250];

pub fn killed(scene: &mut Scene) -> Result<()> {
    scene.site.kill();
    // Nobody is there for a while.
    scene.pause(500)?;
    scene.strike();
    scene.site.start(&[])
}

pub fn in_apply(scene: &mut Scene) -> Result<()> {
    for (nth, moment) in (1..).zip(MOMENTS_MS) {
        let (backend, weight) = scene.harmless(nth)?;
        let mut command = scene.site.command(Ann);
        command.args(["backend", "weight", &backend, &weight]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(DrillError::io("running holdfast"))?;
        thread::sleep(Duration::from_millis(moment));
        scene.site.kill();
        child.wait().map_err(DrillError::io("waiting for holdfast"))?;
        scene.strike();
        scene.site.start(&[])?;
    }
    Ok(())
}

pub fn in_start(scene: &mut Scene) -> Result<()> {
    scene.site.kill();
    for moment in MOMENTS_MS {
        scene.site.launch(&[])?;
        thread::sleep(Duration::from_millis(moment));
        scene.site.kill();
    }
    scene.strike();
    scene.site.start(&[])
}

/// Nobody can confirm what nobody remembers: the deadline is durable.
pub fn in_trial(scene: &mut Scene) -> Result<()> {
    let file = scene.site.file("trial.yaml", &yaml(&scene.heavier(4)?))?;
    scene.does(Ann, &["apply", "-f", &file, "--confirm-within", "4s"])?;
    scene.site.kill();
    scene.strike();
    scene.site.start(&[])?;
    let before = scene.before().map(|before| before.status.digest);
    let site = &scene.site;
    let is_back = || {
        site.status()
            .is_ok_and(|status| status.trial.is_none() && Some(status.digest) == before)
    };
    site.until("the trial is taken back", Duration::from_secs(15), is_back)
}

pub fn hung(scene: &mut Scene) -> Result<()> {
    scene.site.signal(Signal::STOP);
    scene.pause(2_000)?;
    scene.site.signal(Signal::CONT);
    scene.strike();
    Ok(())
}

pub fn second(scene: &mut Scene) -> Result<()> {
    let other = scene.site.stage.path("run").join("second.sock");
    for socket in [scene.site.socket(), other] {
        let mut command = Command::new(scene.site.daemon_program());
        command.arg("--config").arg(scene.site.config());
        command.arg("--state-dir").arg(scene.site.state());
        command.arg("--pin-dir").arg(scene.site.pins());
        command.arg("--socket").arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child =
            network::within("lb", || command.spawn())?.map_err(DrillError::io("starting a second daemon"))?;
        let ends = |child: &mut std::process::Child| child.try_wait().ok().flatten();
        let mut status = None;
        let ended = scene.site.until("the second daemon ends", Duration::from_secs(8), || {
            status = ends(&mut child);
            status.is_some()
        });
        child.kill().ok();
        child.wait().ok();
        ended?;
        if status.is_some_and(|status| status.success()) {
            return Err(DrillError::Answer("the second daemon ended in peace".to_owned()));
        }
    }
    scene.strike();
    Ok(())
}

pub fn no_descriptors(scene: &mut Scene) -> Result<()> {
    let Some(pid) = scene.site.pid() else {
        return Err(DrillError::Answer("a daemon".to_owned()));
    };
    let limit = |limit| {
        prlimit(Some(pid), Resource::Nofile, limit)
            .map_err(|error| DrillError::io("limiting the daemon's descriptors")(error.into()))
    };
    let none = Rlimit {
        current: Some(3),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    let before = limit(none)?;
    let paused = scene.pause(2_000);
    limit(before)?;
    scene.strike();
    paused
}

pub fn flood(scene: &mut Scene) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..40 {
        let mut command = scene.site.command(Eve);
        command.arg("status").stdout(Stdio::null()).stderr(Stdio::null());
        children.push(command.spawn().map_err(DrillError::io("running holdfast"))?);
    }
    let answered = scene.does(Root, &["status"]);
    for mut child in children {
        child.wait().map_err(DrillError::io("waiting for holdfast"))?;
    }
    scene.strike();
    answered.map(drop)
}
