//! `holdfast agent run`: the agent on a backend. It pins program and link, so
//! that it goes on when the command has ended.

use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use lb_common::abi::agent::{MAX_PEERS, Peers, PrefixV4};

use crate::{
    config::XdpMode,
    kernel::{KernelError, agent::PinnedAgent, bpffs},
};

/// What runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentReport {
    pub interface: String,
    pub ifindex: u32,
    pub mode: XdpMode,
    pub program_id: u32,
    pub pin: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("an agent takes packets from 1 to {MAX_PEERS} prefixes; {0} were given")]
    Prefixes(usize),
    #[error("there is no interface {0}")]
    NoInterface(String),
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Loads the agent, or finds it pinned; sets whom it trusts; attaches it.
/// Doing it again changes only what differs.
///
/// # Errors
/// Nothing is attached then that was not before.
pub fn run(interface: &str, from: &[Ipv4Net], pin_dir: &Path, mode: XdpMode) -> Result<AgentReport, AgentError> {
    if from.is_empty() || from.len() > MAX_PEERS {
        return Err(AgentError::Prefixes(from.len()));
    }
    let name = rustix::net::netdevice::name_to_index(
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).map_err(
            |source| KernelError::Call {
                call: "socket",
                source: source.into(),
            },
        )?,
        interface,
    );
    let ifindex = name.map_err(|_| AgentError::NoInterface(interface.to_owned()))?;
    let directory = bpffs::prepare(pin_dir)?;
    let mut agent = PinnedAgent::open(&directory)?;
    agent.set_peers(&peers(from))?;
    agent.attach(interface, ifindex, mode)?;
    Ok(AgentReport {
        interface: interface.to_owned(),
        ifindex,
        mode,
        program_id: agent.program_id()?,
        pin: pin_dir.join("prog/agent"),
    })
}

fn peers(from: &[Ipv4Net]) -> Peers {
    let mut peers = Peers {
        v4_count: from.len() as u32,
        ..Peers::default()
    };
    for (peer, prefix) in peers.v4.iter_mut().zip(from) {
        *peer = PrefixV4 {
            network: u32::from_ne_bytes(prefix.network().octets()),
            mask: u32::from_ne_bytes(prefix.netmask().octets()),
        };
    }
    peers
}
