//! What goes, and what breaks.

use std::collections::BTreeMap;

use super::{Code, Finding, ObjectName, Severity, Weighed, finding, locked};
use crate::{
    config::{Backend, Seconds, Vip},
    plan::{
        Change, Tier,
        blast::{Ground, Why},
    },
};

/// VIPs that an operator takes out of service. Traffic is no reason against it, as
/// it is against removing them: it is what is left to do against a flood, and it is
/// undone in a moment. What it ends is weighed with all that breaks.
pub fn vips_in_maint(weighed: Weighed<'_>) -> Vec<Finding> {
    let going: Vec<&Vip> = weighed.in_force.iter().filter_map(into_maint).collect();
    let alone = Tier::Remove.needs(&weighed.protection().approvals) == 0;
    let protected = going.iter().filter(|vip| alone && vip.protected);
    let mut findings: Vec<Finding> = protected
        .map(|vip| {
            finding(
                Code::Protected,
                Severity::Refuse,
                format!("vip {} is protected, and goes to maint", vip.name),
            )
            .about(vip_name(vip))
            .fix("lift `protected` by a plan of its own first; where approvals are asked for, others open it")
        })
        .collect();
    let serves = |vips: &[Vip]| vips.iter().any(|vip| vip.state.is_ready());
    let (before, after) = (&weighed.running.config().vips, &weighed.target.in_force().vips);
    // Without any VIP at all it is for `everything`.
    if !going.is_empty() && serves(before) && !serves(after) && !after.is_empty() {
        let message = "no VIP is in service any more".to_owned();
        findings.push(locked(weighed, Code::VipGoes, Tier::Remove, message));
    }
    findings
}

/// Of changes in force: what an override does is among them.
const fn into_maint(change: &Change) -> Option<&Vip> {
    if let Change::ChangeVip { from, to } = change
        && from.state.is_ready()
        && !to.state.is_ready()
    {
        return Some(from);
    }
    None
}

/// However quiet a host is, to serve nothing any more is a lock of its own; and
/// it is not quiet while a VIP has packets, whatever `liveVipWindow` says.
pub fn everything(weighed: Weighed<'_>) -> Vec<Finding> {
    let vips = &weighed.running.config().vips;
    if vips.is_empty() || !weighed.target.config.vips.is_empty() {
        return Vec::new();
    }
    let window = weighed.protection().live_vip_window;
    let message = format!("everything goes: {} VIPs are serving", vips.len());
    let mut findings = vec![locked(weighed, Code::VipGoes, Tier::Remove, message)];
    findings.extend(vips.iter().filter_map(|vip| {
        let reading = weighed.live.vip(&vip.name);
        // What the window calls live is told of each VIP that goes.
        (reading.pps > 0 && !reading.is_live(window)).then(|| {
            let message = format!(
                "vip {} has {} packets a second, and everything goes",
                vip.name, reading.pps
            );
            live(vip, message, Seconds(0), window)
        })
    }));
    findings
}

fn live(vip: &Vip, message: String, quiet: Seconds, window: Seconds) -> Finding {
    finding(Code::LiveVip, Severity::Refuse, message)
        .about(vip_name(vip))
        .measured(&format!("{quiet} quiet"), &format!("{window} quiet (liveVipWindow)"))
        .fix("lead its traffic away first (withdraw the route, change the DNS record), and wait")
}

pub fn vip_name(vip: &Vip) -> ObjectName {
    ObjectName::Vip(vip.name.clone())
}

/// VIPs that go, or leave where they are.
pub fn vips(weighed: Weighed<'_>) -> Vec<Finding> {
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
        | Change::Override { .. }
        | Change::OverrideVip { .. } => None,
    });
    let broken = weighed.blast.breaks.iter();
    let broken: BTreeMap<&str, Why> = broken.map(|broken| (broken.what.as_str(), broken.why)).collect();
    let mut findings = Vec::new();
    for (vip, what) in leaving {
        let object = vip_name(vip);
        if vip.protected {
            let message = format!("vip {} is protected, and {what}", vip.name);
            let fix = "lift `protected` by a plan of its own first; it is read from the running generation";
            findings.push(
                finding(Code::Protected, Severity::Refuse, message)
                    .about(object.clone())
                    .fix(fix),
            );
        }
        let Some(why) = broken.get(object.to_string().as_str()) else {
            continue;
        };
        let reading = weighed.live.vip(&vip.name);
        if *why == Why::Leaves && reading.is_live(window) {
            let quiet = reading.quiet.unwrap_or(Seconds(0));
            let message = format!(
                "vip {} {what}, and carried packets {quiet} ago ({} a second now)",
                vip.name, reading.pps
            );
            findings.push(live(vip, message, quiet, window));
        } else {
            let message = format!("vip {} {what}: {} packets a second end", vip.name, reading.pps);
            findings.push(locked(weighed, Code::VipGoes, Tier::Remove, message).about(object));
        }
    }
    findings
}

/// Backends that go, or become other hosts, while they have connections.
pub fn not_drained(weighed: Weighed<'_>, ground: &Ground<'_>) -> Vec<Finding> {
    if !weighed.protection().require_drain {
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
        | Change::Override { .. }
        | Change::OverrideVip { .. } => None,
    });
    going
        .filter_map(|(pool, backend, what)| is_not_drained(weighed, ground, pool, backend, what))
        .collect()
}

fn is_not_drained(
    weighed: Weighed<'_>,
    ground: &Ground<'_>,
    pool: &str,
    backend: &Backend,
    what: &str,
) -> Option<Finding> {
    let reading = ground.reading(pool, &backend.name);
    // A window of 0s lets VIPs go, not backends with connections.
    let is_live = reading.pps > 0 || reading.is_live(weighed.protection().live_vip_window);
    if !is_live || ground.connections(pool, &backend.name).is_empty() {
        return None;
    }
    let message = format!(
        "backend {pool}/{} {what} and is not drained: {} packets a second now",
        backend.name, reading.pps
    );
    let object = ObjectName::Backend {
        pool: pool.to_owned(),
        backend: backend.name.clone(),
    };
    let fix = format!("holdfast backend drain {pool}/{} --wait", backend.name);
    Some(
        finding(Code::NotDrained, Severity::Refuse, message)
            .about(object)
            .fix(&fix),
    )
}

/// Connections that end for another reason than a VIP that goes.
pub fn breaks(weighed: Weighed<'_>) -> Vec<Finding> {
    let others = weighed.blast.breaks.iter().filter_map(|broken| {
        let why = match broken.why {
            Why::Leaves | Why::Repointed => return None,
            Why::Hashed => "is hashed in another way",
            Why::Readdressed => "becomes another host",
            Why::Ended => "ends its connections at once",
            Why::Hurried => "ends connections before they had the time to end by themselves",
            Why::Rerouted => "gets its packets by another next hop",
            Why::Unreachable => "is ours no more, and next hops lead through it",
            Why::Unserved => "loses the backends that serve instead of its own",
            Why::Encapsulated => "gets its packets in another way",
            Why::Source => "sends outer packets from other addresses",
            Why::Detached => "has no program, for a moment at least, and packets come in there",
            Why::Unwatched => "has no program, for a moment at least, and was not watched for a minute yet",
            Why::Undriven => {
                "has no program, for a moment at least, and some drivers need one to send what came in elsewhere"
            }
        };
        Some((broken, why))
    });
    others
        .map(|(broken, why)| {
            let most = if broken.why == Why::Detached { "up to " } else { "" };
            let message = format!("{} {why}: {most}{} packets a second end", broken.what, broken.pps);
            locked(weighed, Code::Breaks, Tier::Remove, message)
        })
        .collect()
}
