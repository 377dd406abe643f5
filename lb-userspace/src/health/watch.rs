//! The health of all backends of a revision. Pure: what was observed, and when,
//! is told; what is to be published is asked.

mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Target, Via,
    sm::{Condition, Machine, Transition},
    standing::{Memory, Reason, Rules, Seen, Stand},
};
use crate::{
    clock::Moment,
    config::{BackendState, Config, Health, Percent, Pool},
    digest::Digest,
    revision::{BackendId, MemberHealth, Revision, Standing, guest_name, starts_anew},
};

pub use self::report::BackendReport;

#[cfg(test)]
mod tests;

/// How a check of a backend ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeing {
    pub passed: bool,
    /// Something came back from the backend, if only a refusal: the way to it
    /// works.
    pub heard: bool,
    pub took: Duration,
}

/// Machines by pool and backend, and what pools remember.
#[derive(Debug, Default)]
pub struct Watch {
    /// Of the content that it was made for.
    digest: Option<Digest>,
    pools: BTreeMap<String, PoolWatch>,
    /// When something was last heard from any backend.
    heard: Option<Moment>,
    suspected: bool,
}

#[derive(Debug)]
struct PoolWatch {
    pool: Pool,
    health: Option<Health>,
    backends: BTreeMap<String, BackendWatch>,
    memory: Memory,
    stand: Stand,
}

#[derive(Debug)]
struct BackendWatch {
    machine: Machine,
    /// When a check of it ended last.
    asked: Option<Moment>,
    took: Duration,
    /// What its last check that failed came to.
    problem: Option<String>,
}

/// A change of one backend, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub backend: BackendId,
    pub transition: Transition,
    /// Why, if it is down.
    pub problem: Option<String>,
}

impl Watch {
    /// Follows what is served. True: it is another content than before, and
    /// other backends are to be checked.
    pub fn follow(&mut self, revision: &Revision, now: Moment) -> bool {
        let digest = revision.state.content.digest();
        if self.digest == Some(digest) {
            return false;
        }
        self.digest = Some(digest);
        let mut before = std::mem::take(&mut self.pools);
        let config = revision.config();
        for pool in config.pools.iter().filter(|pool| is_asked_about(config, pool)) {
            let watch = PoolWatch::after(before.remove(&pool.name), pool, revision, now);
            self.pools.insert(pool.name.clone(), watch);
        }
        true
    }

    /// What is to be checked: backends that may serve or have flows.
    #[must_use]
    pub fn targets(&self) -> BTreeMap<BackendId, Target> {
        let pools = self.pools.values();
        let pools = pools.filter_map(|watch| Some((watch, watch.health.as_ref()?)));
        let targets = pools.flat_map(|(watch, health)| {
            let check = Arc::new(health.check.clone());
            let backends = watch.pool.backends.iter();
            let backends = backends.filter(|backend| watch.backends.contains_key(&backend.name));
            backends.map(move |backend| {
                let target = Target {
                    address: backend.address,
                    check: Arc::clone(&check),
                    interval: health.interval.duration(),
                    timeout: health.timeout.duration(),
                    via: Via::Direct,
                };
                (id(&watch.pool.name, &backend.name), target)
            })
        });
        targets.collect()
    }

    /// A check has ended. `problem`: why it failed, for people.
    pub fn observe(
        &mut self,
        backend: &BackendId,
        seeing: Seeing,
        problem: impl FnOnce() -> String,
        now: Moment,
    ) -> Option<Event> {
        if seeing.heard && self.pools.contains_key(&backend.pool) {
            self.heard = self.heard.max(Some(now));
        }
        let watch = self.pools.get_mut(&backend.pool)?.backends.get_mut(&backend.backend)?;
        watch.asked = Some(now);
        watch.took = seeing.took;
        watch.problem = (!seeing.passed).then(problem);
        let transition = watch.machine.observe(seeing.passed, now)?;
        Some(Event {
            backend: backend.clone(),
            transition,
            problem: watch.problem.clone(),
        })
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        for (pool, watch) in &mut self.pools {
            for (backend, watch) in &mut watch.backends {
                let due = watch.machine.due().is_some_and(|due| due <= now);
                if let Some(transition) = due.then(|| watch.machine.tick(now)).flatten() {
                    events.push(Event {
                        backend: id(pool, backend),
                        transition,
                        problem: None,
                    });
                }
            }
        }
        events
    }

    /// When something may change though nothing is observed.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        let of_pool = |watch: &PoolWatch| {
            let machines = watch.backends.values().filter_map(|watch| watch.machine.due()).min();
            let velocity = watch.stand.reasons.contains(&Reason::Velocity);
            let limit = watch
                .health
                .as_ref()
                .and_then(|health| health.velocity)
                .filter(|_| velocity);
            let limit = limit.and_then(|limit| watch.memory.due(limit.window.duration()));
            machines.into_iter().chain(limit).min()
        };
        self.pools.values().filter_map(of_pool).min()
    }

    /// A check could not be made: nothing is known, but for people.
    pub fn note(&mut self, backend: &BackendId, problem: String) {
        let pool = self.pools.get_mut(&backend.pool);
        if let Some(watch) = pool.and_then(|pool| pool.backends.get_mut(&backend.backend)) {
            watch.problem = Some(problem);
        }
    }

    /// What is to be published now.
    pub fn standing(&mut self, now: Moment) -> Standing {
        let were_up = self.suspicion();
        self.suspected = were_up.is_some();
        let healthy: BTreeSet<String> = self
            .pools
            .iter()
            .filter(|(_, watch)| watch.has_healthy())
            .map(|(name, _)| name.clone())
            .collect();
        let mut standing = Standing::new();
        for watch in self.pools.values_mut() {
            watch.stand_now(&healthy, were_up.as_ref(), now);
        }
        for watch in self.pools.values() {
            watch.publish(&self.pools, &mut standing, now);
        }
        standing
    }

    /// The balancer itself is suspected, as of the last [`Self::standing`].
    #[must_use]
    pub const fn is_suspected(&self) -> bool {
        self.suspected
    }

    /// Backends that were up when something was last heard from anybody, if
    /// there were two at least, all of them have been asked since, in vain, and
    /// one of them would go out of service for it.
    fn suspicion(&self) -> Option<BTreeSet<BackendId>> {
        let heard = self.heard?;
        let mut were_up = BTreeSet::new();
        let mut would_go = false;
        for (pool, watch) in &self.pools {
            for (backend, watch) in &watch.backends {
                let down = watch.machine.condition() == Condition::Down;
                let up_then = match watch.machine.condition() {
                    Condition::Up => true,
                    Condition::Down => watch.machine.since() > heard && watch.problem.is_some(),
                    Condition::Unknown => false,
                };
                if !up_then {
                    continue;
                }
                if watch.asked.is_none_or(|asked| asked <= heard) {
                    return None;
                }
                would_go |= down;
                were_up.insert(id(pool, backend));
            }
        }
        (would_go && were_up.len() >= 2).then_some(were_up)
    }
}

impl PoolWatch {
    fn after(before: Option<Self>, pool: &Pool, revision: &Revision, now: Moment) -> Self {
        let state = revision.state.pools.get(&pool.name);
        let (earlier, mut machines, memory) = match before {
            Some(before) => (Some(before.pool), before.backends, Some(before.memory)),
            None => (None, BTreeMap::new(), None),
        };
        let mut backends = BTreeMap::new();
        for backend in &pool.backends {
            let (Some(health), false) = (&pool.health, backend.state == BackendState::Maint) else {
                continue;
            };
            let published = state.and_then(|state| state.members.get(&backend.name));
            let published = published.map(|member| member.health).unwrap_or_default();
            let anew = earlier
                .as_ref()
                .is_none_or(|earlier| starts_anew(earlier, pool, backend));
            let kept = machines.remove(&backend.name).filter(|_| !anew);
            let kept = kept.map(|mut kept| {
                kept.machine.set(health);
                kept
            });
            let begun = || BackendWatch {
                machine: Machine::resumed(health, &published, now),
                asked: None,
                took: Duration::ZERO,
                problem: None,
            };
            backends.insert(backend.name.clone(), kept.unwrap_or_else(begun));
        }
        let published = || {
            let members = state.into_iter().flat_map(|state| &state.members);
            let fallback = members
                .clone()
                .any(|(_, member)| member.guest.is_some() && !member.health.share.is_zero());
            let taken = members.clone().filter_map(|(name, member)| {
                let weight = pool.backend(name)?.weight;
                Some((member.health.taken?, name.clone(), weight))
            });
            let taken = taken.collect();
            let shares = members
                .map(|(name, member)| (name.clone(), member.health.share))
                .collect();
            Memory::of(shares, fallback, taken)
        };
        Self {
            health: pool.health.clone(),
            memory: memory.unwrap_or_else(published),
            pool: pool.clone(),
            backends,
            stand: Stand::default(),
        }
    }

    /// Somebody who is ready can help.
    fn has_healthy(&self) -> bool {
        let ready = self
            .pool
            .backends
            .iter()
            .filter(|backend| is_ready(backend.state) && backend.weight > 0);
        let mut healthy = ready.map(|backend| {
            let watch = self.backends.get(&backend.name);
            watch.is_none_or(|watch| watch.machine.is_healthy())
        });
        healthy.any(|healthy| healthy)
    }

    fn stand_now(&mut self, healthy: &BTreeSet<String>, were_up: Option<&BTreeSet<BackendId>>, now: Moment) {
        let Some(health) = &self.health else {
            return;
        };
        let ready = self
            .pool
            .backends
            .iter()
            .filter(|backend| is_ready(backend.state) && backend.weight > 0);
        let seen = ready.filter_map(|backend| {
            let watch = self.backends.get(&backend.name)?;
            let was_up = were_up.is_some_and(|up| up.contains(&id(&self.pool.name, &backend.name)));
            let seen = Seen {
                weight: backend.weight,
                healthy: was_up || watch.machine.is_healthy(),
                since: watch.machine.since(),
                share: watch.machine.share(),
            };
            Some((backend.name.clone(), seen))
        });
        let seen = seen.collect();
        let rules = Rules {
            health,
            panic_threshold: self.pool.panic_threshold,
            fallback: self
                .pool
                .fallback_pool
                .as_ref()
                .is_some_and(|name| healthy.contains(name)),
            suspicion: were_up.is_some(),
        };
        self.stand = self.memory.stand(&rules, &seen, now);
    }

    /// Of its backends, and of those of its fallback pool, which are members of
    /// it, too.
    fn publish(&self, pools: &BTreeMap<String, Self>, standing: &mut Standing, now: Moment) {
        if self.health.is_none() {
            return;
        }
        for (name, watch) in &self.backends {
            let share = self.stand.shares.get(name).copied();
            let condition = watch.machine.condition();
            let member = MemberHealth {
                condition,
                // Who is not ready has no share that could change.
                share: share.unwrap_or(MemberHealth::default().share),
                down_since: (condition == Condition::Down).then(|| watch.machine.since()),
                flaps: watch.machine.flaps(now),
                taken: self.memory.taken(name),
            };
            standing.insert(id(&self.pool.name, name), member);
        }
        let Some(fallback) = self.pool.fallback_pool.as_ref().and_then(|name| pools.get(name)) else {
            return;
        };
        for backend in &fallback.pool.backends {
            let own = fallback.stand.shares.get(&backend.name).copied();
            let own = own.unwrap_or(MemberHealth::default().share);
            let member = MemberHealth {
                condition: fallback
                    .backends
                    .get(&backend.name)
                    .map_or(Condition::Unknown, |watch| watch.machine.condition()),
                share: if self.stand.fallback { own } else { Percent::ZERO },
                ..MemberHealth::default()
            };
            let name = guest_name(&fallback.pool.name, &backend.name);
            standing.insert(id(&self.pool.name, &name), member);
        }
    }
}

/// It is checked, or somebody who is falls back on it.
fn is_asked_about(config: &Config, pool: &Pool) -> bool {
    let name = &pool.name;
    pool.health.is_some()
        || config
            .pools
            .iter()
            .any(|other| other.fallback_pool.as_ref() == Some(name))
}

fn is_ready(state: BackendState) -> bool {
    state == BackendState::Ready
}

fn id(pool: &str, backend: &str) -> BackendId {
    BackendId {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    }
}
