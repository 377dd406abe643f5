//! What earlier plans did: ten small plans are one big one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Blast, Ground, Unknown, Weights, capacity::is_in_service, in_service};
use crate::{
    config::Seconds,
    plan::{Content, policy},
    revision::Revision,
};

/// What plans of the window did, and when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Who served before each of them, by pool. What serves again after the
    /// next plan is not out, so capacity that came back is credited.
    pub served: BTreeMap<String, Vec<Weights>>,
    /// Packets broken, per mille of those at the time, added up.
    pub broken: u32,
    /// Now.
    pub at: Timestamp,
}

/// A plan that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expense {
    /// By the wall clock, as its journal entry.
    pub at: Timestamp,
    /// Of each pool whose backends it changed: who was in service before, with
    /// which weight.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub served: BTreeMap<String, BTreeMap<String, u32>>,
    /// Packets that ended, per mille.
    pub broken: u32,
}

impl Expense {
    /// Of a plan that is about to be applied; `None`: it breaks nothing and
    /// changes no backend.
    #[must_use]
    pub fn of(running: &Revision, target: &Content, blast: &Blast, now: Timestamp) -> Option<Self> {
        let ground = Ground::of(running, &Unknown);
        let (before, after) = (running.config(), target.in_force());
        let same_ways = before.node.interfaces == after.node.interfaces;
        let changed = before.pools.iter().filter(|pool| {
            let same = after
                .pool(&pool.name)
                .is_some_and(|after| after.backends == pool.backends);
            ground.is_used(&pool.name) && !(same && same_ways)
        });
        let served = changed.map(|pool| (pool.name.clone(), in_service(running, pool)));
        let expense = Self {
            at: now,
            served: served.filter(|(_, serving)| !serving.is_empty()).collect(),
            broken: blast.broken_per_mille(),
        };
        (expense.broken > 0 || !expense.served.is_empty()).then_some(expense)
    }
}

impl Spent {
    /// Of plans within `window` before `now`.
    #[must_use]
    pub fn within(expenses: &[Expense], window: Seconds, now: Timestamp, running: &Revision) -> Self {
        let begin = now
            .checked_sub(jiff::SignedDuration::from_secs(window.0.into()))
            .unwrap_or(Timestamp::MIN);
        let mut spent = Self {
            at: now,
            ..Self::default()
        };
        for expense in expenses.iter().filter(|expense| expense.at > begin) {
            spent.broken = spent.broken.saturating_add(expense.broken);
            for (pool, weights) in &expense.served {
                let mut weights = weights.clone();
                weights.retain(|backend, _| !is_down(running, pool, backend));
                let known = spent.served.entry(pool.clone()).or_default();
                if !known.contains(&weights) {
                    known.push(weights);
                }
            }
        }
        spent
    }

    /// Who served in a pool at times within the window.
    #[must_use]
    pub fn of(&self, pool: &str) -> &[BTreeMap<String, u32>] {
        self.served.get(pool).map_or(&[], Vec::as_slice)
    }
}

/// It is meant to serve, and does not: no plan took it.
fn is_down(running: &Revision, pool: &str, backend: &str) -> bool {
    let meant = running.config().pool(pool).and_then(|pool| pool.backend(backend));
    meant.is_some_and(|meant| policy::owns_slots(meant) && !is_in_service(running, pool, meant))
}
