//! What is cut short: each operation as a value.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use support::tracer::Trace;

use super::site::{Build, IDLE, Served, Site};

/// What is asked for takes effect within this.
const EFFECT: Duration = Duration::from_secs(20);

/// One operation, and what it may leave behind.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// Makes the site what the operation begins with; a daemon runs and serves.
    pub prepare: fn(&mut Site) -> Result<()>,
    pub way: Way,
    /// What the next daemon is started as, by turns.
    pub next: fn(&mut Site, turn: usize),
    /// After that start: what an operator has to do until all is well; `done`: the
    /// operation was said to be.
    pub mend: fn(&Site, done: bool) -> Result<()>,
    /// After a round: what would stand in the way of the next one.
    pub settle: fn(&Site, &Served) -> Result<()>,
    /// What has to be synced on the way, by its last name: no kill shows that, since the
    /// kernel outlives it.
    pub syncs: &'static [&'static str],
    /// In CI, every so many points; the long run takes every one.
    pub stride: usize,
}

#[derive(Clone, Copy)]
pub enum Way {
    /// Somebody, or something, asks a daemon for it.
    Asked {
        /// True: it was said to be done.
        act: fn(&mut Site, &Trace) -> Result<bool>,
        /// What serves when it is done.
        aim: fn(&Served) -> Served,
    },
    /// A start where something serves.
    Start,
    /// A start where nothing serves.
    Begin,
}

const NOTHING: Operation = Operation {
    name: "",
    prepare: |_| Ok(()),
    way: Way::Start,
    next: |_, _| (),
    mend: |_, _| Ok(()),
    settle: |_, _| Ok(()),
    syncs: &[],
    stride: 1,
};

pub const FIRST_START: Operation = Operation {
    name: "first start",
    prepare: Site::raze,
    way: Way::Begin,
    stride: 45,
    ..NOTHING
};

pub const ADOPTION: Operation = Operation {
    name: "start that adopts",
    stride: 7,
    ..NOTHING
};

pub const SERVING_AGAIN: Operation = Operation {
    name: "start after the pins were lost",
    prepare: Site::lose_pins,
    way: Way::Begin,
    stride: 33,
    ..NOTHING
};

pub const UPGRADE: Operation = Operation {
    name: "upgrade of the program",
    prepare: |site| {
        site.build = other(site.build, Build::Later);
        Ok(())
    },
    // Back to the one from before, or on to the new one.
    next: |site, turn| {
        if turn.is_multiple_of(2) {
            site.build = other(site.build, Build::Later);
        }
    },
    stride: 9,
    ..NOTHING
};

pub const RELAYOUT: Operation = Operation {
    name: "change of the layout",
    prepare: |site| {
        site.build = other(site.build, Build::Relaid);
        Ok(())
    },
    next: |site, turn| {
        if turn.is_multiple_of(2) {
            site.build = other(site.build, Build::Relaid);
        }
    },
    stride: 43,
    ..NOTHING
};

pub const APPLY: Operation = Operation {
    name: "apply",
    way: Way::Asked {
        act: |site, _| {
            let side = site.side_to_come()?;
            site.write(side)?;
            let path = site.installation.config.to_string_lossy().into_owned();
            succeeds(site, &["apply", "-f", &path])
        },
        aim: other_side,
    },
    stride: 8,
    syncs: ENTRY,
    ..NOTHING
};

pub const ROLLBACK: Operation = Operation {
    name: "rollback",
    prepare: |site| {
        // There has to be one before.
        let served = site.served()?;
        if served.generation == 1 {
            site.ensure_applies(&served)?;
        }
        Ok(())
    },
    way: Way::Asked {
        act: |site, _| succeeds(site, &["rollback"]),
        aim: other_side,
    },
    stride: 12,
    syncs: ENTRY,
    ..NOTHING
};

pub const ABORT: Operation = Operation {
    name: "a trial taken back",
    prepare: |site| {
        let side = site.side_to_come()?;
        site.write(side)?;
        let path = site.installation.config.to_string_lossy().into_owned();
        site.run(&["apply", "-f", &path, "--confirm-within", "5m"]).map(drop)
    },
    way: Way::Asked {
        act: |site, _| succeeds(site, &["abort"]),
        aim: other_side,
    },
    settle: |site, _| {
        if site.installation.status()?.trial.is_some() {
            site.run(&["abort"])?;
        }
        Ok(())
    },
    stride: 12,
    ..NOTHING
};

pub const DETACH: Operation = Operation {
    name: "detach",
    way: Way::Asked {
        act: |site, _| succeeds(site, &["detach", IDLE]),
        aim: |before| {
            let mut aim = following(before);
            aim.attached.remove(IDLE);
            aim
        },
    },
    settle: |site, served| {
        if !served.attached.contains(IDLE) {
            site.run(&["attach", IDLE])?;
        }
        Ok(())
    },
    stride: 17,
    ..NOTHING
};

pub const ATTACH: Operation = Operation {
    name: "attach",
    prepare: |site| site.run(&["detach", IDLE]).map(drop),
    way: Way::Asked {
        act: |site, _| succeeds(site, &["attach", IDLE]),
        aim: |before| {
            let mut aim = following(before);
            aim.attached.insert(IDLE.to_owned());
            aim
        },
    },
    settle: DETACH.settle,
    stride: 17,
    ..NOTHING
};

/// Of a store that is no database.
pub const RECOVER: Operation = Operation {
    name: "recover of a store that is garbage",
    prepare: |site| site.damage(|store| fs::write(store, GARBAGE)),
    way: RECOVERY,
    mend: |site, done| {
        recovered(site, done)?;
        ensure!(
            site.take_set_aside()?.iter().any(|store| store == GARBAGE),
            "what was the store is gone"
        );
        Ok(())
    },
    stride: 9,
    ..NOTHING
};

/// Of a store that is not there.
pub const RECOVER_ANEW: Operation = Operation {
    name: "recover of a store that is gone",
    prepare: |site| site.damage(fs::remove_file),
    way: RECOVERY,
    mend: recovered,
    stride: 5,
    syncs: ENTRY,
    ..NOTHING
};

/// An entry of the journal: SQLite's own journal, the database, and the directory
/// when the former is gone.
const ENTRY: &[&str] = &["holdfast.db-journal", "holdfast.db", "state"];

const GARBAGE: &[u8] = b"no database";

const RECOVERY: Way = Way::Asked {
    act: |site, _| succeeds(site, &["recover"]),
    aim: Served::clone,
};

/// All is as before the damage, if need be by another `recover`.
fn recovered(site: &Site, done: bool) -> Result<()> {
    if site.installation.status()?.mode != "normal" {
        ensure!(!done, "it was said to be recovered, and is not");
        site.run(&["recover"])?;
    }
    let (is, was) = (site.history()?, &site.remembered);
    ensure!(is == *was, "the history is {is:?}, and was {was:?}");
    Ok(())
}

pub const REVISION: Operation = Operation {
    name: "revision",
    way: Way::Asked {
        act: |site, trace| {
            site.hop = 3 - site.hop;
            site.set_hop(site.hop)?;
            let mut published = false;
            let read_only = site.times_read_only()?;
            site.until(EFFECT, "a revision with the new next hop", || {
                // One whose outcome could not be recorded serves too.
                published = site.is_recorded(site.hop) || site.has_hop(site.hop) && site.times_read_only()? > read_only;
                Ok(published || trace.is_over())
            })?;
            // Nobody asked, so nobody was told.
            Ok(published)
        },
        aim: Served::clone,
    },
    stride: 5,
    syncs: ENTRY,
    ..NOTHING
};

const fn other(build: Build, than_usual: Build) -> Build {
    match build {
        Build::Usual => than_usual,
        Build::Later | Build::Relaid => Build::Usual,
    }
}

fn following(before: &Served) -> Served {
    Served {
        generation: before.generation + 1,
        ..before.clone()
    }
}

fn other_side(before: &Served) -> Served {
    Served {
        side: before.side.other(),
        ..following(before)
    }
}

/// The command says that it is done.
fn succeeds(site: &mut Site, arguments: &[&str]) -> Result<bool> {
    let outcome = site.installation.run(arguments)?;
    let code = outcome.code.context("holdfast was killed")?;
    ensure!(
        code == 0 || !outcome.stderr.is_empty(),
        "it fails, and does not say why"
    );
    if code != 0 {
        site.said = outcome.stderr;
    }
    Ok(code == 0)
}
