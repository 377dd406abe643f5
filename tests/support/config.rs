//! Configuration files of a rig: a small description, and its YAML.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::{
    addresses::{ENCAP_SOURCE, Family, Port, VIPS},
    topology::{BackendHost, Shape},
};

/// Checked TCP streams go here.
pub const STREAMS: Port = Port { at: VIPS[0], port: 443 };
/// HTTP goes here.
pub const HTTP: Port = Port { at: VIPS[0], port: 80 };
/// Payloads with digests, over raw TCP.
pub const RAW: Port = Port {
    at: VIPS[1],
    port: 9000,
};
/// Datagrams.
pub const DATAGRAMS: Port = Port { at: VIPS[2], port: 53 };

/// No limits, for tests that are about something else: a plan is judged for what
/// it says, and not for what it breaks.
pub const UNPROTECTED: &str = "protection: { maxTrafficAffected: 100%, maxBackendsRemoved: { percent: 100%, count: 32000 }, \
                               minCapacityLeft: 0%, requireDrain: false, liveVipWindow: 0s, confirm: { default: 0s } }";

/// What a configuration file says.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub environment: String,
    pub interfaces: Vec<Interface>,
    pub hash_key_file: PathBuf,
    /// The kernel is to keep others from what is the balancer's there.
    pub guard: bool,
    pub pools: Vec<Pool>,
    pub vips: Vec<Vip>,
    /// Objects that may be missing: `backend/web/be5`.
    pub removed: Vec<String>,
    /// A line of YAML; empty: the product's defaults hold.
    pub protection: String,
}

#[derive(Clone, Debug)]
pub struct Interface {
    pub name: String,
    /// `native` or `generic`.
    pub mode: &'static str,
}

/// How packets travel to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encap {
    Ipip,
    Gue,
    L2,
}

impl Encap {
    /// Bytes in front of a packet to a backend's address of this family.
    #[must_use]
    pub const fn overhead(self, outer: Family) -> u16 {
        match self {
            Self::Ipip => outer.header_len(),
            // UDP, and a GUE header without private data.
            Self::Gue => outer.header_len() + 8 + 4,
            Self::L2 => 0,
        }
    }
}

impl fmt::Display for Encap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::L2 => "l2",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: &'static str,
    pub encap: Encap,
    /// Idle time and deadline, `2s` and `20s`; the product's own if absent.
    pub drain: Option<(&'static str, &'static str)>,
    /// More keys of the pool, as YAML lines: `health: { tcp: {} }`.
    pub keys: Vec<String>,
    pub backends: Vec<Backend>,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub name: String,
    pub address: IpAddr,
    pub weight: u32,
    /// `ready`, `drain` or `maint`.
    pub state: &'static str,
}

#[derive(Clone, Debug)]
pub struct Vip {
    pub name: String,
    pub socket: SocketAddr,
    pub protocol: &'static str,
    pub pool: &'static str,
    /// `tuple` or `source`.
    pub affinity: &'static str,
    /// `fast` or `siphash`.
    pub hash: &'static str,
}

impl Fleet {
    /// Four VIPs of each family over two pools, `web` and `dns`, of the same
    /// hosts, by their IPv4 addresses.
    #[must_use]
    pub fn standard(shape: Shape, hosts: &[BackendHost], hash_key_file: PathBuf) -> Self {
        let pool = |name| Pool {
            name,
            encap: Encap::Ipip,
            drain: None,
            keys: Vec::new(),
            backends: hosts.iter().map(|host| Backend::on(host, Family::V4)).collect(),
        };
        let vip = |name: String, socket, protocol, pool| Vip {
            name,
            socket,
            protocol,
            pool,
            affinity: "tuple",
            hash: "fast",
        };
        let vips = Family::BOTH.into_iter().zip([4, 6]).flat_map(|(family, number)| {
            [
                vip(format!("web{number}"), STREAMS.of(family), "tcp", "web"),
                vip(format!("http{number}"), HTTP.of(family), "tcp", "web"),
                vip(format!("raw{number}"), RAW.of(family), "tcp", "web"),
                vip(format!("dns{number}"), DATAGRAMS.of(family), "udp", "dns"),
            ]
        });
        let interface = |name: &&str| Interface {
            name: (*name).to_owned(),
            mode: "native",
        };
        Self {
            environment: "lab".to_owned(),
            interfaces: shape.interfaces().iter().map(interface).collect(),
            hash_key_file,
            guard: false,
            pools: vec![pool("web"), pool("dns")],
            vips: vips.collect(),
            removed: Vec::new(),
            protection: UNPROTECTED.to_owned(),
        }
    }

    /// The same with all packets travelling in this way.
    #[must_use]
    pub fn by(mut self, encap: Encap) -> Self {
        for pool in &mut self.pools {
            pool.encap = encap;
        }
        self
    }

    /// The same with one more key of a pool.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn saying(mut self, pool: &str, key: &str) -> Self {
        let found = self.pools.iter_mut().find(|of| of.name == pool);
        found
            .unwrap_or_else(|| panic!("no pool {pool}"))
            .keys
            .push(key.to_owned());
        self
    }

    /// The same with all slots clean again so soon after a change.
    #[must_use]
    pub fn draining(mut self, idle: &'static str, deadline: &'static str) -> Self {
        for pool in &mut self.pools {
            pool.drain = Some((idle, deadline));
        }
        self
    }

    /// The same with these hosts, by their addresses of a family.
    #[must_use]
    pub fn on(mut self, hosts: &[BackendHost], family: Family) -> Self {
        for pool in &mut self.pools {
            pool.backends = hosts.iter().map(|host| Backend::on(host, family)).collect();
        }
        self
    }

    /// The same with all interfaces in this mode.
    #[must_use]
    pub fn in_mode(mut self, mode: &'static str) -> Self {
        for interface in &mut self.interfaces {
            interface.mode = mode;
        }
        self
    }

    /// Leaves a backend out, and says that this is meant.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn without(mut self, pool: &str, backend: &str) -> Self {
        self.removed.push(format!("backend/{pool}/{backend}"));
        self.omitting(pool, backend)
    }

    /// Leaves a backend out, and says nothing.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn omitting(mut self, pool: &str, backend: &str) -> Self {
        self.backends_of(pool).retain(|of| of.name != backend);
        self
    }

    /// Adds a backend with weight 100, by its IPv4 address.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn with(self, pool: &str, host: &BackendHost) -> Self {
        self.with_address(pool, host, Family::V4)
    }

    /// Adds a backend with weight 100, by its address of a family.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn with_address(mut self, pool: &str, host: &BackendHost, family: Family) -> Self {
        self.backends_of(pool).push(Backend::on(host, family));
        self
    }

    /// Changes a backend's weight.
    ///
    /// # Panics
    /// If there is no such pool, or no such backend in it.
    #[must_use]
    pub fn weighing(mut self, pool: &str, backend: &str, weight: u32) -> Self {
        self.backend(pool, backend).weight = weight;
        self
    }

    /// Changes a backend's state.
    ///
    /// # Panics
    /// If there is no such pool, or no such backend in it.
    #[must_use]
    pub fn stating(mut self, pool: &str, backend: &str, state: &'static str) -> Self {
        self.backend(pool, backend).state = state;
        self
    }

    fn backend(&mut self, pool: &str, backend: &str) -> &mut Backend {
        let found = self.backends_of(pool).iter_mut().find(|of| of.name == backend);
        found.unwrap_or_else(|| panic!("no backend {pool}/{backend}"))
    }

    fn backends_of(&mut self, pool: &str) -> &mut Vec<Backend> {
        let found = self.pools.iter_mut().find(|of| of.name == pool);
        &mut found.unwrap_or_else(|| panic!("no pool {pool}")).backends
    }

    /// The file's text.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "apiVersion: holdfast/v1\nenvironment: {}\nnode:\n  interfaces:\n",
            self.environment
        );
        let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all that is written");
        for Interface { name, mode } in &self.interfaces {
            line(format!("    - {{ name: {name}, mode: {mode} }}"));
        }
        let [v4, v6] = ENCAP_SOURCE;
        line(format!("  encapSource: {{ v4: {v4}, v6: \"{v6}\" }}"));
        line(format!("  hashKeyFile: {}", self.hash_key_file.display()));
        if self.guard {
            line("  guard: true".to_owned());
        }
        line("pools:".to_owned());
        for pool in &self.pools {
            line(format!("  - name: {}\n    encap: {}", pool.name, pool.encap));
            if let Some((idle, deadline)) = pool.drain {
                line(format!("    drain: {{ idle: {idle}, deadline: {deadline} }}"));
            }
            for key in &pool.keys {
                line(format!("    {key}"));
            }
            line("    backends:".to_owned());
            for Backend {
                name,
                address,
                weight,
                state,
            } in &pool.backends
            {
                line(format!(
                    "      - {{ name: {name}, address: \"{address}\", weight: {weight}, state: {state} }}"
                ));
            }
        }
        line("vips:".to_owned());
        for Vip {
            name,
            socket,
            protocol,
            pool,
            affinity,
            hash,
        } in &self.vips
        {
            let (address, port) = (socket.ip(), socket.port());
            line(format!(
                "  - {{ name: {name}, address: \"{address}\", port: {port}, protocol: {protocol}, pool: {pool}, \
                 affinity: {affinity}, hash: {hash} }}"
            ));
        }
        if !self.protection.is_empty() {
            line(self.protection.clone());
        }
        if !self.removed.is_empty() {
            line(format!("removed: [{}]", self.removed.join(", ")));
        }
        text
    }
}

impl Backend {
    fn on(host: &BackendHost, family: Family) -> Self {
        Self {
            name: host.name.clone(),
            address: host.address.of(family),
            weight: 100,
            state: "ready",
        }
    }
}
