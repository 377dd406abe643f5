//! `health` of a pool, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{
    super::{
        CheckVia, DnsRecord, Initial, Tls,
        limits::{
            DEFAULT_FALL, DEFAULT_HALF_LIFE, DEFAULT_INTERVAL, DEFAULT_REUSE, DEFAULT_RISE, DEFAULT_SUPPRESS,
            DEFAULT_TIMEOUT, MAX_ARGUMENTS, MAX_BACKENDS_IN_POOL, MAX_CHECK_TEXT, MAX_CHECKS, MAX_PENALTY, MAX_PORT,
            MILLISECONDS_PATTERN, MIN_PORT, PERCENT_PATTERN, STATUSES_PATTERN,
        },
    },
    Number, Text, Word, written,
};

/// How the backends of a pool are checked: exactly one of `tcp`, `http`, `icmp`,
/// `udp`, `dns`, `exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Health")]
pub struct FileHealth {
    /// A connection can be made.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileTcp")]
    pub tcp: Option<Spanned<FileTcp>>,
    /// A request is answered with a status that passes.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileHttp")]
    pub http: Option<Spanned<FileHttp>>,
    /// An echo request is answered.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileIcmp")]
    pub icmp: Option<Spanned<FileIcmp>>,
    /// A datagram is answered.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileUdp")]
    pub udp: Option<Spanned<FileUdp>>,
    /// A question is answered.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileDns")]
    pub dns: Option<Spanned<FileDns>>,
    /// A program ends with exit code 0.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileExec")]
    pub exec: Option<Spanned<FileExec>>,
    /// The way a check goes: by default as the backend's traffic does, to a VIP
    /// that the pool serves.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "CheckVia", extend("default" = CheckVia::default()))]
    pub via: Option<Spanned<Word<CheckVia>>>,
    /// Between two checks of a backend: 100ms to 1h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = MILLISECONDS_PATTERN), extend("default" = DEFAULT_INTERVAL))]
    pub interval: Option<Text>,
    /// A check that takes longer has failed: 10ms to `interval`.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = MILLISECONDS_PATTERN), extend("default" = DEFAULT_TIMEOUT))]
    pub timeout: Option<Text>,
    /// Checks in a row that must pass until a backend that is down is up.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 1, max = MAX_CHECKS), extend("default" = DEFAULT_RISE))]
    pub rise: Option<Spanned<Number>>,
    /// Checks in a row that must fail until a backend that is up is down.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 1, max = MAX_CHECKS), extend("default" = DEFAULT_FALL))]
    pub fall: Option<Spanned<Number>>,
    /// What a backend is at first that is new in a pool that serves.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Initial", extend("default" = Initial::default()))]
    pub initial: Option<Spanned<Word<Initial>>>,
    /// The weight of a backend that came up grows for as long as this; 0s: it
    /// has all of it at once.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = MILLISECONDS_PATTERN), extend("default" = "0s"))]
    pub slow_start: Option<Text>,
    /// Share of the ready weight that health leaves in service whatever happens.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = super::super::Percent::ZERO))]
    pub floor: Option<Text>,
    /// How fast health may take capacity away; without it, as fast as it goes.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileVelocity")]
    pub velocity: Option<FileVelocity>,
    /// A backend that goes up and down again and again is held down.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileDamping")]
    pub damping: Option<Spanned<FileDamping>>,
}

/// A connection can be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TcpCheck")]
pub struct FileTcp {
    /// Of the backend; without it, that of the VIPs that use the pool.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u16", range(min = MIN_PORT, max = MAX_PORT))]
    pub port: Option<Spanned<Number>>,
}

/// A request is answered with a status that passes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "HttpCheck")]
pub struct FileHttp {
    /// Of the backend; without it, that of the VIPs that use the pool.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u16", range(min = MIN_PORT, max = MAX_PORT))]
    pub port: Option<Spanned<Number>>,
    /// What is asked for.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", length(max = MAX_CHECK_TEXT), regex(pattern = "^/[!-~]*$"), extend("default" = "/"))]
    pub path: Option<Text>,
    /// For the `Host` header and TLS; without it, the backend's address.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", length(max = MAX_CHECK_TEXT), regex(pattern = "^[!-~]+$"))]
    pub host: Option<Text>,
    /// Without TLS, with it, or with it and a certificate that holds.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "Tls", extend("default" = Tls::default()))]
    pub tls: Option<Spanned<Word<Tls>>>,
    /// Statuses that pass: one, or a range.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = STATUSES_PATTERN), extend("default" = "200-399"))]
    pub status: Option<Text>,
}

/// An echo request is answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "IcmpCheck")]
pub struct FileIcmp {}

/// A datagram is answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "UdpCheck")]
pub struct FileUdp {
    /// Of the backend; without it, that of the VIPs that use the pool.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u16", range(min = MIN_PORT, max = MAX_PORT))]
    pub port: Option<Spanned<Number>>,
    /// What is sent.
    #[schemars(with = "String", length(max = MAX_CHECK_TEXT))]
    pub send: Text,
    /// What the answer begins with; without it, any answer passes.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", length(max = MAX_CHECK_TEXT))]
    pub expect: Option<Text>,
}

/// A question is answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "DnsCheck")]
pub struct FileDns {
    /// Of the backend; without it, that of the VIPs that use the pool.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u16", range(min = MIN_PORT, max = MAX_PORT))]
    pub port: Option<Spanned<Number>>,
    /// What is asked for.
    #[schemars(with = "String", length(max = 253), regex(pattern = "^[!-~]+$"))]
    pub name: Text,
    /// Which kind of record.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "DnsRecord", extend("default" = DnsRecord::default()))]
    pub record: Option<Spanned<Word<DnsRecord>>>,
}

/// A program ends with exit code 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ExecCheck")]
pub struct FileExec {
    /// Its absolute path and its arguments; no shell reads them.
    #[schemars(with = "Vec<String>", length(min = 1, max = MAX_ARGUMENTS), inner(length(max = MAX_CHECK_TEXT)))]
    pub command: Spanned<Vec<Text>>,
}

/// How fast health may take capacity away: at most `percent` of the ready weight
/// or `count` backends, whichever is more, within any `window`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Velocity")]
pub struct FileVelocity {
    /// Of the ready weight.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = 100), extend("default" = 50))]
    pub percent: Option<Spanned<Number>>,
    /// Backends.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_BACKENDS_IN_POOL), extend("default" = 1))]
    pub count: Option<Spanned<Number>>,
    /// 1s to 1h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = MILLISECONDS_PATTERN), extend("default" = "10s"))]
    pub window: Option<Text>,
}

/// A backend that goes up and down again and again is held down: each time it
/// goes down its penalty grows by 1,000.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Damping")]
pub struct FileDamping {
    /// From this penalty on it is held down; 0: never.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_PENALTY), extend("default" = DEFAULT_SUPPRESS))]
    pub suppress: Option<Spanned<Number>>,
    /// Until the penalty is below this.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 1, max = MAX_PENALTY), extend("default" = DEFAULT_REUSE))]
    pub reuse: Option<Spanned<Number>>,
    /// The penalty halves in this time: 1s to 1h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = MILLISECONDS_PATTERN), extend("default" = DEFAULT_HALF_LIFE))]
    pub half_life: Option<Text>,
}
