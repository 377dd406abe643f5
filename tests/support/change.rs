//! A change of configuration under load, and what became of each connection.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    contract::{Applied, Effect},
    daemon::Installation,
    streams::{Load, Record, Report},
};

/// A connection whose slot has moved hears so from its new backend at its next
/// packet, at most a pause later.
const SETTLE: Duration = Duration::from_secs(2);

/// What a change did.
#[derive(Clone, Debug)]
pub struct Changed {
    pub applied: Applied,
    /// Long-lived streams that were open before.
    pub open: usize,
    /// Those of them that the kernel sends elsewhere now.
    pub moved: usize,
    /// Connections that broke because their slot moved.
    pub broken: Vec<Record>,
    /// Connections that broke although it did not: none may.
    pub broken_without_cause: Vec<Record>,
    pub report: Report,
}

impl Changed {
    /// The effect on one pool's lookup table; one that is not touched has none.
    #[must_use]
    pub fn effect(&self, pool: &str) -> Effect {
        let found = self.applied.effects.iter().find(|effect| effect.pool == pool);
        found.cloned().unwrap_or_else(|| Effect {
            pool: pool.to_owned(),
            slots_moved: 0,
            slots_unavoidable: 0,
        })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "generation {}: of {} open streams {} moved; {} connections broke with their slot, {} without cause; \
             published in {} µs",
            self.applied.generation,
            self.open,
            self.moved,
            self.broken.len(),
            self.broken_without_cause.len(),
            self.applied.publish_us
        )
    }
}

/// Makes a change while a load runs. Before and after, the kernel is asked for
/// every open stream where it sends it; before, that must be the backend the
/// stream has heard.
pub fn under_load(
    installation: &Installation,
    load: &Load,
    change: impl FnOnce() -> Result<Applied>,
) -> Result<Changed> {
    let before = load.report();
    for record in before.open() {
        let sent_to = owner(installation, record)?;
        ensure!(
            sent_to == record.backend,
            "{}: the kernel says {sent_to:?}, the stream says {:?}",
            record.source,
            record.backend
        );
    }
    let applied = change()?;
    let switched = Instant::now();
    thread::sleep(SETTLE);
    let mut moved = 0;
    for record in before.open() {
        moved += usize::from(owner(installation, record)? != record.backend);
    }
    let report = load.report();
    let mut broken = Vec::new();
    let mut broken_without_cause = Vec::new();
    for (nth, record) in report.records.iter().enumerate() {
        let ended_before = before.records.get(nth).is_some_and(|record| record.ending.is_some());
        if ended_before || !record.is_broken() {
            continue;
        }
        let cause = match &record.backend {
            Some(_) => owner(installation, record)? != record.backend,
            // It broke before its backend spoke: the switch came between its
            // first packets, if it is older than the switch.
            None => record.opened <= switched,
        };
        let list = if cause { &mut broken } else { &mut broken_without_cause };
        list.push(record.clone());
    }
    Ok(Changed {
        applied,
        open: before.open().count(),
        moved,
        broken,
        broken_without_cause,
        report,
    })
}

fn owner(installation: &Installation, record: &Record) -> Result<Option<String>> {
    let why = installation
        .why_tcp(record.source, record.target)
        .with_context(|| format!("asking why for {}", record.source))?;
    Ok(why.backend)
}
