//! What `status` says of the approval lock, and `why-refused` of a plan.

use jiff::SignedDuration;

use crate::{
    api::model::{BrokenRule, GlassStatus, HoldStatus, LockStatus, RefusalStatus, WhyRefused},
    clock::Now,
    config::Approvals,
    lock::{Glass, Refusal},
    neighbours::Resolution,
    plan::{Finding, Plan, Severity, code::Code},
    serving::{Asked, Serving},
};

/// A refusal is shown for as long as this, seconds.
const SHOWN_S: i64 = 3600;

impl Serving {
    pub(crate) fn lock_status(&self, now: Now) -> LockStatus {
        let Some(store) = &self.store else {
            return LockStatus::default();
        };
        let lock = store.lock();
        LockStatus {
            hold: lock.hold().map(|hold| HoldStatus {
                who: hold.who.clone(),
                why: hold.why.clone(),
                since: hold.since,
            }),
            glass: lock.glass(now.coarse, &self.boot).map(|glass| glass_status(glass, now)),
            refusal: lock
                .refusal()
                .filter(|refusal| now.time.as_second() - refusal.at.as_second() < SHOWN_S)
                .map(refusal_status),
            waiting: lock.waiting(now.time).count() as u32,
        }
    }

    /// All that stands against a plan now.
    #[must_use]
    pub fn why_refused(&self, plan: &Plan, asked: &Asked<'_>, resolution: &Resolution, now: Now) -> WhyRefused {
        let digest = plan.digest();
        let refusal = self
            .footing()
            .may_apply(plan, digest, None, asked, resolution, now)
            .err();
        let approvals = self
            .served
            .as_ref()
            .map(|served| &served.state.config().protection.approvals);
        let approvals = approvals.cloned().unwrap_or_default();
        let (findings, measured) = self.footing().findings_now(plan, resolution, now);
        let needs = measured.zip(self.served.as_ref());
        let needs = needs.map_or(0, |(measured, served)| measured.needs(&served.state));
        let stands = findings.into_iter().filter(|finding| match finding.severity {
            Severity::Refuse | Severity::Lock => true,
            Severity::Warn | Severity::Note => false,
        });
        let rules = stands.map(|finding| BrokenRule {
            overridden_by: overridden_by(&finding, &approvals),
            finding,
        });
        WhyRefused {
            plan: digest,
            applicable: refusal.is_none(),
            refusal,
            rules: rules.collect(),
            needs,
            approved_by: self.footing().counted(plan, asked, now),
        }
    }
}

/// For people.
fn overridden_by(finding: &Finding, approvals: &Approvals) -> String {
    let needs = finding.tier.map_or(0, |tier| tier.needs(approvals));
    if needs > 0 {
        format!("{needs} approvals by others, or break-glass")
    } else if finding.tier.is_some() {
        "your own word, on trial".to_owned()
    } else if Code::yields_to_glass(&finding.code) {
        "break-glass".to_owned()
    } else {
        "nobody".to_owned()
    }
}

fn glass_status(glass: &Glass, now: Now) -> GlassStatus {
    let left = i64::from(glass.term.deadline) - i64::from(now.coarse);
    let until = now.time.checked_add(SignedDuration::from_nanos(left << 30));
    GlassStatus {
        who: glass.who.clone(),
        why: glass.why.clone(),
        since: glass.since,
        until: until.unwrap_or(now.time),
    }
}

fn refusal_status(refusal: &Refusal) -> RefusalStatus {
    RefusalStatus {
        codes: refusal.codes.clone(),
        author: refusal.author.clone(),
        uid: refusal.by.map(|by| by.uid),
        at: refusal.at,
        plan: refusal.plan,
    }
}
