//! Random worlds, and how a world becomes what the daemon serves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fastrand::Rng;
use jiff::Timestamp;

use super::model::{Arrivals, Backend, Pool, TEAM, Vip, World};
use crate::{
    approval::Signers,
    config::{self, BackendState, ObjectName, Percent, Protection, Seconds, VipState},
    health::sm::Condition,
    part::Part,
    plan::{
        BackendOverride, Content, Overrides,
        blast::{Live, Reading},
        samples,
    },
    revision::{BackendId, Inputs, MemberHealth, Revision, Standing, guest_name},
};

/// Now.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

/// One to three pools with VIPs, one that nobody uses; one VIP at least is live.
pub fn any(rng: &mut Rng) -> World {
    let mut world = World {
        environment: "lab",
        interfaces: vec![("lb0", "native"), ("lb1", "native")],
        detached: Vec::new(),
        second: any_arrivals(rng),
        hops: "lb0",
        source: "10.255.0.0/16",
        pools: Vec::new(),
        vips: Vec::new(),
        guard: TEAM,
        approvers: true,
        operators: vec![1000, 1001],
        commands: BTreeMap::new(),
        removed: Vec::new(),
    };
    for nth in 0..=rng.usize(1..=2) {
        world.pools.push(any_pool(rng, nth));
    }
    let used = world.pools.len() - 1;
    for nth in 0..rng.usize(used.max(2)..=4) {
        let pool = world.pools[nth % used].name.clone();
        world.vips.push(Vip {
            name: format!("v{nth}"),
            last: 10 + nth as u8,
            port: 443,
            pool,
            affinity: "tuple",
            hash: "fast",
            maint: "",
            protected: nth == 1,
            pps: if nth < used || rng.bool() {
                rng.u64(1_000..100_000)
            } else {
                0
            },
        });
    }
    world
}

/// By the second of two interfaces.
fn any_arrivals(rng: &mut Rng) -> Arrivals {
    Arrivals {
        percent: [1, 5, 20, 50][rng.usize(0..4)],
        others: [0, 3, 1_000_000][rng.usize(0..3)],
    }
}

fn any_pool(rng: &mut Rng, nth: usize) -> Pool {
    let equal = rng.bool();
    let checked = rng.bool();
    let count = rng.usize(3..=9);
    let mut backends: Vec<Backend> = (0..count)
        .map(|at| Backend {
            name: format!("be{at}"),
            address: format!("10.0.{}.{}", nth + 1, at + 11),
            weight: if equal { 100 } else { rng.u32(60..=140) },
            state: "ready",
            hop: None,
            up: true,
        })
        .collect();
    // One that is drained, and one that is down, beside three that serve.
    if count >= 5 && rng.bool() {
        backends[count - 1].state = "drain";
    }
    if count >= 5 && checked && rng.bool() {
        backends[count - 2].up = false;
    }
    Pool {
        name: format!("p{nth}"),
        encap: if rng.bool() { "ipip" } else { "gue" },
        table: if rng.u8(0..4) == 0 { "maglev" } else { "minmove" },
        idle: 60,
        deadline: 3600,
        port: checked.then_some(80),
        timeout: "1s",
        slow_start: "0s",
        fallback: None,
        backends,
    }
}

/// What the file and the commands mean; `None`: the file is none. `cut`: so many of
/// its last lines are missing.
pub fn content(world: &World, cut: Option<usize>) -> Option<(Content, BTreeSet<ObjectName>)> {
    let text = world.text();
    let there = text.lines().count().saturating_sub(cut.unwrap_or(0));
    let lines = text.lines().take(there);
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let parsed = config::parse("holdfast.yaml", &text).ok()?;
    let backends = world.commands.iter().map(|((pool, backend), (state, seconds))| {
        let object = ObjectName::Backend {
            pool: pool.clone(),
            backend: backend.clone(),
        };
        let until = seconds.map(|seconds| now() + jiff::SignedDuration::from_secs(seconds));
        let of = BackendOverride {
            state: Some(*state),
            weight: None,
            until,
        };
        (object, of)
    });
    let vips = world.vips.iter().filter(|vip| vip.maint == "command");
    let vips = vips.map(|vip| (ObjectName::Vip(vip.name.clone()), VipState::Maint));
    let overrides = Overrides {
        detached: world.detached.iter().map(|name| (*name).to_owned()).collect(),
        backends: backends.collect(),
        vips: vips.collect(),
    };
    let overrides = overrides.within(&parsed.config);
    let signers = if world.approvers {
        four_people()
    } else {
        Signers::default()
    };
    Some((
        Content::new(parsed.config, overrides).with_signers(signers),
        parsed.removed,
    ))
}

/// Ann, Bea, Cyd and Dot.
pub fn four_people() -> Signers {
    use base64::Engine as _;
    let lines = ["ann", "bea", "cyd", "dot"].iter().zip(1_u8..).map(|(name, seed)| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        let mut blob = Vec::new();
        for part in [&b"ssh-ed25519"[..], key.as_bytes()] {
            blob.extend((part.len() as u32).to_be_bytes());
            blob.extend(part);
        }
        let blob = base64::engine::general_purpose::STANDARD.encode(blob);
        format!("{name} namespaces=\"holdfast-plan-v1\" ssh-ed25519 {blob}\n")
    });
    Signers::parse(&lines.collect::<String>()).expect("four signers")
}

/// As it is published, after `previous`, once health has looked.
pub fn served(world: &World, content: Content, previous: Option<&Revision>) -> Revision {
    let mut hops = samples::hops(&content);
    for hop in hops.values_mut() {
        world.hops.clone_into(&mut hop.interface);
    }
    let content = Part::new(content);
    let next = Revision::next(previous, &content, &hops, 0).expect("few objects");
    let standing = &standing(world);
    let inputs = Inputs {
        hops: &hops,
        standing,
        now: 0,
    };
    Revision::following(Some(&next), &content, &inputs).expect("few objects")
}

fn standing(world: &World) -> Standing {
    let mut standing = Standing::new();
    for pool in world.pools.iter().filter(|pool| pool.port.is_some()) {
        let of = |is_up| MemberHealth {
            condition: if is_up { Condition::Up } else { Condition::Down },
            share: Percent::new(if is_up { 100 } else { 0 }).expect("a share"),
            ..MemberHealth::default()
        };
        let id = |backend: String| BackendId {
            pool: pool.name.clone(),
            backend,
        };
        standing.extend(
            pool.backends
                .iter()
                .map(|backend| (id(backend.name.clone()), of(backend.up))),
        );
        let (servers, backends) = world.servers(pool);
        if servers.name != pool.name {
            let guests = backends.iter().map(|backend| guest_name(&servers.name, &backend.name));
            standing.extend(guests.map(|guest| (id(guest), of(true))));
        }
    }
    standing
}

/// What is served under another protection.
pub fn under(running: &Revision, protection: Protection) -> Revision {
    let mut content = Content::clone(&running.state.content);
    content.config.protection = protection;
    let mut other = running.clone();
    other.state.content = Part::new(content);
    other
}

/// The traffic of a world: each backend has the share of its weight.
pub struct Traffic {
    vips: HashMap<String, u64>,
    backends: BTreeMap<BackendId, u64>,
    interfaces: BTreeMap<&'static str, u64>,
}

impl Traffic {
    pub fn of(world: &World) -> Self {
        let mut backends = BTreeMap::new();
        for pool in &world.pools {
            let packets: u64 = world
                .vips
                .iter()
                .filter(|vip| vip.pool == pool.name)
                .map(|vip| vip.pps)
                .sum();
            let (servers, serving) = world.servers(pool);
            let all: u64 = serving.iter().map(|backend| u64::from(backend.weight)).sum();
            for backend in serving {
                let name = if servers.name == pool.name {
                    backend.name.clone()
                } else {
                    guest_name(&servers.name, &backend.name)
                };
                let id = BackendId {
                    pool: pool.name.clone(),
                    backend: name,
                };
                backends.insert(id, packets * u64::from(backend.weight) / all.max(1));
            }
        }
        let all: u64 = world.vips.iter().map(|vip| vip.pps).sum();
        let others = |name: &str| if name == "lb1" { world.second.others } else { 0 };
        let interfaces = world.attached().map(|(name, _)| {
            let for_vips = (all * u64::from(world.percent(name))).div_ceil(100);
            (*name, for_vips + others(name))
        });
        Self {
            interfaces: interfaces.collect(),
            vips: world.vips.iter().map(|vip| (vip.name.clone(), vip.pps)).collect(),
            backends,
        }
    }
}

fn reading(pps: Option<&u64>) -> Reading {
    let pps = pps.copied().unwrap_or(0);
    Reading {
        pps,
        quiet: (pps > 0).then_some(Seconds(1)),
    }
}

impl Live for Traffic {
    fn vip(&self, name: &str) -> Reading {
        reading(self.vips.get(name))
    }

    fn backend(&self, id: &BackendId) -> Reading {
        reading(self.backends.get(id))
    }

    fn interface(&self, name: &str) -> Option<Reading> {
        Some(reading(Some(self.interfaces.get(name)?)))
    }
}

/// A world in which the first pool is down, and another serves for it.
pub fn fallen_back(rng: &mut Rng) -> World {
    let mut world = any(rng);
    let spare = world.pools.last().expect("a pool").name.clone();
    let first = &mut world.pools[0];
    first.port = Some(80);
    first.fallback = Some(spare.clone());
    for backend in &mut first.backends {
        backend.up = false;
    }
    let spare = world.pool_mut(&spare);
    spare.port = Some(80);
    for backend in &mut spare.backends {
        (backend.up, backend.state) = (true, "ready");
    }
    world
}

/// A world whose next hops lead through an interface that is detached.
pub fn one_armed(rng: &mut Rng) -> World {
    let mut world = any(rng);
    world.detached.push("lb1");
    world.hops = "lb1";
    world
}

/// Set by command.
pub fn command(world: &mut World, pool: &str, backend: &str, state: BackendState, seconds: Option<i64>) {
    world
        .commands
        .insert((pool.to_owned(), backend.to_owned()), (state, seconds));
}
