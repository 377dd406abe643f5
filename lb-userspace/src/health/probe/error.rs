//! Why a check did not pass: what an operator would look at next.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use rustix::io::Errno;

use super::words;
use crate::{config::Statuses, health::tunnel::TunnelError};

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// It was there, and broke off.
    #[error("the connection was reset")]
    Reset,
    /// No route to it, or no neighbour answers for it.
    #[error("unreachable")]
    Unreachable,
    #[error("no answer within {}", words(*.0))]
    TimedOut(Duration),
    #[error("status {got}, wanted {wanted}")]
    Status { got: u16, wanted: Statuses },
    /// What came is not the protocol.
    #[error("the answer is not HTTP")]
    Http(#[source] hyper::Error),
    #[error("its certificate does not hold: {0}")]
    Certificate(#[source] tokio_rustls::rustls::Error),
    #[error("TLS failed: {0}")]
    Tls(#[source] tokio_rustls::rustls::Error),
    #[error("the answer begins with {got:?}, wanted {wanted:?}")]
    Unexpected { got: String, wanted: String },
    /// What came is no answer to the question.
    #[error("the answer is not DNS")]
    Dns,
    /// RFC 1035 §4.1.1, RFC 6895 §2.3.
    #[error("the answer is {0}, wanted NOERROR")]
    Rcode(DnsError),
    #[error("the answer has no records")]
    NoRecords,
    #[error("exit code {code}{}", shown(.said))]
    Exit { code: i32, said: String },
    #[error("ended by signal {signal}{}", shown(.said))]
    Signal { signal: i32, said: String },
    #[error("{program} cannot be run: {error}")]
    Program { program: String, error: io::Error },
    /// The exchange failed in a way that has no name here.
    #[error("{0}")]
    Io(#[source] io::Error),

    // From here on nothing is said about the backend: the check could not be
    // made. See `is_ours`.
    #[error("the check could not be made: {0}")]
    Local(#[source] io::Error),
    /// Its traffic goes nowhere either, and next hops take it out of service.
    #[error("the check could not be made: the backend's next hop is not known")]
    NoNextHop,
    #[error("the check could not be made: {0}")]
    NoTunnel(#[source] TunnelError),
    #[error("the check could not be made: this host has no address of the VIP's family to ask from")]
    NoSource,
    #[error("the check could not be made: {0}")]
    Question(&'static str),
    #[error("the check could not be made: no root certificate was found on this host")]
    NoRoots,
}

/// How a DNS server says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    #[error("FORMERR")]
    Format,
    #[error("SERVFAIL")]
    Server,
    #[error("NXDOMAIN")]
    Name,
    #[error("NOTIMP")]
    NotImplemented,
    #[error("REFUSED")]
    Refused,
    #[error("another error")]
    Other,
}

fn shown(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl ProbeError {
    /// The fault is on this host, so that nothing is known of the backend: it
    /// should count as no check at all.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        match self {
            Self::Local(_)
            | Self::NoNextHop
            | Self::NoTunnel(_)
            | Self::NoSource
            | Self::Question(_)
            | Self::NoRoots => true,
            Self::Refused
            | Self::Reset
            | Self::Unreachable
            | Self::TimedOut(_)
            | Self::Status { .. }
            | Self::Http(_)
            | Self::Certificate(_)
            | Self::Tls(_)
            | Self::Unexpected { .. }
            | Self::Dns
            | Self::Rcode(_)
            | Self::NoRecords
            | Self::Exit { .. }
            | Self::Signal { .. }
            | Self::Program { .. }
            | Self::Io(_) => false,
        }
    }
}

impl ProbeError {
    /// Something came back from the backend's side, if only a refusal: the way
    /// there and back works.
    #[must_use]
    pub const fn was_answered(&self) -> bool {
        match self {
            Self::Refused
            | Self::Reset
            | Self::Status { .. }
            | Self::Http(_)
            | Self::Certificate(_)
            | Self::Tls(_)
            | Self::Unexpected { .. }
            | Self::Dns
            | Self::Rcode(_)
            | Self::NoRecords
            | Self::Exit { .. } => true,
            Self::Unreachable
            | Self::NoNextHop
            | Self::TimedOut(_)
            | Self::Signal { .. }
            | Self::Program { .. }
            | Self::Io(_)
            | Self::Local(_)
            | Self::NoTunnel(_)
            | Self::NoSource
            | Self::Question(_)
            | Self::NoRoots => false,
        }
    }
}

impl From<io::Error> for ProbeError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library may add kinds")]
    fn from(error: io::Error) -> Self {
        // Ours: descriptors, memory, ports and rights.
        const LOCAL: [Errno; 8] = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::ADDRINUSE,
            Errno::PERM,
            Errno::ACCESS,
        ];
        let errno = Errno::from_io_error(&error);
        if errno.is_some_and(|errno| LOCAL.contains(&errno)) {
            return Self::Local(error);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            _ => Self::Io(error),
        }
    }
}
