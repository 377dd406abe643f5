//! Arguments of the commands that only look.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use crate::config::Protocol;

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast show 41
  holdfast show p.plan")]
pub struct Show {
    /// Number of a generation, or a file made by `holdfast plan --out`
    #[arg(value_name = "GENERATION|PLAN")]
    pub what: String,
}

/// What can be done with VIPs and pools.
#[derive(Clone, Debug, Subcommand)]
pub enum Objects {
    /// List them all
    List,
    /// Show one
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Names a backend: `web/be5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendPath {
    pub pool: String,
    pub backend: String,
}

/// The text is not two names with a slash between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a backend is named by its pool and its name: POOL/NAME")]
pub struct NotABackendPath;

impl std::str::FromStr for BackendPath {
    type Err = NotABackendPath;

    fn from_str(text: &str) -> Result<Self, NotABackendPath> {
        match text.split_once('/') {
            Some((pool, backend)) if !pool.is_empty() && !backend.is_empty() && !backend.contains('/') => Ok(Self {
                pool: pool.to_owned(),
                backend: backend.to_owned(),
            }),
            Some(_) | None => Err(NotABackendPath),
        }
    }
}

impl std::fmt::Display for BackendPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.pool, self.backend)
    }
}

#[derive(Clone, Copy, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast why 198.51.100.7 40000 203.0.113.10 443 tcp
  holdfast why 2001:db8::7 40000 2001:db8::10 443 tcp
  holdfast why 198.51.100.7 40000 203.0.113.10 443 tcp -o json | jq -r .backend")]
pub struct Why {
    /// Source address of the packet
    #[arg(value_name = "SRC")]
    pub src: IpAddr,
    /// Source port
    #[arg(value_name = "SPORT")]
    pub sport: u16,
    /// Destination address
    #[arg(value_name = "DST")]
    pub dst: IpAddr,
    /// Destination port
    #[arg(value_name = "DPORT")]
    pub dport: u16,
    /// tcp or udp
    #[arg(value_name = "PROTO", value_parser = protocol)]
    pub proto: Protocol,
}

/// The text names no protocol that is balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a protocol is tcp or udp")]
pub struct NotAProtocol;

fn protocol(text: &str) -> Result<Protocol, NotAProtocol> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(NotAProtocol),
    }
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Bpf {
    /// List pins, programs, maps and chunks
    Dump,
    /// Compare what the kernel serves with what the journal says
    Verify,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Journal {
    /// List its entries, oldest first
    List,
}
