//! A pool: from the health of its backends to who is in service. Pure.
//!
//! What an operator decided (`drain`, `maint`, weight 0) comes before all of
//! this: such backends are not asked about here.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    config::{Health, Percent, Velocity},
};

#[cfg(test)]
mod tests;

/// One ready backend with a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub weight: u32,
    pub healthy: bool,
    /// Since when.
    pub since: Moment,
    /// Of its weight, while it starts slowly.
    pub share: Percent,
}

/// What the pool is like, beside its backends.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub health: &'a Health,
    pub panic_threshold: Percent,
    /// Its fallback pool has a healthy backend.
    pub fallback: bool,
    /// Nothing is heard from anybody: the balancer itself is suspected.
    pub suspicion: bool,
}

/// Why who serves is not just who is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// Nothing at all is heard from backends that were up: the checks, or this
    /// host's way to all backends, are more likely broken than all backends.
    Suspicion,
    /// Too few backends are healthy: the fallback pool serves.
    Fallback,
    /// Too few backends are healthy: all serve.
    Panic,
    /// Health may not take more than that away.
    Floor,
    /// Health may not take it away that fast.
    Velocity,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspicion => "suspicion",
            Self::Fallback => "fallback",
            Self::Panic => "panic",
            Self::Floor => "floor",
            Self::Velocity => "velocity",
        })
    }
}

/// Who serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// By name: percent of the weight; 0: out of service.
    pub shares: BTreeMap<String, Percent>,
    /// The fallback pool serves.
    pub fallback: bool,
    pub reasons: BTreeSet<Reason>,
}

/// What a pool must remember: who serves, and who was taken out when.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    in_service: BTreeMap<String, Percent>,
    fallback: bool,
    /// The earliest first, each with its weight.
    taken: VecDeque<(Moment, String, u32)>,
}

impl Memory {
    /// As it is published. `taken`: who was taken out when, and their weights.
    #[must_use]
    pub fn of(in_service: BTreeMap<String, Percent>, fallback: bool, mut taken: Vec<(Moment, String, u32)>) -> Self {
        taken.sort();
        Self {
            in_service,
            fallback,
            taken: taken.into(),
        }
    }

    /// When a backend was taken out, if that counts for the velocity limit.
    #[must_use]
    pub fn taken(&self, backend: &str) -> Option<Moment> {
        let mut taken = self.taken.iter();
        taken.find(|(_, name, _)| name == backend).map(|(at, ..)| *at)
    }

    /// When what was held back by the velocity limit may go.
    #[must_use]
    pub fn due(&self, window: Duration) -> Option<Moment> {
        self.taken.front().map(|(at, ..)| *at + window)
    }

    /// Decides who serves now.
    pub fn stand(&mut self, rules: &Rules<'_>, seen: &BTreeMap<String, Seen>, now: Moment) -> Stand {
        let stand = self.decide(rules, seen, now);
        self.in_service.clone_from(&stand.shares);
        self.fallback = stand.fallback;
        stand
    }

    fn decide(&mut self, rules: &Rules<'_>, seen: &BTreeMap<String, Seen>, now: Moment) -> Stand {
        if rules.suspicion {
            let frozen = |(name, seen): (&String, &Seen)| {
                let served = self.in_service.get(name).copied().filter(|share| !share.is_zero());
                let back = || {
                    if self.fallback {
                        Percent::ZERO
                    } else {
                        healthy_share(seen)
                    }
                };
                (name.clone(), served.unwrap_or_else(back))
            };
            return Stand {
                shares: seen.iter().map(frozen).collect(),
                fallback: self.fallback,
                reasons: [Reason::Suspicion].into(),
            };
        }
        let ready: u64 = seen.values().map(|seen| u64::from(seen.weight)).sum();
        let healthy: u64 = weights(seen.values().filter(|seen| seen.healthy));
        if healthy == 0 || !rules.panic_threshold.reached_by(healthy, ready) {
            self.taken.clear();
            return too_few(rules, seen);
        }
        let mut stand = Stand {
            shares: seen
                .iter()
                .map(|(name, seen)| (name.clone(), healthy_share(seen)))
                .collect(),
            ..Stand::default()
        };
        keep_floor(rules.health.floor, seen, ready, &mut stand);
        if let Some(velocity) = &rules.health.velocity {
            self.limit(velocity, seen, ready, &mut stand, now);
        }
        stand
    }

    /// What goes faster than it may stays, those that failed last first.
    fn limit(
        &mut self,
        velocity: &Velocity,
        seen: &BTreeMap<String, Seen>,
        ready: u64,
        stand: &mut Stand,
        now: Moment,
    ) {
        let window = velocity.window.duration();
        // Capacity that came back is credited, and what is long ago forgotten.
        let shares = &stand.shares;
        let serves = |name: &str| shares.get(name).is_none_or(|share| !share.is_zero());
        self.taken
            .retain(|(at, name, _)| now.saturating_duration_since(*at) < window && !serves(name));
        let served = |name: &str| self.in_service.get(name).is_some_and(|share| !share.is_zero());
        let mut going: Vec<(Moment, String, u32)> = seen
            .iter()
            .filter(|(name, _)| served(name) && !serves(name))
            .map(|(name, seen)| (seen.since, name.clone(), seen.weight))
            .collect();
        going.sort();
        for (_, name, weight) in going {
            let count = self.taken.len() as u64 + 1;
            let taken = self.taken.iter().map(|(_, _, weight)| u64::from(*weight)).sum::<u64>() + u64::from(weight);
            if count <= u64::from(velocity.count) || taken * 100 <= ready * u64::from(velocity.percent) {
                self.taken.push_back((now, name, weight));
            } else {
                stand.shares.insert(name, FULL);
                stand.reasons.insert(Reason::Velocity);
            }
        }
    }
}

const FULL: Percent = match Percent::new(100) {
    Some(full) => full,
    None => Percent::ZERO,
};

const fn healthy_share(seen: &Seen) -> Percent {
    if seen.healthy { seen.share } else { Percent::ZERO }
}

fn weights<'a>(seen: impl Iterator<Item = &'a Seen>) -> u64 {
    seen.map(|seen| u64::from(seen.weight)).sum()
}

/// None healthy, or less than the panic threshold: who can help does, else all.
fn too_few(rules: &Rules<'_>, seen: &BTreeMap<String, Seen>) -> Stand {
    let (share, reason) = if rules.fallback {
        (Percent::ZERO, Reason::Fallback)
    } else {
        (FULL, Reason::Panic)
    };
    Stand {
        shares: seen.keys().map(|name| (name.clone(), share)).collect(),
        fallback: rules.fallback,
        // An empty pool is nobody's panic.
        reasons: (!seen.is_empty()).then_some(reason).into_iter().collect(),
    }
}

/// Those that failed last stay until the floor is reached.
fn keep_floor(floor: Percent, seen: &BTreeMap<String, Seen>, ready: u64, stand: &mut Stand) {
    let mut kept = weights(seen.values().filter(|seen| seen.healthy));
    let mut failed: Vec<(Moment, &String, &Seen)> = seen
        .iter()
        .filter(|(_, seen)| !seen.healthy)
        .map(|(name, seen)| (seen.since, name, seen))
        .collect();
    failed.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)));
    for (_, name, seen) in failed {
        if floor.reached_by(kept, ready) {
            return;
        }
        kept += u64::from(seen.weight);
        stand.shares.insert(name.clone(), FULL);
        stand.reasons.insert(Reason::Floor);
    }
}
