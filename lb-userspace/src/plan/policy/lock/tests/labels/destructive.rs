//! Ways to break what is served, by accident.

use fastrand::Rng;

use super::{
    ALL_GONE, Class, Proposal,
    model::{Backend, World},
    worlds::{any, command, fallen_back, one_armed},
};
use crate::config::BackendState;

pub const CLASSES: [Class; 43] = [
    Class("an empty file, all of it named as removed", any, |_, to| {
        (to.pools, to.vips) = (Vec::new(), Vec::new());
        name_removed(to);
    }),
    Class("half of the objects, nothing named", any, half),
    Class("half of the objects, the rest named", any, |rng, to| {
        half(rng, to);
        name_removed(to);
    }),
    Class("a live VIP removed", any, |rng, to| {
        let at = live(rng, to);
        to.removed.push(format!("vip/{}", to.vips[at].name));
        to.vips.remove(at);
    }),
    Class("a live VIP at another port", any, |rng, to| {
        let at = live(rng, to);
        to.vips[at].port += 1;
    }),
    Class("a live VIP at another address", any, |rng, to| {
        let at = live(rng, to);
        to.vips[at].last += 100;
    }),
    Class("endpoints of two VIPs swapped", any, |rng, to| {
        let at = live(rng, to);
        let other = (at + 1) % to.vips.len();
        let (one, two) = (to.vips[at].last, to.vips[other].last);
        (to.vips[at].last, to.vips[other].last) = (two, one);
        // Of two with the same pool nothing would break.
        to.vips[at].hash = "siphash";
    }),
    Class("a VIP renamed, to another pool", any, |rng, to| {
        let at = live(rng, to);
        to.removed.push(format!("vip/{}", to.vips[at].name));
        to.vips[at].name = "renamed".to_owned();
        to.vips[at].pool = other_pool(to, at);
    }),
    Class("a live VIP at another pool", any, |rng, to| {
        let at = live(rng, to);
        to.vips[at].pool = other_pool(to, at);
    }),
    Class("a pool renamed", any, |_, to| {
        to.removed.push("pool/p0".to_owned());
        to.pools[0].name = "renamed".to_owned();
        for vip in to.vips.iter_mut().filter(|vip| vip.pool == "p0") {
            vip.pool = "renamed".to_owned();
        }
    }),
    Class("flows hashed in another way", any, |rng, to| {
        let at = live(rng, to);
        if rng.bool() {
            to.vips[at].affinity = "source";
        } else {
            to.vips[at].hash = "siphash";
        }
    }),
    Class("all weights 0", any, |rng, to| {
        let by = rng.bool();
        for backend in &mut to.pools[0].backends {
            backend.weight = 0;
            backend.state = if by { "drain" } else { backend.state };
        }
    }),
    Class("most of a pool drained", any, |rng, to| {
        most(rng, to, |backend| backend.state = "drain");
    }),
    Class("most of a pool at weight 0", any, |rng, to| {
        most(rng, to, |backend| backend.weight = 0);
    }),
    Class("most of a pool in maint by command", any, |_, to| {
        let names: Vec<String> = to.pools[0]
            .backends
            .iter()
            .map(|backend| backend.name.clone())
            .collect();
        for name in names.iter().skip(1) {
            command(to, "p0", name, BackendState::Maint, None);
        }
    }),
    Class("a live VIP in maint", any, |rng, to| {
        let at = live(rng, to);
        to.vips[at].maint = "file";
    }),
    Class("a live VIP in maint by command", any, |rng, to| {
        let at = live(rng, to);
        to.vips[at].maint = "command";
    }),
    Class("a live backend in maint", any, |rng, to| {
        serving(rng, to).state = "maint";
    }),
    Class("a live backend in maint by command", any, |rng, to| {
        let name = serving(rng, to).name.clone();
        command(to, "p0", &name, BackendState::Maint, None);
    }),
    Class("a live backend drained within seconds", any, |rng, to| {
        let name = serving(rng, to).name.clone();
        command(to, "p0", &name, BackendState::Drain, Some(rng.i64(1..50)));
    }),
    Class("a live backend at another address", any, |rng, to| {
        serving(rng, to).address = "10.9.9.9".to_owned();
    }),
    Class("all backends at other addresses", any, |_, to| {
        for (at, backend) in to.pools[0].backends.iter_mut().enumerate() {
            backend.address = format!("10.9.9.{}", at + 1);
        }
    }),
    Class("addresses of two backends swapped", any, |_, to| {
        let backends = &mut to.pools[0].backends;
        let (one, two) = (backends[0].address.clone(), backends[1].address.clone());
        (backends[0].address, backends[1].address) = (two, one);
    }),
    Class("all backends replaced by new ones", any, |_, to| {
        for (at, backend) in to.pools[0].backends.iter_mut().enumerate() {
            to.removed.push(format!("backend/p0/{}", backend.name));
            (backend.name, backend.address) = (format!("new{at}"), format!("10.9.9.{}", at + 1));
        }
    }),
    Class("most backends of a pool removed", any, |rng, to| {
        let keep = rng.usize(1..=to.pools[0].backends.len() / 3);
        to.pools[0].backends.truncate(keep);
        name_removed(to);
    }),
    Class("a pool reached in another way", any, |_, to| {
        to.pools[0].encap = if to.pools[0].encap == "ipip" { "l2" } else { "ipip" };
    }),
    Class("other outer addresses", any, |_, to| to.source = "10.254.0.0/16"),
    Class("an interface detached", any, |rng, to| {
        to.detached.push(if rng.bool() { "lb0" } else { "lb1" });
    }),
    Class("all interfaces detached", any, |_, to| to.detached = vec!["lb0", "lb1"]),
    Class("an interface gone from the file", any, |rng, to| {
        to.interfaces.remove(rng.usize(0..2));
    }),
    Class("an interface in another mode", any, |rng, to| {
        to.interfaces[rng.usize(0..2)].1 = "generic";
    }),
    Class("the interface of the next hops gone", one_armed, |_, to| {
        to.interfaces.pop();
        to.detached.clear();
    }),
    Class("a wrong next hop", any, |rng, to| {
        serving(rng, to).hop = Some("02:66:66:66:66:66");
    }),
    Class("all weights but one cut to 1", any, |_, to| {
        to.pools[0]
            .backends
            .iter_mut()
            .skip(1)
            .for_each(|backend| backend.weight = 1);
    }),
    Class("one weight with digits too many", any, |rng, to| {
        serving(rng, to).weight = 65_535;
    }),
    Class("a new backend with all the weight", any, |_, to| {
        to.pools[0].backends.push(new_backend(65_535));
    }),
    Class("the fallback pool gone while it serves", fallen_back, |rng, to| {
        to.pools[0].fallback = None;
        if rng.bool() {
            to.removed
                .push(format!("pool/{}", to.pools.pop().expect("a pool").name));
        }
    }),
    Class(
        "most of the fallback pool drained while it serves",
        fallen_back,
        |_, to| {
            let spare = to.pools.last_mut().expect("a pool");
            spare
                .backends
                .iter_mut()
                .skip(1)
                .for_each(|backend| backend.state = "drain");
        },
    ),
    Class("checks at a wrong port, or too hasty", any, |rng, to| {
        match (to.pools[0].port, rng.bool()) {
            (Some(_), true) => to.pools[0].timeout = "10ms",
            (Some(_), false) | (None, _) => to.pools[0].port = Some(81),
        }
    }),
    Class("protection weakened", any, weaken),
    Class("protection gone, and a VIP with it", any, |rng, to| {
        to.guard.written = false;
        (to.guard.remove, to.guard.drain) = (0, 0);
        let at = live(rng, to);
        to.removed.push(format!("vip/{}", to.vips[at].name));
        to.vips.remove(at);
    }),
    Class("a VIP protected no more, and removed", any, |_, to| {
        let at = to.vips.iter().position(|vip| vip.protected).expect("a protected VIP");
        to.vips[at].protected = false;
        to.removed.push(format!("vip/{}", to.vips[at].name));
        to.vips.remove(at);
    }),
    Class(
        "other operators, other approvers, another environment",
        any,
        |rng, to| match rng.u8(0..3) {
            0 => to.operators = vec![1000, 6666],
            1 => to.approvers = false,
            _ => to.environment = "prod",
        },
    ),
];

/// A file that ends anywhere.
pub fn cut(rng: &mut Rng, from: &World) -> Proposal {
    Proposal {
        steps: vec![from.clone()],
        cut: Some(rng.usize(1..from.text().lines().count())),
        wipe: false,
    }
}

/// `wipe`, of a host that may be quiet.
pub fn wipe(rng: &mut Rng, from: &mut World) -> Proposal {
    if rng.bool() {
        from.vips.iter_mut().for_each(|vip| vip.pps = 0);
    }
    let mut to = from.clone();
    (to.pools, to.vips) = (Vec::new(), Vec::new());
    to.removed = named(from);
    Proposal {
        steps: vec![to],
        cut: None,
        wipe: true,
    }
}

/// One small step after the other, each as one person may make it.
pub fn creeping(rng: &mut Rng, from: &World) -> Proposal {
    let mut to = from.clone();
    let mut steps = Vec::new();
    let way = rng.u8(0..5);
    for nth in 0..3 * from.pools[0].backends.len() {
        to.removed.clear();
        let count = to.pools[0].backends.len();
        let at = nth % count;
        let backend = &mut to.pools[0].backends[at];
        match way {
            1 if at > 0 => backend.weight = backend.weight.div_ceil(2) + 1,
            2 if at == 0 => backend.weight = (backend.weight * 3).min(60_000),
            _ if way == 0 || (way == 3 && backend.state == "ready") => backend.state = "drain",
            3 if count > 1 => {
                to.removed.push(format!("backend/p0/{}", backend.name));
                to.pools[0].backends.remove(at);
            }
            4 if nth % 2 == 0 => to.pools[0].backends.push(Backend {
                name: format!("n{nth}"),
                address: format!("10.9.9.{}", nth + 1),
                ..new_backend(100)
            }),
            4 => backend.state = "drain",
            _ => continue,
        }
        steps.push(to.clone());
    }
    Proposal {
        steps,
        cut: None,
        wipe: false,
    }
}

fn half(rng: &mut Rng, to: &mut World) {
    let keep = rng.usize(0..to.vips.len().div_ceil(2));
    to.vips.truncate(keep);
    let vips = to.vips.clone();
    to.pools.retain(|pool| vips.iter().any(|vip| vip.pool == pool.name));
}

/// Names all that is gone.
pub fn name_removed(to: &mut World) {
    to.removed = vec![ALL_GONE.to_owned()];
}

/// Every object, as `removed` names it.
pub fn named(world: &World) -> Vec<String> {
    let vips = world.vips.iter().map(|vip| format!("vip/{}", vip.name));
    let pools = world.pools.iter().flat_map(|pool| {
        let backends = pool.backends.iter();
        let backends = backends.map(|backend| format!("backend/{}/{}", pool.name, backend.name));
        [format!("pool/{}", pool.name)].into_iter().chain(backends)
    });
    vips.chain(pools).collect()
}

fn live(rng: &mut Rng, to: &World) -> usize {
    let live: Vec<usize> = (0..to.vips.len()).filter(|at| to.vips[*at].pps > 0).collect();
    live[rng.usize(0..live.len())]
}

fn other_pool(to: &World, at: usize) -> String {
    let other = to.pools.iter().find(|pool| pool.name != to.vips[at].pool);
    other.expect("two pools").name.clone()
}

/// A backend of the first pool that has connections.
fn serving<'w>(rng: &mut Rng, to: &'w mut World) -> &'w mut Backend {
    let backends = to.pools[0].backends.iter_mut();
    let mut serving: Vec<_> = backends
        .filter(|backend| backend.up && backend.state == "ready")
        .collect();
    let at = rng.usize(0..serving.len());
    serving.swap_remove(at)
}

fn most(rng: &mut Rng, to: &mut World, change: impl Fn(&mut Backend)) {
    let backends = &mut to.pools[0].backends;
    let up = backends
        .iter()
        .filter(|backend| backend.up && backend.state == "ready")
        .count();
    let keep = rng.usize(0..=(up - 1) / 3);
    let serving = backends
        .iter_mut()
        .filter(|backend| backend.up && backend.state == "ready");
    serving.skip(keep).for_each(change);
}

pub fn new_backend(weight: u32) -> Backend {
    Backend {
        name: "new".to_owned(),
        address: "10.9.9.9".to_owned(),
        weight,
        state: "ready",
        hop: None,
        up: true,
    }
}

fn weaken(rng: &mut Rng, to: &mut World) {
    let guard = &mut to.guard;
    match rng.u8(0..9) {
        0 => guard.remove = 1,
        1 => guard.drain = 0,
        2 => guard.traffic = 100,
        3 => guard.percent = 100,
        4 => guard.count = 9,
        5 => guard.floor = 0,
        6 => guard.require_drain = false,
        7 => guard.window = 60,
        _ => guard.live = 0,
    }
}
