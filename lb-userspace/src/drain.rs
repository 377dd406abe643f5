//! When is a dirty slot clean again? When no flow of an earlier owner was seen
//! in it for long enough, or at the deadline. Pure but for [`sweep`], which
//! reads FLOWS and takes entries out that nobody needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use lb_common::abi::{
    chain::Chain,
    flows::{FLOWS_PER_LINE, FlowEntry, Seconds},
    member::MemberIndex,
};

use crate::{
    config::{self, BackendState, ObjectName},
    revision::Revision,
    table::dirty::Dirty,
};

#[cfg(test)]
mod tests;

/// A pool's dirty slots, and its patience.
#[derive(Clone, Debug)]
pub struct Draining {
    pub pool: String,
    pub dirty: Dirty,
    pub idle: Seconds,
    pub deadline: Seconds,
}

/// When a packet of an old flow was last seen, by pool and slot.
pub type Sightings = BTreeMap<(String, u16), Seconds>;

/// The pools of a revision that have dirty slots.
#[must_use]
pub fn draining(revision: &Revision) -> Vec<Draining> {
    let pools = revision.config().pools.iter();
    let pools = pools.filter_map(|pool| {
        let dirty = &revision.tables.get(&pool.name)?.dirty;
        (!dirty.is_empty()).then(|| Draining {
            pool: pool.name.clone(),
            dirty: dirty.clone(),
            idle: units(pool.drain.idle),
            deadline: units(pool.drain.deadline),
        })
    });
    pools.collect()
}

/// Seconds as the program counts them, rounded up.
fn units(seconds: config::Seconds) -> Seconds {
    (u64::from(seconds.0) * 1_000_000_000).div_ceil(1 << 30) as Seconds
}

/// Reads all entries of FLOWS. One whose slot is clean, or of which no chain
/// names the member, is taken out; so is one that says no more than what is
/// taken for granted (the slot's oldest owner) once it is idle. All others stay:
/// without them a flow would go to the oldest owner.
pub fn sweep(flows: &[AtomicU64], draining: &[Draining], now: Seconds) -> Sightings {
    let mut sightings = Sightings::new();
    for (at, cell) in flows.iter().enumerate() {
        let entry = FlowEntry(cell.load(Ordering::Relaxed));
        if entry.is_empty() {
            continue;
        }
        let slot = entry.slot((at / FLOWS_PER_LINE) as u32);
        let mut needed = false;
        for pool in draining {
            let Some(chain) = pool
                .dirty
                .chains()
                .get(&slot)
                .filter(|chain| chain.names(entry.member()))
            else {
                continue;
            };
            needed |= is_needed(chain, entry, pool.idle, now);
            if entry.member() != chain.owner {
                let seen = now.wrapping_sub(entry.age(now));
                let latest = sightings.entry((pool.pool.clone(), slot)).or_insert(seen);
                *latest = (*latest).max(seen);
            }
        }
        if needed {
            continue;
        }
        // If it fails, a packet was quicker and has news of it: it stays.
        let taken = cell.compare_exchange(entry.0, 0, Ordering::Relaxed, Ordering::Relaxed);
        tracing::trace!(slot, ?taken, "a flow is not kept any more");
    }
    sightings
}

const fn is_needed(chain: &Chain, entry: FlowEntry, idle: Seconds, now: Seconds) -> bool {
    entry.member() != chain.oldest() || entry.age(now) <= idle
}

/// The slots of each pool that are clean again. `blind`: old flows were seen of
/// late that found no room in FLOWS, so that silence proves nothing.
#[must_use]
pub fn due(draining: &[Draining], sightings: &Sightings, blind: bool, now: Seconds) -> BTreeMap<String, BTreeSet<u16>> {
    let mut due: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for pool in draining {
        let slots = pool.dirty.chains().iter().filter(|(slot, chain)| {
            let seen = sightings.get(&(pool.pool.clone(), **slot)).copied();
            let quiet_since = seen.map_or(chain.since, |seen| seen.max(chain.since));
            let idle = !blind && now.saturating_sub(quiet_since) > pool.idle;
            idle || now.saturating_sub(chain.since) > pool.deadline
        });
        let slots: BTreeSet<u16> = slots.map(|(slot, _)| *slot).collect();
        if !slots.is_empty() {
            due.insert(pool.pool.clone(), slots);
        }
    }
    due
}

/// Members of each pool whose drain was to last until now at most, and that may
/// still have flows: these are ended.
#[must_use]
pub fn ended(revision: &Revision, now: Timestamp) -> BTreeMap<String, BTreeSet<MemberIndex>> {
    let mut ended: BTreeMap<String, BTreeSet<MemberIndex>> = BTreeMap::new();
    for (object, of) in &revision.state.content.overrides.backends {
        let ObjectName::Backend { pool, backend } = object else {
            continue;
        };
        let over = of.state == Some(BackendState::Drain) && of.until.is_some_and(|until| until <= now);
        let Some((state, tables)) = revision.pool(pool).filter(|_| over) else {
            continue;
        };
        let member = state.members.get(backend).map(|member| member.index);
        if let Some(member) = member.filter(|member| tables.dirty.earlier().contains(member)) {
            ended.entry(pool.clone()).or_default().insert(member);
        }
    }
    ended
}

/// Remembers when old flows were seen last that found no room in FLOWS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blind {
    /// How many packets of such flows there were.
    refused: u64,
    /// When the number grew last.
    since: Option<Seconds>,
}

impl Blind {
    /// Whether some were seen within the patience of the pools. `refused`: how
    /// many there were since the program was loaded.
    pub fn look(&mut self, refused: u64, draining: &[Draining], now: Seconds) -> bool {
        if refused != self.refused {
            self.refused = refused;
            self.since = Some(now);
        }
        let patience = draining.iter().map(|pool| pool.idle).max().unwrap_or(0);
        self.since.is_some_and(|since| now.wrapping_sub(since) <= patience)
    }
}
