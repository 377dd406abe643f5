//! What the approval lock refuses.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{DENIED, FAILED, REFUSED, STALE, failure};
use crate::{
    api::model::Failure,
    approval::{ApprovalError, Short, SignersError},
    lock::{Hold, Rejection},
    plan::{Plan, code::Code},
};

/// A plan for another host.
#[must_use]
pub fn other_host(hosts: &BTreeSet<String>, host: &str) -> Failure {
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let message = format!(
        "the plan is for {}, this is {host}. Nothing was changed.",
        hosts.join(", ")
    );
    failure(Code::OtherHost.as_str(), REFUSED, message, "plan it on this host")
}

/// Somebody names another environment than this host's.
#[must_use]
pub fn other_environment(named: &str, running: &str) -> Failure {
    let message = format!("`{named}` is not the environment of this host, which is `{running}`. Nothing was changed.");
    failure(
        Code::OtherEnvironment.as_str(),
        REFUSED,
        message,
        "run it where it is meant",
    )
}

/// A plan whose time is over, or has not come: a clock was set.
#[must_use]
pub fn expired(plan: &Plan, now: Timestamp) -> Failure {
    let message = if now >= plan.expires {
        format!(
            "the plan was void after {}; it is {now}. Nothing was changed.",
            plan.expires
        )
    } else {
        format!(
            "the plan was made at {}, and it is {now}: a clock was set back. Nothing was changed.",
            plan.issued
        )
    };
    failure(
        Code::Expired.as_str(),
        STALE,
        message,
        "plan again: holdfast plan -f FILE",
    )
}

/// Traffic or backends have changed since the plan was made.
#[must_use]
pub fn beyond_bounds(what: &str) -> Failure {
    failure(
        Code::BeyondBounds.as_str(),
        STALE,
        format!("{what}: more than was planned. Nothing was changed."),
        "plan again: holdfast plan -f FILE",
    )
}

/// Too few others approved.
#[must_use]
pub fn unapproved(short: &Short, plan: &Plan) -> Failure {
    let message = format!("{short}. Nothing was changed.");
    let fix = match short {
        Short::UnknownAuthor { .. } => short.fix().to_owned(),
        Short::TooFew { .. } => format!("others read and sign it: holdfast approve {}", plan.digest().short()),
    };
    failure(Code::Unapproved.as_str(), REFUSED, message, &fix)
}

/// The author's own signature is no approval.
#[must_use]
pub fn own_approval(short: &Short) -> Failure {
    failure(
        short.code(),
        REFUSED,
        format!("{short}. Nothing was changed."),
        short.fix(),
    )
}

/// A plan that needs approvals, and that this daemon does not know.
#[must_use]
pub fn not_kept() -> Failure {
    failure(
        Code::NotKept.as_str(),
        REFUSED,
        "no such plan waits here: it was applied or rejected, its time is over, or it was made elsewhere. \
         Nothing was changed."
            .to_owned(),
        "holdfast approvals; holdfast plan -f FILE",
    )
}

/// It is not theirs to withdraw.
#[must_use]
pub fn not_its_author(author: &str) -> Failure {
    failure(
        "HF5003",
        DENIED,
        format!("the plan is of {author}, who alone withdraws it. Nothing was changed."),
        "ask an approver to refuse it: holdfast reject PLAN",
    )
}

/// Somebody will not have it.
#[must_use]
pub fn rejected(rejection: &Rejection) -> Failure {
    let why = rejection
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    let message = format!(
        "{} rejected the plan at {}{why}. Nothing was changed.",
        rejection.who, rejection.at
    );
    failure(
        Code::Rejected.as_str(),
        REFUSED,
        message,
        "talk to them; then plan again",
    )
}

/// Somebody froze changes.
#[must_use]
pub fn on_hold(hold: &Hold) -> Failure {
    let why = hold.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let message = format!(
        "{} put changes on hold at {}{why}. Nothing was changed.",
        hold.who, hold.since
    );
    failure(
        Code::OnHold.as_str(),
        REFUSED,
        message,
        "talk to them; then holdfast resume",
    )
}

/// No more plans of this author, or none at all.
#[must_use]
pub fn no_room(author: &str) -> Failure {
    failure(
        Code::NotKept.as_str(),
        REFUSED,
        format!("too many plans wait for approvals already, in all or of {author}. Nothing was changed."),
        "holdfast approvals; reject those that nobody needs: holdfast reject PLAN",
    )
}

/// A plan has as many signatures as are kept.
#[must_use]
pub fn too_many_approvals(limit: usize) -> Failure {
    failure(
        Code::Unapproved.as_str(),
        REFUSED,
        format!("the plan has {limit} signatures, and no more are kept"),
        "apply it",
    )
}

impl From<ApprovalError> for Failure {
    fn from(error: ApprovalError) -> Self {
        failure(
            error.code(),
            REFUSED,
            format!("{error}. Nothing was changed."),
            error.fix(),
        )
    }
}

/// The approvers' file: `path` is where it is.
#[must_use]
pub fn bad_signers(path: &str, error: &SignersError) -> Failure {
    failure(
        error.code(),
        FAILED,
        format!("{path}: {error}. Nothing was changed."),
        error.fix(),
    )
}

/// The approvers' file cannot be read.
#[must_use]
pub fn no_signers(path: &str, error: &std::io::Error) -> Failure {
    failure(
        "HF2100",
        FAILED,
        format!("{path} cannot be read: {error}. Nothing was changed."),
        "put the file back; the daemon's user must be able to read it",
    )
}
