//! What this host makes of a plan: addresses that are its own, interfaces and
//! next hops that are missing now. The world is an argument; it may change
//! between plan and apply, so it is asked at both.

use super::{Code, Finding, ObjectName, Severity, finding, omission::MAX_TOLD};
use crate::{config::Config, neighbours::Resolution, revision::BackendId};

/// Refusals first.
#[must_use]
pub fn judge(target: &Config, resolution: &Resolution) -> Vec<Finding> {
    let mut findings = local_backends(target, resolution);
    findings.extend(local_vips(target, resolution));
    findings.extend(missing_interfaces(target, resolution));
    findings.extend(missing_next_hops(target, resolution));
    findings
}

/// Packets for them would come back for ever.
fn local_backends(target: &Config, resolution: &Resolution) -> Vec<Finding> {
    let backends = target
        .pools
        .iter()
        .flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let local = backends.filter(|(_, backend)| resolution.local.contains(&backend.address));
    local
        .map(|(pool, backend)| {
            let message = format!(
                "backend {} has the address {} of this host",
                backend.name, backend.address
            );
            finding(Code::LocalBackend, Severity::Refuse, message)
                .about(ObjectName::Backend {
                    pool: pool.name.clone(),
                    backend: backend.name.clone(),
                })
                .fix("give it the address of another host")
        })
        .collect()
}

/// Balanced where the program is attached; elsewhere this host answers itself.
fn local_vips(target: &Config, resolution: &Resolution) -> Vec<Finding> {
    let local = target.vips.iter().filter(|vip| resolution.local.contains(&vip.address));
    local
        .map(|vip| {
            let message = format!(
                "vip {} has the address {} of this host: what this host sends there itself, and what comes in by \
                 other interfaces, is not balanced",
                vip.name, vip.address
            );
            finding(Code::LocalVip, Severity::Warn, message)
                .about(ObjectName::Vip(vip.name.clone()))
                .fix("route it to this host instead of giving it to an interface")
        })
        .collect()
}

fn missing_interfaces(target: &Config, resolution: &Resolution) -> Vec<Finding> {
    let ours = target.node.interfaces.iter();
    let missing = ours.filter(|interface| !resolution.links.contains_key(&interface.name));
    missing
        .map(|interface| {
            let message = format!(
                "there is no interface {} now: nothing is balanced there",
                interface.name
            );
            finding(Code::NoInterface, Severity::Warn, message).fix("ip link")
        })
        .collect()
}

/// Told one by one as far as people read.
fn missing_next_hops(target: &Config, resolution: &Resolution) -> Vec<Finding> {
    let backends = target.pools.iter().flat_map(|pool| {
        pool.backends.iter().map(|backend| BackendId {
            pool: pool.name.clone(),
            backend: backend.name.clone(),
        })
    });
    let missing: Vec<_> = backends
        .filter_map(|id| Some((resolution.problems.get(&id)?, id)))
        .collect();
    let told = missing.iter().take(MAX_TOLD).map(|(problem, id)| {
        let message = format!(
            "backend {}/{} has no next hop now ({problem}): without one it gets no traffic",
            id.pool, id.backend
        );
        finding(Code::NoNextHop, Severity::Warn, message).about(ObjectName::Backend {
            pool: id.pool.clone(),
            backend: id.backend.clone(),
        })
    });
    let more = missing.len().saturating_sub(MAX_TOLD);
    let counted = (more > 0).then(|| {
        let message = format!("and {more} more backends that have no next hop now");
        finding(Code::NoNextHop, Severity::Warn, message)
    });
    told.chain(counted).collect()
}
