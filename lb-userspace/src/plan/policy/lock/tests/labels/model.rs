//! A small model of what is served: enough to write a file, and to say what
//! traffic and capacity a change costs. It knows nothing of the policy.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::config::BackendState;

#[derive(Clone, Debug, PartialEq)]
pub struct World {
    pub environment: &'static str,
    /// With their modes.
    pub interfaces: Vec<(&'static str, &'static str)>,
    pub detached: Vec<&'static str>,
    /// What comes in by `lb1`, the rest by `lb0`. Not in the file.
    pub second: Arrivals,
    /// The interface of all next hops. Not in the file.
    pub hops: &'static str,
    pub source: &'static str,
    pub pools: Vec<Pool>,
    pub vips: Vec<Vip>,
    pub guard: Guard,
    /// Approvers the generation knows.
    pub approvers: bool,
    pub operators: Vec<u32>,
    /// Set by command: a state, and seconds until its end.
    pub commands: BTreeMap<(String, String), (BackendState, Option<i64>)>,
    pub removed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals {
    /// Of the VIPs' packets.
    pub percent: u32,
    /// Packets a second for nobody's VIP.
    pub others: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub name: String,
    pub encap: &'static str,
    pub table: &'static str,
    /// Seconds.
    pub idle: u32,
    pub deadline: u32,
    /// Of its check, if it has one.
    pub port: Option<u16>,
    pub timeout: &'static str,
    pub slow_start: &'static str,
    pub fallback: Option<String>,
    pub backends: Vec<Backend>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub name: String,
    pub address: String,
    pub weight: u32,
    pub state: &'static str,
    /// Another next hop than the neighbour's.
    pub hop: Option<&'static str>,
    /// Its checks pass. Not in the file.
    pub up: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Vip {
    pub name: String,
    pub last: u8,
    pub port: u16,
    pub pool: String,
    pub affinity: &'static str,
    pub hash: &'static str,
    pub protected: bool,
    /// Who has it out of service: nobody, "file" or "command".
    pub maint: &'static str,
    /// Packets a second. Not in the file.
    pub pps: u64,
}

/// Of the section `protection`; absent: none is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    pub written: bool,
    pub remove: u32,
    pub drain: u32,
    pub traffic: u32,
    pub percent: u32,
    pub count: u32,
    pub floor: u32,
    pub require_drain: bool,
    pub window: u32,
    pub live: u32,
}

/// Two others for what removes, one for what drains.
pub const TEAM: Guard = Guard {
    written: true,
    remove: 2,
    drain: 1,
    traffic: 10,
    percent: 25,
    count: 1,
    floor: 50,
    require_drain: true,
    window: 3600,
    live: 600,
};

impl World {
    /// The file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "apiVersion: holdfast/v1\nenvironment: {}\nnode:\n  hashKeyFile: /var/lib/holdfast/hash.key\n  encapSource: {{ v4: {} }}\n  interfaces:\n",
            self.environment, self.source
        );
        let mut put = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes all text");
        for (name, mode) in &self.interfaces {
            put(format_args!("    - {{ name: {name}, mode: {mode} }}\n"));
        }
        if self.guard.written {
            let Guard {
                remove,
                drain,
                traffic,
                percent,
                count,
                floor,
                require_drain,
                window,
                live,
                written: _,
            } = self.guard;
            put(format_args!(
                "protection:\n  maxTrafficAffected: {traffic}%\n  maxBackendsRemoved: {{ percent: {percent}%, count: {count} }}\n  \
                 minCapacityLeft: {floor}%\n  requireDrain: {require_drain}\n  window: {window}s\n  liveVipWindow: {live}s\n  \
                 approvals: {{ approvers: /etc/holdfast/approvers, remove: {remove}, drain: {drain} }}\n"
            ));
        }
        if !self.operators.is_empty() {
            let operators: Vec<_> = self.operators.iter().map(|uid| format!("\"uid:{uid}\"")).collect();
            put(format_args!("access: {{ operator: [{}] }}\n", operators.join(", ")));
        }
        if !self.removed.is_empty() {
            put(format_args!("removed: [{}]\n", self.removed.join(", ")));
        }
        put(format_args!(
            "pools:{}\n",
            if self.pools.is_empty() { " []" } else { "" }
        ));
        for pool in &self.pools {
            put(format_args!("{}", pool.text()));
        }
        put(format_args!("vips:{}\n", if self.vips.is_empty() { " []" } else { "" }));
        for vip in &self.vips {
            put(format_args!(
                "  - {{ name: {}, address: 203.0.113.{}, port: {}, protocol: tcp, pool: {}, affinity: {}, hash: {}, protected: {}{} }}\n",
                vip.name,
                vip.last,
                vip.port,
                vip.pool,
                vip.affinity,
                vip.hash,
                vip.protected,
                if vip.maint == "file" { ", state: maint" } else { "" }
            ));
        }
        text
    }

    /// Interfaces with the program.
    pub fn attached(&self) -> impl Iterator<Item = &(&'static str, &'static str)> {
        let interfaces = self.interfaces.iter();
        interfaces.filter(|(name, _)| !self.detached.contains(name))
    }

    /// The share of the VIPs' packets that comes in by an interface.
    pub fn percent(&self, interface: &str) -> u32 {
        if interface == "lb1" {
            self.second.percent
        } else {
            100 - self.second.percent
        }
    }

    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    pub fn pool_mut(&mut self, name: &str) -> &mut Pool {
        self.pools
            .iter_mut()
            .find(|pool| pool.name == name)
            .expect("a pool of the world")
    }

    /// The state of a backend, whoever set it.
    fn state(&self, pool: &str, backend: &Backend) -> BackendState {
        let by_file = match backend.state {
            "drain" => BackendState::Drain,
            "maint" => BackendState::Maint,
            _ => BackendState::Ready,
        };
        let key = (pool.to_owned(), backend.name.clone());
        self.commands.get(&key).map_or(by_file, |(state, _)| *state)
    }

    pub fn serves(&self, pool: &str, backend: &Backend) -> bool {
        self.state(pool, backend) == BackendState::Ready && backend.weight > 0 && backend.up
    }

    pub fn serving<'w>(&'w self, pool: &'w Pool) -> impl Iterator<Item = &'w Backend> {
        pool.backends
            .iter()
            .filter(move |backend| self.serves(&pool.name, backend))
    }

    /// Who gets the packets of a pool's VIPs.
    pub fn servers<'w>(&'w self, pool: &'w Pool) -> (&'w Pool, Vec<&'w Backend>) {
        let own: Vec<_> = self.serving(pool).collect();
        let fallback = pool.fallback.as_ref().and_then(|name| self.pool(name));
        match fallback {
            Some(fallback) if own.is_empty() => (fallback, self.serving(fallback).collect()),
            Some(_) | None => (pool, own),
        }
    }

    pub fn is_used(&self, pool: &str) -> bool {
        self.vips.iter().any(|vip| vip.pool == pool)
    }
}

impl Pool {
    fn text(&self) -> String {
        let mut text = format!(
            "  - name: {}\n    encap: {}\n    table: {}\n    drain: {{ idle: {}s, deadline: {}s }}\n",
            self.name, self.encap, self.table, self.idle, self.deadline
        );
        let mut put = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes all text");
        if let Some(port) = self.port {
            put(format_args!(
                "    health: {{ tcp: {{ port: {port} }}, via: direct, timeout: {}, slowStart: {} }}\n",
                self.timeout, self.slow_start
            ));
        }
        if let Some(fallback) = &self.fallback {
            put(format_args!("    fallbackPool: {fallback}\n"));
        }
        put(format_args!("    backends:\n"));
        for backend in &self.backends {
            let hop = backend.hop.map_or_else(String::new, |mac| {
                format!(", nextHop: {{ mac: \"{mac}\", interface: lb0 }}")
            });
            put(format_args!(
                "      - {{ name: {}, address: {}, weight: {}, state: {}{hop} }}\n",
                backend.name, backend.address, backend.weight, backend.state
            ));
        }
        text
    }
}

/// What a change costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harm {
    /// Share of all packets whose connections end.
    pub lost: f64,
    /// Of the capacity of the pool that keeps least.
    pub left: f64,
    /// Backends of used pools that serve no more, in the pool that loses most.
    pub gone: usize,
    /// Who may do what, and what it takes, is less guarded, or it is for
    /// somebody else.
    pub unguarded: bool,
}

impl Harm {
    pub fn of(before: &World, after: &World) -> Self {
        let all: u64 = before.vips.iter().map(|vip| vip.pps).sum();
        let lost: f64 = before
            .vips
            .iter()
            .map(|vip| real(vip.pps) * lost_of(before, after, vip))
            .sum();
        let (mut left, mut gone) = (1.0_f64, 0);
        for pool in before.pools.iter().filter(|pool| before.is_used(&pool.name)) {
            let (pool, servers) = before.servers(pool);
            let Some(then) = after.pool(&pool.name) else {
                left = 0.0;
                continue;
            };
            left = left.min(capacity_left(&servers, after, then));
            let stays = |backend: &&&Backend| {
                let same = then.backends.iter().find(|other| other.address == backend.address);
                same.is_some_and(|same| after.serves(&then.name, same))
            };
            gone = gone.max(servers.len() - servers.iter().filter(stays).count());
        }
        Self {
            lost: if all == 0 { 0.0 } else { lost / real(all) },
            left,
            gone,
            unguarded: unguarded(before, after),
        }
    }

    /// Connections end, or most of a pool is gone, or nobody needs to be asked
    /// the next time.
    pub fn is_destructive(&self) -> bool {
        self.lost >= 0.01 || self.left < 0.5 || self.unguarded
    }

    pub fn is_harmless(&self) -> bool {
        let little = self.left >= 0.75 || (self.gone <= 1 && self.left >= 0.5);
        self.lost == 0.0 && little && !self.unguarded
    }
}

/// Numbers of a model are small.
fn real(number: u64) -> f64 {
    f64::from(u32::try_from(number).expect("a small number"))
}

/// The share of a VIP's packets whose connections end.
fn lost_of(before: &World, after: &World, vip: &Vip) -> f64 {
    let key = |vip: &Vip| (vip.last, vip.port, vip.pool.clone(), vip.affinity, vip.hash);
    let pool = before.pool(&vip.pool).expect("VIPs have pools");
    let (from, servers) = before.servers(pool);
    let to = after.pool(&from.name);
    let heir = after
        .vips
        .iter()
        .any(|other| key(other) == key(vip) && other.maint.is_empty());
    let stays = |interface: &&(&str, &str)| after.attached().any(|then| then == *interface);
    let percent = |sum: u32, (name, _): &(&str, _)| sum + before.percent(name);
    let entered = before.attached().fold(0, percent);
    let enters = f64::from(before.attached().filter(stays).fold(0, percent)) / f64::from(entered);
    // Some drivers send what comes from elsewhere only where there is a program.
    let sends = before
        .attached()
        .filter(|(name, _)| *name == before.hops)
        .all(|way| stays(&way));
    let tunnelled = from.encap != "l2" && before.source != after.source;
    let reached = sends && after.interfaces.iter().any(|(name, _)| *name == before.hops);
    let Some(to) = to.filter(|to| reached && heir && to.encap == from.encap && !tunnelled) else {
        return 1.0;
    };
    if pool.fallback.is_some()
        && after.pool(&pool.name).and_then(|pool| pool.fallback.clone()) != pool.fallback
        && from.name != pool.name
    {
        return 1.0;
    }
    let total: f64 = servers.iter().map(|backend| f64::from(backend.weight)).sum();
    let ended = servers.iter().filter(|backend| {
        let Some(then) = to.backends.iter().find(|other| other.name == backend.name) else {
            // Its connections may stay as long as in a drain.
            return false;
        };
        let cut = after
            .commands
            .get(&(to.name.clone(), then.name.clone()))
            .is_some_and(|(_, until)| until.is_some_and(|seconds| seconds < i64::from(to.idle)));
        let moved = then.address != backend.address || then.hop != backend.hop;
        moved || cut || after.state(&to.name, then) == BackendState::Maint
    });
    let ended: f64 = ended.map(|backend| f64::from(backend.weight)).sum();
    1.0 - enters * (1.0 - ended / total.max(1.0))
}

/// The most traffic that the hosts who served can bear after it, of what they
/// bore before, which is their weights. What is checked in another way may be
/// nobody; so may hosts nobody has seen serve.
fn capacity_left(servers: &[&Backend], after: &World, pool: &Pool) -> f64 {
    let known: f64 = servers.iter().map(|backend| f64::from(backend.weight)).sum();
    let most = servers.iter().map(|backend| backend.weight).max().unwrap_or(0);
    let ready = || after.serving(pool);
    let bears = |backend: &Backend| {
        let seen = servers.iter().find(|seen| seen.address == backend.address);
        let seen = seen.map_or(most, |seen| seen.weight);
        // A weight that is ten times what any host has is a slip.
        let believed = if backend.weight > 10 * most {
            seen
        } else {
            seen.max(backend.weight)
        };
        f64::from(believed) / f64::from(backend.weight)
    };
    let scale = ready().map(bears).fold(f64::INFINITY, f64::min);
    let seen = ready().filter(|backend| servers.iter().any(|seen| seen.address == backend.address));
    let reached: f64 = seen.map(|backend| f64::from(backend.weight) * scale).sum();
    if known == 0.0 { 1.0 } else { (reached / known).min(1.0) }
}

fn unguarded(before: &World, after: &World) -> bool {
    let (from, to) = (before.guard, after.guard);
    let weaker = to.remove < from.remove
        || to.drain < from.drain
        || to.traffic > from.traffic
        || to.percent > from.percent
        || to.count > from.count
        || to.floor < from.floor
        || (from.require_drain && !to.require_drain)
        || to.window < from.window
        || to.live < from.live;
    let bared = before.vips.iter().any(|vip| {
        let then = after.vips.iter().find(|other| other.name == vip.name);
        vip.protected && then.is_none_or(|then| !then.protected)
    });
    let checked = before.pools.iter().any(|pool| {
        let then = after.pool(&pool.name);
        let blind = then.is_some_and(|then| (then.port, then.timeout) != (pool.port, pool.timeout));
        before.is_used(&pool.name) && blind
    });
    let others = (before.approvers && !after.approvers) || before.operators != after.operators;
    weaker || bared || checked || others || before.environment != after.environment
}
