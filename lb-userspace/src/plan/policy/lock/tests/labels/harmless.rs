//! Changes that nobody should be asked about.

use fastrand::Rng;

use super::{
    Class,
    destructive::{name_removed, new_backend},
    model::{Arrivals, Pool, Vip, World},
    worlds::any,
};
use crate::config::BackendState;

pub const CLASSES: [Class; 21] = [
    Class("a backend added", any, |rng, to| {
        to.pools[0].backends.push(new_backend(rng.u32(20..=140)));
    }),
    Class("as many backends added as there are", any, |_, to| {
        for at in 0..to.pools[0].backends.len() {
            let mut backend = new_backend(100);
            (backend.name, backend.address) = (format!("new{at}"), format!("10.9.9.{}", at + 1));
            to.pools[0].backends.push(backend);
        }
    }),
    Class("a VIP added", any, |_, to| to.vips.push(new_vip("p0"))),
    Class("a pool and a VIP added", any, |_, to| {
        to.pools.push(Pool {
            name: "new".to_owned(),
            backends: vec![new_backend(100)],
            ..to.pools[0].clone()
        });
        to.vips.push(new_vip("new"));
    }),
    Class("a heavier weight", any, |rng, to| {
        let at = rng.usize(0..to.pools[0].backends.len());
        let weight = &mut to.pools[0].backends[at].weight;
        *weight = *weight * rng.u32(11..=20) / 10;
    }),
    Class("all weights in another unit", any, |rng, to| {
        let by = rng.u32(2..=200);
        to.pools[0].backends.iter_mut().for_each(|backend| backend.weight *= by);
    }),
    Class("a slightly lighter weight", any, |rng, to| {
        let at = rng.usize(0..to.pools[0].backends.len());
        let weight = &mut to.pools[0].backends[at].weight;
        *weight = *weight * rng.u32(80..=95) / 100;
    }),
    Class("a drained backend removed", drained, |_, to| {
        let gone = to.pools[0].backends.pop().expect("a backend");
        to.removed.push(format!("backend/p0/{}", gone.name));
    }),
    Class("a drained backend in maint", drained, |_, to| {
        last(to, BackendState::Maint);
    }),
    Class("a drained backend at another address", drained, |_, to| {
        to.pools[0].backends.last_mut().expect("a backend").address = "10.9.9.9".to_owned();
    }),
    Class("a drained backend back in service", drained, |_, to| {
        last(to, BackendState::Ready);
    }),
    Class("a backend that is down removed", down, |_, to| {
        let gone = to.pools[0].backends.pop().expect("a backend");
        to.removed.push(format!("backend/p0/{}", gone.name));
    }),
    Class("a backend that is down in maint", down, |_, to| {
        last(to, BackendState::Maint);
    }),
    Class("one backend drained", any, |rng, to| {
        let backends = to.pools[0].backends.iter_mut();
        let mut serving: Vec<_> = backends
            .filter(|backend| backend.up && backend.state == "ready")
            .collect();
        let at = rng.usize(0..serving.len());
        serving[at].state = "drain";
    }),
    Class("one backend drained by command, in an hour at most", any, |_, to| {
        super::worlds::command(to, "p0", "be0", BackendState::Drain, Some(3600));
    }),
    Class("the order of the file", any, |rng, to| {
        rng.shuffle(&mut to.vips);
        rng.shuffle(&mut to.pools);
        rng.shuffle(&mut to.interfaces);
    }),
    Class("an interface that nothing comes in by detached", one_sided, |_, to| {
        to.detached.push("lb1");
    }),
    Class("longer drains, slower starts", any, |_, to| {
        (to.pools[0].deadline, to.pools[0].slow_start) = (7200, "30s");
    }),
    Class("a VIP renamed", any, |_, to| {
        to.removed.push("vip/v0".to_owned());
        to.vips[0].name = "renamed".to_owned();
    }),
    Class("stronger protection", any, |_, to| {
        (to.guard.remove, to.guard.floor, to.guard.traffic) = (3, 60, 5);
        to.vips.iter_mut().for_each(|vip| vip.protected = true);
    }),
    Class("all of a pool that nobody uses", any, |rng, to| {
        let spare = to.pools.last_mut().expect("a pool");
        match rng.u8(0..3) {
            0 => spare.encap = "l2",
            1 => spare.backends.truncate(1),
            _ => drop(to.pools.pop()),
        }
        name_removed(to);
    }),
];

fn new_vip(pool: &str) -> Vip {
    Vip {
        name: "new".to_owned(),
        last: 200,
        port: 443,
        pool: pool.to_owned(),
        affinity: "tuple",
        hash: "fast",
        protected: false,
        maint: "",
        pps: 0,
    }
}

/// The last backend of the first pool is drained.
fn drained(rng: &mut Rng) -> World {
    let mut world = any(rng);
    let backend = world.pools[0].backends.last_mut().expect("a backend");
    (backend.state, backend.up) = ("drain", true);
    world
}

/// All comes in by the first interface.
fn one_sided(rng: &mut Rng) -> World {
    let mut world = any(rng);
    world.second = Arrivals { percent: 0, others: 0 };
    world
}

/// It is down.
fn down(rng: &mut Rng) -> World {
    let mut world = any(rng);
    world.pools[0].port = Some(80);
    let backend = world.pools[0].backends.last_mut().expect("a backend");
    (backend.state, backend.up) = ("ready", false);
    world
}

fn last(to: &mut World, state: BackendState) {
    let backend = to.pools[0].backends.last_mut().expect("a backend");
    backend.state = match state {
        BackendState::Ready => "ready",
        BackendState::Drain => "drain",
        BackendState::Maint => "maint",
    };
}
