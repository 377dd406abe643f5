//! The configuration file as it is written: one struct for each mapping of the
//! YAML, every value with its place.
//!
//! Deserialization judges structure only (unknown, missing and duplicate keys,
//! lists where mappings belong) and stops at the first error. Whatever can be
//! wrong *inside* a value is kept as written and judged by `rules`, so that a
//! person sees all such errors at once. Two lists must be there even if they
//! are empty: a file cut off before `vips` does not mean "no VIPs".

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, Visitor},
};
use serde_saphyr::Spanned;

use super::{
    Affinity, BackendState, Encap, HashKind, Protocol, TableKind, VipState, XdpMode,
    limits::{
        ENVIRONMENT_PATTERN, INTERFACE_PATTERN, MAC_PATTERN, MAX_BACKENDS_IN_POOL, MAX_INTERFACES, MAX_NAME_BYTES,
        MAX_POOLS, MAX_PORT, MAX_REMOVED, MAX_SUBJECTS, MAX_VIPS, MAX_WEIGHT, MIN_PORT, NAME_PATTERN, OBJECT_PATTERN,
        PERCENT_PATTERN, PREFIX_V4_PATTERN, PREFIX_V6_PATTERN, SECONDS_PATTERN, SUBJECT_PATTERN,
    },
    schema::address_formats,
};

/// Text as written, with its place.
pub type Text = Spanned<String>;

/// A configuration of one Holdfast balancer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Holdfast configuration")]
pub struct FileConfig {
    /// Version of this format.
    #[schemars(with = "String", extend("const" = super::API_VERSION))]
    pub api_version: Text,
    /// Where the file may be applied; a plan for another environment is refused.
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = ENVIRONMENT_PATTERN))]
    pub environment: Text,
    /// This host.
    pub node: FileNode,
    /// Groups of backends, which VIPs share.
    #[schemars(length(max = MAX_POOLS))]
    pub pools: Vec<FilePool>,
    /// Addresses that are balanced.
    #[schemars(length(max = MAX_VIPS))]
    pub vips: Vec<FileVip>,
    /// Objects that are meant to be missing: `vip/NAME`, `pool/NAME`,
    /// `backend/POOL/NAME`. An object that is served, is not in the file and is
    /// not named here is refused.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = MAX_REMOVED), inner(regex(pattern = OBJECT_PATTERN)))]
    pub removed: Vec<Text>,
    /// Who may do what through the daemon's socket; root may do everything.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileAccess")]
    pub access: Option<FileAccess>,
    /// What takes more than one's own word.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileProtection")]
    pub protection: Option<FileProtection>,
}

/// Who may do what: `root`, `user:NAME`, `group:NAME`, `uid:N`, `gid:N`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Access")]
pub struct FileAccess {
    /// May look and plan.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = MAX_SUBJECTS), inner(regex(pattern = SUBJECT_PATTERN)))]
    pub viewer: Vec<Text>,
    /// May change what is served, too.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = MAX_SUBJECTS), inner(regex(pattern = SUBJECT_PATTERN)))]
    pub operator: Vec<Text>,
    /// May look, and approve what others planned.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = MAX_SUBJECTS), inner(regex(pattern = SUBJECT_PATTERN)))]
    pub approver: Vec<Text>,
    /// May change `access`, too.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = MAX_SUBJECTS), inner(regex(pattern = SUBJECT_PATTERN)))]
    pub admin: Vec<Text>,
}

/// This host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Node")]
pub struct FileNode {
    /// Interfaces the program is attached to; the first one is used for test
    /// runs.
    #[schemars(with = "Vec<FileInterface>", length(min = 1, max = MAX_INTERFACES))]
    pub interfaces: Spanned<Vec<FileInterface>>,
    /// Where encapsulated packets come from: of each family that packets are
    /// encapsulated to.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileEncapSource")]
    pub encap_source: Option<FileEncapSource>,
    /// Absolute path of 32 secret bytes that key the flow hash; made when the
    /// file does not exist.
    #[schemars(with = "String", regex(pattern = "^/"))]
    pub hash_key_file: Text,
    /// The kernel refuses to other processes to change the balancer's maps,
    /// links and pins, while the daemon runs; where it has the BPF LSM.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "bool", extend("default" = false))]
    pub guard: Option<bool>,
}

/// One interface.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Interface")]
pub struct FileInterface {
    /// Its name in the kernel.
    #[schemars(with = "String", regex(pattern = INTERFACE_PATTERN))]
    pub name: Text,
    /// Where in the kernel the program runs.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "XdpMode", extend("default" = XdpMode::default()))]
    pub mode: Option<Spanned<Word<XdpMode>>>,
}

/// Where encapsulated packets come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EncapSource")]
pub struct FileEncapSource {
    /// IPv4 prefix, /8 to /32, host bits zero; the flow hash fills them.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PREFIX_V4_PATTERN))]
    pub v4: Option<Text>,
    /// IPv6 prefix, /32 to /128, host bits zero; the flow hash fills the last
    /// 32 of them.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PREFIX_V6_PATTERN))]
    pub v6: Option<Text>,
}

/// Backends that share the work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Pool")]
pub struct FilePool {
    /// Unique among pools.
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = NAME_PATTERN))]
    pub name: Text,
    /// How packets travel to the backends.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Encap", extend("default" = Encap::default()))]
    pub encap: Option<Spanned<Word<Encap>>>,
    /// How the lookup table is built.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "TableKind", extend("default" = TableKind::default()))]
    pub table: Option<Spanned<Word<TableKind>>>,
    /// How long connections stay with a backend that gets no new ones.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileDrain")]
    pub drain: Option<FileDrain>,
    /// How the backends are checked; without it, whoever has a next hop is up.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileHealth")]
    pub health: Option<Spanned<FileHealth>>,
    /// Below this healthy share of the ready weight all ready backends serve:
    /// it is more likely that the checks are wrong.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = super::Percent::ZERO))]
    pub panic_threshold: Option<Text>,
    /// Name of the pool that serves instead when no backend is healthy, or
    /// fewer than `panicThreshold`.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = NAME_PATTERN))]
    pub fallback_pool: Option<Text>,
    /// At least one of them ready and with a weight above 0.
    #[schemars(length(min = 1, max = MAX_BACKENDS_IN_POOL))]
    pub backends: Vec<FileBackend>,
}

/// How long connections stay with a backend that gets no new ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Drain")]
pub struct FileDrain {
    /// Until no packet of them was seen for as long as this: 1s to 1h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = super::limits::DEFAULT_DRAIN_IDLE))]
    pub idle: Option<Text>,
    /// At most as long as this after the change: 1s to 24h, not below `idle`.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = super::limits::DEFAULT_DRAIN_DEADLINE))]
    pub deadline: Option<Text>,
}

/// One server of a pool.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Backend")]
pub struct FileBackend {
    /// Unique in its pool.
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = NAME_PATTERN))]
    pub name: Text,
    /// Address the packets are sent to; unique in its pool.
    #[schemars(with = "String", extend("anyOf" = address_formats()))]
    pub address: Text,
    /// Share of the pool's flows, relative to the other backends.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_WEIGHT), extend("default" = super::limits::DEFAULT_WEIGHT))]
    pub weight: Option<Spanned<Number>>,
    /// What the operator wants of it.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "BackendState", extend("default" = BackendState::default()))]
    pub state: Option<Spanned<Word<BackendState>>>,
    /// Given, not resolved; without it the kernel's routes and neighbours are
    /// asked.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileNextHop")]
    pub next_hop: Option<FileNextHop>,
}

/// The next hop to a backend.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NextHop")]
pub struct FileNextHop {
    /// Ethernet address, quoted; of one host, so neither zero nor multicast.
    #[schemars(with = "String", regex(pattern = MAC_PATTERN))]
    pub mac: Text,
    /// One of `node.interfaces`.
    #[schemars(with = "String", regex(pattern = INTERFACE_PATTERN))]
    pub interface: Text,
}

/// An address, protocol and port that is balanced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Vip")]
pub struct FileVip {
    /// Unique among VIPs.
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = NAME_PATTERN))]
    pub name: Text,
    /// Address clients connect to.
    #[schemars(with = "String", extend("anyOf" = address_formats()))]
    pub address: Text,
    /// Port clients connect to; backends get the packet with the same one.
    #[schemars(with = "u16", range(min = MIN_PORT, max = MAX_PORT))]
    pub port: Spanned<Number>,
    /// Transport protocol.
    #[schemars(with = "Protocol")]
    pub protocol: Spanned<Word<Protocol>>,
    /// Name of the pool that answers.
    #[schemars(with = "String", length(max = MAX_NAME_BYTES), regex(pattern = NAME_PATTERN))]
    pub pool: Text,
    /// Which packets go to the same backend.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Affinity", extend("default" = Affinity::default()))]
    pub affinity: Option<Spanned<Word<Affinity>>>,
    /// How a flow is hashed.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "HashKind", extend("default" = HashKind::default()))]
    pub hash: Option<Spanned<Word<HashKind>>>,
    /// Nothing takes it away before a plan of its own lifts this.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "bool", extend("default" = false))]
    pub protected: Option<bool>,
    /// What the operator wants of it.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "VipState", extend("default" = VipState::default()))]
    pub state: Option<Spanned<Word<VipState>>>,
}

mod health;
mod protection;

pub use health::{FileDamping, FileDns, FileExec, FileHealth, FileHttp, FileIcmp, FileTcp, FileUdp, FileVelocity};
pub use protection::{FileApprovals, FileConfirm, FileProtection, FileRemovals};

/// A key that may be absent but, if it is written, needs a value: `weight:`
/// with nothing behind it is a slip, not a request for the default.
fn written<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// One of an enum's words, or what was written instead.
#[derive(Debug)]
pub enum Word<T> {
    Known(T),
    Unknown {
        written: String,
        words: &'static [&'static str],
    },
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        let value: Result<T, NotAWord> = T::deserialize(written.clone().into_deserializer());
        Ok(match value {
            Ok(value) => Self::Known(value),
            Err(NotAWord(words)) => Self::Unknown { written, words },
        })
    }
}

/// Keeps the words serde expected, which its own error turns into prose.
#[derive(Debug, thiserror::Error)]
#[error("not one of {0:?}")]
struct NotAWord(&'static [&'static str]);

impl de::Error for NotAWord {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// A number, or something else that stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Whole(i128),
    /// A fraction, an infinity, text in quotes, a boolean, nothing. What it is
    /// stands in the text at its place.
    Other,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Number, E> {
        Ok(Number::Whole(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Number, E> {
        Ok(i128::try_from(number).map_or(Number::Other, Number::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Number, E> {
        Ok(Number::Other)
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Other)
    }
}
