//! What is taken away and breaks nothing: capacity, and what nobody uses any more.
//!
//! Told only where others are asked for it: where one's own word is enough, there
//! is nothing to open. It is never a reason for a trial: a drain takes longer than
//! a trial does, and what ends no connection has nothing to show in one.

use super::{Weighed, locked};
use crate::{
    config::ObjectName,
    plan::{Change, Finding, Tier, code::Code},
};

pub(super) fn taken(weighed: Weighed<'_>) -> Vec<Finding> {
    let approvals = &weighed.protection().approvals;
    let mut findings = capacity(weighed);
    findings.extend(weighed.changes.iter().filter_map(removed).map(|object| {
        let message = format!("{object} is removed");
        locked(weighed, Code::TakenAway, Tier::Remove, message).about(object)
    }));
    findings.retain(|finding| finding.tier.is_some_and(|tier| tier.needs(approvals) > 0));
    findings
}

fn capacity(weighed: Weighed<'_>) -> Vec<Finding> {
    let pools = weighed.blast.capacity_left.iter();
    let less = pools.map(|(pool, left)| {
        let message = format!("{left} of the capacity of pool {pool} is left");
        locked(weighed, Code::TakenAway, Tier::Drain, message).about(ObjectName::Pool(pool.clone()))
    });
    less.collect()
}

/// Objects that go; VIPs are told of with what breaks.
fn removed(change: &Change) -> Option<ObjectName> {
    match change {
        Change::RemovePool { pool } => Some(ObjectName::Pool(pool.name.clone())),
        Change::RemoveBackend { pool, backend } => Some(ObjectName::Backend {
            pool: pool.clone(),
            backend: backend.name.clone(),
        }),
        Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::RemoveVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::AddBackend { .. }
        | Change::ChangeBackend { .. }
        | Change::ChangeNode { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Detach { .. }
        | Change::Attach { .. }
        | Change::Override { .. }
        | Change::OverrideVip { .. } => None,
    }
}
