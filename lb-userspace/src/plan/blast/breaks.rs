//! Connections that end, change by change. `node` has those of the host itself.

mod node;

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ground, backend_name, capacity::reaches};
use crate::{
    config::{Backend, BackendState, ObjectName, Pool, Vip},
    plan::{Change, Content},
    revision::BackendId,
};

/// Connections that end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Break {
    /// `vip/dns`, `backend/web/be5`, `pool/web`, `interface lb0`, `node`.
    pub what: String,
    pub why: Why,
    /// Packets a second now; those of a pool for what is about a pool.
    pub pps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BreakWhy")]
pub enum Why {
    /// The VIP goes, or leaves its address, port or protocol.
    Leaves,
    /// The VIP goes to another pool.
    Repointed,
    /// Its flows are hashed in another way.
    Hashed,
    /// The backend's name stands for another host.
    Readdressed,
    /// The backend, or the VIP, goes to `maint`: its connections end at once.
    Ended,
    /// The backend, or the pool, ends connections before they had the time to
    /// end by themselves.
    Hurried,
    /// Frames for the backend go to another next hop.
    Rerouted,
    /// Next hops lead through an interface that is ours no more.
    Unreachable,
    /// The pool loses the backends that serve instead of its own.
    Unserved,
    /// Packets travel to the pool in another way.
    Encapsulated,
    /// Outer packets come from other addresses.
    Source,
    /// The program is taken off an interface, or put on it anew: what comes in
    /// there ends, at most.
    Detached,
    /// The same, and nobody knows yet what comes in there: everything, maybe.
    Unwatched,
    /// Frames leave by an interface that has no program then: some drivers send
    /// none of those that came in by another.
    Undriven,
}

/// Whose connections end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// All of these VIPs.
    Vips(BTreeSet<String>),
    /// Those of these members.
    Backends(BTreeSet<BackendId>),
    /// Of whichever VIPs, so many packets a second at most.
    Some(u64),
}

/// `now` is when it would be applied, at the earliest.
pub fn of_changes(ground: &Ground<'_>, target: &Content, changes: &[Change], now: Timestamp) -> Vec<(Break, Scope)> {
    let heirs = Heirs::of(target);
    let mut breaks: Vec<_> = changes
        .iter()
        .flat_map(|change| of_change(ground, target, &heirs, change))
        .collect();
    breaks.extend(cut_short(ground, target, now));
    breaks
}

/// VIPs of the target by their [`Vip::endpoint`].
struct Heirs<'a>(HashMap<String, &'a Vip>);

impl<'a> Heirs<'a> {
    fn of(target: &'a Content) -> Self {
        Self(target.in_force().vips.iter().map(|vip| (vip.endpoint(), vip)).collect())
    }

    /// Somebody of the same pool takes the address, port and protocol over.
    fn has_one(&self, vip: &Vip) -> bool {
        let heir = self.0.get(&vip.endpoint());
        heir.is_some_and(|heir| {
            let alike = (&heir.pool, heir.affinity, heir.hash) == (&vip.pool, vip.affinity, vip.hash);
            alike && heir.state.is_ready()
        })
    }
}

fn of_change(ground: &Ground<'_>, target: &Content, heirs: &Heirs<'_>, change: &Change) -> Vec<(Break, Scope)> {
    match change {
        Change::RemoveVip { vip } if !heirs.has_one(vip) => vec![of_vip(ground, vip, Why::Leaves)],
        Change::ChangeVip { from, to } => {
            let why = if from.endpoint() != to.endpoint() {
                (!heirs.has_one(from)).then_some(Why::Leaves)
            } else if from.pool != to.pool {
                Some(Why::Repointed)
            } else if from.state.is_ready() && !to.state.is_ready() {
                Some(Why::Ended)
            } else {
                ((from.affinity, from.hash) != (to.affinity, to.hash)).then_some(Why::Hashed)
            };
            why.into_iter().map(|why| of_vip(ground, from, why)).collect()
        }
        Change::ChangePool { from, to } => of_pool(ground, from, to),
        Change::ChangeBackend { pool, from, to } => of_backend(ground, target, pool, from, to).into_iter().collect(),
        Change::ChangeNode { from, to } => node::changed(ground, from, to),
        Change::Detach { interface } => node::detached(ground, interface),
        Change::RemoveVip { .. }
        // What goes leaves slowly: its connections stay.
        | Change::RemoveBackend { .. }
        // No VIP of the target needs it: what breaks is told with the VIPs.
        | Change::RemovePool { .. }
        | Change::AddVip { .. }
        | Change::AddPool { .. }
        | Change::AddBackend { .. }
        | Change::Attach { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Override { .. }
        | Change::OverrideVip { .. } => Vec::new(),
    }
}

fn of_vip(ground: &Ground<'_>, vip: &Vip, why: Why) -> (Break, Scope) {
    let broken = Break {
        what: ObjectName::Vip(vip.name.clone()).to_string(),
        why,
        pps: ground.live().vip(&vip.name).pps,
    };
    (broken, Scope::Vips([vip.name.clone()].into()))
}

fn of_pool(ground: &Ground<'_>, from: &Pool, to: &Pool) -> Vec<(Break, Scope)> {
    let of_vips = |vips: Vec<&Vip>, why| {
        let pps = vips.iter().map(|vip| ground.live().vip(&vip.name).pps).sum();
        let names = vips.iter().map(|vip| vip.name.clone()).collect();
        (!vips.is_empty()).then(|| (pool_break(from, why, pps), Scope::Vips(names)))
    };
    let mut breaks = Vec::new();
    if from.encap != to.encap {
        breaks.extend(of_vips(ground.served_by(&from.name), Why::Encapsulated));
    }
    if from.fallback_pool != to.fallback_pool && ground.has_guests(&from.name) {
        breaks.extend(of_vips(ground.vips(&from.name).to_vec(), Why::Unserved));
    }
    if to.drain.idle < from.drain.idle || to.drain.deadline < from.drain.deadline {
        let drained = draining(ground, &from.name);
        let pps = drained.iter().map(|id| ground.live().backend(id).pps).sum();
        if !drained.is_empty() {
            breaks.push((pool_break(from, Why::Hurried, pps), Scope::Backends(drained)));
        }
    }
    breaks
}

fn pool_break(pool: &Pool, why: Why, pps: u64) -> Break {
    Break {
        what: ObjectName::Pool(pool.name.clone()).to_string(),
        why,
        pps,
    }
}

/// Members without slots that may have flows.
fn draining(ground: &Ground<'_>, pool: &str) -> BTreeSet<BackendId> {
    let Some((state, tables)) = ground.running().pool(pool).filter(|_| !ground.vips(pool).is_empty()) else {
        return BTreeSet::new();
    };
    let (owners, earlier) = (tables.current.counts(), tables.dirty.earlier());
    let members = state.members.iter();
    let members = members.filter(|(_, member)| earlier.contains(&member.index) && !owners.contains_key(&member.index));
    members
        .map(|(name, _)| BackendId {
            pool: pool.to_owned(),
            backend: name.clone(),
        })
        .collect()
}

/// A change of one backend, as it is in force.
fn of_backend(
    ground: &Ground<'_>,
    target: &Content,
    pool: &str,
    from: &Backend,
    to: &Backend,
) -> Option<(Break, Scope)> {
    let state = ground.running().state.pools.get(pool).map(|state| &**state);
    let why = if from.address != to.address {
        Why::Readdressed
    } else if from.state != BackendState::Maint && to.state == BackendState::Maint {
        Why::Ended
    } else if from.next_hop != to.next_hop && !reaches(state, from, to, &target.config.node) {
        Why::Rerouted
    } else {
        return None;
    };
    one_backend(ground, pool, &from.name, why)
}

/// `None`: it has no connections.
fn one_backend(ground: &Ground<'_>, pool: &str, backend: &str, why: Why) -> Option<(Break, Scope)> {
    let connections = ground.connections(pool, backend);
    let broken = Break {
        what: backend_name(pool, backend).to_string(),
        why,
        pps: ground.reading(pool, backend).pps,
    };
    (!connections.is_empty()).then_some((broken, Scope::Backends(connections)))
}

/// Drains that leave less time than a connection may be silent: they end what
/// is open, as `maint` does.
fn cut_short(ground: &Ground<'_>, target: &Content, now: Timestamp) -> Vec<(Break, Scope)> {
    let running = &ground.running().state.content;
    let overrides = target.overrides.backends.iter();
    let cut = overrides.filter_map(|(object, of)| {
        let ObjectName::Backend { pool, backend } = object else {
            return None;
        };
        let until = of.until?;
        let earlier = running.overrides.backend(pool, backend).and_then(|of| of.until);
        if earlier.is_some_and(|earlier| earlier <= until) {
            return None;
        }
        let idle = target.config.pool(pool)?.drain.idle;
        let left = until.as_second() - now.as_second();
        (left < i64::from(idle.0))
            .then(|| one_backend(ground, pool, backend, Why::Hurried))
            .flatten()
    });
    cut.collect()
}

/// Packets a second that end: each once, however many reasons there are.
pub fn count<'s>(ground: &Ground<'_>, scopes: impl Iterator<Item = &'s Scope>) -> u64 {
    let (mut some, mut vips, mut members) = (0, BTreeSet::new(), HashMap::<&str, BTreeSet<&str>>::new());
    for scope in scopes {
        match scope {
            Scope::All => some = u64::MAX,
            Scope::Some(packets) => some = packets.saturating_add(some),
            Scope::Vips(names) => vips.extend(names.iter().map(String::as_str)),
            Scope::Backends(ids) => {
                for id in ids {
                    members.entry(&id.pool).or_default().insert(&id.backend);
                }
            }
        }
    }
    let config = ground.running().config();
    let pps = |vip: &Vip| ground.live().vip(&vip.name).pps;
    let shares: HashMap<&str, (u64, u64)> = members
        .iter()
        .map(|(pool, broken)| (*pool, share(ground, pool, broken)))
        .collect();
    let of_vip = |vip: &Vip| match shares.get(vip.pool.as_str()) {
        _ if vips.contains(vip.name.as_str()) => pps(vip),
        Some((broken, of)) => (pps(vip) * broken).div_ceil(*of),
        None => 0,
    };
    // Which of them come in by an interface is not known: others, maybe.
    let of_vips: u64 = config.vips.iter().map(of_vip).sum();
    of_vips.saturating_add(some).min(config.vips.iter().map(pps).sum())
}

/// Of a pool's packets, those of some members; where none were counted yet, as
/// many as there are members. The whole is never 0.
fn share(ground: &Ground<'_>, pool: &str, broken: &BTreeSet<&str>) -> (u64, u64) {
    let members = ground.running().state.pools.get(pool);
    let names = || members.iter().flat_map(|state| state.members.keys());
    let pps = |name: &String| {
        ground
            .live()
            .backend(&BackendId {
                pool: pool.to_owned(),
                backend: name.clone(),
            })
            .pps
    };
    let all: u64 = names().map(pps).sum();
    if all > 0 {
        let of_broken = names().filter(|name| broken.contains(name.as_str())).map(pps).sum();
        return (of_broken, all);
    }
    let connected = ground.connected(pool).len() as u64;
    let broken = broken.len() as u64;
    (broken, connected.max(broken).max(1))
}
