//! Changes of the rules: who may do what, who approves, and what takes more than
//! one's own word.

use super::{Line, Section, Sign, change, line};
use crate::{
    approval::{Signer, Signers},
    config::{Access, Protection, Subject},
};

fn rules_line(sign: Sign, what: String) -> Line {
    line(Section::Node, sign, "rules".to_owned(), what)
}

/// A line for each key that differs.
pub fn protection_lines(from: &Protection, to: &Protection) -> Vec<Line> {
    let mut fields = Vec::new();
    change(
        &mut fields,
        "maxTrafficAffected ",
        &from.max_traffic_affected,
        &to.max_traffic_affected,
    );
    change(&mut fields, "window ", &from.window, &to.window);
    let removals = |protection: &Protection| {
        let of = protection.max_backends_removed;
        format!("{} or {}", of.count, of.percent)
    };
    change(&mut fields, "maxBackendsRemoved ", &removals(from), &removals(to));
    change(
        &mut fields,
        "minCapacityLeft ",
        &from.min_capacity_left,
        &to.min_capacity_left,
    );
    change(&mut fields, "requireDrain ", &from.require_drain, &to.require_drain);
    change(
        &mut fields,
        "liveVipWindow ",
        &from.live_vip_window,
        &to.live_vip_window,
    );
    let (before, after) = (&from.approvals, &to.approvals);
    change(&mut fields, "approvals.remove ", &before.remove, &after.remove);
    change(&mut fields, "approvals.drain ", &before.drain, &after.drain);
    change(&mut fields, "approvals.ttl ", &before.ttl, &after.ttl);
    let path = |protection: &Protection| {
        let path = protection.approvals.approvers.as_ref();
        path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
    };
    change(&mut fields, "approvals.approvers ", &path(from), &path(to));
    change(
        &mut fields,
        "confirm.default ",
        &from.confirm.default,
        &to.confirm.default,
    );
    change(
        &mut fields,
        "confirm.requiredAbove ",
        &from.confirm.required_above,
        &to.confirm.required_above,
    );
    fields.into_iter().map(|what| rules_line(Sign::Changed, what)).collect()
}

/// A line for each key that comes, goes or is somebody else's.
pub fn signers_lines(from: &Signers, to: &Signers) -> Vec<Line> {
    let diff = from.diff(to);
    let said = |signer: &Signer| format!("approver {} {}", signer.names(), signer.fingerprint);
    let added = diff.added.iter().map(|signer| rules_line(Sign::Added, said(signer)));
    let removed = diff
        .removed
        .iter()
        .map(|signer| rules_line(Sign::Removed, said(signer)));
    let changed = diff.changed.iter().map(|(from, to)| {
        let what = if from.principals == to.principals {
            format!("{}, described in another way", said(to))
        } else {
            format!("approver {} → {} {}", from.names(), to.names(), to.fingerprint)
        };
        rules_line(Sign::Changed, what)
    });
    added.chain(removed).chain(changed).collect()
}

/// A line for each role that others have now.
pub fn access_lines(from: Option<&Access>, to: Option<&Access>) -> Vec<Line> {
    let mut fields = Vec::new();
    if from.is_none() || to.is_none() {
        let said = |access: Option<&Access>| {
            if access.is_some() {
                "given"
            } else {
                "root changes, others look"
            }
        };
        change(&mut fields, "access ", &said(from), &said(to));
    }
    let (from, to) = (from.cloned().unwrap_or_default(), to.cloned().unwrap_or_default());
    for (role, before, after) in [
        ("viewer ", &from.viewer, &to.viewer),
        ("operator ", &from.operator, &to.operator),
        ("approver ", &from.approver, &to.approver),
        ("admin ", &from.admin, &to.admin),
    ] {
        change(&mut fields, role, &subjects(before), &subjects(after));
    }
    fields.into_iter().map(|what| rules_line(Sign::Changed, what)).collect()
}

fn subjects(subjects: &[Subject]) -> String {
    if subjects.is_empty() {
        return "nobody".to_owned();
    }
    subjects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
