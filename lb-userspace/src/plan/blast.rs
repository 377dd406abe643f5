//! What a plan breaks and takes away, measured against what is served now: the
//! blast radius. Pure; the traffic is an argument.
//!
//! Affected is a packet whose connection ends: its VIP goes, goes elsewhere or
//! is hashed in another way; its backend is another host, is reached in another
//! way, or ends its connections. A new connection that goes to somebody else
//! is not affected, and one on a slot that moves is not either: it stays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, Content, policy};
use crate::{
    config::{Backend, BackendState, Encap, ObjectName, Percent, Pool, Seconds},
    revision::{BackendId, MemberState, Revision},
};

/// What is known of traffic now.
pub trait Live {
    fn vip(&self, name: &str) -> Reading;
    fn backend(&self, id: &BackendId) -> Reading;
}

/// Of one VIP or backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Packets a second.
    pub pps: u64,
    /// How long ago the last packet came; `None`: none did.
    pub quiet: Option<Seconds>,
}

impl Reading {
    /// A packet came as lately as `window`; within 0s none did.
    #[must_use]
    pub fn is_live(&self, window: Seconds) -> bool {
        self.quiet.is_some_and(|quiet| quiet < window)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blast {
    /// Of all VIPs, packets a second.
    pub packets: u64,
    /// Of them, those whose connections end.
    pub broken: u64,
    /// VIPs served now.
    pub vips: u32,
    /// VIPs whose connections end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub vips_broken: BTreeSet<String>,
    /// Backends in service now.
    pub backends: u32,
    /// Backends in service that are not after it, or at less than half of their
    /// weight, with the weight they lose.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub taken_out: BTreeMap<ObjectName, u32>,
    /// How much of a pool's capacity is left, of pools that lose some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity_left: BTreeMap<String, Percent>,
    /// What breaks, object by object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<Break>,
}

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The backend ends its connections at once.
    Ended,
    /// Packets travel to the pool in another way.
    Encapsulated,
    /// Outer packets come from other addresses.
    Source,
    /// The program is taken off an interface, or put on it anew.
    Detached,
}

/// What earlier plans of the window took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Backends taken out and not back, with the weight they lost.
    pub out: BTreeMap<ObjectName, u32>,
    /// Packets broken, per mille of those at the time, added up.
    pub broken: u32,
}

/// A plan that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expense {
    /// By the wall clock, as its journal entry.
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub out: BTreeMap<ObjectName, u32>,
    /// Per mille.
    pub broken: u32,
}

impl Spent {
    /// Of plans within `window` before `now`. Capacity that came back is
    /// credited: what serves in `running` counts no more.
    #[must_use]
    pub fn within(expenses: &[Expense], window: Seconds, now: Timestamp, running: &Revision) -> Self {
        let begin = now
            .checked_sub(jiff::SignedDuration::from_secs(window.0.into()))
            .unwrap_or(Timestamp::MIN);
        let mut spent = Self::default();
        for expense in expenses.iter().filter(|expense| expense.at > begin) {
            spent.broken = spent.broken.saturating_add(expense.broken);
            let out = expense.out.iter();
            spent.out.extend(out.map(|(object, weight)| (object.clone(), *weight)));
        }
        let back = |object: &ObjectName, lost: u32| {
            in_service(running).any(|(name, weight)| name == *object && weight >= lost)
        };
        spent.out.retain(|object, lost| !back(object, *lost));
        spent
    }
}

/// Backends in service, with their weights.
fn in_service(running: &Revision) -> impl Iterator<Item = (ObjectName, u32)> {
    running.config().pools.iter().flat_map(|pool| {
        let state = running.state.pools.get(&pool.name);
        let serving = pool.backends.iter().filter(move |backend| {
            let member = state.and_then(|state| state.members.get(&backend.name));
            member.is_some_and(|member| serves(backend, member))
        });
        serving.map(|backend| (name(&pool.name, &backend.name), backend.weight))
    })
}

/// How many backends of a pool are in service.
#[must_use]
pub fn serving_in(running: &Revision, pool: &str) -> usize {
    in_service(running).filter(|(object, _)| is_of(object, pool)).count()
}

/// It may have slots, and can be reached, and its checks say nothing against it.
const fn serves(backend: &Backend, member: &MemberState) -> bool {
    policy::owns_slots(backend) && member.hop.is_some() && !member.health.share.is_zero()
}

fn name(pool: &str, backend: &str) -> ObjectName {
    ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}

impl Blast {
    /// `changes` are those in force, from what `running` serves to `target`.
    #[must_use]
    pub fn of(running: &Revision, target: &Content, changes: &[Change], spent: &Spent, live: &dyn Live) -> Self {
        let config = running.config();
        let packets = config.vips.iter().map(|vip| live.vip(&vip.name).pps).sum();
        let mut blast = Self {
            packets,
            vips: config.vips.len() as u32,
            backends: in_service(running).count() as u32,
            breaks: changes
                .iter()
                .flat_map(|change| of_change(running, target, change, live))
                .collect(),
            ..Self::default()
        };
        blast.vips_broken = vips_broken(&blast.breaks);
        blast.broken = blast.count_broken(running, live);
        let after = target.in_force();
        for pool in &config.pools {
            let lost = Capacity::of(running, pool, after.pool(&pool.name));
            blast.taken_out.extend(lost.taken_out);
            if lost.left < lost.before {
                let out = spent.out.iter();
                let earlier: u64 = out
                    .filter(|(object, _)| is_of(object, &pool.name))
                    .map(|(_, weight)| u64::from(*weight))
                    .sum();
                let percent = lost.left * 100 / (lost.before + earlier).max(1);
                let percent = Percent::new(percent as u32).unwrap_or_default();
                blast.capacity_left.insert(pool.name.clone(), percent);
            }
        }
        blast
    }

    /// The share of packets that are broken, per mille, rounded up.
    #[must_use]
    pub const fn broken_per_mille(&self) -> u32 {
        if self.packets == 0 {
            0
        } else {
            (self.broken * 1000).div_ceil(self.packets) as u32
        }
    }

    /// It breaks and takes nothing.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.breaks.is_empty() && self.taken_out.is_empty() && self.capacity_left.is_empty()
    }

    /// Each packet once, however many reasons there are.
    fn count_broken(&self, running: &Revision, live: &dyn Live) -> u64 {
        let whole = |why: Why| match why {
            Why::Detached | Why::Source => true,
            Why::Leaves | Why::Repointed | Why::Hashed | Why::Readdressed | Why::Ended | Why::Encapsulated => false,
        };
        if self.breaks.iter().any(|broken| whole(broken.why)) {
            return self.packets;
        }
        let named: BTreeSet<&str> = self.breaks.iter().map(|broken| broken.what.as_str()).collect();
        let config = running.config();
        let of_vip = |vip: &crate::config::Vip| {
            let pps = live.vip(&vip.name).pps;
            if self.vips_broken.contains(&vip.name) || named.contains(format!("pool/{}", vip.pool).as_str()) {
                return pps;
            }
            // Of the rest, as many as the pool's broken backends have.
            let Some(pool) = config.pool(&vip.pool) else { return 0 };
            let of = |backend: &Backend| {
                live.backend(&BackendId {
                    pool: pool.name.clone(),
                    backend: backend.name.clone(),
                })
                .pps
            };
            let all: u64 = pool.backends.iter().map(of).sum();
            let broken = pool.backends.iter().filter(|backend| {
                let object = name(&pool.name, &backend.name);
                named.contains(object.to_string().as_str())
            });
            let broken: u64 = broken.map(of).sum();
            (pps * broken).checked_div(all).unwrap_or(0)
        };
        config.vips.iter().map(of_vip).sum()
    }
}

fn is_of(object: &ObjectName, name: &str) -> bool {
    match object {
        ObjectName::Backend { pool, .. } => pool == name,
        ObjectName::Vip(_) | ObjectName::Pool(_) => false,
    }
}

fn vips_broken(breaks: &[Break]) -> BTreeSet<String> {
    let names = breaks.iter().filter_map(|broken| broken.what.strip_prefix("vip/"));
    names.map(str::to_owned).collect()
}

/// What a pool's backends can bear, in units of weight.
struct Capacity {
    before: u64,
    /// Of that, not more than each backend had.
    left: u64,
    taken_out: BTreeMap<ObjectName, u32>,
}

impl Capacity {
    /// Weights are shares: where all of them are lowered alike, nothing is
    /// lost, so those after are taken relative to the one that kept most.
    /// Backends that are new count for nothing yet: nobody has seen them serve.
    fn of(running: &Revision, before: &Pool, after: Option<&Pool>) -> Self {
        let state = running.state.pools.get(&before.name);
        let serving: Vec<(&Backend, u64)> = before
            .backends
            .iter()
            .filter(|backend| {
                let member = state.and_then(|state| state.members.get(&backend.name));
                member.is_some_and(|member| serves(backend, member))
            })
            .map(|backend| (backend, weight_after(backend, after)))
            .collect();
        // As a fraction: kept / of.
        let (kept, of) = serving
            .iter()
            .map(|(backend, after)| (*after, u64::from(backend.weight)))
            .max_by(|(a, b), (c, d)| (a * d).cmp(&(c * b)))
            .filter(|(kept, of)| kept < of && *kept > 0)
            .unwrap_or((1, 1));
        let mut capacity = Self {
            before: 0,
            left: 0,
            taken_out: BTreeMap::new(),
        };
        for (backend, after) in serving {
            let weight = u64::from(backend.weight);
            let left = (after * of / kept).min(weight);
            capacity.before += weight;
            capacity.left += left;
            if left * 2 < weight {
                let lost = (weight - left) as u32;
                capacity.taken_out.insert(name(&before.name, &backend.name), lost);
            }
        }
        capacity
    }
}

fn weight_after(before: &Backend, after: Option<&Pool>) -> u64 {
    after
        .and_then(|pool| pool.backend(&before.name))
        .filter(|after| policy::owns_slots(after) && after.address == before.address)
        .map_or(0, |after| after.weight.into())
}

fn of_change(running: &Revision, target: &Content, change: &Change, live: &dyn Live) -> Vec<Break> {
    let config = running.config();
    let used = |pool: &str| config.vips.iter().any(|vip| vip.pool == pool);
    let of_pool = |pool: &str| {
        config
            .vips
            .iter()
            .filter(|vip| vip.pool == pool)
            .map(|vip| live.vip(&vip.name).pps)
            .sum()
    };
    let all = || config.vips.iter().map(|vip| live.vip(&vip.name).pps).sum();
    match change {
        Change::RemoveVip { vip } if !has_heir(target, vip) => vec![of_vip(&vip.name, Why::Leaves, live)],
        Change::ChangeVip { from, to } => {
            let why = if from.endpoint() != to.endpoint() {
                (!has_heir(target, from)).then_some(Why::Leaves)
            } else if from.pool != to.pool {
                Some(Why::Repointed)
            } else {
                ((from.affinity, from.hash) != (to.affinity, to.hash)).then_some(Why::Hashed)
            };
            why.into_iter().map(|why| of_vip(&from.name, why, live)).collect()
        }
        Change::ChangePool { from, to } if from.encap != to.encap && used(&from.name) => vec![Break {
            what: ObjectName::Pool(from.name.clone()).to_string(),
            why: Why::Encapsulated,
            pps: of_pool(&from.name),
        }],
        Change::ChangeBackend { pool, from, to } if used(pool) => of_backend(pool, from, to, live).into_iter().collect(),
        Change::ChangeNode { from, to } => {
            let mut breaks = Vec::new();
            let tunnelled = config.pools.iter().any(|pool| pool.encap != Encap::L2 && used(&pool.name));
            let left = |a: Option<String>, b: Option<String>| a.is_some() && a != b;
            let (before, after) = (&from.encap_source, &to.encap_source);
            let moved = left(before.v4.map(|net| net.to_string()), after.v4.map(|net| net.to_string()))
                || left(before.v6.map(|net| net.to_string()), after.v6.map(|net| net.to_string()));
            if moved && tunnelled {
                breaks.push(Break {
                    what: "node".to_owned(),
                    why: Why::Source,
                    pps: all(),
                });
            }
            let gone = policy::attached(&running.state.content).filter(|name| {
                let mode = |node: &crate::config::Node| {
                    node.interfaces.iter().find(|interface| interface.name == *name).map(|interface| interface.mode)
                };
                mode(from) != mode(to)
            });
            breaks.extend(gone.map(|interface| detached(interface, all())));
            breaks
        }
        Change::Detach { interface } if policy::attached(&running.state.content).any(|name| name == interface) => {
            vec![detached(interface, all())]
        }
        Change::RemoveVip { .. }
        | Change::ChangePool { .. }
        | Change::ChangeBackend { .. }
        | Change::Detach { .. }
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
        | Change::Override { .. } => Vec::new(),
    }
}

/// Somebody of the same pool takes the address, port and protocol over.
fn has_heir(target: &Content, vip: &crate::config::Vip) -> bool {
    let endpoint = vip.endpoint();
    let heir = target.config.vips.iter().find(|other| other.endpoint() == endpoint);
    heir.is_some_and(|heir| (&heir.pool, heir.affinity, heir.hash) == (&vip.pool, vip.affinity, vip.hash))
}

fn of_vip(vip: &str, why: Why, live: &dyn Live) -> Break {
    Break {
        what: ObjectName::Vip(vip.to_owned()).to_string(),
        why,
        pps: live.vip(vip).pps,
    }
}

/// A change of one backend, as it is in force.
fn of_backend(pool: &str, from: &Backend, to: &Backend, live: &dyn Live) -> Option<Break> {
    let had = policy::owns_slots(from) || from.state == BackendState::Drain;
    let why = if from.address != to.address && had {
        Why::Readdressed
    } else if from.state != BackendState::Maint && to.state == BackendState::Maint && had {
        Why::Ended
    } else {
        return None;
    };
    let id = BackendId {
        pool: pool.to_owned(),
        backend: from.name.clone(),
    };
    Some(Break {
        what: name(pool, &from.name).to_string(),
        why,
        pps: live.backend(&id).pps,
    })
}

fn detached(interface: &str, pps: u64) -> Break {
    Break {
        what: format!("interface {interface}"),
        why: Why::Detached,
        pps,
    }
}
