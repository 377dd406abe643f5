//! Changes of the rules themselves, and of what tells who is healthy.

use super::{Code, Finding, ObjectName, Weighed, locked, objects::vip_name};
use crate::{
    config::{Health, Pool, Protection},
    plan::{Change, Tier, blast::Ground},
};

pub fn changes(weighed: Weighed<'_>, ground: &Ground<'_>) -> Vec<Finding> {
    let weakened = |message: String| locked(weighed, Code::Weakened, Tier::Rules, message);
    weighed
        .changes
        .iter()
        .flat_map(|change| match change {
            Change::ChangeProtection { from, to } => weaker(from, to)
                .map(|what| weakened(format!("protection is weakened: {}", what.join(", "))))
                .into_iter()
                .collect(),
            Change::ChangeSigners { .. } => vec![weakened("who may approve changes".to_owned())],
            Change::ChangeAccess { .. } => vec![weakened("who may do what changes".to_owned())],
            Change::ChangeVip { from, to } if from.protected && !to.protected => {
                vec![weakened(format!("vip {} is protected no more", from.name)).about(vip_name(from))]
            }
            Change::ChangeNode { from, to } if from.guard && !to.guard => {
                vec![weakened("the guard in the kernel is taken off (node.guard)".to_owned())]
            }
            Change::ChangePool { from, to } if ground.is_used(&from.name) => pool(weighed, from, to),
            Change::AddVip { .. }
            | Change::ChangeVip { .. }
            | Change::RemoveVip { .. }
            | Change::AddPool { .. }
            | Change::ChangePool { .. }
            | Change::RemovePool { .. }
            | Change::AddBackend { .. }
            | Change::ChangeBackend { .. }
            | Change::RemoveBackend { .. }
            | Change::ChangeNode { .. }
            | Change::Detach { .. }
            | Change::Attach { .. }
            | Change::Override { .. }
            | Change::OverrideVip { .. } => Vec::new(),
        })
        .collect()
}

fn pool(weighed: Weighed<'_>, from: &Pool, to: &Pool) -> Vec<Finding> {
    let object = || ObjectName::Pool(from.name.clone());
    let mut findings = Vec::new();
    let checks = checked_otherwise(from, to);
    if !checks.is_empty() {
        let message = format!("pool {} is checked in another way: {}", from.name, checks.join(", "));
        findings.push(locked(weighed, Code::CheckPath, Tier::Drain, message).about(object()));
    }
    if to.drain.idle < from.drain.idle || to.drain.deadline < from.drain.deadline {
        let message = format!(
            "pool {} ends the connections of backends that leave sooner: when idle for {}, after {} at most",
            from.name, to.drain.idle, to.drain.deadline
        );
        findings.push(locked(weighed, Code::Breaks, Tier::Drain, message).about(object()));
    }
    findings
}

/// What of a pool's checks may take backends out of service that were in it, or
/// leave such in it that should not be.
fn checked_otherwise(from: &Pool, to: &Pool) -> Vec<&'static str> {
    let mut what: Vec<&'static str> = match (&from.health, &to.health) {
        (Some(from), Some(to)) => stricter(from, to),
        (None, Some(_)) | (Some(_), None) => vec!["health"],
        (None, None) => Vec::new(),
    };
    let pool = [
        ("panicThreshold", from.panic_threshold != to.panic_threshold),
        ("fallbackPool", from.fallback_pool != to.fallback_pool),
    ];
    what.extend(pool.into_iter().filter_map(|(key, differs)| differs.then_some(key)));
    what
}

fn stricter(from: &Health, to: &Health) -> Vec<&'static str> {
    let faster = match (&from.velocity, &to.velocity) {
        (Some(from), Some(to)) => to.percent > from.percent || to.count > from.count || to.window < from.window,
        (Some(_), None) => true,
        (None, Some(_) | None) => false,
    };
    // 0: never.
    let suppress = |health: &Health| match health.damping.suppress {
        0 => u32::MAX,
        suppress => suppress,
    };
    let keys = [
        ("what is asked", from.check != to.check),
        ("via", from.via != to.via),
        ("timeout", to.timeout < from.timeout),
        ("fall", to.fall < from.fall),
        ("floor", to.floor < from.floor),
        ("velocity", faster),
        ("damping", suppress(to) < suppress(from)),
    ];
    keys.into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
}

/// In which ways; `None`: in none.
fn weaker(from: &Protection, to: &Protection) -> Option<Vec<&'static str>> {
    let ways = [
        (
            "maxTrafficAffected",
            to.max_traffic_affected > from.max_traffic_affected,
        ),
        ("window", to.window < from.window),
        (
            "maxBackendsRemoved",
            to.max_backends_removed.percent > from.max_backends_removed.percent
                || to.max_backends_removed.count > from.max_backends_removed.count,
        ),
        ("minCapacityLeft", to.min_capacity_left < from.min_capacity_left),
        ("requireDrain", from.require_drain && !to.require_drain),
        ("liveVipWindow", to.live_vip_window < from.live_vip_window),
        ("approvals.remove", to.approvals.remove < from.approvals.remove),
        ("approvals.drain", to.approvals.drain < from.approvals.drain),
        ("approvals.ttl", to.approvals.ttl > from.approvals.ttl),
        // Other people: they may be anybody.
        (
            "approvals.approvers",
            to.approvals.approvers != from.approvals.approvers && from.approvals.approvers.is_some(),
        ),
        (
            "confirm.default",
            to.confirm.default.0 == 0 && from.confirm.default.0 > 0,
        ),
        (
            "confirm.requiredAbove",
            to.confirm.required_above > from.confirm.required_above,
        ),
    ];
    let weaker: Vec<_> = ways.into_iter().filter_map(|(what, is)| is.then_some(what)).collect();
    (!weaker.is_empty()).then_some(weaker)
}
