//! Rounds in which one call fails, as it would on a full disk, a broken one, or a
//! kernel without memory: nothing changes for any packet, or all of it does, the
//! daemon says what happened, and goes on when the fault is gone.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use support::{
    contract::Status,
    tracer::{Seen, Strike, Trace},
};

use super::{
    operations::{Operation, Way},
    rounds::{Round, everywhere, log_of, sides, start_struck},
    site::{Served, Side, Site},
};

/// What became of all failures of an operation.
#[derive(Debug, Default)]
pub struct Failures {
    pub rounds: usize,
    /// It was done all the same.
    pub survived: usize,
    /// The operation failed, or the daemon logged an error.
    pub noticed: usize,
    /// The daemon made itself read-only, until its next start.
    pub read_only: usize,
    /// By call.
    pub struck: BTreeMap<String, usize>,
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            survived,
            noticed,
            read_only,
            ..
        } = self;
        write!(
            f,
            "{rounds} calls failed; {survived} times it was done all the same, {noticed} times an error was said, \
             {read_only} times it was read-only;"
        )?;
        for (call, times) in &self.struck {
            write!(f, " {call} {times},")?;
        }
        Ok(())
    }
}

/// Fails each call of an operation that may fail, once; `turn` chooses the errors.
pub fn fail_everywhere(operation: &Operation, turn: usize, stride: usize) -> Result<Failures> {
    let began = Instant::now();
    let failures = Mutex::new(Failures::default());
    everywhere(stride, |site, nth| {
        let strike = Strike::Fail { nth, turn: nth + turn };
        let round = match operation.way {
            Way::Asked { .. } => fail_asked(site, operation, strike),
            Way::Start | Way::Begin => fail_start(site, operation, strike),
        };
        let round = round.with_context(|| format!("{}, call {nth} fails\n{}", operation.name, log_of(site)))?;
        let Some(failed) = round else {
            return Ok(Round::Over);
        };
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.rounds += 1;
        failures.survived += usize::from(failed.survived);
        failures.noticed += usize::from(failed.noticed);
        failures.read_only += usize::from(failed.read_only);
        *failures.struck.entry(failed.call).or_default() += 1;
        Ok(Round::Struck)
    })?;
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}, in {:.1?}: {failures}", operation.name, began.elapsed());
    Ok(failures)
}

struct Failed {
    call: String,
    survived: bool,
    noticed: bool,
    read_only: bool,
}

/// What failed, with what; `None`: the run was over before.
fn call_of(seen: &Seen) -> Option<String> {
    let errno = seen.errno.map(nix::errno::Errno::from_raw);
    seen.struck.as_ref().map(|call| format!("{call}: {errno:?}"))
}

fn fail_asked(site: &mut Site, operation: &Operation, strike: Strike) -> Result<Option<Failed>> {
    let Way::Asked { act, aim } = operation.way else {
        unreachable!("only what is asked for");
    };
    (operation.prepare)(site)?;
    let (before, mode) = (site.serves()?, site.installation.status()?.mode);
    let aim = aim(&before);
    let (from, errors) = (site.traffic.sent(), site.errors()?);
    let id = site.daemon.as_ref().context("no daemon")?.id();
    let trace = Trace::start(id, strike)?;
    let done = act(site, &trace)?;
    let seen = trace.end(|| site.poke())?;
    let Some(call) = call_of(&seen) else {
        (operation.mend)(site, done)?;
        ensure!(done && site.served()?.is(&aim, &before), "it fails though nothing does");
        return Ok(None);
    };
    let check = |site: &mut Site| -> Result<Failed> {
        ensure!(!seen.ended, "the daemon ended");
        let status = site.installation.status()?;
        let expected = if done { &aim } else { &before };
        ensure_whole(site, from, before.side, expected.side)?;
        let read_only = status.mode != "normal" && status.mode != mode;
        // A head that was not signed is signed within a minute, or at a start.
        let wants_a_start = read_only || status.journal_problem.is_some();
        if wants_a_start {
            site.kill()?;
            site.start()?;
            (operation.mend)(site, done)?;
            site.ensure_clear()?;
        }
        let now = site.serves()?;
        ensure!(now.is(expected, &before), "{now:?} serves, not {expected:?}");
        ensure_says(&status, now.generation)?;
        // The fault is gone: the same works, without a start.
        if !done {
            let trace = Trace::start(
                site.daemon.as_ref().context("no daemon")?.id(),
                Strike::Fail { nth: 0, turn: 0 },
            )?;
            let again = act(site, &trace)?;
            trace.end(|| site.poke())?;
            let works = again && site.serves()?.is(&aim, &before);
            ensure!(works, "the fault is gone, and it fails: {}", site.said);
        }
        if !wants_a_start {
            (operation.mend)(site, true)?;
        }
        (operation.settle)(site, &site.serves()?)?;
        site.ensure_applies(&site.serves()?)?;
        Ok(Failed {
            call: call.clone(),
            survived: done,
            noticed: !done || site.errors()? > errors,
            read_only,
        })
    };
    check(site).map(Some).with_context(|| call.clone())
}

fn fail_start(site: &mut Site, operation: &Operation, strike: Strike) -> Result<Option<Failed>> {
    (operation.prepare)(site)?;
    let before = match (operation.way, &site.daemon) {
        (Way::Start, Some(_)) => Some(site.served()?),
        _ => None,
    };
    let (known, from) = (site.last.clone(), site.traffic.sent());
    if site.daemon.is_some() {
        site.kill()?;
    }
    let errors = site.errors()?;
    let (seen, ready) = start_struck(site, strike)?;
    let Some(call) = call_of(&seen) else {
        ensure!(ready, "the start ended though nothing failed");
        site.ensure_clear()?;
        return Ok(None);
    };
    let mut read_only = false;
    let mut check = |site: &mut Site| -> Result<()> {
        if ready {
            let status = site.installation.status()?;
            read_only = status.mode != "normal" || status.program_problem.is_some();
        } else {
            ensure!(log_of(site).contains("holdfastd: "), "it ends, and does not say why");
        }
        site.kill()?;
        site.start().context("the next start")?;
        let now = site.ensure_clear()?;
        if let Some(before) = before.as_ref().or(known.as_ref()) {
            ensure!(now == *before, "{now:?} serves, not {before:?}");
        } else {
            ensure!(now.is_first(), "{now:?} is not the first generation");
        }
        if before.is_some() {
            ensure_whole(site, from, now.side, now.side)?;
        }
        site.ensure_applies(&now).map(drop)
    };
    check(site).with_context(|| call.clone())?;
    Ok(Some(Failed {
        call,
        survived: ready,
        noticed: !ready || site.errors()? > errors,
        read_only,
    }))
}

/// It serves this generation, and says what is wrong if something is.
fn ensure_says(status: &Status, generation: u64) -> Result<()> {
    ensure!(
        status.generation == generation,
        "status says generation {}, not {generation}",
        status.generation
    );
    ensure!(
        status.mode == "normal" || status.mode_reason.as_ref().is_some_and(|reason| !reason.is_empty()),
        "{} for no reason",
        status.mode
    );
    Ok(())
}

/// Nothing was lost, and one switch at most was seen, of all VIPs.
pub fn ensure_whole(site: &Site, from: usize, before: Side, now: Side) -> Result<()> {
    site.traffic.go_on()?;
    let seen = sides(&site.traffic.between(from, site.traffic.sent())?);
    let mut expected = vec![before, now];
    expected.dedup();
    ensure!(
        seen == expected,
        "{seen:?} were served one after the other, not {expected:?}"
    );
    Ok(())
}

/// For tests of what goes wrong outside of the daemon.
pub fn refused(site: &Site, served: &Served, code: &str) -> Result<()> {
    let side = served.side.other();
    site.write(side)?;
    let from = site.traffic.sent();
    let outcome = site
        .installation
        .run(&["apply", "-f", &site.installation.config.to_string_lossy()])?;
    ensure!(
        outcome.code.is_some_and(|code| code != 0),
        "it is applied: {}",
        outcome.said()
    );
    ensure!(outcome.stderr.contains(code), "no {code} in: {}", outcome.said());
    ensure_whole(site, from, served.side, served.side)?;
    ensure_says(&site.installation.status()?, served.generation)
}
