//! A revision: what is published for a generation. Pure: it follows from the
//! revision before it, the generation's content and the next hops known now.
//!
//! Member indices, counters and tables go from revision to revision; that is
//! why flows stay where they are.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{
    counters::{COUNTERS, FIRST_FREE},
    member::{MAX_MEMBERS, MemberIndex},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Backend, BackendState, Config, MacAddr, Pool, TableKind},
    plan::{Content, PoolEffect},
    table::{Share, Table, maglev, minmove},
};

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

/// All of a revision but its tables, as it stands in the meta chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    pub content: Content,
    pub pools: BTreeMap<String, PoolState>,
    /// Index into COUNTERS, by VIP.
    pub vip_counters: BTreeMap<String, u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolState {
    pub members: BTreeMap<String, MemberState>,
    /// Slots whose home is not their owner now: (slot, home).
    pub away: Vec<(u16, MemberIndex)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberState {
    pub index: MemberIndex,
    /// Index into COUNTERS.
    pub counter: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
}

/// The lookup table of a pool, and what it would be if all its backends were
/// in service: where slots come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTables {
    pub current: Table,
    pub home: Table,
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
    pub fn next(previous: Option<&Self>, content: &Content, hops: &Hops) -> Result<Self, RevisionError> {
        let mut counters = FreeCounters::beside(previous);
        let config = &content.config;
        let mut state = State {
            content: content.clone(),
            pools: BTreeMap::new(),
            vip_counters: BTreeMap::new(),
        };
        let mut tables = BTreeMap::new();
        for pool in &config.pools {
            let before = previous.and_then(|previous| previous.pool(&pool.name));
            let known = previous.map(Self::config);
            let mut members = members(
                pool,
                before,
                &KnownHops {
                    hops,
                    before: known,
                    now: config,
                },
                &mut counters,
            )?;
            let pool_tables = next_tables(pool, before.map(|(_, tables)| tables), &members);
            members.away = away(&pool_tables);
            state.pools.insert(pool.name.clone(), members);
            tables.insert(pool.name.clone(), pool_tables);
        }
        for vip in &config.vips {
            let kept = previous.and_then(|previous| previous.state.vip_counters.get(&vip.name));
            let counter = match kept {
                Some(counter) => *counter,
                None => counters.take()?,
            };
            state.vip_counters.insert(vip.name.clone(), counter);
        }
        Ok(Self { state, tables })
    }

    /// From the meta chunks and the tables, as read from the kernel or store.
    #[must_use]
    pub fn restore(state: State, mut currents: BTreeMap<String, Table>) -> Option<Self> {
        let mut tables = BTreeMap::new();
        for (name, pool) in &state.pools {
            let current = currents.remove(name)?;
            let mut home = *current.slots();
            for (slot, member) in &pool.away {
                home[usize::from(*slot)] = *member;
            }
            let home = Table::from_bytes(bytemuck::cast_slice(&home)).ok()?;
            tables.insert(name.clone(), PoolTables { current, home });
        }
        Some(Self { state, tables })
    }

    /// What it does to the tables of pools that were there before.
    #[must_use]
    pub fn effects(&self, previous: Option<&Self>) -> Vec<PoolEffect> {
        let Some(previous) = previous else {
            return Vec::new();
        };
        let pools = self.state.content.config.pools.iter();
        let effects = pools.filter_map(|pool| {
            let (_, before) = previous.pool(&pool.name)?;
            let (members, after) = self.pool(&pool.name)?;
            let shares = shares_in_service(pool, members);
            Some(PoolEffect {
                pool: pool.name.clone(),
                slots_moved: before.current.moved(&after.current),
                slots_unavoidable: minmove::unavoidable(&before.current, &shares),
            })
        });
        effects.filter(|effect| effect.slots_moved > 0).collect()
    }

    /// Some next hop is known now that differs from the one published.
    #[must_use]
    pub fn differs_from(&self, hops: &Hops) -> bool {
        self.state.pools.iter().any(|(pool, state)| {
            state.members.iter().any(|(backend, member)| {
                let id = BackendId {
                    pool: pool.clone(),
                    backend: backend.clone(),
                };
                hops.get(&id).is_some_and(|hop| member.hop.as_ref() != Some(hop))
            })
        })
    }

    /// Counters that get a new owner with this revision.
    #[must_use]
    pub fn fresh_counters(&self, previous: Option<&Self>) -> Vec<u16> {
        let before = previous.map(Self::counters).unwrap_or_default();
        self.counters().difference(&before).copied().collect()
    }

    #[must_use]
    pub fn pool(&self, name: &str) -> Option<(&PoolState, &PoolTables)> {
        Some((self.state.pools.get(name)?, self.tables.get(name)?))
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

    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.state.content.config
    }

    /// Backends that own slots, or would, but have no next hop.
    pub fn unresolved(&self) -> impl Iterator<Item = BackendId> {
        self.state.pools.iter().flat_map(|(pool, state)| {
            let members = state.members.iter().filter(|(_, member)| member.hop.is_none());
            members.map(|(backend, _)| BackendId {
                pool: pool.clone(),
                backend: backend.clone(),
            })
        })
    }

    fn counters(&self) -> BTreeSet<u16> {
        let members = self
            .state
            .pools
            .values()
            .flat_map(|pool| pool.members.values().map(|member| member.counter));
        members.chain(self.state.vip_counters.values().copied()).collect()
    }
}

/// Keeps what is known of a pool's backends and numbers the new ones.
fn members(
    pool: &Pool,
    before: Option<(&PoolState, &PoolTables)>,
    hops: &KnownHops<'_>,
    counters: &mut FreeCounters,
) -> Result<PoolState, RevisionError> {
    let mut numbers = FreeNumbers::beside(before);
    let mut members = BTreeMap::new();
    for backend in &pool.backends {
        let id = BackendId {
            pool: pool.name.clone(),
            backend: backend.name.clone(),
        };
        let kept = before.and_then(|(state, _)| state.members.get(&backend.name));
        let hop = hops.of(&id, backend, kept);
        let member = match kept {
            // The last good next hop stands until a better one is known.
            Some(kept) => MemberState {
                hop: hop.or_else(|| kept.hop.clone()),
                ..kept.clone()
            },
            None => MemberState {
                index: numbers.take().ok_or_else(|| RevisionError::Members {
                    pool: pool.name.clone(),
                })?,
                counter: counters.take()?,
                hop,
            },
        };
        members.insert(backend.name.clone(), member);
    }
    Ok(PoolState {
        members,
        away: Vec::new(),
    })
}

/// Next hops known now, and what they were known for before.
struct KnownHops<'a> {
    hops: &'a Hops,
    before: Option<&'a Config>,
    now: &'a Config,
}

impl KnownHops<'_> {
    /// The hop known now; else the last good one, as long as it was for the same
    /// address and leads through an interface that is still ours.
    fn of(&self, id: &BackendId, backend: &Backend, kept: Option<&MemberState>) -> Option<Hop> {
        if let Some(hop) = self.hops.get(id) {
            return Some(hop.clone());
        }
        let pool = self.before?.pool(&id.pool)?;
        let before = pool.backends.iter().find(|before| before.name == backend.name)?;
        let same = (before.address, &before.next_hop) == (backend.address, &backend.next_hop);
        let last = kept?.hop.clone().filter(|_| same)?;
        let ours = self
            .now
            .node
            .interfaces
            .iter()
            .any(|interface| interface.name == last.interface);
        ours.then_some(last)
    }
}

fn next_tables(pool: &Pool, before: Option<&PoolTables>, members: &PoolState) -> PoolTables {
    let in_service = shares_in_service(pool, members);
    match pool.table {
        TableKind::Maglev => {
            let current = maglev::build(&in_service);
            PoolTables {
                home: current.clone(),
                current,
            }
        }
        TableKind::Minmove => {
            let nobody = Table::nobody();
            let (current, home) = before.map_or((&nobody, &nobody), |tables| (&tables.current, &tables.home));
            let home = minmove::home(home, &shares(pool, members, |_, _| true));
            PoolTables {
                current: minmove::next(current, &home, &in_service),
                home,
            }
        }
    }
}

/// Ready backends whose next hop is known; if there is none, all ready ones:
/// their packets are dropped under a counter that says why.
fn shares_in_service(pool: &Pool, members: &PoolState) -> Vec<Share> {
    let reachable = shares(pool, members, |_, member| member.hop.is_some());
    if reachable.iter().any(|share| share.weight > 0) {
        reachable
    } else {
        shares(pool, members, |_, _| true)
    }
}

fn shares(pool: &Pool, members: &PoolState, counts: impl Fn(&Backend, &MemberState) -> bool) -> Vec<Share> {
    let ready = pool
        .backends
        .iter()
        .filter(|backend| backend.state == BackendState::Ready);
    let shares = ready.filter_map(|backend| {
        let member = members.members.get(&backend.name)?;
        let share = Share {
            member: member.index,
            name: backend.name.clone(),
            weight: backend.weight,
        };
        counts(backend, member).then_some(share)
    });
    shares.collect()
}

fn away(tables: &PoolTables) -> Vec<(u16, MemberIndex)> {
    let pairs = tables.current.slots().iter().zip(tables.home.slots()).enumerate();
    pairs
        .filter(|(_, (now, home))| now != home)
        .map(|(slot, (_, home))| (slot as u16, *home))
        .collect()
}

/// Counters that nobody had in the revision before: one that was given back is
/// not given away in the same step, so that no packet counts for two.
struct FreeCounters {
    taken: BTreeSet<u16>,
    next: u32,
}

impl FreeCounters {
    fn beside(previous: Option<&Revision>) -> Self {
        Self {
            taken: previous.map(Revision::counters).unwrap_or_default(),
            next: FIRST_FREE,
        }
    }

    fn take(&mut self) -> Result<u16, RevisionError> {
        while self.next < COUNTERS {
            let counter = self.next as u16;
            self.next += 1;
            if !self.taken.contains(&counter) {
                return Ok(counter);
            }
        }
        Err(RevisionError::Counters)
    }
}

/// Member numbers that no table of the pool holds.
struct FreeNumbers {
    taken: BTreeSet<MemberIndex>,
    next: MemberIndex,
}

impl FreeNumbers {
    fn beside(before: Option<(&PoolState, &PoolTables)>) -> Self {
        let mut taken = BTreeSet::new();
        if let Some((state, tables)) = before {
            taken.extend(state.members.values().map(|member| member.index));
            taken.extend(tables.current.slots());
            taken.extend(tables.home.slots());
        }
        Self { taken, next: 1 }
    }

    fn take(&mut self) -> Option<MemberIndex> {
        while usize::from(self.next) <= MAX_MEMBERS {
            let number = self.next;
            self.next += 1;
            if !self.taken.contains(&number) {
                return Some(number);
            }
        }
        None
    }
}
