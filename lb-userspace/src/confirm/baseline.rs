//! How it was before the switch: what a trial is compared with. It stands in the
//! journal's intent, so that the next daemon goes on judging.

use std::{collections::BTreeMap, time::Duration};

use lb_common::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::countable::countable;
use crate::{
    activity::Activity,
    config::{BackendState, Config, Initial, Pool},
    health::sm::Condition,
    plan::Content,
    revision::Revision,
};

#[cfg(test)]
mod tests;

/// As of the last look before the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Packets a second that came to the verdicts that count, by name.
    pub drops: BTreeMap<String, u64>,
    /// Packets a second that were forwarded.
    pub forwarded: u64,
    /// Healthy backends that the change keeps, by pool.
    pub healthy: BTreeMap<String, u32>,
}

/// A pool as the change leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Backends that are healthy now, of those that are ready before and after.
    pub healthy: u32,
    /// How long it may have fewer than before.
    pub patience: Duration,
}

/// A check that fails once more or less, and a revision that is late.
const PATIENCE: Duration = Duration::from_secs(5);

impl Baseline {
    /// Of a trial of `next` after `before`.
    #[must_use]
    pub fn of(before: &Revision, next: &Revision, activity: &Activity) -> Self {
        let drops = countable(before, next).into_iter();
        let kept = kept(before.config(), next.config(), before);
        Self {
            drops: drops
                .map(|verdict| (verdict.name().to_owned(), activity.pps_of(verdict)))
                .collect(),
            forwarded: activity.total_pps(),
            healthy: kept.into_iter().map(|(pool, kept)| (pool, kept.healthy)).collect(),
        }
    }

    /// The drops that count; what another version counted and this one does not
    /// know is left out.
    pub fn verdicts(&self) -> impl Iterator<Item = (Verdict, u64)> {
        let named = |name: &str| Verdict::ALL.iter().find(|verdict| verdict.name() == name);
        self.drops
            .iter()
            .filter_map(move |(name, pps)| Some((*named(name)?, *pps)))
    }
}

/// Of the backends that a change keeps, how many are healthy in `revision`, by
/// pool.
#[must_use]
pub fn kept_by(before: &Content, revision: &Revision) -> BTreeMap<String, Kept> {
    kept(before.in_force(), revision.config(), revision)
}

fn kept(before: &Config, after: &Config, seen: &Revision) -> BTreeMap<String, Kept> {
    let pools = after.pools.iter();
    let pools = pools.filter_map(|pool| {
        let was = before.pool(&pool.name)?;
        let members = &seen.state.pools.get(&pool.name)?.members;
        let kept = pool.backends.iter().filter(|backend| {
            let serves = |pool: &Pool| {
                pool.backend(&backend.name)
                    .is_some_and(|backend| backend.state == BackendState::Ready && backend.weight > 0)
            };
            serves(was) && serves(pool)
        });
        let healthy = kept.filter(|backend| {
            let member = members.get(&backend.name);
            member.is_some_and(|member| member.hop.is_some() && member.health.condition != Condition::Down)
        });
        let kept = Kept {
            healthy: healthy.count() as u32,
            patience: patience(was, pool),
        };
        Some((pool.name.clone(), kept))
    });
    pools.collect()
}

/// Backends at other addresses that are down until their checks pass need time.
fn patience(was: &Pool, pool: &Pool) -> Duration {
    let moved = pool.backends.iter().any(|backend| {
        was.backend(&backend.name)
            .is_some_and(|was| was.address != backend.address)
    });
    match &pool.health {
        Some(health) if moved && health.initial == Initial::Down => {
            let check = health.interval.duration() + health.timeout.duration();
            PATIENCE + check * health.rise
        }
        Some(_) | None => PATIENCE,
    }
}
