//! Arguments of the commands that only look.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Subcommand, value_parser};

use crate::{config::Protocol, store::Head};

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

/// What can be done with pools.
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

#[derive(Clone, Debug, Subcommand)]
pub enum Journal {
    /// List its entries, oldest first
    List,
    /// Check that every entry is as it was written, and every signature
    Verify(JournalVerify),
    /// Print all of it as lines of JSON, to be kept and checked elsewhere
    Export(JournalExport),
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast journal verify
  holdfast journal verify --head 812:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  holdfast journal verify --file holdfast.db --key journal.key.pub     a copy, without a daemon
  holdfast journal verify --export journal.jsonl --key journal.key.pub")]
pub struct JournalVerify {
    /// Copy of a store to check instead of the daemon's
    #[arg(long, value_name = "COPY", conflicts_with = "export")]
    pub file: Option<PathBuf>,
    /// File made by `holdfast journal export` to check; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Public key of the host, as it was kept elsewhere
    #[arg(long, value_name = "PUB")]
    pub key: Option<PathBuf>,
    /// Head that was kept elsewhere: an entry's number and its hash
    #[arg(long, value_name = "SEQ:HASH")]
    pub head: Option<Head>,
}

#[derive(Clone, Copy, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast journal export > journal.jsonl
  holdfast journal export --from 813 >> elsewhere/journal.jsonl")]
pub struct JournalExport {
    /// First entry to print
    #[arg(long, value_name = "SEQ", default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    pub from: u64,
}
