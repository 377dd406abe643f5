//! At a start: maps of this build's layout take over from pinned ones of another,
//! side by side (`kernel::beside`).
//!
//! The state of what serves comes from the store, and must be the very revision that
//! the kernel serves; lookup tables and chains of earlier owners are read back from
//! the kernel, so that every flow stays where it is. What cannot be carried whole is
//! not begun.

use std::path::Path;

use lb_common::abi::root::{FORMATS, KIND_CHAINS, KIND_TABLE, RootEntry};

use crate::{
    kernel::{
        KernelError,
        aya::KernelBalancer,
        beside, carry,
        found::FoundRoot,
        upgrade::{self, Object},
    },
    layout::{self, Layout, NotARoot, RootFacts},
    publish::Publisher,
    rehearsal,
    revision::Revision,
    startup::StartError,
    store::{Served, Store, StoreError},
    table::dirty::Dirty,
};

/// Why this build's maps cannot take over. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    #[error("what is served cannot be read")]
    Unreadable,
    #[error("its root cannot be read: {0}")]
    Root(#[from] NotARoot),
    #[error("its lookup tables are in a form that this build does not know")]
    Formats,
    #[error("the state directory cannot be used, and only its journal has what is served in a form for all versions")]
    NoStore,
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("the kernel serves revision {0}, which the journal does not know as the last one")]
    Journal(u64),
    #[error("the lookup table of pool {0} is not the one in the store")]
    Table(String),
    #[error("{0} cannot be carried over; if it is FLOWS, it can once no slot is dirty")]
    Map(&'static str),
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Whole,
    /// Stop after so many steps, as a daemon does that ends there: for tests.
    Steps(usize),
}

/// Opens what is pinned below `pins`, once it has this build's layout. `None`: it
/// stopped before the end, as it was told to.
///
/// # Errors
/// When what serves is of another layout and cannot be taken over from, or when the
/// kernel refuses. It goes on serving.
pub fn open(
    pins: &Path,
    object: &Object,
    store: Option<&Store>,
    reach: Reach,
) -> Result<Option<KernelBalancer>, StartError> {
    let lock = beside::lock(pins)?;
    let misfit = upgrade::misfit(object, pins)?;
    if let Some(misfit) = misfit.filter(|_| object.is_of_this_layout().unwrap_or(false)) {
        let found = FoundRoot::read(pins);
        let serving = upgrade::serving(pins);
        let ready = ready(pins, object, found.as_ref(), store)?;
        let (facts, revision) = ready.map_err(|why| StartError::Layout {
            misfit,
            serving,
            why: Box::new(why),
        })?;
        if !take_over(pins, object, &facts, &revision, reach)? {
            return Ok(None);
        }
        tracing::info!(
            was = serving.map(|(abi, _)| abi),
            "maps of this build's layout took over"
        );
    }
    Ok(Some(KernelBalancer::open_locked(pins, object.clone(), lock)?))
}

/// All that takes over, if it can.
fn ready(
    pins: &Path,
    object: &Object,
    found: Option<&FoundRoot>,
    store: Option<&Store>,
) -> Result<Result<(RootFacts, Revision), Obstacle>, KernelError> {
    let carried = match (found, store) {
        (None, _) => Err(Obstacle::Unreadable),
        (Some(_), None) => Err(Obstacle::NoStore),
        (Some(found), Some(store)) => revision(found, store),
    };
    let dirty = |(_, revision): &(RootFacts, Revision)| revision.tables.values().any(|pool| !pool.dirty.is_empty());
    Ok(match carried {
        Ok(carried) => match carry::obstacle(object, pins, dirty(&carried))? {
            Some(map) => Err(Obstacle::Map(map)),
            None => Ok(carried),
        },
        Err(obstacle) => Err(obstacle),
    })
}

/// What serves: its state from the store, its tables and chains from the kernel.
fn revision(found: &FoundRoot, store: &Store) -> Result<(RootFacts, Revision), Obstacle> {
    let formats = found.header().formats;
    let known = |kind: u16| formats[usize::from(kind)] == FORMATS[usize::from(kind)];
    let (facts, entries) = layout::read_root_of_any(&found.image)?;
    if !known(KIND_TABLE) || !known(KIND_CHAINS) {
        return Err(Obstacle::Formats);
    }
    let served = served(&facts, store)?;
    let mut revision = store.state(&served)?;
    for (ordinal, pool) in (0..).zip(&served.content.config.pools) {
        let chunk = |kind| {
            let mut entries = entries.iter();
            let entry: &RootEntry = entries.find(|entry| (entry.kind, entry.ordinal) == (kind, ordinal))?;
            Some(found.chunk(entry.chunk))
        };
        let other = || Obstacle::Table(pool.name.clone());
        let table = chunk(KIND_TABLE).flatten().ok_or_else(other)?;
        // A chunk that is named and cannot be read is not the same as none.
        let chains = chunk(KIND_CHAINS).map(|chains| chains.ok_or_else(other)).transpose()?;
        let (table, dirty) = Dirty::read(table.bytes(), chains.as_ref()).ok_or_else(other)?;
        let stored = revision.tables.get_mut(&pool.name).ok_or_else(other)?;
        if stored.current.digest() != table.digest() {
            return Err(other());
        }
        stored.dirty = dirty;
    }
    let facts = RootFacts {
        state: revision.state.digest(),
        ..facts
    };
    Ok((facts, revision))
}

/// The journal's record of what the kernel serves.
fn served(facts: &RootFacts, store: &Store) -> Result<Served, Obstacle> {
    let pending = store.pending_intent()?.map(|pending| pending.served);
    let mut known = store.last_switched()?.into_iter().chain(pending);
    let same = |served: &Served| {
        (served.generation, served.revision, served.content.digest())
            == (facts.generation, facts.revision, facts.digest)
    };
    known.find(same).ok_or(Obstacle::Journal(facts.revision))
}

/// Tells whether it came to the end.
fn take_over(
    pins: &Path,
    object: &Object,
    facts: &RootFacts,
    revision: &Revision,
    reach: Reach,
) -> Result<bool, StartError> {
    let most = match reach {
        Reach::Whole => usize::MAX,
        Reach::Steps(steps) => steps,
    };
    beside::settle(pins)?;
    upgrade::settle(pins)?;
    if most == 0 {
        return Ok(false);
    }
    let made = beside::make(object, pins).map_err(StartError::from);
    let filled = made.and_then(|kernel| {
        if most > 1 {
            fill(kernel, pins, facts, revision)
        } else {
            Ok(())
        }
    });
    if let Err(error) = filled {
        beside::discard(pins)?;
        return Err(error);
    }
    let steps = beside::steps(pins);
    for step in steps.iter().take(most.saturating_sub(MADE_AND_FILLED)) {
        beside::take(step, pins)?;
    }
    Ok(most >= MADE_AND_FILLED + steps.len())
}

/// Steps before those of `beside`.
const MADE_AND_FILLED: usize = 2;

/// Publishes into the new set what the other one serves, under the same numbers.
fn fill(kernel: KernelBalancer, pins: &Path, facts: &RootFacts, revision: &Revision) -> Result<(), StartError> {
    let layout = Layout::of(revision, None).map_err(|error| StartError::First(error.into()))?;
    let published = Publisher::new(kernel).publish(&layout, facts, |kernel, active| {
        rehearsal::rehearse_all(kernel, active, revision).map_err(Into::into)
    });
    published.map_err(|error| StartError::First(error.into()))?;
    Ok(beside::carry_flows(pins)?)
}
