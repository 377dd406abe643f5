//! A revision: what is published for a generation. Pure: it follows from the
//! revision before it, the generation's content and the next hops known now.
//!
//! Member indices, counters and tables go from revision to revision; that is
//! why flows stay where they are.

mod health;
mod next;
mod numbers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{
    counters::{COUNTERS, FIRST_FREE},
    flows::Seconds,
    member::{MAX_MEMBERS, MemberIndex},
};
use serde::{Deserialize, Serialize};

use self::numbers::CounterSet;
use crate::{
    config::{Backend, Config, MacAddr},
    digest::Digest,
    part::Part,
    plan::{Content, PoolEffect},
    table::{Table, away, dirty::Dirty, minmove},
};

pub use self::health::{Guest, MemberHealth, Standing, guest_name, starts_anew};

/// A backend, by pool and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId {
    pub pool: String,
    pub backend: String,
}

/// Where frames for a backend go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hop {
    /// Of the backend, or of the gateway to it.
    pub mac: MacAddr,
    pub interface: String,
    pub interface_mac: MacAddr,
    pub ifindex: u32,
    /// Of the interface, bytes: the longest IP packet.
    pub mtu: u16,
}

/// The hops known now; a backend without one is not resolved.
pub type Hops = BTreeMap<BackendId, Hop>;

/// All of a revision but its tables, in parts that revisions share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub content: Part<Content>,
    pub pools: BTreeMap<String, Part<PoolState>>,
    /// Index into COUNTERS, by VIP.
    pub vip_counters: Part<BTreeMap<String, u16>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolState {
    /// By the name of the backend; guests by [`guest_name`].
    pub members: BTreeMap<String, MemberState>,
    /// Slots whose home is not their owner now, as [`away::written`]; empty:
    /// there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub away: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberState {
    pub index: MemberIndex,
    /// The backend as it was, if it is in the configuration no more but still
    /// has flows: it *leaves*, and is forgotten when no chain names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Backend>,
    /// Index into COUNTERS.
    pub counter: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    #[serde(default, skip_serializing_if = "MemberHealth::is_default")]
    pub health: MemberHealth,
    /// Of the fallback pool; absent: one of the pool's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
}

/// What a revision follows from, beside its content.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Backends that are not there keep the hop they have.
    pub hops: &'a Hops,
    /// Members that are not there keep the health they have.
    pub standing: &'a Standing,
    pub now: Seconds,
}

/// What is over of drains, by pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Slots that are clean again.
    pub clean: BTreeMap<String, BTreeSet<u16>>,
    /// Slots that stay dirty, each with earlier owners that have no flows there
    /// any more.
    pub idle: BTreeMap<String, BTreeMap<u16, Vec<MemberIndex>>>,
    /// Members whose time is up: they lose the flows they have.
    pub ended: BTreeMap<String, BTreeSet<MemberIndex>>,
}

impl Over {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.clean.is_empty() && self.idle.is_empty() && self.ended.is_empty()
    }
}

/// The lookup table of a pool, and what it would be if all its backends were
/// in service: where slots come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTables {
    pub current: Table,
    pub home: Table,
    /// Slots of `current` that have flows of earlier owners.
    pub dirty: Dirty,
}

/// What is published, or to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub state: State,
    pub tables: BTreeMap<String, PoolTables>,
}

/// A limit of the kernel's maps was reached; nothing is published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("VIPs and members need more than {} counters", COUNTERS - FIRST_FREE)]
    Counters,
    #[error("pool {pool}: its backends, old and new, need more than {MAX_MEMBERS} member numbers at once")]
    Members { pool: String },
}

impl Revision {
    /// The revision for `content`, after `previous`.
    ///
    /// # Errors
    /// When counters or member numbers run out.
    pub fn next(
        previous: Option<&Self>,
        content: &Part<Content>,
        hops: &Hops,
        now: Seconds,
    ) -> Result<Self, RevisionError> {
        let standing = &Standing::new();
        Self::following(previous, content, &Inputs { hops, standing, now })
    }

    /// The same, with what is known of health.
    ///
    /// # Errors
    /// When counters or member numbers run out.
    pub fn following(
        previous: Option<&Self>,
        content: &Part<Content>,
        inputs: &Inputs<'_>,
    ) -> Result<Self, RevisionError> {
        next::next(previous, content, inputs)
    }

    /// The same without what is over, and without backends that left.
    #[must_use]
    pub fn cleaned(&self, over: &Over) -> Self {
        next::cleaned(self, over)
    }

    /// From the meta chunks and the tables, as read from the kernel or store.
    #[must_use]
    pub fn restore(state: State, mut currents: BTreeMap<String, (Table, Dirty)>) -> Option<Self> {
        let mut tables = BTreeMap::new();
        for (name, pool) in &state.pools {
            let (current, dirty) = currents.remove(name)?;
            let home = away::read(&pool.away, &current)?;
            tables.insert(name.clone(), PoolTables { current, home, dirty });
        }
        Some(Self { state, tables })
    }

    /// What it does to the tables of pools that were there before.
    #[must_use]
    pub fn effects(&self, previous: Option<&Self>) -> Vec<PoolEffect> {
        let Some(previous) = previous else {
            return Vec::new();
        };
        let pools = self.config().pools.iter();
        let effects = pools.filter_map(|pool| {
            let (_, before) = previous.pool(&pool.name)?;
            let (members, after) = self.pool(&pool.name)?;
            let slots_moved = before.current.moved(&after.current);
            (slots_moved > 0).then(|| PoolEffect {
                pool: pool.name.clone(),
                slots_moved,
                slots_unavoidable: minmove::unavoidable(&before.current, &next::shares_in_service(pool, members)),
            })
        });
        effects.collect()
    }

    /// Some next hop is known now that differs from the one published.
    #[must_use]
    pub fn differs_from(&self, hops: &Hops) -> bool {
        self.other_hops(hops).next().is_some()
    }

    /// Backends whose next hop is known now and differs from the one published.
    fn other_hops<'h>(&self, hops: &'h Hops) -> impl Iterator<Item = &'h BackendId> {
        hops.iter().filter_map(|(id, hop)| {
            let member = self.state.pools.get(&id.pool)?.members.get(&id.backend)?;
            (member.hop.as_ref() != Some(hop)).then_some(id)
        })
    }

    /// Members of whose health something else is to be published.
    pub fn stands_otherwise<'s>(&self, standing: &'s Standing) -> impl Iterator<Item = &'s BackendId> {
        standing.iter().filter_map(|(id, health)| {
            let member = self.state.pools.get(&id.pool)?.members.get(&id.backend)?;
            health.is_news_to(&member.health).then_some(id)
        })
    }

    /// Counters that get a new owner with this revision.
    #[must_use]
    pub fn fresh_counters(&self, previous: Option<&Self>) -> Vec<u16> {
        let before = CounterSet::of(previous);
        self.counters().filter(|counter| !before.holds(*counter)).collect()
    }

    #[must_use]
    pub fn pool(&self, name: &str) -> Option<(&PoolState, &PoolTables)> {
        Some((&**self.state.pools.get(name)?, self.tables.get(name)?))
    }

    /// The name of a member, by its number.
    #[must_use]
    pub fn member_name(&self, pool: &str, index: MemberIndex) -> Option<&str> {
        let members = &self.state.pools.get(pool)?.members;
        members
            .iter()
            .find(|(_, member)| member.index == index)
            .map(|(name, _)| name.as_str())
    }

    /// As it is in force: with the overrides of operators in it.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.state.content.in_force()
    }

    /// Backends that own slots, or would, but have no next hop.
    pub fn unresolved(&self) -> impl Iterator<Item = BackendId> {
        self.state.pools.iter().flat_map(|(pool, state)| {
            let members = state.members.iter();
            let members = members.filter(|(_, member)| member.hop.is_none() && member.guest.is_none());
            members.map(|(backend, _)| BackendId {
                pool: pool.clone(),
                backend: backend.clone(),
            })
        })
    }

    /// Indices into COUNTERS that are in use.
    pub fn counters(&self) -> impl Iterator<Item = u16> {
        let pools = self.state.pools.values();
        let members = pools.flat_map(|pool| pool.members.values().map(|member| member.counter));
        members.chain(self.state.vip_counters.values().copied())
    }
}

impl State {
    /// SHA-256 over the digests of its lines, as the meta chunks have them: the
    /// content, the counters of VIPs, then each pool.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let pools = self.pools.values().map(Part::digest);
        let digests = [self.content.digest(), self.vip_counters.digest()]
            .into_iter()
            .chain(pools);
        Digest::of(&digests.flat_map(|digest| digest.0).collect::<Vec<u8>>())
    }
}
