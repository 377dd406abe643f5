//! Member records: all that forwarding to a backend needs, made ready.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use bytemuck::Zeroable as _;
use ipnet::{Ipv4Net, Ipv6Net};
use lb_common::{
    abi::member::{
        ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_IPIP_V4, ENCAP_IPIP_V6, ENCAP_L2, Macs, Member, NEXT_HOP_KNOWN,
        encap_overhead,
    },
    encap::presum_v4,
};

use crate::{
    config::{Backend, Encap, EncapSource, Pool},
    revision::{BackendId, Hop, MemberState, Revision},
};

/// The members of a pool by their number; number 0 is nobody, and zero.
pub fn lines(pool: &Pool, members: &BTreeMap<String, MemberState>, source: &EncapSource) -> Vec<Member> {
    let highest = members.values().map(|member| member.index).max().unwrap_or(0);
    let mut lines = vec![Member::zeroed(); usize::from(highest) + 1];
    let present = pool.backends.iter();
    let present = present.filter_map(|backend| Some((backend, members.get(&backend.name)?)));
    // Those that leave, and guests, bring their backend with them.
    let others = members.values().filter_map(|member| {
        let guest = || member.guest.as_ref().map(|guest| &guest.backend);
        Some((member.leaving.as_ref().or_else(guest)?, member))
    });
    for (backend, member) in present.chain(others) {
        let encap = member.guest.as_ref().map_or(pool.encap, |guest| guest.encap);
        lines[usize::from(member.index)] = record(encap, backend, member, source);
    }
    lines
}

/// Every backend's record, as its pool's VIPs have it.
pub fn records(revision: &Revision) -> BTreeMap<BackendId, Member> {
    let config = revision.config();
    let pools = config.pools.iter();
    let pools = pools.filter_map(|pool| Some((pool, revision.pool(&pool.name)?.0)));
    let records = pools.flat_map(|(pool, state)| {
        let backends = pool.backends.iter();
        backends.filter_map(move |backend| {
            let member = state.members.get(&backend.name)?;
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            Some((id, record(pool.encap, backend, member, &config.node.encap_source)))
        })
    });
    records.collect()
}

/// One that cannot be encapsulated to, for want of a source of its family, has
/// no next hop. The rules let no such configuration pass.
fn record(encap: Encap, backend: &Backend, member: &MemberState, source: &EncapSource) -> Member {
    let (outer, reachable) = match (encap, backend.address, source.v4, source.v6) {
        (Encap::L2, ..) => (bare(), true),
        (Encap::Ipip, IpAddr::V4(address), Some(source), _) => (outer_v4(ENCAP_IPIP_V4, address, source), true),
        (Encap::Gue, IpAddr::V4(address), Some(source), _) => (outer_v4(ENCAP_GUE_V4, address, source), true),
        (Encap::Ipip, IpAddr::V6(address), _, Some(source)) => (outer_v6(ENCAP_IPIP_V6, address, source), true),
        (Encap::Gue, IpAddr::V6(address), _, Some(source)) => (outer_v6(ENCAP_GUE_V6, address, source), true),
        (Encap::Ipip | Encap::Gue, IpAddr::V4(_), None, _) | (Encap::Ipip | Encap::Gue, IpAddr::V6(_), _, None) => {
            (Member::zeroed(), false)
        }
    };
    let record = Member {
        counter: member.counter,
        overhead: encap_overhead(outer.encap).unwrap_or(0),
        ..outer
    };
    match &member.hop {
        Some(hop) if reachable => through(record, hop),
        Some(_) | None => record,
    }
}

fn bare() -> Member {
    Member {
        encap: ENCAP_L2,
        ..Member::zeroed()
    }
}

fn outer_v4(encap: u8, address: Ipv4Addr, source: Ipv4Net) -> Member {
    let wire = |address: Ipv4Addr| u32::from_ne_bytes(address.octets());
    let (source, entropy_mask) = (wire(source.network()), wire(source.hostmask()));
    let destination = wire(address);
    Member {
        source: [source, 0, 0, 0],
        destination: [destination, 0, 0, 0],
        presum: presum_v4(source, destination),
        entropy_mask,
        encap,
        ..Member::zeroed()
    }
}

fn outer_v6(encap: u8, address: Ipv6Addr, source: Ipv6Net) -> Member {
    let wire = |address: Ipv6Addr| -> [u32; 4] { bytemuck::cast(address.octets()) };
    let [.., entropy_mask] = wire(source.hostmask());
    Member {
        source: wire(source.network()),
        destination: wire(address),
        entropy_mask,
        encap,
        ..Member::zeroed()
    }
}

const fn through(record: Member, hop: &Hop) -> Member {
    Member {
        macs: Macs::new(hop.mac.0, hop.interface_mac.0),
        ifindex: hop.ifindex,
        mtu: hop.mtu,
        flags: record.flags | NEXT_HOP_KNOWN,
        ..record
    }
}

#[cfg(test)]
mod tests;
