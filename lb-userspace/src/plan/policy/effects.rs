//! What changes do to connections.
//!
//! A slot that changes its owner remembers the earlier one for its connections,
//! within the pool's `drain`. How many slots move is told by the plan's effects;
//! here is told what else happens, object by object.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{Code, Finding, ObjectName, Severity, attached, finding, owns_slots};
use crate::{
    config::{Backend, BackendState, Node, Pool, Vip},
    plan::{Change, Content},
};

pub fn of_changes(running: &Content, target: &Content, changes: &[Change]) -> Vec<Finding> {
    // A change of everything asks this for every object.
    let users = Users::of(running);
    let heirs = Heirs::of(target);
    changes
        .iter()
        .flat_map(|change| of_change(running, target, &users, &heirs, change))
        .collect()
}

/// Names of the VIPs of each pool.
struct Users<'a>(HashMap<&'a str, Vec<&'a str>>);

impl<'a> Users<'a> {
    fn of(content: &'a Content) -> Self {
        let mut users: HashMap<_, Vec<_>> = HashMap::new();
        for vip in &content.config.vips {
            users.entry(vip.pool.as_str()).or_default().push(vip.name.as_str());
        }
        Self(users)
    }

    fn of_pool(&self, pool: &str) -> &[&'a str] {
        self.0.get(pool).map_or(&[], Vec::as_slice)
    }
}

/// VIPs by their [`Vip::endpoint`].
struct Heirs<'a>(HashMap<String, &'a Vip>);

impl<'a> Heirs<'a> {
    fn of(content: &'a Content) -> Self {
        let vips = content.in_force().vips.iter();
        let serving = vips.filter(|vip| vip.state.is_ready());
        Self(serving.map(|vip| (vip.endpoint(), vip)).collect())
    }
}

fn of_change(
    running: &Content,
    target: &Content,
    users: &Users<'_>,
    heirs: &Heirs<'_>,
    change: &Change,
) -> Vec<Finding> {
    match change {
        Change::RemoveVip { vip } => vec![vip_removed(heirs, vip)],
        Change::ChangeVip { from, to } => vip_changed(heirs, from, to),
        Change::RemovePool { pool } => vec![pool_removed(users, pool)],
        Change::ChangePool { from, to } => {
            let findings = table_kind(from, to).into_iter().chain(encap(from, to));
            findings.chain(check(from, to)).collect()
        }
        Change::RemoveBackend { pool, backend } => vec![backend_removed(users, target, pool, backend)],
        Change::ChangeBackend { pool, from, to } => backend_changed(users, target, pool, from, to),
        Change::ChangeNode { from, to } => node_changed(running, from, to),
        Change::Detach { interface } => detached(running, target, interface).into_iter().collect(),
        // What an override does is among the changes in force.
        Change::AddVip { .. }
        | Change::AddPool { .. }
        | Change::AddBackend { .. }
        | Change::Attach { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Override { .. }
        | Change::OverrideVip { .. } => Vec::new(),
    }
}

fn vip_removed(heirs: &Heirs<'_>, vip: &Vip) -> Finding {
    let object = ObjectName::Vip(vip.name.clone());
    endpoint_left(heirs, vip, Code::Removed).about(object)
}

fn vip_changed(heirs: &Heirs<'_>, from: &Vip, to: &Vip) -> Vec<Finding> {
    let object = ObjectName::Vip(to.name.clone());
    if from.endpoint() != to.endpoint() {
        return vec![endpoint_left(heirs, from, Code::Endpoint).about(object)];
    }
    let changed = if from.pool != to.pool {
        let message = format!(
            "vip {} goes from pool {} to pool {}: every connection to it breaks",
            to.name, from.pool, to.pool
        );
        Some((Code::Repointed, message))
    } else if from.state.is_ready() && !to.state.is_ready() {
        let message = format!(
            "vip {} is taken out of service: every connection to it breaks, its packets are dropped",
            to.name
        );
        Some((Code::OutOfService, message))
    } else if (from.affinity, from.hash) != (to.affinity, to.hash) {
        let message = format!(
            "vip {} goes from affinity {}, hash {} to affinity {}, hash {}: its flows hash to other slots, \
             and nearly all connections to it break",
            to.name, from.affinity, from.hash, to.affinity, to.hash
        );
        Some((Code::FlowHash, message))
    } else {
        None
    };
    let findings = changed.map(|(code, message)| finding(code, Severity::Warn, message).about(object));
    findings.into_iter().collect()
}

/// What becomes of an address, port and protocol that `vip` leaves.
fn endpoint_left(heirs: &Heirs<'_>, vip: &Vip, code: Code) -> Finding {
    let left = format!("vip {} leaves {}", vip.name, vip.endpoint());
    match heirs.0.get(&vip.endpoint()) {
        Some(heir) if heir.pool == vip.pool => {
            let message = format!("{left} to vip {} of the same pool: no connection breaks", heir.name);
            finding(code, Severity::Note, message)
        }
        Some(heir) => {
            let message = format!(
                "{left} to vip {}, which has pool {} instead of {}: every connection to it breaks",
                heir.name, heir.pool, vip.pool
            );
            finding(code, Severity::Warn, message)
        }
        None => {
            let message = format!(
                "{left}: every connection to it breaks, its packets pass to this host's network stack like those of no VIP"
            );
            finding(code, Severity::Warn, message)
        }
    }
}

/// A pool goes only when no VIP of the target needs it, so what breaks is told
/// with the VIPs that used it.
fn pool_removed(users: &Users<'_>, pool: &Pool) -> Finding {
    let used = users.of_pool(&pool.name);
    let (severity, message) = if used.is_empty() {
        let message = format!("pool {} is removed; no VIP used it", pool.name);
        (Severity::Note, message)
    } else {
        let message = format!("pool {} is removed; it served vip {}", pool.name, used.join(", "));
        (Severity::Warn, message)
    };
    finding(Code::Removed, severity, message).about(ObjectName::Pool(pool.name.clone()))
}

fn table_kind(from: &Pool, to: &Pool) -> Option<Finding> {
    (from.table != to.table).then(|| {
        let message = format!(
            "pool {}'s table is built in another way: more slots move than weights ask for; {}",
            to.name,
            kept(to)
        );
        finding(Code::TableKind, Severity::Warn, message).about(ObjectName::Pool(to.name.clone()))
    })
}

fn encap(from: &Pool, to: &Pool) -> Option<Finding> {
    (from.encap != to.encap).then(|| {
        let message = format!(
            "pool {}'s packets travel by {} instead of {}: backends that do not take it drop every connection",
            to.name, to.encap, from.encap
        );
        finding(Code::Encap, Severity::Warn, message)
            .about(ObjectName::Pool(to.name.clone()))
            .fix("let every backend of the pool take both first")
    })
}

fn check(from: &Pool, to: &Pool) -> Option<Finding> {
    let (before, after) = (from.health.as_ref()?, to.health.as_ref());
    let message = match after {
        Some(after) if (&after.check, after.via) == (&before.check, before.via) => return None,
        Some(_) => format!(
            "pool {} is checked in another way: all of its backends, those that are down, too, serve until their first check",
            to.name
        ),
        None => format!(
            "pool {} is checked no more: backends that are down serve again",
            to.name
        ),
    };
    Some(finding(Code::Check, Severity::Warn, message).about(ObjectName::Pool(to.name.clone())))
}

/// What becomes of connections on slots that change their owner.
fn kept(pool: &Pool) -> String {
    format!(
        "connections stay where they are until idle for {}, for {} at most",
        pool.drain.idle, pool.drain.deadline
    )
}

fn backend_removed(users: &Users<'_>, target: &Content, pool: &str, backend: &Backend) -> Finding {
    let message = format!("backend {pool}/{} is removed", backend.name);
    losing(
        users,
        pool,
        backend,
        Code::Removed,
        &message,
        &drained(target, pool, &backend.name),
    )
}

fn backend_changed(users: &Users<'_>, target: &Content, pool: &str, from: &Backend, to: &Backend) -> Vec<Finding> {
    const BREAK: &str = "every connection to it breaks";
    let mut findings = Vec::new();
    if from.address != to.address {
        let message = format!(
            "backend {pool}/{} goes from {} to {}, another host",
            to.name, from.address, to.address
        );
        findings.push(losing(users, pool, from, Code::BackendAddress, &message, BREAK));
    }
    if owns_slots(from) && !owns_slots(to) {
        let message = format!("backend {pool}/{} is taken out of service", to.name);
        let fate = match to.state {
            BackendState::Ready | BackendState::Drain => drained(target, pool, &to.name),
            BackendState::Maint => BREAK.to_owned(),
        };
        findings.push(losing(users, pool, from, Code::OutOfService, &message, &fate));
    }
    if from.state == BackendState::Drain && to.state == BackendState::Maint {
        let message = format!(
            "backend {pool}/{} goes from drain to maint: connections it still has break",
            to.name
        );
        findings.push(finding(Code::OutOfService, Severity::Warn, message).about(backend_name(pool, from)));
    }
    findings
}

/// What becomes of the connections of a backend that goes in good order.
fn drained(target: &Content, pool: &str, backend: &str) -> String {
    let kept = target.config.pool(pool).map_or_else(String::new, kept);
    let until = target.overrides.backend(pool, backend).and_then(|of| of.until);
    let until = until.map_or_else(String::new, |until| format!(", and not beyond {until}"));
    format!("it gets no new connections; {kept}{until}")
}

/// A backend's connections end, if it has any.
fn losing(users: &Users<'_>, pool: &str, backend: &Backend, code: Code, what: &str, fate: &str) -> Finding {
    // One that drains owns no slot, and still has connections.
    let other_host = code == Code::BackendAddress && backend.state == BackendState::Drain;
    let (severity, message) = if !owns_slots(backend) && !other_host {
        (
            Severity::Note,
            format!("{what}; it owned no slot: no connection breaks"),
        )
    } else if users.of_pool(pool).is_empty() {
        (
            Severity::Note,
            format!("{what}; no VIP uses the pool: no connection breaks"),
        )
    } else {
        (Severity::Warn, format!("{what}: {fate}"))
    };
    finding(code, severity, message).about(backend_name(pool, backend))
}

fn backend_name(pool: &str, backend: &Backend) -> ObjectName {
    ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.name.clone(),
    }
}

fn node_changed(running: &Content, from: &Node, to: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    if from.hash_key_file != to.hash_key_file {
        let (before, after) = (from.hash_key_file.display(), to.hash_key_file.display());
        let message = format!("the hash key would be read from {after} instead of {before}: every flow would move");
        findings.push(finding(Code::HashKey, Severity::Refuse, message).fix("keep `hashKeyFile:` as it runs"));
    }
    let (before, after) = (&from.encap_source, &to.encap_source);
    let v4 = before.v4.map(IpNet::V4).zip(after.v4.map(IpNet::V4));
    let v6 = before.v6.map(IpNet::V6).zip(after.v6.map(IpNet::V6));
    for (before, after) in v4.into_iter().chain(v6).filter(|(before, after)| before != after) {
        let message = format!(
            "outer packets come from {after} instead of {before}: backends that do not accept it drop every connection"
        );
        let finding = finding(Code::EncapSource, Severity::Warn, message);
        findings.push(finding.fix("let every backend's agent accept the new prefix first"));
    }
    for name in attached(running) {
        let before = from.interfaces.iter().find(|interface| interface.name == name);
        let after = to.interfaces.iter().find(|interface| interface.name == name);
        match (before, after) {
            (Some(_), None) => findings.push(taken_off(name)),
            (Some(before), Some(after)) if before.mode != after.mode => {
                let message = format!(
                    "interface {name} changes its XDP mode: the program is taken off and put on again, \
                     meanwhile packets for VIPs pass to this host's network stack"
                );
                findings.push(finding(Code::Interface, Severity::Warn, message));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
    }
    findings
}

/// An interface that goes from the configuration at the same time is told there.
fn detached(running: &Content, target: &Content, interface: &str) -> Option<Finding> {
    let was_attached = attached(running).any(|name| name == interface);
    let stays = target
        .config
        .node
        .interfaces
        .iter()
        .any(|other| other.name == interface);
    (was_attached && stays).then(|| taken_off(interface))
}

fn taken_off(interface: &str) -> Finding {
    let message = format!(
        "interface {interface} is detached: packets for VIPs that come in there pass to this host's network stack"
    );
    finding(Code::Interface, Severity::Warn, message)
}
