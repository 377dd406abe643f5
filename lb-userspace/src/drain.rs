//! When is a dirty slot clean again? When no flow of an earlier owner was seen
//! in it for long enough, or at the deadline. Pure but for [`sweep`], which
//! reads FLOWS and takes entries out that nobody needs.
//!
//! A slot that changed owner more than once has flows of several earlier ones.
//! Each has a silence of its own: one that owns no slot any more, because it is
//! drained or removed, is forgotten in each slot as its own flows fall silent, so
//! that nobody waits for connections of another. One that owns slots stays in the
//! chains until the slot is clean: nobody waits for it, and a flow of its that was
//! silent too long goes on as long as there is something to tell it by.

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
    revision::{Over, Revision},
    table::dirty::Dirty,
};

#[cfg(test)]
mod tests;

/// A pool's dirty slots, and its patience.
#[derive(Clone, Debug)]
pub struct Draining {
    pub pool: String,
    pub dirty: Dirty,
    /// Members that own slots.
    pub owners: BTreeSet<MemberIndex>,
    pub idle: Seconds,
    pub deadline: Seconds,
}

/// When a packet of an old flow was last seen, by pool, slot, and the earlier
/// owner that it went to.
pub type Sightings = BTreeMap<(String, u16, MemberIndex), Seconds>;

/// The pools of a revision that have dirty slots.
#[must_use]
pub fn draining(revision: &Revision) -> Vec<Draining> {
    let pools = revision.config().pools.iter();
    let pools = pools.filter_map(|pool| {
        let tables = revision.tables.get(&pool.name)?;
        (!tables.dirty.is_empty()).then(|| Draining {
            pool: pool.name.clone(),
            dirty: tables.dirty.clone(),
            owners: tables.current.counts().keys().copied().collect(),
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
                let of = (pool.pool.clone(), slot, entry.member());
                let latest = sightings.entry(of).or_insert(seen);
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

/// What is over by silence or at the deadline of a pool. `blind`: old flows were
/// seen of late that found no room in FLOWS, so that silence proves nothing.
#[must_use]
pub fn due(draining: &[Draining], sightings: &Sightings, blind: bool, now: Seconds) -> Over {
    let mut over = Over::default();
    for pool in draining {
        let (mut clean, mut idle) = (BTreeSet::new(), BTreeMap::new());
        for (slot, chain) in pool.dirty.chains() {
            if now.saturating_sub(chain.since) > pool.deadline {
                clean.insert(*slot);
                continue;
            }
            let is_silent = |member: MemberIndex| {
                let seen = sightings.get(&(pool.pool.clone(), *slot, member)).copied();
                let since = seen.map_or(chain.since, |seen| seen.max(chain.since));
                !blind && now.saturating_sub(since) > pool.idle
            };
            let others = chain.earlier.iter().filter(|one| **one != 0 && **one != chain.owner);
            let (silent, heard): (Vec<MemberIndex>, Vec<MemberIndex>) = others.partition(|one| is_silent(**one));
            if heard.is_empty() {
                clean.insert(*slot);
                continue;
            }
            let gone: Vec<MemberIndex> = silent.into_iter().filter(|one| !pool.owners.contains(one)).collect();
            if !gone.is_empty() {
                idle.insert(*slot, gone);
            }
        }
        if !clean.is_empty() {
            over.clean.insert(pool.pool.clone(), clean);
        }
        if !idle.is_empty() {
            over.idle.insert(pool.pool.clone(), idle);
        }
    }
    over
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
