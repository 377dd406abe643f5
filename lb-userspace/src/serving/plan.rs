//! What a change would do. Nothing is written.

use std::{borrow::Cow, collections::BTreeSet};

use super::{Footing, Serving};
use crate::{
    activity::{self, Lives},
    api::model::Failure,
    arrivals::Arrivals,
    clock::Now,
    config::{ObjectName, Seconds},
    neighbours::Resolution,
    part::Part,
    plan::{
        Base, Bounds, Change, Content, Finding, Plan, Severity,
        blast::{Blast, Live, Reading, Spent},
        code::Code,
        diff,
        policy::{self, lock},
        statement,
    },
    revision::{BackendId, Revision},
};

/// What somebody wants served.
#[derive(Clone, Debug)]
pub struct Wish {
    pub target: Content,
    /// Objects that may be missing.
    pub removed: BTreeSet<ObjectName>,
    /// The generation whose content `target` is, if that was asked for.
    pub rollback_to: Option<u64>,
    /// Everything is to go.
    pub wipe: bool,
}

impl Wish {
    #[must_use]
    pub const fn of(target: Content, removed: BTreeSet<ObjectName>) -> Self {
        Self {
            target,
            removed,
            rollback_to: None,
            wipe: false,
        }
    }
}

/// A change as it was measured, and what stands against it.
pub(crate) struct Measured {
    pub blast: Blast,
    pub findings: Vec<Finding>,
}

impl Measured {
    /// Approvals it takes.
    pub fn needs(&self, running: &Revision) -> u32 {
        let approvals = &running.config().protection.approvals;
        let tiers = self.findings.iter().filter_map(|finding| finding.tier);
        tiers.map(|tier| tier.needs(approvals)).max().unwrap_or(0)
    }
}

impl Serving {
    /// What is wished, judged. Nothing is written.
    #[must_use]
    pub fn plan(&self, wish: Wish, resolution: &Resolution, author: &str, now: Now) -> Plan {
        self.footing().plan(wish, resolution, author, now)
    }
}

impl Footing<'_> {
    /// What is wished, judged. Nothing is written.
    #[must_use]
    pub fn plan(&self, wish: Wish, resolution: &Resolution, author: &str, now: Now) -> Plan {
        let Wish {
            target,
            removed,
            rollback_to,
            wipe,
        } = wish;
        let running = self.served.map(|served| &*served.state.state.content);
        let changes = diff::diff(running, &target);
        let mut findings = policy::judge(policy::Judged {
            running,
            environment: self.environment,
            target: &target,
            removed: &removed,
            wipe,
            changes: &changes,
        });
        findings.extend(policy::host::judge(&target.config, resolution));
        let measured = self.measure(&target, &changes, now);
        let protection = self.served.map(|served| &served.state.config().protection);
        let (needs, trial) = match (&measured, self.served, protection) {
            (Some(measured), Some(served), Some(protection)) => (
                measured.needs(&served.state),
                lock::trial(protection, &measured.blast, &measured.findings),
            ),
            _ => (0, None),
        };
        let ttl = protection.map_or_else(|| target.config.protection.approvals.ttl, |of| of.approvals.ttl);
        let glass = self.glass_is_broken(now);
        findings.extend(glass.then(glass_is_broken));
        let blast = measured.map_or_else(Blast::default, |measured| {
            findings.extend(measured.findings.into_iter().map(|finding| opened(finding, glass)));
            measured.blast
        });
        let previous = self.served.map(|served| &served.state);
        let content = Part::new(target);
        let effects = match Revision::next(previous, &content, &resolution.hops, now.coarse) {
            Ok(next) => next.effects(previous),
            Err(error) => {
                findings.push(impossible(error.into()));
                Vec::new()
            }
        };
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let mut plan = Plan {
            about: String::new(),
            environment: self.environment.to_owned(),
            hosts: BTreeSet::from([self.host.to_owned()]),
            base: Base {
                generation: self.served.map_or(0, |served| served.generation),
                digest: self.served.map(|served| served.digest),
            },
            target: Content::clone(&content),
            rollback_to,
            wipe,
            removed,
            changes,
            effects,
            bounds: Bounds::around(&blast),
            blast,
            needs,
            trial,
            findings,
            author: author.to_owned(),
            issued: now.time,
            expires: now.time + jiff::SignedDuration::from_secs(ttl.0.into()),
            nonce: nonce(),
        };
        plan.about = statement::about(&plan);
        plan
    }

    /// What it breaks and takes away now; `None`: nothing is served.
    pub(super) fn measure(&self, target: &Content, changes: &[Change], now: Now) -> Option<Measured> {
        let running = &self.served?.state;
        let in_force: Cow<'_, [Change]> = policy::in_force(&running.state.content, target, changes);
        let expenses = self.store.map_or(&[][..], |store| store.lock().expenses());
        let spent = Spent::within(expenses, running.config().protection.window, now.time, running);
        let live = &Seen {
            lives: self.activity.of(&running.state),
            arrivals: self.arrivals,
            content: &running.state.content,
        };
        let blast = Blast::of(running, target, &in_force, &spent, live);
        let findings = lock::weigh(lock::Weighed {
            running,
            target,
            changes,
            in_force: &in_force,
            blast: &blast,
            spent: &spent,
            live,
        });
        Some(Measured { blast, findings })
    }
}

/// What was seen of the traffic, for `plan`.
struct Seen<'a> {
    lives: Lives<'a>,
    arrivals: &'a Arrivals,
    /// What is served.
    content: &'a Content,
}

impl Live for Seen<'_> {
    fn vip(&self, name: &str) -> Reading {
        reading(self.lives.vip(name))
    }

    fn backend(&self, id: &BackendId) -> Reading {
        let member = self.lives.member(&id.pool, &id.backend);
        member.map_or_else(Reading::default, reading)
    }

    fn interface(&self, name: &str) -> Option<Reading> {
        let attached = policy::attached(self.content);
        self.arrivals.at_most(name, attached).map(reading)
    }
}

fn reading(live: activity::Live) -> Reading {
    Reading {
        pps: live.pps_now,
        quiet: live
            .quiet_for
            .map(|quiet| Seconds(u32::try_from(quiet.as_secs()).unwrap_or(u32::MAX))),
    }
}

/// What a broken glass is for does not refuse a plan while it is broken; whether
/// it still is, is asked again when the plan is applied.
fn opened(finding: Finding, glass: bool) -> Finding {
    if !glass || finding.severity != Severity::Refuse || !Code::yields_to_glass(&finding.code) {
        return finding;
    }
    Finding {
        severity: Severity::Lock,
        fix: Some("the glass is broken: this does not refuse it now".to_owned()),
        ..finding
    }
}

fn glass_is_broken() -> Finding {
    Finding {
        code: Code::GlassBroken.as_str().to_owned(),
        severity: Severity::Warn,
        message: "the glass is broken: nothing here needs an approval now".to_owned(),
        object: None,
        value: None,
        limit: None,
        tier: None,
        fix: Some("holdfast break-glass --end".to_owned()),
    }
}

fn impossible(failure: Failure) -> Finding {
    let Failure { code, message, fix, .. } = failure;
    Finding {
        code,
        severity: Severity::Refuse,
        message,
        object: None,
        value: None,
        limit: None,
        tier: None,
        fix,
    }
}

/// So that no two plans are one: a signature of the one is none of the other.
fn nonce() -> String {
    format!("{:016x}", fastrand::u64(..))
}
