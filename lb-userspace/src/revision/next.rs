//! The next revision. A pool that nothing happened to keeps its state and its
//! tables as they are, by handle; of the others a table is made anew only when
//! shares changed.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::member::MemberIndex;

use super::{
    BackendId, Guest, Hop, Inputs, MemberHealth, MemberState, Over, PoolState, PoolTables, Revision, RevisionError,
    State,
    health::{at_first, guests, starts_anew, waiting},
    numbers::{FreeCounters, FreeNumbers},
};
use crate::{
    config::{Backend, BackendState, Config, Encap, Pool, TableKind, Vip},
    part::Part,
    plan::Content,
    table::{
        Share, Table, away,
        dirty::{Change, Dirty},
        maglev, minmove,
    },
};

pub fn next(
    previous: Option<&Revision>,
    content: &Part<Content>,
    inputs: &Inputs<'_>,
) -> Result<Revision, RevisionError> {
    let mut counters = FreeCounters::beside(previous);
    let config = content.in_force();
    let news = previous.map(|previous| News::since(previous, config, inputs));
    let mut pools = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for pool in &config.pools {
        let before = previous.and_then(|previous| Before::of(previous, &pool.name));
        let (state, pool_tables) = match before {
            Some(before) if news.as_ref().is_some_and(|news| !news.touch(pool, before.pool)) => {
                (before.state.clone(), before.tables.clone())
            }
            before => next_pool(pool, before, config, inputs, &mut counters)?,
        };
        pools.insert(pool.name.clone(), state);
        tables.insert(pool.name.clone(), pool_tables);
    }
    let state = State {
        content: content.clone(),
        pools,
        vip_counters: vip_counters(previous, &config.vips, &mut counters)?,
    };
    Ok(Revision { state, tables })
}

/// A pool as it is in the revision before.
#[derive(Clone, Copy)]
struct Before<'a> {
    pool: &'a Pool,
    state: &'a Part<PoolState>,
    tables: &'a PoolTables,
}

impl<'a> Before<'a> {
    fn of(previous: &'a Revision, name: &str) -> Option<Self> {
        Some(Self {
            pool: previous.config().pool(name)?,
            state: previous.state.pools.get(name)?,
            tables: previous.tables.get(name)?,
        })
    }
}

/// What may make a pool another than it was.
struct News<'a> {
    /// A last good next hop may lead through an interface that is ours no more.
    interfaces: bool,
    /// Pools with a backend whose next hop is another now.
    hops: BTreeSet<&'a str>,
    /// Pools with a member whose health is another now.
    health: BTreeSet<&'a str>,
    /// Pools that are in another way than before, and serve as a fallback.
    fallbacks: BTreeSet<&'a str>,
}

impl<'a> News<'a> {
    fn since(previous: &Revision, config: &'a Config, inputs: &Inputs<'a>) -> Self {
        let before = previous.config();
        let named = config.pools.iter().filter_map(|pool| pool.fallback_pool.as_deref());
        Self {
            interfaces: before.node.interfaces != config.node.interfaces,
            hops: previous.other_hops(inputs.hops).map(|id| id.pool.as_str()).collect(),
            health: previous
                .stands_otherwise(inputs.standing)
                .map(|id| id.pool.as_str())
                .collect(),
            fallbacks: named.filter(|name| before.pool(name) != config.pool(name)).collect(),
        }
    }

    fn touch(&self, pool: &Pool, before: &Pool) -> bool {
        let fallback = pool.fallback_pool.as_deref();
        let guests = fallback.is_some_and(|name| self.fallbacks.contains(name) || self.hops.contains(name));
        let name = pool.name.as_str();
        let members = self.hops.contains(name) || self.health.contains(name);
        self.interfaces || guests || members || pool != before
    }
}

fn vip_counters(
    previous: Option<&Revision>,
    vips: &[Vip],
    counters: &mut FreeCounters<'_>,
) -> Result<Part<BTreeMap<String, u16>>, RevisionError> {
    if let Some(previous) = previous.filter(|previous| previous.config().vips == vips) {
        return Ok(previous.state.vip_counters.clone());
    }
    let kept = |name: &str| previous.and_then(|previous| previous.state.vip_counters.get(name).copied());
    let numbered = vips.iter().map(|vip| {
        let counter = kept(&vip.name).map_or_else(|| counters.take(), Ok)?;
        Ok((vip.name.clone(), counter))
    });
    numbered.collect::<Result<_, _>>().map(Part::new)
}

fn next_pool(
    pool: &Pool,
    before: Option<Before<'_>>,
    config: &Config,
    inputs: &Inputs<'_>,
    counters: &mut FreeCounters<'_>,
) -> Result<(Part<PoolState>, PoolTables), RevisionError> {
    let mut state = members(pool, before, config, inputs, counters)?;
    let mut tables = match before {
        Some(before) if !shares_changed(pool, &state, &before) => before.tables.clone(),
        before => next_tables(pool, before.map(|before| before.tables), &state),
    };
    if let Some(before) = before {
        tables.dirty = before.tables.dirty.after(&Change {
            before: &before.tables.current,
            after: &tables.current,
            serving: &serving(pool, &state),
            now: inputs.now,
        });
    }
    let earlier = tables.dirty.earlier();
    state
        .members
        .retain(|_, member| member.leaving.is_none() || earlier.contains(&member.index));
    state.away = match before {
        Some(before) if before.tables.current == tables.current && before.tables.home == tables.home => {
            before.state.away.clone()
        }
        Some(_) | None => away::written(&tables.current, &tables.home),
    };
    let state = match before {
        Some(before) if **before.state == state => before.state.clone(),
        Some(_) | None => Part::new(state),
    };
    Ok((state, tables))
}

/// Tables follow from the tables before, the shares and the way they are made.
fn shares_changed(pool: &Pool, state: &PoolState, before: &Before<'_>) -> bool {
    pool.table != before.pool.table
        || shares_in_service(pool, state) != shares_in_service(before.pool, before.state)
        || shares(pool, state, |_, _| true) != shares(before.pool, before.state, |_, _| true)
}

/// Keeps what is known of a pool's backends and guests and numbers the new ones.
fn members(
    pool: &Pool,
    before: Option<Before<'_>>,
    config: &Config,
    inputs: &Inputs<'_>,
    counters: &mut FreeCounters<'_>,
) -> Result<PoolState, RevisionError> {
    let mut numbers = FreeNumbers::beside(before.map(|before| (&**before.state, before.tables)));
    let mut number = |kept: Option<&MemberState>| {
        if let Some(kept) = kept {
            return Ok((kept.index, kept.counter));
        }
        let index = numbers.take().ok_or_else(|| RevisionError::Members {
            pool: pool.name.clone(),
        })?;
        Ok((index, counters.take()?))
    };
    let mut members = BTreeMap::new();
    for backend in &pool.backends {
        let id = BackendId {
            pool: pool.name.clone(),
            backend: backend.name.clone(),
        };
        let kept = before.and_then(|before| before.state.members.get(&backend.name));
        // The last good next hop stands until a better one is known.
        let last = || before.and_then(|before| last_hop(pool, backend, before, config));
        let (index, counter) = number(kept)?;
        let member = MemberState {
            index,
            leaving: None,
            counter,
            hop: inputs.hops.get(&id).cloned().or_else(last),
            health: match (before, kept) {
                (Some(before), Some(kept)) => health(pool, backend, before.pool, kept, &id, inputs),
                (before, _) => at_first(before.map(|before| before.pool), pool, backend),
            },
            guest: None,
        };
        members.insert(backend.name.clone(), member);
    }
    for (name, id, guest) in guests(config, pool) {
        let kept = before.and_then(|before| before.state.members.get(&name));
        let last = || kept.and_then(|kept| last_hop_of_guest(kept, &guest, config));
        let (index, counter) = number(kept)?;
        let here = BackendId {
            pool: pool.name.clone(),
            backend: name.clone(),
        };
        let health = inputs.standing.get(&here).copied();
        let member = MemberState {
            index,
            leaving: None,
            counter,
            hop: inputs.hops.get(&id).cloned().or_else(last),
            health: health.or_else(|| Some(kept?.health)).unwrap_or_else(waiting),
            guest: Some(guest),
        };
        members.insert(name, member);
    }
    if let Some(before) = before {
        let left: Vec<_> = leaving(&members, before, config).collect();
        members.extend(left);
    }
    Ok(PoolState {
        members,
        away: String::new(),
    })
}

/// As it is known now, or as it was published, unless that was about another
/// host or another check.
fn health(
    pool: &Pool,
    backend: &Backend,
    before: &Pool,
    kept: &MemberState,
    id: &BackendId,
    inputs: &Inputs<'_>,
) -> MemberHealth {
    if pool.health.is_none() || starts_anew(before, pool, backend) {
        return at_first(Some(before), pool, backend);
    }
    inputs.standing.get(id).copied().unwrap_or(kept.health)
}

/// Members that were in the pool, are in it no more, and can be reached: they
/// keep the flows they have.
fn leaving(
    members: &BTreeMap<String, MemberState>,
    before: Before<'_>,
    config: &Config,
) -> impl Iterator<Item = (String, MemberState)> {
    let gone = before.state.members.iter();
    let gone = gone.filter(|(name, _)| !members.contains_key(*name));
    gone.filter_map(|(name, member)| {
        let guest = member.guest.as_ref().map(|guest| &guest.backend);
        let was = || {
            let was = guest.or_else(|| before.pool.backend(name));
            was.filter(|was| was.state != BackendState::Maint)
        };
        let leaving = member.leaving.clone().or_else(|| was().cloned())?;
        let hop = member.hop.clone().filter(|hop| is_ours(config, &hop.interface))?;
        let member = MemberState {
            hop: Some(hop),
            leaving: Some(leaving),
            health: MemberHealth::default(),
            ..member.clone()
        };
        Some((name.clone(), member))
    })
}

fn last_hop_of_guest(kept: &MemberState, guest: &Guest, config: &Config) -> Option<Hop> {
    let was = kept.guest.as_ref()?;
    let same = (was.encap, was.backend.address, &was.backend.next_hop)
        == (guest.encap, guest.backend.address, &guest.backend.next_hop);
    let last = kept.hop.as_ref().filter(|_| same)?;
    is_ours(config, &last.interface).then(|| last.clone())
}

fn is_ours(config: &Config, interface: &str) -> bool {
    let mut interfaces = config.node.interfaces.iter();
    interfaces.any(|ours| ours.name == interface)
}

/// Members that can serve the flows they have.
fn serving(pool: &Pool, state: &PoolState) -> BTreeSet<MemberIndex> {
    let members = state.members.iter().filter(|(_, member)| member.hop.is_some());
    let members = members.filter(|(name, member)| {
        let here = || {
            let guest = member.guest.as_ref().map(|guest| &guest.backend);
            let backend = guest.or_else(|| pool.backend(name));
            backend.is_some_and(|backend| backend.state != BackendState::Maint)
        };
        member.leaving.is_some() || here()
    });
    members.map(|(_, member)| member.index).collect()
}

pub fn cleaned(revision: &Revision, over: &Over) -> Revision {
    let mut next = revision.clone();
    let (nobody, no_slots, no_idle) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    let pools: BTreeSet<&String> = over
        .clean
        .keys()
        .chain(over.idle.keys())
        .chain(over.ended.keys())
        .collect();
    for pool in pools {
        let (Some(state), Some(tables)) = (next.state.pools.get_mut(pool), next.tables.get_mut(pool)) else {
            continue;
        };
        let clean = over.clean.get(pool).unwrap_or(&no_slots);
        let idle = over.idle.get(pool).unwrap_or(&no_idle);
        let ended = over.ended.get(pool).unwrap_or(&nobody);
        tables.dirty = tables.dirty.without(clean).forgetting_in(idle).forgetting(ended);
        let earlier = tables.dirty.earlier();
        let stays = |member: &MemberState| member.leaving.is_none() || earlier.contains(&member.index);
        if !state.members.values().all(stays) {
            let mut remaining = (**state).clone();
            remaining.members.retain(|_, member| stays(member));
            *state = Part::new(remaining);
        }
    }
    next
}

/// The last good hop, as long as it was for the same address and leads through
/// an interface that is still ours. It may be a gateway's, to which frames that
/// are not encapsulated must not go.
fn last_hop(pool: &Pool, backend: &Backend, before: Before<'_>, config: &Config) -> Option<Hop> {
    let earlier = before.pool.backend(&backend.name)?;
    if pool.encap == Encap::L2 && before.pool.encap != Encap::L2 {
        return None;
    }
    if (earlier.address, &earlier.next_hop) != (backend.address, &backend.next_hop) {
        return None;
    }
    let last = before.state.members.get(&backend.name)?.hop.as_ref()?;
    is_ours(config, &last.interface).then(|| last.clone())
}

fn next_tables(pool: &Pool, before: Option<&PoolTables>, members: &PoolState) -> PoolTables {
    let in_service = shares_in_service(pool, members);
    match pool.table {
        TableKind::Maglev => {
            let current = maglev::build(&in_service);
            PoolTables {
                home: current.clone(),
                current,
                dirty: Dirty::default(),
            }
        }
        TableKind::Minmove => {
            let nobody = PoolTables {
                current: Table::nobody(),
                home: Table::nobody(),
                dirty: Dirty::default(),
            };
            let before = before.unwrap_or(&nobody);
            let ready = shares(pool, members, |_, _| true);
            let home = minmove::home(&before.home, &ready);
            // Where all are in service and all were, what moves is what moves
            // at home: half the work, and one table in memory.
            let at_home = before.current == before.home && in_service == ready;
            let current = if at_home {
                home.clone()
            } else {
                minmove::next(&before.current, &home, &in_service)
            };
            PoolTables {
                home: if current == home { current.clone() } else { home },
                current,
                dirty: Dirty::default(),
            }
        }
    }
}

/// Ready backends whose next hop is known, as far as health leaves them in
/// service, and guests that are needed. If there is none of these, whoever can
/// be reached; and if nobody can, all ready ones: their packets are dropped
/// under a counter that says why.
pub fn shares_in_service(pool: &Pool, members: &PoolState) -> Vec<Share> {
    let mut healthy = shares(pool, members, |_, member| {
        member.hop.is_some() && !member.health.share.is_zero()
    });
    healthy.extend(guest_shares(members));
    grow_slowly(members, &mut healthy);
    if healthy.iter().any(|share| share.weight > 0) {
        return healthy;
    }
    let reachable = shares(pool, members, |_, member| member.hop.is_some());
    if reachable.iter().any(|share| share.weight > 0) {
        reachable
    } else {
        shares(pool, members, |_, _| true)
    }
}

/// Weights relate to each other only: where one is not all there, all are
/// counted in hundredths.
fn grow_slowly(members: &PoolState, shares: &mut [Share]) {
    let percent = |share: &Share| {
        let member = members.members.get(&share.name);
        member.map_or(100, |member| u32::from(member.health.share.get()))
    };
    if shares.iter().any(|share| percent(share) < 100) {
        for share in shares {
            share.weight *= percent(share);
        }
    }
}

fn guest_shares(members: &PoolState) -> impl Iterator<Item = Share> {
    members.members.iter().filter_map(|(name, member)| {
        let guest = member.guest.as_ref().filter(|_| member.leaving.is_none())?;
        let serves = member.hop.is_some() && !member.health.share.is_zero();
        (serves && guest.backend.state == BackendState::Ready).then(|| Share {
            member: member.index,
            name: name.clone(),
            weight: guest.backend.weight,
        })
    })
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
