//! What changes do to connections.
//!
//! In this release a slot that changes its owner breaks the connections that
//! hash to it: the new owner does not know them. How many slots move is told by
//! the plan's effects; here is told what else happens, object by object.

use std::collections::HashMap;

use super::{Code, Finding, ObjectName, Severity, attached, finding, owns_slots};
use crate::{
    config::{Backend, Node, Pool, Vip},
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

/// VIPs by their [`endpoint`].
struct Heirs<'a>(HashMap<String, &'a Vip>);

impl<'a> Heirs<'a> {
    fn of(content: &'a Content) -> Self {
        Self(content.config.vips.iter().map(|vip| (endpoint(vip), vip)).collect())
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
        Change::ChangePool { from, to } => table_kind(from, to).into_iter().collect(),
        Change::RemoveBackend { pool, backend } => vec![backend_removed(users, pool, backend)],
        Change::ChangeBackend { pool, from, to } => backend_changed(users, pool, from, to),
        Change::ChangeNode { from, to } => node_changed(running, from, to),
        Change::Detach { interface } => detached(running, target, interface).into_iter().collect(),
        Change::AddVip { .. } | Change::AddPool { .. } | Change::AddBackend { .. } | Change::Attach { .. } => {
            Vec::new()
        }
    }
}

fn vip_removed(heirs: &Heirs<'_>, vip: &Vip) -> Finding {
    let object = ObjectName::Vip(vip.name.clone());
    endpoint_left(heirs, vip, Code::Removed).about(object)
}

fn vip_changed(heirs: &Heirs<'_>, from: &Vip, to: &Vip) -> Vec<Finding> {
    let object = ObjectName::Vip(to.name.clone());
    if endpoint(from) != endpoint(to) {
        return vec![endpoint_left(heirs, from, Code::Endpoint).about(object)];
    }
    let repointed = (from.pool != to.pool).then(|| {
        let message = format!(
            "vip {} goes from pool {} to pool {}: every connection to it breaks",
            to.name, from.pool, to.pool
        );
        finding(Code::Repointed, Severity::Warn, message).about(object)
    });
    repointed.into_iter().collect()
}

/// What becomes of an address, port and protocol that `vip` leaves.
fn endpoint_left(heirs: &Heirs<'_>, vip: &Vip, code: Code) -> Finding {
    let left = format!("vip {} leaves {}", vip.name, endpoint(vip));
    match heirs.0.get(&endpoint(vip)) {
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

/// Address, port and protocol, as people write them.
fn endpoint(vip: &Vip) -> String {
    format!("{}:{}/{}", vip.address, vip.port, vip.protocol)
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
            "pool {}'s table is built in another way: connections on the slots that move break",
            to.name
        );
        finding(Code::TableKind, Severity::Warn, message).about(ObjectName::Pool(to.name.clone()))
    })
}

fn backend_removed(users: &Users<'_>, pool: &str, backend: &Backend) -> Finding {
    let message = format!("backend {pool}/{} is removed", backend.name);
    losing(users, pool, backend, Code::Removed, &message)
}

fn backend_changed(users: &Users<'_>, pool: &str, from: &Backend, to: &Backend) -> Vec<Finding> {
    let mut findings = Vec::new();
    if from.address != to.address {
        let message = format!(
            "backend {pool}/{} goes from {} to {}, another host",
            to.name, from.address, to.address
        );
        findings.push(losing(users, pool, from, Code::BackendAddress, &message));
    }
    if owns_slots(from) && !owns_slots(to) {
        let message = format!("backend {pool}/{} is taken out of service", to.name);
        findings.push(losing(users, pool, from, Code::OutOfService, &message));
    }
    findings
}

/// A backend's connections end, if it has any.
fn losing(users: &Users<'_>, pool: &str, backend: &Backend, code: Code, what: &str) -> Finding {
    let (severity, message) = if !owns_slots(backend) {
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
        (Severity::Warn, format!("{what}: every connection to it breaks"))
    };
    finding(code, severity, message).about(ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.name.clone(),
    })
}

fn node_changed(running: &Content, from: &Node, to: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    if from.hash_key_file != to.hash_key_file {
        let (before, after) = (from.hash_key_file.display(), to.hash_key_file.display());
        let message = format!("the hash key would be read from {after} instead of {before}: every flow would move");
        findings.push(finding(Code::HashKey, Severity::Refuse, message).fix("keep `hashKeyFile:` as it runs"));
    }
    if from.encap_source != to.encap_source {
        let message = format!(
            "outer packets come from {} instead of {}: backends that do not accept it drop every connection",
            to.encap_source.v4, from.encap_source.v4
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
