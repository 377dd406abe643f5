//! Rules about `protection`.

use serde_saphyr::Spanned;

use super::Judge;
use crate::config::{
    Percent, Seconds,
    file::{FileApprovals, FileConfirm, FileProtection, FileRemovals, Number, Text},
    limits::{MAX_APPROVALS, MAX_BACKENDS, MAX_PROTECTION_WINDOW, MAX_TRIAL, MIN_PROTECTION_WINDOW},
    place::Place,
    problem::Problem,
    protection::{Approvals, Confirm, Protection, Removals},
};

/// What is wrong was reported; the default stands in for it.
pub fn protection(judge: &mut Judge, file: Option<&FileProtection>) -> Protection {
    let default = Protection::default();
    let Some(file) = file else { return default };
    let window = (MIN_PROTECTION_WINDOW, MAX_PROTECTION_WINDOW);
    Protection {
        max_traffic_affected: share(judge, file.max_traffic_affected.as_ref(), default.max_traffic_affected),
        window: time(judge, "protection.window", file.window.as_ref(), window, default.window),
        max_backends_removed: removals(judge, file.max_backends_removed.as_ref()),
        min_capacity_left: share(judge, file.min_capacity_left.as_ref(), default.min_capacity_left),
        require_drain: file.require_drain.unwrap_or(default.require_drain),
        live_vip_window: time(
            judge,
            "protection.liveVipWindow",
            file.live_vip_window.as_ref(),
            (Seconds(0), MAX_TRIAL),
            default.live_vip_window,
        ),
        approvals: file
            .approvals
            .as_ref()
            .map_or_else(Approvals::default, |file| approvals(judge, file)),
        confirm: confirm(judge, file.confirm.as_ref()),
    }
}

fn removals(judge: &mut Judge, file: Option<&FileRemovals>) -> Removals {
    let default = Removals::default();
    let Some(file) = file else { return default };
    let limit = MAX_BACKENDS as u32;
    Removals {
        percent: share(judge, file.percent.as_ref(), default.percent),
        count: number(
            judge,
            "maxBackendsRemoved.count",
            file.count.as_ref(),
            limit,
            default.count,
        ),
    }
}

fn approvals(judge: &mut Judge, written: &Spanned<FileApprovals>) -> Approvals {
    let (default, file) = (Approvals::default(), &written.value);
    let window = (MIN_PROTECTION_WINDOW, MAX_PROTECTION_WINDOW);
    let approvals = Approvals {
        approvers: file.approvers.as_ref().and_then(|path| judge.path(path)),
        remove: number(
            judge,
            "approvals.remove",
            file.remove.as_ref(),
            MAX_APPROVALS,
            default.remove,
        ),
        drain: number(
            judge,
            "approvals.drain",
            file.drain.as_ref(),
            MAX_APPROVALS,
            default.drain,
        ),
        ttl: time(judge, "approvals.ttl", file.ttl.as_ref(), window, default.ttl),
    };
    if approvals.drain > approvals.remove {
        let (drain, remove) = (approvals.drain, approvals.remove);
        judge.refuse(Problem::ApprovalsOrder { drain, remove }, Place::of(written));
    }
    if file.approvers.is_none() && !approvals.are_off() {
        judge.refuse(Problem::NoApprovers, Place::of(written));
    }
    approvals
}

fn confirm(judge: &mut Judge, file: Option<&FileConfirm>) -> Confirm {
    let default = Confirm::default();
    let Some(file) = file else { return default };
    let trial = (Seconds(0), MAX_TRIAL);
    Confirm {
        default: time(judge, "confirm.default", file.default.as_ref(), trial, default.default),
        required_above: share(judge, file.required_above.as_ref(), default.required_above),
    }
}

fn share(judge: &mut Judge, text: Option<&Text>, default: Percent) -> Percent {
    let Some(text) = text else { return default };
    judge.percent_or_zero(Some(text)).unwrap_or(default)
}

fn time(
    judge: &mut Judge,
    key: &'static str,
    text: Option<&Text>,
    within: (Seconds, Seconds),
    default: Seconds,
) -> Seconds {
    let Some(text) = text else { return default };
    judge.time(key, text, within.0, within.1).unwrap_or(default)
}

fn number(judge: &mut Judge, key: &'static str, written: Option<&Spanned<Number>>, max: u32, default: u32) -> u32 {
    let Some(written) = written else { return default };
    judge.number(key, written, 0, max).unwrap_or(default)
}
