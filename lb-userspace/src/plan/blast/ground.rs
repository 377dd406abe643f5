//! What is served, as far as a blast radius asks: who gets whose packets, and
//! who has connections.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use lb_common::abi::member::MemberIndex;

use super::{Live, Reading};
use crate::{
    config::Vip,
    revision::{BackendId, Revision, guest_name},
};

/// The running revision and its traffic, with what is asked again and again.
pub struct Ground<'a> {
    running: &'a Revision,
    live: &'a dyn Live,
    /// By the pool they use.
    vips: BTreeMap<&'a str, Vec<&'a Vip>>,
    /// Pools that VIPs use, by the one they fall back on.
    falling_back: BTreeMap<&'a str, Vec<&'a str>>,
    /// Members that own slots or are named by chains, of pools asked about.
    connected: RefCell<BTreeMap<String, Rc<BTreeSet<MemberIndex>>>>,
}

impl<'a> Ground<'a> {
    #[must_use]
    pub fn of(running: &'a Revision, live: &'a dyn Live) -> Self {
        let config = running.config();
        let mut vips: BTreeMap<&str, Vec<&Vip>> = BTreeMap::new();
        for vip in &config.vips {
            vips.entry(&vip.pool).or_default().push(vip);
        }
        let mut falling_back: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for pool in config.pools.iter().filter(|pool| vips.contains_key(pool.name.as_str())) {
            if let Some(fallback) = &pool.fallback_pool {
                falling_back.entry(fallback).or_default().push(&pool.name);
            }
        }
        Self {
            running,
            live,
            vips,
            falling_back,
            connected: RefCell::default(),
        }
    }

    #[must_use]
    pub const fn running(&self) -> &'a Revision {
        self.running
    }

    #[must_use]
    pub const fn live(&self) -> &'a dyn Live {
        self.live
    }

    /// VIPs with this pool.
    #[must_use]
    pub fn vips(&self, pool: &str) -> &[&'a Vip] {
        self.vips.get(pool).map_or(&[], Vec::as_slice)
    }

    /// A VIP has this pool, or one that falls back on it.
    #[must_use]
    pub fn is_used(&self, pool: &str) -> bool {
        self.vips.contains_key(pool) || self.falling_back.contains_key(pool)
    }

    /// VIPs whose packets the pool's backends get now.
    #[must_use]
    pub fn served_by(&self, pool: &str) -> Vec<&'a Vip> {
        let mut served = self.vips(pool).to_vec();
        for other in self.pools_on(pool) {
            if self.has_guests(other) {
                served.extend(self.vips(other));
            }
        }
        served
    }

    fn pools_on(&self, pool: &str) -> &[&'a str] {
        self.falling_back.get(pool).map_or(&[], Vec::as_slice)
    }

    /// Backends of its fallback pool serve for it, or still have connections.
    #[must_use]
    pub fn has_guests(&self, pool: &str) -> bool {
        let Some((state, _)) = self.running.pool(pool) else {
            return false;
        };
        let connected = self.connected(pool);
        let mut members = state.members.values();
        members.any(|member| member.guest.is_some() && connected.contains(&member.index))
    }

    /// As which members a backend gets packets: of its own pool, and of those
    /// that fall back on it.
    fn places(&self, pool: &str, backend: &str) -> Vec<BackendId> {
        let own = self
            .vips
            .contains_key(pool)
            .then(|| (pool.to_owned(), backend.to_owned()));
        let guests = self.pools_on(pool).iter();
        let guests = guests.map(|other| ((*other).to_owned(), guest_name(pool, backend)));
        let places = own.into_iter().chain(guests);
        places.map(|(pool, backend)| BackendId { pool, backend }).collect()
    }

    /// As which members it may have connections. Not those that its checks have
    /// out of service: nobody can be asked to wait for them.
    #[must_use]
    pub fn connections(&self, pool: &str, backend: &str) -> BTreeSet<BackendId> {
        let places = self.places(pool, backend).into_iter();
        places.filter(|place| self.is_connected(place)).collect()
    }

    fn is_connected(&self, id: &BackendId) -> bool {
        let Some((state, _)) = self.running.pool(&id.pool) else {
            return false;
        };
        let Some(member) = state.members.get(&id.backend) else {
            return false;
        };
        // A guest that waits is out of service, too, and not for its checks.
        let is_down = member.guest.is_none() && member.health.share.is_zero();
        !is_down && self.connected(&id.pool).contains(&member.index)
    }

    /// Members of a pool that own slots, or had them and may have flows.
    #[must_use]
    pub fn connected(&self, pool: &str) -> Rc<BTreeSet<MemberIndex>> {
        if let Some(known) = self.connected.borrow().get(pool) {
            return known.clone();
        }
        let mut members = BTreeSet::new();
        if let Some((_, tables)) = self.running.pool(pool) {
            members.extend(tables.current.counts().keys().filter(|member| **member != 0));
            members.extend(tables.dirty.earlier());
        }
        let members = Rc::new(members);
        self.connected.borrow_mut().insert(pool.to_owned(), members.clone());
        members
    }

    /// Of a backend, as whichever members it gets packets.
    #[must_use]
    pub fn reading(&self, pool: &str, backend: &str) -> Reading {
        let places = self.places(pool, backend);
        let readings = places.iter().map(|place| self.live.backend(place));
        readings.fold(Reading::default(), |sum, reading| Reading {
            pps: sum.pps + reading.pps,
            quiet: match (sum.quiet, reading.quiet) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        })
    }
}
