//! `holdfast agent run`: the agent on a backend. It pins program and link, so
//! that it goes on when the command has ended.

use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lb_common::abi::agent::{MAX_PEERS, Peers, PrefixV4, PrefixV6};

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
    #[error("an agent takes packets from 1 to {MAX_PEERS} prefixes of each family; {0} were given")]
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
pub fn run(interface: &str, from: &[IpNet], pin_dir: &Path, mode: XdpMode) -> Result<AgentReport, AgentError> {
    let v4 = from.iter().filter(|prefix| prefix.addr().is_ipv4()).count();
    if from.is_empty() || v4.max(from.len() - v4) > MAX_PEERS {
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
    let mut agent = PinnedAgent::open_alone(&directory)?;
    agent.ensure_own_link(interface)?;
    agent.set_peers(&peers(from.iter().copied()))?;
    agent.attach(interface, ifindex, mode)?;
    Ok(AgentReport {
        interface: interface.to_owned(),
        ifindex,
        mode,
        program_id: agent.program_id()?,
        pin: pin_dir.join("prog/agent"),
    })
}

/// Those prefixes as the agent reads them; at most [`MAX_PEERS`] of a family.
#[must_use]
pub fn peers(prefixes: impl IntoIterator<Item = IpNet>) -> Peers {
    let mut peers = Peers::default();
    for prefix in prefixes {
        match prefix {
            IpNet::V4(prefix) => {
                if let Some(place) = peers.v4.get_mut(peers.v4_count as usize) {
                    *place = prefix_v4(prefix);
                    peers.v4_count += 1;
                }
            }
            IpNet::V6(prefix) => {
                if let Some(place) = peers.v6.get_mut(peers.v6_count as usize) {
                    *place = prefix_v6(prefix);
                    peers.v6_count += 1;
                }
            }
        }
    }
    peers
}

/// A prefix as maps hold it.
#[must_use]
pub fn prefix_v4(prefix: Ipv4Net) -> PrefixV4 {
    PrefixV4 {
        network: u32::from_ne_bytes(prefix.network().octets()),
        mask: u32::from_ne_bytes(prefix.netmask().octets()),
    }
}

/// A prefix as maps hold it.
#[must_use]
pub fn prefix_v6(prefix: Ipv6Net) -> PrefixV6 {
    PrefixV6 {
        network: bytemuck::cast(prefix.network().octets()),
        mask: bytemuck::cast(prefix.netmask().octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_of_both_families_with_their_host_bits_off() {
        let prefixes = ["10.255.3.4/16", "fd00:ff::1/64", "192.0.2.1/32"].map(|text| text.parse().unwrap());
        let peers = peers(prefixes);
        assert_eq!((peers.v4_count, peers.v6_count), (2, 1));
        assert_eq!(peers.v4[0].network.to_ne_bytes(), [10, 255, 0, 0]);
        assert!(peers.v4[1].contains(u32::from_ne_bytes([192, 0, 2, 1])));
        let within: [u32; 4] = bytemuck::cast("fd00:ff::9".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert!(peers.v6[0].contains(&within));
        assert!(!peers.v6[0].contains(&[0; 4]));
    }
}
