//! Configuration files of a rig: a small description, and its YAML.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
};

use crate::topology::{BackendHost, ENCAP_SOURCE, Shape, VIPS};

/// Checked TCP streams go here.
pub const STREAMS: SocketAddrV4 = SocketAddrV4::new(VIPS[0], 443);
/// HTTP goes here.
pub const HTTP: SocketAddrV4 = SocketAddrV4::new(VIPS[0], 80);
/// Payloads with digests, over raw TCP.
pub const RAW: SocketAddrV4 = SocketAddrV4::new(VIPS[1], 9000);
/// Datagrams.
pub const DATAGRAMS: SocketAddrV4 = SocketAddrV4::new(VIPS[2], 53);

/// What a configuration file says.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub environment: String,
    pub interfaces: Vec<String>,
    pub hash_key_file: PathBuf,
    pub pools: Vec<Pool>,
    pub vips: Vec<Vip>,
    /// Objects that may be missing: `backend/web/be5`.
    pub removed: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: &'static str,
    pub backends: Vec<Backend>,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub name: String,
    pub address: Ipv4Addr,
    pub weight: u32,
}

#[derive(Clone, Debug)]
pub struct Vip {
    pub name: &'static str,
    pub socket: SocketAddrV4,
    pub protocol: &'static str,
    pub pool: &'static str,
}

impl Fleet {
    /// Four VIPs over two pools, `web` and `dns`, of the same hosts.
    #[must_use]
    pub fn standard(shape: Shape, hosts: &[BackendHost], hash_key_file: PathBuf) -> Self {
        let pool = |name| Pool {
            name,
            backends: hosts.iter().map(Backend::on).collect(),
        };
        let vip = |name, socket, protocol, pool| Vip {
            name,
            socket,
            protocol,
            pool,
        };
        Self {
            environment: "lab".to_owned(),
            interfaces: shape.interfaces().iter().map(|name| (*name).to_owned()).collect(),
            hash_key_file,
            pools: vec![pool("web"), pool("dns")],
            vips: vec![
                vip("web4", STREAMS, "tcp", "web"),
                vip("http4", HTTP, "tcp", "web"),
                vip("raw4", RAW, "tcp", "web"),
                vip("dns4", DATAGRAMS, "udp", "dns"),
            ],
            removed: Vec::new(),
        }
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

    /// Adds a backend with weight 100.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn with(mut self, pool: &str, host: &BackendHost) -> Self {
        self.backends_of(pool).push(Backend::on(host));
        self
    }

    /// Changes a backend's weight.
    ///
    /// # Panics
    /// If there is no such pool, or no such backend in it.
    #[must_use]
    pub fn weighing(mut self, pool: &str, backend: &str, weight: u32) -> Self {
        let found = self.backends_of(pool).iter_mut().find(|of| of.name == backend);
        found.unwrap_or_else(|| panic!("no backend {pool}/{backend}")).weight = weight;
        self
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
        for name in &self.interfaces {
            line(format!("    - {{ name: {name}, mode: native }}"));
        }
        line(format!("  encapSource: {{ v4: {ENCAP_SOURCE} }}"));
        line(format!("  hashKeyFile: {}", self.hash_key_file.display()));
        line("pools:".to_owned());
        for pool in &self.pools {
            line(format!("  - name: {}\n    backends:", pool.name));
            for Backend { name, address, weight } in &pool.backends {
                line(format!(
                    "      - {{ name: {name}, address: {address}, weight: {weight} }}"
                ));
            }
        }
        line("vips:".to_owned());
        for vip in &self.vips {
            let (address, port) = (vip.socket.ip(), vip.socket.port());
            let Vip {
                name, protocol, pool, ..
            } = vip;
            line(format!(
                "  - {{ name: {name}, address: {address}, port: {port}, protocol: {protocol}, pool: {pool} }}"
            ));
        }
        if !self.removed.is_empty() {
            line(format!("removed: [{}]", self.removed.join(", ")));
        }
        text
    }
}

impl Backend {
    fn on(host: &BackendHost) -> Self {
        Self {
            name: host.name.clone(),
            address: host.address,
            weight: 100,
        }
    }
}
