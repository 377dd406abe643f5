//! How a pool's backends are checked.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Milliseconds, Percent, limits};

/// How a pool's backends are checked, and what becomes of them.
///
/// Written as in the file, so that unknown keys are the rules' business: serde
/// cannot refuse them beside a flattened key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    #[serde(flatten)]
    pub check: Check,
    #[serde(default)]
    pub via: CheckVia,
    /// Between the beginnings of two checks of a backend, 100 ms..=1 h.
    pub interval: Milliseconds,
    /// A check that lasts longer has failed; not above `interval`.
    pub timeout: Milliseconds,
    /// Checks in a row that must pass until a backend that is down is up.
    pub rise: u32,
    /// Checks in a row that must fail until a backend that is up is down.
    pub fall: u32,
    /// A backend that is new in a pool that serves.
    pub initial: Initial,
    /// For as long as this the weight of a backend that came up grows, from a
    /// tenth to all of it; 0: it has all of it at once.
    pub slow_start: Milliseconds,
    /// Share of the ready weight that health never takes out of service.
    pub floor: Percent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub velocity: Option<Velocity>,
    pub damping: Damping,
}

/// Which way checks go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckVia {
    /// As the backend's traffic does: to a VIP, in the outer headers, so that
    /// the agent and the VIP's address on the backend are checked, too.
    #[default]
    Tunnel,
    /// To the backend's own address.
    Direct,
}

impl fmt::Display for CheckVia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "tunnel",
            Self::Direct => "direct",
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Initial {
    /// Out of service until enough checks passed.
    #[default]
    Down,
    /// In service until checks fail.
    Up,
}

impl fmt::Display for Initial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "down",
            Self::Up => "up",
        })
    }
}

/// How fast health may take capacity away: within any `window`, at most
/// `percent` of the ready weight or `count` backends, whichever is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Velocity {
    /// 0..=100.
    pub percent: u32,
    pub count: u32,
    pub window: Milliseconds,
}

impl Default for Velocity {
    fn default() -> Self {
        Self {
            percent: 50,
            count: 1,
            window: Milliseconds(10_000),
        }
    }
}

/// Route flap damping (RFC 2439 §4.2), for backends: each time one goes down,
/// its penalty grows by 1,000; it halves in `half_life`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Damping {
    /// From this penalty on a backend stays down though its checks pass; 0:
    /// never.
    pub suppress: u32,
    /// Until the penalty is below this; less than `suppress`.
    pub reuse: u32,
    pub half_life: Milliseconds,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            suppress: limits::DEFAULT_SUPPRESS,
            reuse: limits::DEFAULT_REUSE,
            half_life: limits::DEFAULT_HALF_LIFE,
        }
    }
}

/// What a backend must answer to be up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Check {
    /// A connection is made, and closed with a reset.
    Tcp { port: u16 },
    /// A request is answered with one of the statuses.
    Http {
        port: u16,
        path: String,
        /// For the `Host` header, and the name asked for in TLS; the address
        /// if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        tls: Tls,
        status: Statuses,
    },
    /// An echo request is answered (RFC 792, RFC 4443 §4.1).
    Icmp {},
    /// A datagram is answered by one that begins with `expect`.
    Udp { port: u16, send: String, expect: String },
    /// A question is answered without an error (RFC 1035 §4.1.1).
    Dns { port: u16, name: String, record: DnsRecord },
    /// A program ends with exit code 0; what is checked stands in its
    /// environment: `HOLDFAST_POOL`, `HOLDFAST_BACKEND`, `HOLDFAST_ADDRESS`.
    Exec {
        /// An absolute path and its arguments; no shell reads them.
        command: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Plain HTTP.
    #[default]
    Off,
    /// Whose certificate it is does not matter.
    Any,
    /// The certificate must hold against the host's root certificates.
    Verified,
}

/// HTTP statuses that pass: `from..=to`, 100..=599; `200-399` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    pub from: u16,
    pub to: u16,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { from: 200, to: 399 }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}-{}", self.from, self.to)
        }
    }
}

/// The text is no status and no range of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of HTTP statuses like 200-399")]
pub struct NotStatuses(pub String);

impl FromStr for Statuses {
    type Err = NotStatuses;

    fn from_str(text: &str) -> Result<Self, NotStatuses> {
        let status = |part: &str| {
            let digits = part.len() == 3 && part.bytes().all(|digit| digit.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (status(from), status(to)) {
            (Some(from), Some(to)) if from <= to && (100..=599).contains(&from) && to <= 599 => Ok(Self { from, to }),
            _ => Err(NotStatuses(text.to_owned())),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    /// RFC 1035 §3.4.1.
    #[default]
    A,
    /// RFC 3596 §2.1.
    Aaaa,
    /// RFC 1035 §3.3.13.
    Soa,
    /// RFC 1035 §3.3.11.
    Ns,
    /// RFC 1035 §3.3.14.
    Txt,
}

/// Its word in the configuration.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp { .. } => "tcp",
            Self::Http { tls: Tls::Off, .. } => "http",
            Self::Http { .. } => "https",
            Self::Icmp {} => "icmp",
            Self::Udp { .. } => "udp",
            Self::Dns { .. } => "dns",
            Self::Exec { .. } => "exec",
        })
    }
}
