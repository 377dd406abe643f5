//! What a plan is measured to break and take.

mod interfaces;
mod measured;
mod spending;

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Blast, Live, Reading, Spent};
use crate::{
    config::{BackendState, MacAddr, NextHop, ObjectName, Seconds},
    part::Part,
    plan::{
        Content, Finding,
        diff::diff,
        policy::{
            self,
            lock::{Weighed, weigh},
        },
        samples::{backend, content, hop, hops},
    },
    revision::{BackendId, Over, Revision},
};

/// What is served, and its traffic.
pub struct Scene {
    pub running: Revision,
    pub traffic: Traffic,
    pub spent: Spent,
}

/// Packets a second, by `web4`, `web/be1` and `interface lb0`; the last came a
/// second ago.
#[derive(Clone, Default)]
pub struct Traffic(pub HashMap<String, u64>);

impl Traffic {
    fn reading(&self, name: &str) -> Reading {
        let pps = self.0.get(name).copied();
        Reading {
            pps: pps.unwrap_or(0),
            quiet: pps.map(|_| Seconds(1)),
        }
    }
}

impl Live for Traffic {
    fn vip(&self, name: &str) -> Reading {
        self.reading(name)
    }

    fn backend(&self, id: &BackendId) -> Reading {
        self.reading(&format!("{}/{}", id.pool, id.backend))
    }

    fn interface(&self, name: &str) -> Option<Reading> {
        let name = format!("interface {name}");
        self.0.contains_key(&name).then(|| self.reading(&name))
    }
}

pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

impl Scene {
    /// The sample with `change`: pools dns (d1, d2) and web (be1, be2, be5, and
    /// be6 to be8), 10,000 packets a second to web4, 100 to dns, none to others.
    pub fn of(change: impl FnOnce(&mut Content)) -> Self {
        let mut content = content();
        for (name, last) in [("be6", 16), ("be7", 17), ("be8", 18)] {
            content.config.pools[1].backends.push(backend(name, last, 100));
        }
        change(&mut content);
        let running = Revision::next(None, &Part::new(content.clone()), &hops(&content), 0).expect("few objects");
        let mut traffic = Traffic::default();
        traffic.0.extend([("web4".to_owned(), 10_000), ("dns".to_owned(), 100)]);
        for (pool, pps) in [("web", 10_000), ("dns", 100)] {
            let (state, tables) = running.pool(pool).expect("a pool");
            for (name, member) in &state.members {
                let slots = tables.current.counts().get(&member.index).copied().unwrap_or(0);
                if slots > 0 {
                    traffic
                        .0
                        .insert(format!("{pool}/{name}"), pps * u64::from(slots) / 65_536);
                }
            }
        }
        Self {
            running,
            traffic,
            spent: Spent {
                at: now(),
                ..Spent::default()
            },
        }
    }

    pub fn plain() -> Self {
        Self::of(|_| ())
    }

    pub fn target(&self, change: impl FnOnce(&mut Content)) -> Content {
        let mut target = Content::clone(&self.running.state.content);
        change(&mut target);
        target
    }

    pub fn blast(&self, change: impl FnOnce(&mut Content)) -> Blast {
        self.judged(change).0
    }

    pub fn findings(&self, change: impl FnOnce(&mut Content)) -> Vec<Finding> {
        self.judged(change).1
    }

    /// Codes of the findings, each once.
    pub fn codes(&self, change: impl FnOnce(&mut Content)) -> Vec<String> {
        let mut codes: Vec<_> = self.findings(change).into_iter().map(|finding| finding.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    fn judged(&self, change: impl FnOnce(&mut Content)) -> (Blast, Vec<Finding>) {
        let (from, target) = (&*self.running.state.content, self.target(change));
        let changes = diff(Some(from), &target);
        let in_force = policy::in_force(from, &target, &changes);
        let blast = Blast::of(&self.running, &target, &in_force, &self.spent, &self.traffic);
        let findings = weigh(Weighed {
            running: &self.running,
            target: &target,
            changes: &changes,
            in_force: &in_force,
            blast: &blast,
            spent: &self.spent,
            live: &self.traffic,
        });
        (blast, findings)
    }

    /// Serves it, with its next hops.
    #[must_use]
    pub fn then(&self, change: impl FnOnce(&mut Content)) -> Self {
        let target = self.target(change);
        let hops = hops(&target);
        let running = Revision::next(Some(&self.running), &Part::new(target), &hops, 0).expect("few objects");
        Self {
            running,
            traffic: self.traffic.clone(),
            spent: self.spent.clone(),
        }
    }

    /// Once all flows of earlier owners have ended.
    #[must_use]
    pub fn drained(mut self) -> Self {
        let slots = self.running.tables.iter().map(|(pool, tables)| {
            let slots = tables.dirty.chains().keys().copied().collect();
            (pool.clone(), slots)
        });
        let over = Over {
            clean: slots.collect(),
            ..Over::default()
        };
        self.running = self.running.cleaned(&over);
        self
    }
}

/// A backend of the target, by pool and name.
pub fn the<'c>(content: &'c mut Content, pool: &str, name: &str) -> &'c mut crate::config::Backend {
    let pools = content.config.pools.iter_mut();
    let mut pools = pools.filter(|other| other.name == pool);
    let backends = &mut pools.next().expect("a pool").backends;
    let found = backends.iter_mut().find(|other| other.name == name);
    found.expect("a backend")
}

pub fn drain(content: &mut Content, name: &str) {
    the(content, "web", name).state = BackendState::Drain;
}

pub fn remove(content: &mut Content, name: &str) {
    content.config.pools[1].backends.retain(|backend| backend.name != name);
}

pub fn object(name: &str) -> ObjectName {
    name.parse().expect("an object")
}

/// A next hop that is given.
pub fn given(mac: [u8; 6]) -> NextHop {
    NextHop {
        mac: MacAddr(mac),
        interface: hop(mac).interface,
    }
}
