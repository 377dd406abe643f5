//! What happens on the stage. Each act says what it claims by its checks; what
//! does not hold is written down, and the next act goes on.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use support::{
    addresses::Family,
    change::{self, Changed},
    config::{Fleet, HTTP, RAW},
    contract::{Applied, SLOTS},
    daemon::Outcome,
    exchange::{self, Wire},
    statistics,
    streams::Report,
    topology::Topology,
};

use crate::{interrupt, lock, scorecard::Act, stage::Stage};

/// Traffic is flat when it stays above so many percent of what it was.
pub const FLAT: u64 = 80;
/// Measures a rate for so long.
const LOOK: Duration = Duration::from_secs(2);

type Play = fn(&mut Stage, &mut Notes) -> Result<()>;

/// Name, title, and what is played.
const PROGRAMME: [(&str, &str, Play); 7] = [
    (
        "balanced",
        "Traffic is balanced over four backends, TCP and UDP",
        balanced,
    ),
    (
        "refused",
        "What would break connections or forgets something is refused, traffic flat",
        lock::refused,
    ),
    (
        "drained",
        "be4 is drained, then removed; no connection breaks, its own neither",
        drained,
    ),
    ("undeleted", "It was the wrong one: the removal is undone", undeleted),
    ("reweighted", "be1 gets half its weight, under load", reweighted),
    (
        "locked",
        "A VIP goes if two others say so, and comes back if nobody confirms",
        lock::locked,
    ),
    (
        "killed",
        "kill -9 of the daemon: traffic goes on, the next daemon adopts it",
        killed,
    ),
];

/// Plays all acts in their order.
pub fn all(stage: &mut Stage) -> Result<Vec<Act>> {
    let mut acts = Vec::new();
    for (nth, (name, title, play)) in PROGRAMME.into_iter().enumerate() {
        stage.act(nth + 1, title);
        let mut notes = Notes::default();
        if let Err(err) = play(stage, &mut notes) {
            if interrupt::happened() {
                return Err(err);
            }
            notes.problems.push(format!("{err:#}"));
        }
        for problem in &notes.problems {
            stage.event(format!("✗ {problem}"));
        }
        acts.push(Act {
            name,
            title,
            passed: notes.problems.is_empty(),
            problems: notes.problems,
            measured: notes.measured,
        });
    }
    Ok(acts)
}

/// What an act writes down.
#[derive(Default)]
pub struct Notes {
    problems: Vec<String>,
    measured: BTreeMap<&'static str, Value>,
}

impl Notes {
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(otherwise());
        }
    }

    pub fn measure(&mut self, name: &'static str, value: impl Into<Value>) {
        self.measured.insert(name, value.into());
    }
}

fn balanced(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    stage.rest(0.25)?;
    let sources = Topology::client_addresses(Family::V4);
    for (wire, target) in [(Wire::Http, HTTP.v4()), (Wire::Raw, RAW.v4())] {
        let client = &stage.rig.network.client;
        let exchanged = client.run(|| exchange::exchange(wire, sources[0], target, 200_000))??;
        notes.check(exchanged.is_intact(), || {
            format!("{wire:?}: digests differ: {exchanged:?}")
        });
    }
    stage.event("200 KB each way over HTTP and raw TCP: all four digests agree");
    let report = stage.load()?.report();
    let by_backend = report.by_backend();
    let observed: Vec<u64> = names(stage)
        .iter()
        .map(|name| by_backend.get(name).copied().unwrap_or(0))
        .collect();
    let fit = statistics::fit(&observed, &vec![1; observed.len()]);
    notes.check(fit.holds(), || {
        format!("not in proportion to weights: {by_backend:?}, p {:e}", fit.p_value)
    });
    notes.measure("spreadPValue", (fit.p_value * 1000.0).round() / 1000.0);
    let datagrams = stage.datagrams()?.report();
    notes.check(datagrams.by_backend.len() == observed.len(), || {
        format!("datagrams reached {:?} only", datagrams.by_backend)
    });
    notes.measure("connections", report.connections());
    notes.measure("datagramsAnswered", datagrams.answered);
    no_breaks(&report, notes);
    stage.event(format!(
        "{} connections, spread by weight (p = {:.2})",
        report.connections(),
        fit.p_value
    ));
    stage.book.spread = by_backend;
    Ok(())
}

fn reweighted(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let next = stage.fleet.clone().weighing("web", "be1", 50);
    stage.event("$ holdfast apply -f config.yaml        # be1: weight 100 → 50");
    let changed = apply_under_load(stage, notes, next)?;
    // A quarter of the slots before, 50 of 350 after.
    let expected = SLOTS / 4 - SLOTS * 50 / 350;
    let moved = changed.effect("web").slots_moved;
    notes.check(moved.abs_diff(expected) <= 1, || {
        format!("{moved} slots moved, not {expected}")
    });
    stage.rest(0.1)
}

fn drained(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let broken_before = stage.load()?.report().broken().count();
    stage.event("$ holdfast backend drain web/be4 --wait   # its clients hang up, one by one");
    let installation = stage.rig.installation.clone();
    let draining = thread::spawn(move || installation.run(&["backend", "drain", "web/be4", "--wait"]));
    stage.rest(0.05)?;
    stage.load()?.hang_up("be4");
    let outcome = draining.join().map_err(|_| anyhow!("the drain panicked"))??;
    notes.check(outcome.code == Some(0), || {
        format!("the drain: exit {:?}: {}", outcome.code, outcome.said())
    });
    stage.event(last_line(&outcome));
    stage.event("$ holdfast apply -f config.yaml        # removed: [backend/web/be4]");
    let next = stage.fleet.clone().without("web", "be4");
    let changed = apply_under_load(stage, notes, next)?;
    notes.check(changed.effect("web").slots_moved == 0, || {
        "slots moved although it had none".to_owned()
    });
    let broken = stage.load()?.report().broken().count() - broken_before;
    notes.check(broken == 0, || format!("{broken} connections broke"));
    // The next file need not say it again.
    stage.fleet.removed.clear();
    stage.rest(0.05)
}

fn undeleted(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let before = stage.rig.installation.status()?.generation;
    stage.event("$ holdfast undelete backend/web/be4       # as it was");
    let installation = stage.rig.installation.clone();
    let changed = change::under_load(&installation, stage.load()?, || {
        installation.ask(&["undelete", "backend/web/be4"])
    })?;
    note_change(stage, notes, &changed);
    stage.fleet = stage.rig.fleet.clone();
    let after = stage.rig.wait_resolved()?;
    notes.check(after.generation == before + 1, || {
        format!("generation {before} became {}", after.generation)
    });
    let is_back = after
        .backend("web", "be4")
        .is_some_and(|backend| backend.state == "ready");
    notes.check(is_back, || "be4 did not come back".to_owned());
    stage.rest(0.1)
}

fn killed(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let before = stage.rig.installation.status()?;
    let rate_before = rate(stage)?;
    let broken_before = stage.load()?.report().broken().count();
    stage.rig.kill_daemon()?;
    stage.event("$ kill -9 holdfastd                     # the kernel goes on");
    let rate_without = rate(stage)?;
    stage.rest(0.05)?;
    notes.check(rate_without * 100 >= rate_before * FLAT, || {
        format!("traffic fell from {rate_before} to {rate_without} bytes/s without a daemon")
    });
    stage.rig.start_daemon()?;
    let after = stage.rig.installation.status()?;
    stage.event(format!(
        "a new daemon adopts generation {}, revision {}",
        after.generation, after.revision
    ));
    notes.check(
        (after.generation, after.revision, &after.digest) == (before.generation, before.revision, &before.digest),
        || format!("generation {} was adopted as {}", before.generation, after.generation),
    );
    notes.check(after.interfaces[0].prog_id == before.interfaces[0].prog_id, || {
        "the program was replaced".to_owned()
    });
    notes.check(after.forwarded().packets > before.forwarded().packets, || {
        "counters did not go on".to_owned()
    });
    notes.measure("bytesPerSecondBefore", rate_before);
    notes.measure("bytesPerSecondWithout", rate_without);
    stage.rest(0.1)?;
    let broken = stage.load()?.report().broken().count() - broken_before;
    notes.check(broken == 0, || format!("{broken} connections broke"));
    Ok(())
}

/// Applies a configuration, and checks what is true of every change.
fn apply_under_load(stage: &mut Stage, notes: &mut Notes, next: Fleet) -> Result<Changed> {
    let installation = stage.rig.installation.clone();
    let changed = change::under_load(&installation, stage.load()?, || -> Result<Applied> {
        installation.apply(&next)
    })?;
    stage.fleet = next;
    note_change(stage, notes, &changed);
    Ok(changed)
}

fn note_change(stage: &mut Stage, notes: &mut Notes, changed: &Changed) {
    let effect = changed.effect("web");
    let percent = f64::from(effect.slots_moved) * 100.0 / f64::from(SLOTS);
    stage.event(format!(
        "generation {} published in {} µs; {percent:.1} % of slots moved",
        changed.applied.generation, changed.applied.publish_us
    ));
    stage.event(format!(
        "{} of {} open streams moved; {} connections broke with their slot, {} without cause",
        changed.moved,
        changed.open,
        changed.broken.len(),
        changed.broken_without_cause.len()
    ));
    notes.check(effect.slots_moved == effect.slots_unavoidable, || {
        format!(
            "{} slots moved, {} had to",
            effect.slots_moved, effect.slots_unavoidable
        )
    });
    notes.check(changed.broken_without_cause.is_empty(), || {
        format!("broke without cause: {:?}", changed.broken_without_cause)
    });
    notes.measure("slotsMoved", effect.slots_moved);
    notes.measure("slotsUnavoidable", effect.slots_unavoidable);
    notes.measure("publishUs", changed.applied.publish_us);
    notes.measure("brokenWithSlot", changed.broken.len());
    notes.measure("brokenWithoutCause", changed.broken_without_cause.len());
    stage.book_change(changed);
}

fn no_breaks(report: &Report, notes: &mut Notes) {
    let broken = report.broken().count();
    notes.check(broken == 0, || {
        format!("{broken} connections broke: {:?}", report.broken().next())
    });
}

/// Checked bytes that come back in a second.
pub fn rate(stage: &Stage) -> Result<u64> {
    let before = stage.load()?.report().bytes();
    interrupt::rest(LOOK)?;
    let after = stage.load()?.report().bytes();
    Ok((after - before) / LOOK.as_secs())
}

fn names(stage: &Stage) -> Vec<String> {
    stage
        .rig
        .network
        .backends
        .iter()
        .map(|host| host.name.clone())
        .collect()
}

pub fn first_line(outcome: &Outcome) -> String {
    let said = outcome.said();
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("{} (exit {})", line.trim(), json!(outcome.code))
}

fn last_line(outcome: &Outcome) -> String {
    let said = outcome.said();
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("{} (exit {})", line.trim(), json!(outcome.code))
}
