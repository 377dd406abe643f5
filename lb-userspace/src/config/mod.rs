//! The configuration, once all its rules hold.
//!
//! `file` turns text into this, or into every error at once with its place.
//! What comes out here is canonical: objects sorted by name, so that two files
//! that mean the same have the same digest.

mod access;
mod as_text;
pub mod code;
pub mod errors;
pub mod file;
pub mod health;
pub mod limits;
mod load;
mod mac;
mod milliseconds;
mod percent;
pub mod place;
pub mod problem;
mod protection;
mod rules;
mod sample;
mod schema;
pub mod seconds;
mod syntax;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use self::{
    access::{Access, NotASubject, Subject},
    code::Code,
    errors::{ConfigError, ConfigErrors},
    health::{Check, CheckVia, Damping, DnsRecord, Health, Initial, Statuses, Tls, Velocity},
    load::{Loaded, load, read},
    mac::{MacAddr, NotAMacAddr},
    milliseconds::Milliseconds,
    percent::Percent,
    protection::{Approvals, Confirm, Protection, Removals},
    sample::sample,
    schema::{address_formats, schema},
    seconds::Seconds,
};

/// The only `apiVersion` there is.
pub const API_VERSION: &str = "holdfast/v1";

/// A configuration in which every rule holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Where it may be applied; a plan for another environment is refused.
    pub environment: String,
    pub node: Node,
    /// Sorted by name.
    pub pools: Vec<Pool>,
    /// Sorted by name.
    pub vips: Vec<Vip>,
    /// Absent: root changes, and whoever may open the socket looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// What takes more than one's own word.
    #[serde(default, skip_serializing_if = "Protection::is_default")]
    pub protection: Protection,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// In the order of the file: the first one is the default of test runs.
    pub interfaces: Vec<Interface>,
    pub encap_source: EncapSource,
    /// 32 secret bytes; made by the daemon when the file does not exist.
    pub hash_key_file: PathBuf,
    /// The kernel refuses to others what is the daemon's there, where it can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interface {
    pub name: String,
    pub mode: XdpMode,
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver. Refused where the driver cannot; never replaced silently.
    #[default]
    Native,
    /// In the network stack, after the socket buffer is made.
    Generic,
}

/// Outer sources: a prefix for each family of backends that packets are
/// encapsulated to; host bits from the flow hash, in IPv6 the last 32 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncapSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<Ipv4Net>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Ipv6Net>,
}

impl EncapSource {
    /// The prefixes there are, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.map(IpNet::V4);
        v4.into_iter().chain(self.v6.map(IpNet::V6))
    }

    /// Packets that come from there were encapsulated by us.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.prefixes().any(|prefix| prefix.contains(&address))
    }
}

/// `10.255.0.0/16 and fd00:ff::/64`, or `nowhere`.
impl fmt::Display for EncapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (None, None) => f.write_str("nowhere"),
            (Some(v4), None) => write!(f, "{v4}"),
            (None, Some(v6)) => write!(f, "{v6}"),
            (Some(v4), Some(v6)) => write!(f, "{v4} and {v6}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    pub name: String,
    pub encap: Encap,
    pub table: TableKind,
    pub drain: Drain,
    /// Absent: whoever has a next hop is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Below this healthy share of the ready weight all ready backends serve.
    #[serde(default, skip_serializing_if = "Percent::is_zero")]
    pub panic_threshold: Percent,
    /// Name of the pool that serves when too few backends are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_pool: Option<String>,
    /// Sorted by name.
    pub backends: Vec<Backend>,
}

/// How packets travel to a pool's backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encap {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213), outer family by the backend.
    #[default]
    Ipip,
    /// Generic UDP encapsulation, variant 0 (draft-ietf-intarea-gue), for
    /// networks that spread load by ports; outer family by the backend.
    Gue,
    /// Nothing is put in front: only the MAC addresses change. The backend is
    /// on the same link, and has the VIP on its loopback interface.
    L2,
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

/// When a slot that changed its owner stops remembering the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drain {
    /// No packet of an old flow was seen for as long as this.
    pub idle: Seconds,
    /// At the latest then, counted from the change. Not below `idle`.
    pub deadline: Seconds,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            idle: limits::DEFAULT_DRAIN_IDLE,
            deadline: limits::DEFAULT_DRAIN_DEADLINE,
        }
    }
}

/// How a pool's lookup table is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// From the table before it: moves the fewest slots possible.
    #[default]
    Minmove,
    /// From names and weights alone: the same on every balancer (Eisenbud et
    /// al., NSDI 2016), and moves more slots.
    Maglev,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    pub name: String,
    pub address: IpAddr,
    /// Share of the pool's slots, relative to the others; 0..=65,535.
    pub weight: u32,
    pub state: BackendState,
    /// Given, not resolved; the kernel is asked otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHop>,
}

/// What the operator wants of a backend (HAProxy's words).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendState {
    #[default]
    Ready,
    /// Gets no new flows and keeps those it has, as long as the pool's `drain`
    /// lets it.
    Drain,
    /// Out of service: owns no slot, and loses its flows at once.
    Maint,
}

impl fmt::Display for BackendState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NextHop {
    pub mac: MacAddr,
    /// One of `node.interfaces`.
    pub interface: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vip {
    pub name: String,
    pub address: IpAddr,
    /// 1..=65,535.
    pub port: u16,
    pub protocol: Protocol,
    /// Name of a pool.
    pub pool: String,
    pub affinity: Affinity,
    pub hash: HashKind,
    /// Nothing takes it away before a plan of its own lifts this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    #[serde(default, skip_serializing_if = "VipState::is_ready")]
    pub state: VipState,
}

/// What the operator wants of a VIP (HAProxy's words).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VipState {
    #[default]
    Ready,
    /// Out of service: its packets are dropped as soon as they are known to be its own.
    Maint,
}

impl VipState {
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        match self {
            Self::Ready => true,
            Self::Maint => false,
        }
    }
}

impl fmt::Display for VipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Maint => "maint",
        })
    }
}

impl Vip {
    /// `203.0.113.10:443/tcp`, `[2001:db8::10]:443/tcp`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}/{}", SocketAddr::new(self.address, self.port), self.protocol)
    }
}

/// Which packets go to the same backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// Those of one connection: addresses, ports and protocol.
    #[default]
    Tuple,
    /// Those of one client address, for all VIPs with this affinity that share
    /// a pool.
    Source,
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tuple => "tuple",
            Self::Source => "source",
        })
    }
}

/// How a flow is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashKind {
    /// A keyed multiply for each word.
    #[default]
    Fast,
    /// SipHash-1-3 (Aumasson and Bernstein, 2012): slower, and made to hold
    /// against somebody who sees where flows go.
    Siphash,
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Siphash => "siphash",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Its number in an IP header (IANA).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => lb_common::wire::PROTOCOL_TCP,
            Self::Udp => lb_common::wire::PROTOCOL_UDP,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Names an object of the configuration: `vip/dns`, `pool/web`,
/// `backend/web/be5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectName {
    Vip(String),
    Pool(String),
    Backend { pool: String, backend: String },
}

/// What a file says: a configuration, and the objects that may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub config: Config,
    /// Served objects that are left out on purpose; none of them is in `config`.
    pub removed: BTreeSet<ObjectName>,
}

/// Judges the text of a file. `file_name` is for error messages only. A byte
/// order mark at the beginning is ignored: some editors write one.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, ConfigErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    syntax::read(text)
        .and_then(|file| rules::judge(&file, text))
        .map_err(|errors| ConfigErrors::new(file_name, text, errors))
}

/// Judges a configuration that did not come from a file: a plan's target, which
/// anybody may have written. Returns it as a file with its content would give
/// it.
///
/// # Panics
/// Never: a configuration is plain JSON.
pub fn judge_again(config: &Config) -> Result<Config, ConfigErrors> {
    let mut document = serde_json::to_value(config).expect("a configuration is plain JSON");
    document["apiVersion"] = API_VERSION.into();
    // JSON is YAML, so the same rules read it.
    parse("the plan's target", &document.to_string()).map(|parsed| parsed.config)
}

impl Config {
    /// Digest of the canonical JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(self)
    }

    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        let at = self.pools.binary_search_by(|pool| pool.name.as_str().cmp(name));
        at.ok().map(|at| &self.pools[at])
    }

    /// Every object, for omission and removal.
    pub fn objects(&self) -> impl Iterator<Item = ObjectName> {
        let vips = self.vips.iter().map(|vip| ObjectName::Vip(vip.name.clone()));
        let pools = self.pools.iter().map(|pool| ObjectName::Pool(pool.name.clone()));
        let backends = self.pools.iter().flat_map(|pool| {
            pool.backends.iter().map(|backend| ObjectName::Backend {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            })
        });
        vips.chain(pools).chain(backends)
    }
}

impl Pool {
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        let at = self
            .backends
            .binary_search_by(|backend| backend.name.as_str().cmp(name));
        at.ok().map(|at| &self.backends[at])
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vip(name) => write!(f, "vip/{name}"),
            Self::Pool(name) => write!(f, "pool/{name}"),
            Self::Backend { pool, backend } => write!(f, "backend/{pool}/{backend}"),
        }
    }
}

/// The text names no kind of object there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no object: write vip/NAME, pool/NAME or backend/POOL/NAME")]
pub struct NotAnObjectName(pub String);

impl std::str::FromStr for ObjectName {
    type Err = NotAnObjectName;

    fn from_str(text: &str) -> Result<Self, NotAnObjectName> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["vip", name] if !name.is_empty() => Ok(Self::Vip(name.to_owned())),
            ["pool", name] if !name.is_empty() => Ok(Self::Pool(name.to_owned())),
            ["backend", pool, backend] if !pool.is_empty() && !backend.is_empty() => Ok(Self::Backend {
                pool: pool.to_owned(),
                backend: backend.to_owned(),
            }),
            _ => Err(NotAnObjectName(text.to_owned())),
        }
    }
}
