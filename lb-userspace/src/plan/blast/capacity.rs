//! What a pool's backends can bear, in units of weight, and what a plan leaves
//! of it.

use std::collections::BTreeMap;

use super::Taken;
use crate::{
    config::{Backend, Node, Percent, Pool},
    plan::{Content, policy},
    revision::{PoolState, Revision},
};

/// Backends in service, with their weights.
pub type Weights = BTreeMap<String, u32>;

/// A weight of so many times the heaviest there was takes from the others: it
/// is as if they had been lowered. Up to there it is taken for a bigger host.
const HEAVY: u64 = 4;

/// Who is in service, of a pool of the running configuration in force.
#[must_use]
pub fn in_service(running: &Revision, pool: &Pool) -> Weights {
    let serving = pool
        .backends
        .iter()
        .filter(|backend| is_in_service(running, &pool.name, backend));
    serving.map(|backend| (backend.name.clone(), backend.weight)).collect()
}

/// It may have slots, and can be reached, and its checks say nothing against it.
#[must_use]
pub fn is_in_service(running: &Revision, pool: &str, backend: &Backend) -> bool {
    let state = running.state.pools.get(pool);
    let member = state.and_then(|state| state.members.get(&backend.name));
    let serves = member.is_some_and(|member| member.hop.is_some() && !member.health.share.is_zero());
    policy::owns_slots(backend) && serves
}

/// A pool as a plan leaves it.
pub struct After<'a> {
    before: &'a Pool,
    state: Option<&'a PoolState>,
    /// `None`: it goes.
    pool: Option<&'a Pool>,
    node: &'a Node,
}

impl<'a> After<'a> {
    #[must_use]
    pub fn of(running: &'a Revision, before: &'a Pool, target: &'a Content) -> Self {
        let after = target.in_force();
        Self {
            before,
            state: running.state.pools.get(&before.name).map(|state| &**state),
            pool: after.pool(&before.name),
            node: &after.node,
        }
    }

    /// As it is now.
    #[must_use]
    pub fn nothing(running: &'a Revision, pool: &'a Pool) -> Self {
        Self {
            before: pool,
            state: running.state.pools.get(&pool.name).map(|state| &**state),
            pool: Some(pool),
            node: &running.config().node,
        }
    }

    /// Of a backend that is there now, is the same host after it, and can be
    /// reached as it is now. What is new counts for nothing yet: nobody has
    /// seen it serve.
    fn weight(&self, name: &str) -> u64 {
        let there = self.before.backend(name);
        let stays = self.pool.and_then(|pool| pool.backend(name));
        let (Some(before), Some(after)) = (there, stays) else {
            return 0;
        };
        let same = before.address == after.address && reaches(self.state, before, after, self.node);
        if same && policy::owns_slots(after) {
            after.weight.into()
        } else {
            0
        }
    }

    /// What others than `before` bear now and after it: who replaced somebody
    /// and is seen to serve is no loss.
    fn others(&self, before: &Weights) -> u64 {
        let others = self.before.backends.iter().filter(|backend| {
            let member = self.state.and_then(|state| state.members.get(&backend.name));
            let serves = member.is_some_and(|member| member.hop.is_some() && !member.health.share.is_zero());
            serves && policy::owns_slots(backend) && !before.contains_key(&backend.name)
        });
        others.map(|backend| self.weight(&backend.name)).sum()
    }

    fn heaviest(&self) -> u64 {
        let serving = self.pool.into_iter().flat_map(|pool| &pool.backends);
        let weights = serving
            .filter(|backend| policy::owns_slots(backend))
            .map(|backend| backend.weight);
        weights.max().unwrap_or(0).into()
    }
}

/// It has the next hop it has now, through an interface that stays ours.
#[must_use]
pub fn reaches(state: Option<&PoolState>, before: &Backend, after: &Backend, node: &Node) -> bool {
    let hop = state.and_then(|state| state.members.get(&before.name)?.hop.as_ref());
    let Some(hop) = hop else { return true };
    let stays = node.interfaces.iter().any(|interface| interface.name == hop.interface);
    // What is not given is asked of the kernel, which may say something else.
    let same = before.next_hop == after.next_hop
        || after
            .next_hop
            .as_ref()
            .is_some_and(|given| (given.mac, &given.interface) == (hop.mac, &hop.interface));
    stays && same
}

/// What a pool loses, from some who served to those of a plan.
#[derive(Clone, Debug)]
pub struct Loss {
    pub before: u64,
    /// Of that, not more than each backend had.
    pub own: u64,
    /// The same with those who stand in for others.
    pub left: u64,
    /// Backends that keep less than half of their weight, with what they lose.
    pub out: BTreeMap<String, u32>,
    /// Who served.
    pub serving: u32,
}

impl Loss {
    /// Weights are shares: where all of them are lowered alike, nothing is
    /// lost, so those after are taken relative to the one that kept most.
    #[must_use]
    pub fn of(before: &Weights, after: &After<'_>) -> Self {
        let serving: Vec<(&String, u64, u64)> = before
            .iter()
            .map(|(name, weight)| (name, u64::from(*weight), after.weight(name)))
            .collect();
        let (part, whole) = scale(&serving, after.heaviest());
        let mut loss = Self {
            before: 0,
            own: 0,
            left: 0,
            out: BTreeMap::new(),
            serving: before.len() as u32,
        };
        for (name, weight, after) in serving {
            let left = (after * whole / part).min(weight);
            loss.before += weight;
            loss.own += left;
            if left * 2 < weight {
                loss.out.insert(name.clone(), (weight - left) as u32);
            }
        }
        let others = after.others(before) * whole / part;
        loss.left = (loss.own + others).min(loss.before);
        loss
    }

    /// Less is left, or fewer are, of the same who served.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        self.own < other.own || self.out.len() > other.out.len()
    }

    #[must_use]
    pub fn taken(&self) -> Taken {
        Taken {
            out: self.out.len() as u32,
            of: self.serving,
        }
    }

    #[must_use]
    pub fn percent_left(&self) -> Percent {
        let percent = (self.left * 100).checked_div(self.before).unwrap_or(100);
        Percent::new(percent as u32).unwrap_or_default()
    }
}

/// What one unit of weight after it is, of one before it, as `part / whole`:
/// what the backend that kept most kept of its weight, if all lost some; more,
/// if somebody is so heavy that it has the traffic of the others.
fn scale(serving: &[(&String, u64, u64)], heaviest: u64) -> (u64, u64) {
    let kept = serving
        .iter()
        .map(|(_, before, after)| (*after, *before))
        .max_by(|one, other| compare(*one, *other))
        .filter(|(after, before)| after < before && *after > 0)
        .unwrap_or((1, 1));
    let most = serving.iter().map(|(_, before, _)| *before).max().unwrap_or(0);
    let heavy = (heaviest, most * HEAVY);
    if most > 0 && compare(heavy, kept).is_gt() {
        heavy
    } else {
        kept
    }
}

/// Of two fractions, numerators first.
fn compare(one: (u64, u64), other: (u64, u64)) -> std::cmp::Ordering {
    (one.0 * other.1).cmp(&(other.0 * one.1))
}
