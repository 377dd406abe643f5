//! How much may be broken and taken away, over the window.

use super::{Code, Finding, ObjectName, Severity, Weighed, beyond, finding, per_mille};
use crate::plan::blast::Taken;

/// The share of packets, over the window.
pub fn traffic(weighed: Weighed<'_>) -> Option<Finding> {
    let limit = weighed.protection().max_traffic_affected;
    let (now, earlier) = (weighed.blast.broken_per_mille(), weighed.spent.broken);
    let share = now.saturating_add(earlier);
    // All of it is no limit, however often.
    if now == 0 || limit.get() == 100 || share <= per_mille(limit) {
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
    Some(beyond(weighed, Code::TrafficBudget, message).measured(&tenths(share), &limit.to_string()))
}

/// `3.1 %`
fn tenths(per_mille: u32) -> String {
    match per_mille % 10 {
        0 => format!("{} %", per_mille / 10),
        tenth => format!("{}.{tenth} %", per_mille / 10),
    }
}

/// Backends taken out, in each pool and in all of them, over the window.
pub fn removals(weighed: Weighed<'_>) -> Vec<Finding> {
    let blast = weighed.blast;
    let pools = blast.out_within_window.iter();
    let mut findings: Vec<Finding> = pools
        .filter_map(|(pool, taken)| too_many(weighed, &format!("pool {pool}"), *taken))
        .collect();
    // A plan that takes nothing is not asked what others took.
    if findings.is_empty() && !blast.out_within_window.is_empty() {
        findings.extend(too_many(weighed, "all pools", blast.out_of_all));
    }
    findings
}

fn too_many(weighed: Weighed<'_>, whose: &str, taken: Taken) -> Option<Finding> {
    let limit = weighed.protection().max_backends_removed;
    let window = weighed.protection().window;
    let Taken { out, of } = taken;
    limit.are_exceeded_by(out, of).then(|| {
        let message = format!("{out} of {of} backends of {whose} would be out, of those that served within {window}");
        beyond(weighed, Code::RemovalBudget, message).measured(
            &format!("{out} backends, {} %", u64::from(out) * 100 / u64::from(of.max(1))),
            &format!("{} backends or {}", limit.count, limit.percent),
        )
    })
}

/// Capacity that must be left, always; and never nothing.
pub fn floor(weighed: Weighed<'_>) -> Vec<Finding> {
    let limit = weighed.protection().min_capacity_left;
    let low = weighed.blast.capacity_left.iter().filter(|(_, left)| **left < limit);
    low.map(|(pool, left)| {
        let message = format!("{left} of the capacity of pool {pool} would be left");
        finding(Code::CapacityFloor, Severity::Refuse, message)
            .about(ObjectName::Pool(pool.clone()))
            .measured(&left.to_string(), &format!("{limit} (minCapacityLeft)"))
            .fix("bring others back into service first: holdfast backend ready POOL/NAME")
    })
    .collect()
}
