//! Packets through a candidate before it is switched to, and through what is
//! served when somebody asks why.

use std::net::Ipv4Addr;

use lb_common::{
    abi::{active::Active, hash_key::HashKey},
    hash::FlowV4,
    wire::{ETHERNET_LEN, IPV4_LEN},
};

use crate::{
    config::{Protocol, Vip},
    kernel::{KernelError, aya::KernelBalancer},
    revision::Revision,
};

/// VIPs that are tried before a switch, at most, spread over all of them.
const REHEARSED_VIPS: usize = 256;

/// `XDP_TX` and `XDP_REDIRECT` of the kernel's `include/uapi/linux/bpf.h`.
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

/// The kernel's program does not do what the revision says.
#[derive(Debug, thiserror::Error)]
pub enum Objection {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("a packet for VIP {vip} went to {got:?} instead of {expected:?}")]
    OtherBackend {
        vip: String,
        expected: Option<Ipv4Addr>,
        got: Option<Ipv4Addr>,
    },
}

/// A packet by its five-tuple; addresses and ports as people write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub source: Ipv4Addr,
    pub source_port: u16,
    pub destination: Ipv4Addr,
    pub destination_port: u16,
    pub protocol: Protocol,
}

impl Probe {
    /// The shortest whole packet: a SYN, or an empty datagram.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let l4: Vec<u8> = match self.protocol {
            // Sequence and acknowledgement 0, five words, SYN, a window.
            Protocol::Tcp => [[0; 8].as_slice(), &[0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]].concat(),
            // Length 8, no checksum.
            Protocol::Udp => vec![0, 8, 0, 0],
        };
        let total = IPV4_LEN as u16 + 4 + l4.len() as u16;
        let mut packet = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
        packet.extend([0x45, 0]);
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, self.protocol.number(), 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        let sum = packet[ETHERNET_LEN as usize..]
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
        let checksum = lb_common::checksum::finish(sum.sum());
        packet[ETHERNET_LEN as usize + 10..][..2].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(self.source_port.to_be_bytes());
        packet.extend(self.destination_port.to_be_bytes());
        packet.extend(l4);
        packet
    }

    /// Slot of this flow in its pool's lookup table.
    #[must_use]
    pub const fn slot(&self, key: &HashKey) -> u32 {
        let flow = FlowV4 {
            source: u32::from_ne_bytes(self.source.octets()),
            destination: u32::from_ne_bytes(self.destination.octets()),
            source_port: self.source_port.to_be(),
            destination_port: self.destination_port.to_be(),
            protocol: self.protocol.number(),
        };
        flow.hash(key).slot()
    }
}

/// Whom the revision means the flow for: name, and whether it can be reached.
#[must_use]
pub fn owner<'r>(revision: &'r Revision, pool: &str, slot: u32) -> Option<(&'r str, bool)> {
    let (state, tables) = revision.pool(pool)?;
    let name = revision.member_name(pool, tables.current.slots()[slot as usize])?;
    Some((name, state.members.get(name)?.hop.is_some()))
}

/// Outer destination of what the program sent; `None`: it sent nothing.
#[must_use]
pub fn outer_destination(action: u32, packet: &[u8]) -> Option<Ipv4Addr> {
    if action != XDP_TX && action != XDP_REDIRECT {
        return None;
    }
    let at = ETHERNET_LEN as usize + 16;
    let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

/// Sends a packet for VIPs of the candidate through the private instance.
///
/// # Errors
/// When one goes elsewhere than the revision says.
pub fn rehearse(kernel: &KernelBalancer, active: Active, revision: &Revision) -> Result<(), Objection> {
    let vips = &revision.config().vips;
    let key = kernel.hash_key()?;
    for vip in vips.iter().step_by(vips.len().div_ceil(REHEARSED_VIPS).max(1)) {
        try_vip(kernel, active, revision, &key, vip)?;
    }
    Ok(())
}

/// A source that is neither the VIP nor our own: from one of the networks that
/// are nobody's (RFC 5737).
fn stranger(revision: &Revision, vip: &Vip) -> Ipv4Addr {
    const NOBODYS: [Ipv4Addr; 3] = [
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(198, 51, 100, 1),
        Ipv4Addr::new(203, 0, 113, 1),
    ];
    let own = revision.config().node.encap_source.v4;
    let free = NOBODYS
        .into_iter()
        .find(|source| *source != vip.address && !own.contains(source));
    free.unwrap_or(NOBODYS[0])
}

fn try_vip(
    kernel: &KernelBalancer,
    active: Active,
    revision: &Revision,
    key: &HashKey,
    vip: &Vip,
) -> Result<(), Objection> {
    let probe = Probe {
        source: stranger(revision, vip),
        source_port: 49152,
        destination: vip.address,
        destination_port: vip.port,
        protocol: vip.protocol,
    };
    let owner = owner(revision, &vip.pool, probe.slot(key));
    let expected = owner.filter(|(_, reachable)| *reachable).and_then(|(name, _)| {
        let pool = revision.config().pool(&vip.pool)?;
        pool.backends
            .iter()
            .find(|backend| backend.name == name)
            .map(|backend| backend.address)
    });
    let (action, packet) = kernel.test_run(active, &probe.packet())?;
    let got = outer_destination(action, &packet);
    if got == expected {
        return Ok(());
    }
    Err(Objection::OtherBackend {
        vip: vip.name.clone(),
        expected,
        got,
    })
}
