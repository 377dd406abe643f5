//! Which way each backend is checked. Pure: it follows from the revision.

use std::collections::{BTreeMap, BTreeSet};

use super::{Target, Via};
use crate::{
    config::{Backend, Check, CheckVia, Config, Pool, Vip},
    layout::members,
    revision::{BackendId, Revision},
};

/// Has these go as their traffic does, where the configuration wants it and
/// there is a VIP to ask for. Those of programs go their own way.
pub fn by_their_traffic(targets: &mut BTreeMap<BackendId, Target>, revision: &Revision) {
    let config = revision.config();
    let mut records = members::records(revision);
    for pool in config.pools.iter().filter(|pool| wants_tunnel(pool)) {
        for backend in &pool.backends {
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            if let Some(target) = targets.get_mut(&id)
                && let Some(vip) = vip(config, pool, backend)
                && let Some(member) = records.remove(&id)
            {
                let vip = vip.address;
                target.via = Via::Tunnel { vip, member };
            }
        }
    }
}

fn wants_tunnel(pool: &Pool) -> bool {
    let health = pool.health.as_ref();
    health.is_some_and(|health| health.via == CheckVia::Tunnel && !matches!(health.check, Check::Exec { .. }))
}

/// Of the VIPs that the pool serves, if only by falling back on it, the one at
/// the check's own port, and of the backend's family, if there is one: then the
/// address to ask from is that of the way to the backend.
fn vip<'c>(config: &'c Config, pool: &Pool, backend: &Backend) -> Option<&'c Vip> {
    let falls_back = |of: &&Pool| of.fallback_pool.as_deref() == Some(pool.name.as_str());
    let users: BTreeSet<&str> = config
        .pools
        .iter()
        .filter(falls_back)
        .map(|of| of.name.as_str())
        .collect();
    let vips = config.vips.iter();
    let vips = vips.filter(|vip| vip.pool == pool.name || users.contains(vip.pool.as_str()));
    let port = pool.health.as_ref().and_then(|health| port(&health.check));
    // The first of those that fit best.
    vips.min_by_key(|vip| {
        let is_port = Some(vip.port) == port;
        let is_family = vip.address.is_ipv4() == backend.address.is_ipv4();
        (!is_port, !is_family)
    })
}

const fn port(check: &Check) -> Option<u16> {
    match check {
        Check::Tcp { port } | Check::Http { port, .. } | Check::Udp { port, .. } | Check::Dns { port, .. } => {
            Some(*port)
        }
        Check::Icmp {} | Check::Exec { .. } => None,
    }
}
