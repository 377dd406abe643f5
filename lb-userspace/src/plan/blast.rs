//! What a plan breaks and takes away, measured against what is served now: the
//! blast radius. Pure; the traffic is an argument.
//!
//! Affected is a packet whose connection ends: its VIP goes, goes elsewhere or
//! is hashed in another way; its backend is another host, is reached in another
//! way or not at all, or ends its connections. A new connection that goes to
//! somebody else is not affected, and one on a slot that moves is not either:
//! it stays. `breaks` says what ends, `capacity` what is taken away, `spent`
//! what earlier plans did, `ground` what all of it stands on.

mod breaks;
mod capacity;
mod ground;
mod spent;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    breaks::{Break, Why},
    capacity::Weights,
    ground::Ground,
    spent::{Expense, Spent},
};

use self::{
    breaks::Scope,
    capacity::{After, Loss, in_service},
};
use super::{Change, Content};
use crate::{
    config::{Config, ObjectName, Percent, Seconds},
    revision::{BackendId, Revision},
};

/// What is known of traffic now.
pub trait Live {
    fn vip(&self, name: &str) -> Reading;
    /// Of a member: a guest is one of the pool that falls back.
    fn backend(&self, id: &BackendId) -> Reading;
    /// What may have come in by an interface, at most; `None`: it is not known.
    fn interface(&self, name: &str) -> Option<Reading>;
}

/// Of one VIP, backend or interface.
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

/// Nothing is known, and nothing is live.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Live for Unknown {
    fn vip(&self, _: &str) -> Reading {
        Reading::default()
    }

    fn backend(&self, _: &BackendId) -> Reading {
        Reading::default()
    }

    fn interface(&self, _: &str) -> Option<Reading> {
        None
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
    /// VIPs whose connections end, all of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub vips_broken: BTreeSet<String>,
    /// Backends in service now, of pools that VIPs use.
    pub backends: u32,
    /// Backends in service that are not after it, or at less than half of their
    /// weight, with the weight they lose.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub taken_out: BTreeMap<ObjectName, u32>,
    /// How much of a pool's capacity is left, of pools that lose some, of what
    /// there was at any time within the window.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity_left: BTreeMap<String, Percent>,
    /// Backends out after it, of pools that lose some, with those that earlier
    /// plans of the window took and did not bring back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub out_within_window: BTreeMap<String, Taken>,
    /// The same of all pools together.
    #[serde(default)]
    pub out_of_all: Taken,
    /// What breaks, object by object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<Break>,
}

/// So many backends of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taken {
    pub out: u32,
    pub of: u32,
}

impl Blast {
    /// `changes` are those in force, from what `running` serves to `target`.
    #[must_use]
    pub fn of(running: &Revision, target: &Content, changes: &[Change], spent: &Spent, live: &dyn Live) -> Self {
        let ground = Ground::of(running, live);
        let config = running.config();
        let found = breaks::of_changes(&ground, target, changes, spent.at);
        let mut blast = Self {
            packets: config.vips.iter().map(|vip| live.vip(&vip.name).pps).sum(),
            vips: config.vips.len() as u32,
            broken: breaks::count(&ground, found.iter().map(|(_, scope)| scope)),
            ..Self::default()
        };
        for (broken, scope) in found {
            match scope {
                Scope::All => blast.vips_broken.extend(config.vips.iter().map(|vip| vip.name.clone())),
                Scope::Vips(vips) => blast.vips_broken.extend(vips),
                Scope::Backends(_) | Scope::Some(_) => {}
            }
            blast.breaks.push(broken);
        }
        blast.take(&ground, target, spent);
        blast
    }

    /// Weighs what each pool has left.
    fn take(&mut self, ground: &Ground<'_>, target: &Content, spent: &Spent) {
        let running = ground.running();
        let limit = running.config().protection.max_backends_removed;
        let needed = needed(&target.config);
        let pools = running.config().pools.iter();
        for pool in pools.filter(|pool| ground.is_used(&pool.name)) {
            let serving = in_service(running, pool);
            self.backends += serving.len() as u32;
            // What becomes of its VIPs is told with the VIPs.
            if !needed.contains(pool.name.as_str()) {
                continue;
            }
            let (as_it_is, after) = (After::nothing(running, pool), After::of(running, pool, target));
            let baselines = spent.of(&pool.name).iter().chain([&serving]);
            let losses: Vec<(bool, Loss)> = baselines
                .map(|weights| {
                    let loss = Loss::of(weights, &after);
                    (loss.is_worse_than(&Loss::of(weights, &as_it_is)), loss)
                })
                .collect();
            // The worst is what goes beyond the limit, or else the most.
            let worst = |losses: &mut dyn Iterator<Item = &Loss>| {
                let taken = losses.map(Loss::taken);
                taken.max_by_key(|taken| (limit.are_exceeded_by(taken.out, taken.of), taken.out))
            };
            let all = worst(&mut losses.iter().map(|(_, loss)| loss)).unwrap_or_default();
            self.out_of_all.out += all.out;
            self.out_of_all.of += all.of;
            // Of what it leaves as it is, others answer: who was replaced
            // before is no loss of this plan. Raised little by little a weight
            // takes from the others, too, though no step of it does.
            let worse = || losses.iter().filter(|(is_worse, _)| *is_worse).map(|(_, loss)| loss);
            if let (Some(taken), Some(left)) = (worst(&mut worse()), worse().map(Loss::percent_left).min()) {
                self.capacity_left.insert(pool.name.clone(), left);
                self.out_within_window.insert(pool.name.clone(), taken);
            }
            let out = Loss::of(&serving, &after).out.into_iter();
            self.taken_out
                .extend(out.map(|(backend, lost)| (backend_name(&pool.name, &backend), lost)));
        }
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
}

/// Pools that VIPs have, or fall back on.
fn needed(config: &Config) -> BTreeSet<&str> {
    let own: BTreeSet<&str> = config.vips.iter().map(|vip| vip.pool.as_str()).collect();
    let used = config.pools.iter().filter(|pool| own.contains(pool.name.as_str()));
    let fallbacks = used.filter_map(|pool| pool.fallback_pool.as_deref());
    own.iter().copied().chain(fallbacks).collect()
}

fn backend_name(pool: &str, backend: &str) -> ObjectName {
    ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}
