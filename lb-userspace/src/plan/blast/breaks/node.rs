//! Connections that end because of this host's own interfaces and addresses.

use std::collections::BTreeSet;

use super::{Break, Scope, Why};
use crate::{
    config::{Encap, Node, Pool},
    plan::{blast::Ground, policy},
    revision::{BackendId, MemberState},
};

pub fn changed(ground: &Ground<'_>, from: &Node, to: &Node) -> Vec<(Break, Scope)> {
    let mut breaks: Vec<_> = sources(ground, from, to).into_iter().collect();
    for interface in &from.interfaces {
        let after = to.interfaces.iter().find(|other| other.name == interface.name);
        if after.is_some_and(|after| after.mode == interface.mode) {
            continue;
        }
        breaks.extend(comes_in(ground, &interface.name));
        breaks.extend(match after {
            None => goes_out(ground, &interface.name, Why::Unreachable),
            Some(_) if is_attached(ground, &interface.name) => goes_out(ground, &interface.name, Why::Undriven),
            Some(_) => None,
        });
    }
    breaks
}

/// Members of pools that VIPs use, with their connections.
fn members_where<'g>(
    ground: &'g Ground<'_>,
    is_meant: impl Fn(&Pool, &MemberState, &str) -> bool + 'g,
) -> impl Iterator<Item = BackendId> + 'g {
    let running = ground.running();
    let pools = running.config().pools.iter();
    let pools = pools.filter(|pool| !ground.vips(&pool.name).is_empty());
    pools.flat_map(move |pool| {
        let connected = ground.connected(&pool.name);
        let state = running.state.pools.get(&pool.name);
        let members = state.into_iter().flat_map(|state| &state.members);
        let meant = members.filter(|(name, member)| connected.contains(&member.index) && is_meant(pool, member, name));
        let ids = meant.map(|(name, _)| BackendId {
            pool: pool.name.clone(),
            backend: name.clone(),
        });
        ids.collect::<Vec<_>>()
    })
}

/// Of backends of a family that had another source before, and are tunnelled to.
fn sources(ground: &Ground<'_>, from: &Node, to: &Node) -> Option<(Break, Scope)> {
    let (before, after) = (&from.encap_source, &to.encap_source);
    let moved = (
        before.v4.is_some() && before.v4 != after.v4,
        before.v6.is_some() && before.v6 != after.v6,
    );
    if moved == (false, false) {
        return None;
    }
    let members: BTreeSet<BackendId> = members_where(ground, |pool, member, name| {
        let own = pool.backend(name).or(member.leaving.as_ref());
        let guest = member.guest.as_ref();
        let encap = guest.map_or(pool.encap, |guest| guest.encap);
        let address = guest.map(|guest| &guest.backend).or(own).map(|backend| backend.address);
        let affected = address.is_some_and(|address| if address.is_ipv4() { moved.0 } else { moved.1 });
        encap != Encap::L2 && affected
    })
    .collect();
    several(ground, "node".to_owned(), Why::Source, members)
}

fn several(ground: &Ground<'_>, what: String, why: Why, members: BTreeSet<BackendId>) -> Option<(Break, Scope)> {
    let pps = members.iter().map(|id| ground.live().backend(id).pps).sum();
    (!members.is_empty()).then_some((Break { what, why, pps }, Scope::Backends(members)))
}

fn is_attached(ground: &Ground<'_>, interface: &str) -> bool {
    policy::attached(&ground.running().state.content).any(|name| name == interface)
}

/// The program is taken off an interface that stays ours.
pub fn detached(ground: &Ground<'_>, interface: &str) -> Vec<(Break, Scope)> {
    let out = is_attached(ground, interface).then(|| goes_out(ground, interface, Why::Undriven));
    comes_in(ground, interface).into_iter().chain(out.flatten()).collect()
}

/// What comes in where there was a program; `None`: nothing.
fn comes_in(ground: &Ground<'_>, interface: &str) -> Option<(Break, Scope)> {
    if !is_attached(ground, interface) {
        return None;
    }
    let config = ground.running().config();
    let all = config.vips.iter().map(|vip| ground.live().vip(&vip.name).pps).sum();
    let (why, pps) = match ground.live().interface(interface) {
        None => (Why::Unwatched, all),
        // Who sends something now and then has connections, too.
        Some(reading) if reading.is_live(config.protection.live_vip_window) => (Why::Detached, reading.pps.max(1)),
        Some(reading) if reading.pps > 0 => (Why::Detached, reading.pps),
        Some(_) => return None,
    };
    let what = format!("interface {interface}");
    let (pps, scope) = if pps < all {
        (pps, Scope::Some(pps))
    } else {
        (all, Scope::All)
    };
    Some((Break { what, why, pps }, scope))
}

/// What next hops lead through; `None`: none does.
fn goes_out(ground: &Ground<'_>, interface: &str, why: Why) -> Option<(Break, Scope)> {
    let members: BTreeSet<BackendId> = members_where(ground, |_, member, _| {
        member.hop.as_ref().is_some_and(|hop| hop.interface == interface)
    })
    .collect();
    several(ground, format!("interface {interface}"), why, members)
}
