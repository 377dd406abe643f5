//! Packets through a candidate before it is switched to, and through what is
//! served when somebody asks why.

mod probe;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_common::{
    abi::{active::Active, hash_key::HashKey, member::MemberIndex},
    wire::ETHERNET_LEN,
};

use crate::{
    config::{Backend, Encap, MacAddr, Pool, Vip},
    kernel::{KernelError, aya::KernelBalancer},
    revision::{MemberState, Revision},
};

pub use self::probe::Probe;

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
    #[error("a packet for VIP {vip} went {} instead of {}", where_to(.got.as_ref()), where_to(.expected.as_ref()))]
    OtherBackend {
        vip: String,
        expected: Option<Destination>,
        got: Option<Destination>,
    },
    /// As the preview tells it.
    #[error("{0}")]
    Contradicted(String),
    /// The program does what the revision says, and that is nothing for a VIP
    /// that stays.
    #[error("{0}")]
    Drops(String),
}

impl Objection {
    /// A VIP that stays would be dropped, and the program is as it should be.
    #[must_use]
    pub const fn is_drops(&self) -> bool {
        matches!(self, Self::Drops(_))
    }
}

/// What a packet on its way to a backend is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Of the outer header.
    Outer(IpAddr),
    /// Of a frame that is not encapsulated.
    Mac(MacAddr),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outer(address) => address.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

fn where_to(destination: Option<&Destination>) -> String {
    destination.map_or_else(|| "nowhere".to_owned(), |destination| format!("to {destination}"))
}

/// A backend of a pool and its member.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'r> {
    pub backend: &'r Backend,
    pub member: &'r MemberState,
    /// How packets travel to it: a guest's are its own pool's.
    pub encap: Encap,
}

/// Whom the revision means a slot of a pool for.
#[must_use]
pub fn owner<'r>(revision: &'r Revision, pool: &'r Pool, slot: u32) -> Option<Owner<'r>> {
    let (_, tables) = revision.pool(&pool.name)?;
    member(revision, pool, tables.current.slots()[slot as usize])
}

/// Who may get a packet in a slot: its owner, and if it is dirty the earlier
/// ones, the latest first, as long as they have flows.
#[must_use]
pub fn candidates<'r>(revision: &'r Revision, pool: &'r Pool, slot: u32) -> Vec<Owner<'r>> {
    let chain = revision
        .pool(&pool.name)
        .and_then(|(_, tables)| tables.dirty.chains().get(&(slot as u16)));
    let earlier = chain.into_iter().flat_map(|chain| chain.earlier);
    let earlier = earlier.filter_map(|index| member(revision, pool, index));
    owner(revision, pool, slot).into_iter().chain(earlier).collect()
}

fn member<'r>(revision: &'r Revision, pool: &'r Pool, index: MemberIndex) -> Option<Owner<'r>> {
    let (state, _) = revision.pool(&pool.name)?;
    let name = revision.member_name(&pool.name, index)?;
    let member = state.members.get(name)?;
    let guest = || member.guest.as_ref().map(|guest| &guest.backend);
    let backend = member.leaving.as_ref().or_else(guest);
    Some(Owner {
        backend: backend.or_else(|| pool.backend(name))?,
        member,
        encap: member.guest.as_ref().map_or(pool.encap, |guest| guest.encap),
    })
}

impl Owner<'_> {
    /// How packets to it are told from others; `None`: it cannot be reached.
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        let hop = self.member.hop.as_ref()?;
        Some(match self.encap {
            Encap::Ipip | Encap::Gue => Destination::Outer(self.backend.address),
            Encap::L2 => Destination::Mac(hop.mac),
        })
    }

    /// What the program did is what it does with a packet to it.
    #[must_use]
    pub fn got(&self, action: u32, packet: &[u8]) -> bool {
        destination(self.encap, action, packet) == self.destination()
    }
}

/// Where the program sent a packet of a pool with this `encap`; `None`: it sent
/// nothing.
#[must_use]
pub fn destination(encap: Encap, action: u32, packet: &[u8]) -> Option<Destination> {
    if !is_sent(action) {
        return None;
    }
    match encap {
        Encap::Ipip | Encap::Gue => outer_destination(packet).map(Destination::Outer),
        Encap::L2 => packet.first_chunk().map(|mac| Destination::Mac(MacAddr(*mac))),
    }
}

/// The program sent the packet out.
#[must_use]
pub const fn is_sent(action: u32) -> bool {
    action == XDP_TX || action == XDP_REDIRECT
}

fn outer_destination(packet: &[u8]) -> Option<IpAddr> {
    let (ethernet, ip) = packet.split_at_checked(ETHERNET_LEN as usize)?;
    match ethernet.last_chunk()? {
        [0x08, 0x00] => {
            let octets: [u8; 4] = *ip.get(16..)?.first_chunk()?;
            Some(Ipv4Addr::from(octets).into())
        }
        [0x86, 0xdd] => {
            let octets: [u8; 16] = *ip.get(24..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        }
        [_, _] => None,
    }
}

/// The backend of `pool` that a packet in `slot` was sent to, `None` if nothing
/// was: the slot's owner if it may be that, since two of them can be on one host.
#[must_use]
pub fn reached<'r>(
    revision: &'r Revision,
    pool: &'r Pool,
    slot: u32,
    (action, packet): (u32, &[u8]),
) -> Option<&'r Backend> {
    let (state, _) = revision.pool(&pool.name)?;
    let members = state.members.values();
    let members = members.filter_map(|known| member(revision, pool, known.index));
    let mut candidates = candidates(revision, pool, slot).into_iter().chain(members);
    candidates
        .find(|candidate| candidate.destination().is_some() && candidate.got(action, packet))
        .map(|candidate| candidate.backend)
}

/// Sends a packet for VIPs of the candidate through the private instance.
///
/// # Errors
/// When one goes elsewhere than the revision says.
pub fn rehearse(kernel: &KernelBalancer, active: Active, revision: &Revision) -> Result<(), Objection> {
    let vips = &revision.config().vips;
    rehearse_each(kernel, active, revision, vips.len().div_ceil(REHEARSED_VIPS).max(1))
}

/// The same for every VIP, of what is served.
///
/// # Errors
/// When one goes elsewhere than the revision says.
pub fn rehearse_all(kernel: &KernelBalancer, active: Active, revision: &Revision) -> Result<(), Objection> {
    rehearse_each(kernel, active, revision, 1)
}

fn rehearse_each(kernel: &KernelBalancer, active: Active, revision: &Revision, step: usize) -> Result<(), Objection> {
    let key = kernel.hash_key()?;
    for vip in revision.config().vips.iter().step_by(step) {
        try_vip(kernel, active, revision, &key, vip)?;
    }
    Ok(())
}

/// A source that is neither the VIP nor our own: from one of the networks that
/// are nobody's (RFC 5737, RFC 3849, RFC 9637).
pub(crate) fn stranger(revision: &Revision, vip: &Vip) -> IpAddr {
    const NOBODYS: [IpAddr; 6] = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x3fff, 0xfff, 0, 0, 0, 0, 0, 1)),
    ];
    let of_family = || {
        NOBODYS
            .into_iter()
            .filter(|source| source.is_ipv4() == vip.address.is_ipv4())
    };
    let own = &revision.config().node.encap_source;
    // Three networks, and a VIP and a prefix are in two at most.
    of_family()
        .find(|source| *source != vip.address && !own.contains(*source))
        .unwrap_or(vip.address)
}

fn try_vip(
    kernel: &KernelBalancer,
    active: Active,
    revision: &Revision,
    key: &HashKey,
    vip: &Vip,
) -> Result<(), Objection> {
    let Some(pool) = revision.config().pool(&vip.pool) else {
        return Ok(());
    };
    let probe = Probe {
        source: stranger(revision, vip),
        source_port: 49152,
        destination: vip.address,
        destination_port: vip.port,
        protocol: vip.protocol,
    };
    let candidates = candidates(revision, pool, probe.slot(vip, key));
    let (action, packet) = kernel.test_run(active, &probe.packet())?;
    let Some(owner) = candidates.first().filter(|_| vip.state.is_ready()) else {
        return refuse(vip, None, destination(pool.encap, action, &packet));
    };
    if candidates.iter().any(|candidate| candidate.got(action, &packet)) {
        return Ok(());
    }
    refuse(vip, owner.destination(), destination(owner.encap, action, &packet))
}

fn refuse(vip: &Vip, expected: Option<Destination>, got: Option<Destination>) -> Result<(), Objection> {
    if got == expected {
        return Ok(());
    }
    Err(Objection::OtherBackend {
        vip: vip.name.clone(),
        expected,
        got,
    })
}
