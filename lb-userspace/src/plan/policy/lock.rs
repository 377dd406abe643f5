//! What one's own word is not enough for, and what nobody's is.
//!
//! Judged by the *running* generation's protection and by measured effects, so
//! neither the words of a plan nor what it changes about protection help it.
//!
//! A lock ([`Severity::Lock`]) is opened by as many approvals as the running
//! protection asks for; where it asks for none, what is within the budgets needs
//! a trial only, and what is beyond them is refused. `objects` judges what goes
//! and what breaks, `budgets` how much, `rules` changes of the rules.

mod budgets;
mod objects;
mod rules;
mod taken;
#[cfg(test)]
mod tests;

use super::{Code, Finding, ObjectName, Severity, finding};
use crate::{
    config::{Percent, Protection, Seconds},
    plan::{
        Change, Content, Tier,
        blast::{Blast, Ground, Live, Spent},
    },
    revision::Revision,
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
    let ground = Ground::of(weighed.running, weighed.live);
    let mut findings = Vec::new();
    findings.extend(objects::everything(weighed));
    findings.extend(objects::vips(weighed));
    findings.extend(objects::vips_in_maint(weighed));
    findings.extend(objects::not_drained(weighed, &ground));
    findings.extend(objects::breaks(weighed));
    findings.extend(budgets::traffic(weighed));
    findings.extend(budgets::removals(weighed));
    findings.extend(budgets::floor(weighed));
    findings.extend(rules::changes(weighed, &ground));
    findings.extend(taken::taken(weighed));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// It must be confirmed, or it is taken back: for so long it is on trial.
#[must_use]
pub fn trial(protection: &Protection, blast: &Blast, findings: &[Finding]) -> Option<Seconds> {
    let mut grave = findings
        .iter()
        .filter(|finding| finding.code != Code::TakenAway.as_str());
    let locked = grave.any(|finding| finding.tier.is_some_and(Tier::is_tried));
    let broken = blast.broken_per_mille() > per_mille(protection.confirm.required_above);
    (protection.confirm.default.0 > 0 && (locked || broken)).then_some(protection.confirm.default)
}

const fn per_mille(percent: Percent) -> u32 {
    percent.get() as u32 * 10
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
