//! How a pool's backends are checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a backend must answer to be up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    Icmp,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Off,
    /// Whose certificate it is does not matter.
    Any,
    /// The certificate must hold against the host's root certificates.
    Verified,
}

/// HTTP statuses that pass: `from..=to`, 100..=599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statuses {
    pub from: u16,
    pub to: u16,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { from: 200, to: 399 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    #[default]
    A,
    Aaaa,
    Soa,
    Ns,
    Txt,
}

/// Its word in the configuration.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp { .. } => "tcp",
            Self::Http { tls: Tls::Off, .. } => "http",
            Self::Http { .. } => "https",
            Self::Icmp => "icmp",
            Self::Udp { .. } => "udp",
            Self::Dns { .. } => "dns",
            Self::Exec { .. } => "exec",
        })
    }
}
