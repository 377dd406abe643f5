//! Another build's programs take over while frames never stop: none is lost, and
//! wherever the daemon is killed, one whole balancer goes on.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::{aya::KernelBalancer, upgrade::Object};
use lb_common::abi::ABI_VERSION;
use support::contract::Status;

use crate::switches::{Bench, NEW, OLD, PACED, counted, since};

/// More steps than an upgrade with one interface has.
const STEPS: usize = 8;

/// How long frames are counted without a change.
const CONTROL: Duration = Duration::from_secs(5);

#[test]
fn upgrade_of_the_program_cut_short_anywhere_loses_no_frame() -> Result<()> {
    let mut bench = Bench::start()?;
    // Half the slots have a new owner and flows of the old one: fast path and
    // called programs are in use at once.
    bench.write_as(NEW, OLD, "drain")?;
    bench.apply_file()?;
    let later = bench.installation.binaries.program("later");
    let first = bench.installation.status()?;

    let control = Counted::under(&bench, |_| {
        thread::sleep(CONTROL);
        Ok(())
    })?;
    let mut seen = vec![program_of(&first)?];
    let upgraded = Counted::under_mut(&mut bench, |bench| {
        let builds = [Object::read(&later)?, Object::built_in()];
        for (cut, object) in (0..=STEPS).zip(builds.iter().cycle()) {
            bench.daemon.take().context("no daemon")?.kill()?;
            // What a daemon does that ends after so many steps.
            let ended = KernelBalancer::open(&bench.installation.pins, object.clone())?.upgrade(cut)?;
            ensure!(ended == (cut >= STEPS - 1), "an upgrade has {} steps", STEPS - 1);
            // The next one is of the other build each time, so it has to go back
            // or on, and then to take over.
            let other = later.to_string_lossy();
            let further: &[&str] = if cut % 2 == 0 { &[] } else { &["--program", &other] };
            bench.daemon = Some(bench.installation.start_with(&bench.inside, further)?);
            seen.push(program_of(&bench.installation.status()?)?);
        }
        Ok(())
    })?;
    println!("control: {control}\nupgrades: {upgraded}; programs {seen:?}");
    control.ensure_whole("control")?;
    upgraded.ensure_whole("upgrades")?;
    seen.dedup();
    ensure!(seen.len() > STEPS, "the program was not replaced each time: {seen:?}");
    let last = bench.installation.status()?;
    assert_eq!(last.packets("PassNoOddPath"), 0, "a tail call led nowhere");
    assert_eq!(
        (last.generation, last.revision >= first.revision),
        (first.generation, true)
    );
    Ok(())
}

#[test]
fn program_that_the_kernel_refuses_leaves_the_old_one_serving_and_status_says_so() -> Result<()> {
    let mut bench = Bench::start()?;
    let before = bench.installation.status()?;
    let refused = bench.installation.binaries.program("refused");
    let counted = Counted::under_mut(&mut bench, |bench| {
        bench.daemon.take().context("no daemon")?.kill()?;
        let further = ["--program", &refused.to_string_lossy()];
        bench.daemon = Some(bench.installation.start_with(&bench.inside, &further)?);
        thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("start with a refused program")?;
    let after = bench.installation.status()?;
    assert_eq!(program_of(&after)?, program_of(&before)?);
    assert_eq!(after.mode, "read-only");
    let problem = after.program_problem.context("status says nothing of it")?;
    ensure!(problem.contains("refuses this build's program"), "{problem}");
    // A generation that cannot be rehearsed is refused, with the reason.
    bench.write_as(NEW, OLD, "maint")?;
    let path = bench.installation.config.to_string_lossy();
    let outcome = bench.installation.run(&["apply", "-f", &path])?;
    assert_eq!(outcome.code, Some(3), "{}", outcome.said());
    ensure!(outcome.said().contains("HF2019"), "{}", outcome.said());
    Ok(())
}

#[test]
fn daemon_of_another_layout_touches_nothing_and_says_what_serves() -> Result<()> {
    let mut bench = Bench::start()?;
    let before = bench.installation.status()?;
    let relaid = bench.installation.binaries.program("relaid");
    let counted = Counted::under_mut(&mut bench, |bench| {
        bench.daemon.take().context("no daemon")?.kill()?;
        let further = ["--program", &relaid.to_string_lossy()];
        let started = bench.installation.start_with(&bench.inside, &further);
        let said = format!("{:#}", started.err().context("it started")?);
        let serves = format!(
            "HF3013: a version with layout {ABI_VERSION} serves generation {}",
            before.generation
        );
        for part in [
            serves.as_str(),
            "COUNTERS is 65536 entries",
            "this build has 131072 entries",
        ] {
            ensure!(said.contains(part), "no `{part}` in: {said}");
        }
        // The one that fits goes on from where it was.
        bench.daemon = Some(bench.installation.start(&bench.inside)?);
        thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("start of another layout")?;
    let after = bench.installation.status()?;
    assert_eq!(program_of(&after)?, program_of(&before)?);
    assert_eq!(
        (after.generation, after.revision, after.mode.as_str()),
        (before.generation, before.revision, "normal")
    );
    Ok(())
}

pub fn program_of(status: &Status) -> Result<u32> {
    Ok(status.interfaces.first().context("no interface")?.prog_id)
}

/// Frames of one phase.
pub struct Counted {
    sent: u64,
    taken: u64,
    mixed: u64,
    lost_by_link: u64,
    forwarded: u64,
    took: Duration,
}

impl Counted {
    fn under(bench: &Bench, phase: impl FnOnce(&Bench) -> Result<()>) -> Result<Self> {
        let start = Start::of(bench)?;
        let sending = bench.generator()?.start(&bench.outside, PACED)?;
        let done = phase(bench);
        let sent = sending.stop()?.sent()?;
        done?;
        start.until_now(bench, sent)
    }

    pub fn under_mut(bench: &mut Bench, phase: impl FnOnce(&mut Bench) -> Result<()>) -> Result<Self> {
        let start = Start::of(bench)?;
        let sending = bench.generator()?.start(&bench.outside, PACED)?;
        let done = phase(bench);
        let sent = sending.stop()?.sent()?;
        done?;
        start.until_now(bench, sent)
    }

    pub fn ensure_whole(&self, phase: &str) -> Result<()> {
        ensure!(self.sent > 10 * u64::from(PACED), "{phase}: too few frames: {self}");
        ensure!(
            self.taken + self.lost_by_link == self.sent && self.mixed == 0,
            "{phase}: {self}"
        );
        ensure!(
            self.sent - self.forwarded <= self.lost_by_link,
            "{phase}: counters do not go on: {self}"
        );
        Ok(())
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} frames in {:.1?}, {} taken, {} mixed, {} lost by the rig's own link, {} counted as forwarded",
            self.sent, self.took, self.taken, self.mixed, self.lost_by_link, self.forwarded
        )
    }
}

struct Start {
    taken: support::generator::Taken,
    lost: (u64, u64),
    forwarded: u64,
    at: Instant,
}

impl Start {
    fn of(bench: &Bench) -> Result<Self> {
        Ok(Self {
            taken: bench.sink.taken()?,
            lost: bench.lost_on_link()?,
            forwarded: forwarded(bench)?,
            at: Instant::now(),
        })
    }

    fn until_now(&self, bench: &Bench, sent: u64) -> Result<Counted> {
        let took = self.at.elapsed();
        // What is on its way arrives.
        thread::sleep(Duration::from_millis(300));
        let taken = since(&bench.sink.taken()?, &self.taken);
        let lost = bench.lost_on_link()?;
        Ok(Counted {
            sent,
            taken: taken.frames,
            mixed: taken.mixed,
            lost_by_link: lost.0 - self.lost.0 + lost.1 - self.lost.1,
            forwarded: forwarded(bench)? - self.forwarded,
            took,
        })
    }
}

/// As the program counts.
pub fn forwarded(bench: &Bench) -> Result<u64> {
    Ok(counted(&bench.installation.status()?, "Forward"))
}
