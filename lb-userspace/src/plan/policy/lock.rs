//! What one's own word is not enough for, and what nobody's is.
//!
//! Judged by the *running* generation's protection and by measured effects, so
//! neither the words of a plan nor what it changes about protection help it.
//!
//! A lock ([`Severity::Lock`]) is opened by as many approvals as the running
//! protection asks for; where it asks for none, what is within the budgets needs
//! a trial only, and what is beyond them is refused.

mod taken;

use super::{Code, Finding, ObjectName, Severity, finding};
use crate::{
    config::{Percent, Protection, Seconds, Vip},
    plan::{
        Change, Content, Tier,
        blast::{Blast, Live, Spent, Why},
    },
    revision::{BackendId, Revision},
};

/// What is weighed.
#[derive(Clone, Copy)]
pub struct Weighed<'a> {
    pub running: &'a Revision,
    pub target: &'a Content,
    /// As they are written, and as they are felt.
    pub changes: &'a [Change],
    pub in_force: &'a [Change],
    pub blast: &'a Blast,
    /// By earlier plans of the window.
    pub spent: &'a Spent,
    pub live: &'a dyn Live,
}

impl Weighed<'_> {
    /// The running generation's.
    fn protection(&self) -> &Protection {
        &self.running.config().protection
    }
}

/// Everything that stands against it.
#[must_use]
pub fn weigh(weighed: Weighed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(vips(weighed));
    findings.extend(not_drained(weighed));
    findings.extend(breaks(weighed));
    findings.extend(traffic(weighed));
    findings.extend(removals(weighed));
    findings.extend(floor(weighed));
    findings.extend(rules(weighed));
    findings.extend(taken::taken(weighed));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// It must be confirmed, or it is taken back: for so long it is on trial.
#[must_use]
pub fn trial(protection: &Protection, blast: &Blast, findings: &[Finding]) -> Option<Seconds> {
    let locked = findings.iter().any(|finding| finding.tier.is_some_and(Tier::is_tried));
    let broken = blast.broken_per_mille() > per_mille(protection.confirm.required_above);
    (protection.confirm.default.0 > 0 && (locked || broken)).then_some(protection.confirm.default)
}

const fn per_mille(percent: Percent) -> u32 {
    percent.get() as u32 * 10
}

/// VIPs that go, or leave where they are.
fn vips(weighed: Weighed<'_>) -> Vec<Finding> {
    let window = weighed.protection().live_vip_window;
    let leaving = weighed.changes.iter().filter_map(|change| match change {
        Change::RemoveVip { vip } => Some((vip, "is removed")),
        Change::ChangeVip { from, to } if from.endpoint() != to.endpoint() => Some((from, "leaves its endpoint")),
        Change::ChangeVip { from, to } if from.pool != to.pool => Some((from, "goes to another pool")),
        Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::RemovePool { .. }
        | Change::AddBackend { .. }
        | Change::ChangeBackend { .. }
        | Change::RemoveBackend { .. }
        | Change::ChangeNode { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Detach { .. }
        | Change::Attach { .. }
        | Change::Override { .. } => None,
    });
    let mut findings = Vec::new();
    for (vip, what) in leaving {
        let object = ObjectName::Vip(vip.name.clone());
        if vip.protected {
            let message = format!("vip {} is protected, and {what}", vip.name);
            let fix = "lift `protected` by a plan of its own first; it is read from the running generation";
            findings.push(
                finding(Code::Protected, Severity::Refuse, message)
                    .about(object.clone())
                    .fix(fix),
            );
        }
        if !weighed.blast.vips_broken.contains(&vip.name) {
            continue;
        }
        let reading = weighed.live.vip(&vip.name);
        let leaves = weighed
            .blast
            .breaks
            .iter()
            .any(|broken| broken.why == Why::Leaves && broken.what == object.to_string());
        if leaves && reading.is_live(window) {
            let quiet = reading.quiet.unwrap_or(Seconds(0));
            let message = format!(
                "vip {} {what}, and carried packets {quiet} ago ({} a second now)",
                vip.name, reading.pps
            );
            findings.push(
                finding(Code::LiveVip, Severity::Refuse, message)
                    .about(object)
                    .measured(&format!("{quiet} quiet"), &format!("{window} quiet (liveVipWindow)"))
                    .fix("lead its traffic away first (withdraw the route, change the DNS record), and wait"),
            );
        } else {
            let message = format!("vip {} {what}: {} packets a second end", vip.name, reading.pps);
            findings.push(locked(weighed, Code::VipGoes, Tier::Remove, message).about(object));
        }
    }
    findings
}

/// Backends that go, or become other hosts, while they have connections.
fn not_drained(weighed: Weighed<'_>) -> Vec<Finding> {
    let protection = weighed.protection();
    if !protection.require_drain {
        return Vec::new();
    }
    let going = weighed.in_force.iter().filter_map(|change| match change {
        Change::RemoveBackend { pool, backend } => Some((pool, backend, "is removed")),
        Change::ChangeBackend { pool, from, to } if from.address != to.address => {
            Some((pool, from, "becomes another host"))
        }
        Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::RemoveVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::RemovePool { .. }
        | Change::AddBackend { .. }
        | Change::ChangeBackend { .. }
        | Change::ChangeNode { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Detach { .. }
        | Change::Attach { .. }
        | Change::Override { .. } => None,
    });
    going
        .filter_map(|(pool, backend, what)| {
            let id = BackendId {
                pool: pool.clone(),
                backend: backend.name.clone(),
            };
            let reading = weighed.live.backend(&id);
            if !reading.is_live(protection.live_vip_window) || is_drained(weighed.running, &id) {
                return None;
            }
            let message = format!(
                "backend {pool}/{} {what} and is not drained: {} packets a second now",
                backend.name, reading.pps
            );
            let fix = format!("holdfast backend drain {pool}/{} --wait", backend.name);
            Some(
                finding(Code::NotDrained, Severity::Refuse, message)
                    .about(ObjectName::Backend {
                        pool: pool.clone(),
                        backend: backend.name.clone(),
                    })
                    .fix(&fix),
            )
        })
        .collect()
}

/// It owns no slot, and no flow can be its own; or its checks have it out of
/// service, which nobody can be asked to wait for.
fn is_drained(running: &Revision, id: &BackendId) -> bool {
    let Some((state, tables)) = running.pool(&id.pool) else {
        return true;
    };
    let Some(member) = state.members.get(&id.backend) else {
        return true;
    };
    let owns = tables
        .current
        .counts()
        .get(&member.index)
        .is_some_and(|slots| *slots > 0);
    member.health.share.is_zero() || (!owns && !tables.dirty.earlier().contains(&member.index))
}

/// Connections that end for another reason than a VIP that goes.
fn breaks(weighed: Weighed<'_>) -> Vec<Finding> {
    let others = weighed.blast.breaks.iter().filter(|broken| match broken.why {
        Why::Leaves | Why::Repointed => false,
        Why::Hashed | Why::Readdressed | Why::Ended | Why::Encapsulated | Why::Source | Why::Detached => true,
    });
    others
        .map(|broken| {
            let why = match broken.why {
                Why::Leaves => "goes",
                Why::Repointed => "goes to another pool",
                Why::Hashed => "is hashed in another way",
                Why::Readdressed => "becomes another host",
                Why::Ended => "ends its connections at once",
                Why::Encapsulated => "gets its packets in another way",
                Why::Source => "sends outer packets from other addresses",
                Why::Detached => "has no program, for a moment at least",
            };
            let message = format!("{} {why}: {} packets a second end", broken.what, broken.pps);
            locked(weighed, Code::Breaks, Tier::Remove, message)
        })
        .collect()
}

/// The share of packets, over the window.
fn traffic(weighed: Weighed<'_>) -> Option<Finding> {
    let limit = weighed.protection().max_traffic_affected;
    let (now, earlier) = (weighed.blast.broken_per_mille(), weighed.spent.broken);
    let share = now.saturating_add(earlier);
    if now == 0 || share <= per_mille(limit) {
        return None;
    }
    let window = weighed.protection().window;
    let message = format!(
        "{} of the packets now end ({} of {} a second){}",
        tenths(now),
        weighed.blast.broken,
        weighed.blast.packets,
        if earlier == 0 {
            String::new()
        } else {
            format!(", after {} within {window}", tenths(earlier))
        }
    );
    let finding = beyond(weighed, Code::TrafficBudget, message).measured(&tenths(share), &limit.to_string());
    Some(finding)
}

/// `3.1 %`
fn tenths(per_mille: u32) -> String {
    match per_mille % 10 {
        0 => format!("{} %", per_mille / 10),
        tenth => format!("{}.{tenth} %", per_mille / 10),
    }
}

/// Backends taken out, in each pool and in all of them, over the window. Those of
/// pools that no VIP uses any more are told of with their VIPs.
fn removals(weighed: Weighed<'_>) -> Vec<Finding> {
    let limit = weighed.protection().max_backends_removed;
    let window = weighed.protection().window;
    let of_pool = |name: &str, object: &ObjectName| match object {
        ObjectName::Backend { pool, .. } => pool == name,
        ObjectName::Vip(_) | ObjectName::Pool(_) => false,
    };
    let judge = |whose: &str, now: usize, earlier: usize, serving: usize| {
        let (out, all) = ((now + earlier) as u64, (serving + earlier) as u64);
        let exceeded = out > u64::from(limit.count) && out * 100 > all * u64::from(limit.percent.get());
        (now > 0 && exceeded).then(|| {
            let message = format!("{out} of {all} backends of {whose} would be taken out within {window}");
            beyond(weighed, Code::RemovalBudget, message).measured(
                &format!("{out} backends, {} %", out * 100 / all.max(1)),
                &format!("{} backends or {}", limit.count, limit.percent),
            )
        })
    };
    let (blast, spent) = (weighed.blast, weighed.spent);
    let target = weighed.target.in_force();
    let out: Vec<&ObjectName> = blast
        .taken_out
        .keys()
        .filter(|object| target.vips.iter().any(|vip| of_pool(&vip.pool, object)))
        .collect();
    let mut pools: Vec<&str> = out
        .iter()
        .filter_map(|object| match object {
            ObjectName::Backend { pool, .. } => Some(pool.as_str()),
            ObjectName::Vip(_) | ObjectName::Pool(_) => None,
        })
        .collect();
    pools.dedup();
    let mut findings: Vec<Finding> = pools
        .iter()
        .filter_map(|pool| {
            let now = out.iter().filter(|object| of_pool(pool, object)).count();
            let earlier = spent.out.keys().filter(|object| of_pool(pool, object)).count();
            let serving = super::super::blast::serving_in(weighed.running, pool);
            judge(&format!("pool {pool}"), now, earlier, serving)
        })
        .collect();
    if findings.is_empty() {
        findings.extend(judge("all pools", out.len(), spent.out.len(), blast.backends as usize));
    }
    findings
}

/// Capacity that must be left, always.
fn floor(weighed: Weighed<'_>) -> Vec<Finding> {
    let limit = weighed.protection().min_capacity_left;
    let target = weighed.target.in_force();
    let served = |pool: &str| target.vips.iter().any(|vip| vip.pool == pool);
    let low = weighed
        .blast
        .capacity_left
        .iter()
        .filter(|(pool, left)| **left < limit && served(pool));
    low.map(|(pool, left)| {
        let message = format!("{left} of the capacity of pool {pool} would be left");
        finding(Code::CapacityFloor, Severity::Refuse, message)
            .about(ObjectName::Pool(pool.clone()))
            .measured(&left.to_string(), &format!("{limit} (minCapacityLeft)"))
            .fix("bring others back into service first: holdfast backend ready POOL/NAME")
    })
    .collect()
}

/// Changes of the rules themselves.
fn rules(weighed: Weighed<'_>) -> Vec<Finding> {
    weighed
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::ChangeProtection { from, to } => weaker(from, to).map(|what| {
                let message = format!("protection is weakened: {}", what.join(", "));
                locked(weighed, Code::Weakened, Tier::Rules, message)
            }),
            Change::ChangeSigners { .. } => {
                let message = "who may approve changes".to_owned();
                Some(locked(weighed, Code::Weakened, Tier::Rules, message))
            }
            Change::ChangeAccess { .. } => {
                let message = "who may do what changes".to_owned();
                Some(locked(weighed, Code::Weakened, Tier::Rules, message))
            }
            Change::ChangeVip { from, to } if from.protected && !to.protected => {
                let message = format!("vip {} is protected no more", from.name);
                Some(locked(weighed, Code::Weakened, Tier::Rules, message).about(vip_name(from)))
            }
            Change::ChangePool { from, to } if from.health.is_some() && checks_differ(from, to) => {
                let message = format!("pool {} is checked in another way", from.name);
                let object = ObjectName::Pool(from.name.clone());
                Some(locked(weighed, Code::CheckPath, Tier::Drain, message).about(object))
            }
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
            | Change::Override { .. } => None,
        })
        .collect()
}

fn vip_name(vip: &Vip) -> ObjectName {
    ObjectName::Vip(vip.name.clone())
}

fn checks_differ(from: &crate::config::Pool, to: &crate::config::Pool) -> bool {
    let check = |pool: &crate::config::Pool| pool.health.as_ref().map(|health| (health.check.clone(), health.via));
    check(from) != check(to)
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

/// Opened by approvals.
fn locked(weighed: Weighed<'_>, code: Code, tier: Tier, message: String) -> Finding {
    let mut finding = finding(code, Severity::Lock, message);
    finding.tier = Some(tier);
    match tier.needs(&weighed.protection().approvals) {
        0 => finding,
        1 => finding.fix("1 approval by somebody else: holdfast approve PLAN"),
        needs => finding.fix(&format!("{needs} approvals by others: holdfast approve PLAN")),
    }
}

/// Beyond a budget: opened by approvals, and shut where nobody can give one.
fn beyond(weighed: Weighed<'_>, code: Code, message: String) -> Finding {
    let opened = locked(weighed, code, Tier::Remove, message);
    if Tier::Remove.needs(&weighed.protection().approvals) > 0 {
        return opened;
    }
    Finding {
        severity: Severity::Refuse,
        tier: None,
        ..opened
    }
    .fix("wait until the window has passed, change less, or raise the limit by a plan of its own; in an emergency: holdfast break-glass")
}

impl Finding {
    fn measured(mut self, value: &str, limit: &str) -> Self {
        self.value = Some(value.to_owned());
        self.limit = Some(limit.to_owned());
        self
    }
}
