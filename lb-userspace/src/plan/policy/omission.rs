//! Omission never deletes, and empty is never valid.
//!
//! An object that runs and is missing from the target was either named as
//! removed or lost: by a truncated file, an include that failed, a template
//! whose selector was blank. Nobody can tell which from the file alone.

use std::collections::BTreeSet;

use super::{Code, Finding, ObjectName, Severity, attached, finding, has_owner};
use crate::plan::Content;

/// As many missing objects are told one by one; the others are counted.
pub const MAX_TOLD: usize = 20;

/// Nothing would be served any more; that is asked for by a command of its own.
pub fn empty(running: &Content, target: &Content, wipe: bool) -> Option<Finding> {
    let serving = running.config.vips.len();
    (serving > 0 && target.config.vips.is_empty() && !wipe).then(|| {
        let are = if serving == 1 { "is" } else { "are" };
        let message = format!("the candidate has 0 VIPs; {serving} {are} serving. Nothing was changed.");
        finding(Code::Empty, Severity::Refuse, message)
            .fix("look whether the file is whole; no removal that is named makes this valid (holdfast wipe does)")
    })
}

/// Pools that VIPs of the target need and that would serve nobody, though now
/// they do.
pub fn pools_without_owner(running: &Content, target: &Content) -> Vec<Finding> {
    let emptied = target.in_force().pools.iter().filter(|pool| {
        let emptied = !has_owner(pool) && running.in_force().pool(&pool.name).is_some_and(has_owner);
        emptied && target.config.vips.iter().any(|vip| vip.pool == pool.name)
    });
    emptied
        .map(|pool| {
            let message = format!(
                "pool {} would have no backend with a weight that is ready; its VIPs would drop every packet",
                pool.name
            );
            finding(Code::Empty, Severity::Refuse, message)
                .about(ObjectName::Pool(pool.name.clone()))
                .fix(if target.config.pool(&pool.name).is_some_and(has_owner) {
                    "make another one ready first: holdfast backend ready|reset POOL/NAME"
                } else {
                    "leave one backend ready with a weight of 1 or more, or remove the VIPs"
                })
        })
        .collect()
}

/// The program would be on no interface any more.
pub fn nothing_attached(running: &Content, target: &Content) -> Option<Finding> {
    let serving = running.config.vips.len();
    let goes = attached(running).next().is_some() && attached(target).next().is_none();
    (serving > 0 && goes).then(|| {
        let message = format!("no interface would be left attached; VIPs serving now: {serving}");
        finding(Code::NothingAttached, Severity::Refuse, message).fix("attach another interface first")
    })
}

/// Objects that are missing and not named. A pool speaks for its backends: they
/// are told, and named, only where their pool stays.
pub fn omitted(running: &Content, target: &Content, removed: &BTreeSet<ObjectName>) -> Vec<Finding> {
    let kept: BTreeSet<ObjectName> = target.config.objects().collect();
    let missing: Vec<ObjectName> = running
        .config
        .objects()
        .filter(|object| !kept.contains(object) && !removed.contains(object))
        .filter(|object| match object {
            ObjectName::Backend { pool, .. } => target.config.pool(pool).is_some(),
            ObjectName::Vip(_) | ObjectName::Pool(_) => true,
        })
        .collect();
    let told = missing.iter().take(MAX_TOLD).map(|object| {
        let message = format!("{object} is missing from the candidate and not named as removed");
        finding(Code::Omitted, Severity::Refuse, message)
            .about(object.clone())
            .fix(&format!("add it to `removed:`, or pass --remove {object}"))
    });
    let more = missing.len().saturating_sub(MAX_TOLD);
    let counted = (more > 0).then(|| {
        let message = format!("and {more} more that are missing and not named as removed");
        finding(Code::Omitted, Severity::Refuse, message).fix("look whether the file is whole")
    });
    told.chain(counted).collect()
}

/// Names in `removed` that remove nothing: a slip of the pen, or what is left
/// from a removal that is done.
pub fn removes_nothing(running: Option<&Content>, target: &Content, removed: &BTreeSet<ObjectName>) -> Vec<Finding> {
    let running: BTreeSet<ObjectName> = running
        .into_iter()
        .flat_map(|running| running.config.objects())
        .collect();
    let kept: BTreeSet<ObjectName> = target.config.objects().collect();
    let note = |object: &ObjectName, but: &str| {
        let message = format!("{object} is named as removed, but {but}");
        finding(Code::RemovesNothing, Severity::Note, message).about(object.clone())
    };
    removed
        .iter()
        .filter_map(|object| {
            if kept.contains(object) {
                Some(note(object, "is in the candidate and stays"))
            } else if running.contains(object) {
                None
            } else {
                Some(note(object, "does not run"))
            }
        })
        .collect()
}
