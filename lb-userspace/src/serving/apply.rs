//! A plan, applied whole or not at all.
//!
//! Everything is checked again here, under the lock of the one writer: what a
//! plan says of itself counts for nothing.

use std::collections::BTreeSet;

use super::{Footing, Opened, Purpose, Serving, plan::Measured, unchanged};
use crate::{
    api::model::{Applied, ApplyRequest, Failure},
    approval::{self, Author, Signers},
    clock::Now,
    config,
    digest::Digest,
    failure,
    lock::Kept,
    neighbours::Resolution,
    part::Part,
    plan::{
        Finding, Plan, Severity,
        blast::{Blast, Expense},
        code::Code,
        file,
        policy::{self, lock},
        statement,
    },
    store::{By, Store},
};

/// Who asks, and for what.
pub struct Asked<'a> {
    pub author: &'a str,
    pub by: Option<By>,
    pub cause: &'a str,
    /// Who may approve, as the approvers' file says now: it can only take
    /// signers of the running generation away. An error where it cannot be read.
    pub on_disk: Result<Signers, Failure>,
}

/// A clock that was set back by more than this is no reason to take an old plan.
const CLOCK_SLACK_S: i64 = 60;

impl Serving {
    /// Applies a plan.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn apply(
        &mut self,
        request: ApplyRequest,
        asked: &Asked<'_>,
        resolution: &Resolution,
        now: Now,
    ) -> Result<Applied, Failure> {
        let (digest, plan) = (request.digest, &request.plan);
        let opened = self
            .footing()
            .may_apply(plan, digest, request.confirm_within, asked, resolution, now);
        let opened = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                self.note_refusal(vec![failure.code.clone()], Some(digest), asked, now);
                return Err(failure);
            }
        };
        if let (true, Some(served)) = (plan.is_empty(), &self.served) {
            return Ok(unchanged(served));
        }
        let confirm_within = request.confirm_within.or(opened.trial);
        let purpose = Purpose::Generation {
            plan_digest: Some(digest),
            cause: asked.cause.to_owned(),
            message: request.message,
            confirm_within,
            by: asked.by,
            opened: opened.opened,
        };
        let target = Part::new(request.plan.target);
        self.change(&target, &purpose, resolution, asked.author, now)
    }
}

impl Footing<'_> {
    /// The same without the change: whether it would be taken now, and all that
    /// stands against it.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn may_apply(
        &self,
        plan: &Plan,
        digest: Digest,
        confirm_within: Option<u32>,
        asked: &Asked<'_>,
        resolution: &Resolution,
        now: Now,
    ) -> Result<Permit, Failure> {
        self.check_writable()?;
        self.check_no_trial(now)?;
        self.check_trial(confirm_within)?;
        self.check_hold(now)?;
        if plan.digest() != digest {
            return Err(failure::digest_mismatch());
        }
        self.check_bound(plan, now)?;
        self.check_kept(plan, digest, now)?;
        self.check_not_rejected(digest)?;
        let (findings, measured) = self.findings_now(plan, resolution, now);
        let glass = self.glass_is_broken(now);
        let mut permit = Permit::default();
        if let (Some(measured), Some(served)) = (&measured, self.served) {
            permit.trial = lock::trial(&served.state.config().protection, &measured.blast, &measured.findings)
                .map(|trial| trial.0);
            permit.opened.emptied = emptied(&measured.blast);
            permit.opened.expense = Expense::of(&served.state, &plan.target, &measured.blast, now.time);
        }
        check_findings(&findings, plan, glass, &mut permit)?;
        if let Some(measured) = &measured {
            self.check_measured(plan, digest, measured, glass, asked, now, &mut permit)?;
        }
        Ok(permit)
    }

    /// Who rejected a plan is heard, whatever opens the lock and whether it is shut
    /// at all: somebody who wants the change all the same makes another plan.
    fn check_not_rejected(&self, digest: Digest) -> Result<(), Failure> {
        let kept = self.store.and_then(|store| store.lock().kept(&digest));
        match kept.and_then(|kept| kept.rejected.as_ref()) {
            Some(rejection) => Err(failure::rejected(rejection)),
            None => Ok(()),
        }
    }

    /// What there is to say about a plan now. What was measured when it was made
    /// is measured anew, and addresses may have come to this host since.
    pub(crate) fn findings_now(
        &self,
        plan: &Plan,
        resolution: &Resolution,
        now: Now,
    ) -> (Vec<Finding>, Option<Measured>) {
        let mut findings = plan.findings.clone();
        findings.retain(|finding| !Code::is_measured(&finding.code));
        findings.extend(policy::host::judge(&plan.target.config, resolution));
        let measured = self.measure(&plan.target, &plan.changes, now);
        findings.extend(measured.iter().flat_map(|measured| measured.findings.iter().cloned()));
        (findings, measured)
    }

    /// It is for this host, this moment and this base, and says what its target
    /// means.
    pub(super) fn check_bound(&self, plan: &Plan, now: Now) -> Result<(), Failure> {
        if !plan.hosts.contains(self.host) {
            return Err(failure::other_host(&plan.hosts, self.host));
        }
        let generation = self.served.map_or(0, |served| served.generation);
        let running_digest = self.served.map(|served| served.digest);
        policy::check_base(plan, generation, running_digest, self.environment)?;
        let early = plan.issued.as_second() - now.time.as_second() > CLOCK_SLACK_S;
        if now.time >= plan.expires || early {
            return Err(failure::expired(plan, now.time));
        }
        let running = self.served.map(|served| &*served.state.state.content);
        policy::check_unaltered(plan, running, self.environment)?;
        if statement::about(plan) != plan.about {
            return Err(policy::Altered::Statement.into());
        }
        let judged = config::judge_again(&plan.target.config);
        if judged.map_err(|errors| failure::bad_configuration(errors.to_string()))? != plan.target.config {
            return Err(policy::Altered::Changes.into());
        }
        self.check_rollback(plan)
    }

    /// That everything goes is somebody's word, given to this daemon: a file
    /// that says so of itself is nobody's.
    fn check_kept(&self, plan: &Plan, digest: Digest, now: Now) -> Result<(), Failure> {
        let lock = self.store.map(Store::lock);
        let kept = lock.and_then(|lock| lock.kept(&digest));
        match kept {
            Some(kept) if kept.is_waiting(now.time) => Ok(()),
            Some(_) | None if plan.wipe => Err(failure::not_kept()),
            Some(_) | None => Ok(()),
        }
    }

    /// It does no more than it says, and others have approved it if they must.
    #[expect(clippy::too_many_arguments, reason = "each is asked once, for one decision")]
    fn check_measured(
        &self,
        plan: &Plan,
        digest: Digest,
        measured: &Measured,
        glass: bool,
        asked: &Asked<'_>,
        now: Now,
        permit: &mut Permit,
    ) -> Result<(), Failure> {
        // Bounds are what others approved; one's own word is judged anew instead.
        if plan.needs > 0
            && let Some(what) = plan.bounds.exceeded(&measured.blast)
        {
            return Err(failure::beyond_bounds(&what));
        }
        let Some(served) = self.served else { return Ok(()) };
        let needs = measured.needs(&served.state);
        if needs == 0 {
            return Ok(());
        }
        if glass {
            permit.opened.glass = true;
            return Ok(());
        }
        permit.opened.approved_by = self.approved_by(plan, digest, needs, asked, now)?;
        Ok(())
    }

    /// Who approved: as many persons as are needed, none of them the author.
    fn approved_by(
        &self,
        plan: &Plan,
        digest: Digest,
        needs: u32,
        asked: &Asked<'_>,
        now: Now,
    ) -> Result<Vec<String>, Failure> {
        let lock = self.store.ok_or_else(|| failure::absent("store"))?.lock();
        let kept = lock.kept(&digest).ok_or_else(failure::not_kept)?;
        if !kept.is_waiting(now.time) {
            return Err(failure::not_kept());
        }
        let signers = self.signers(asked)?;
        let bytes = file::export(plan);
        let signatures = valid(kept, &bytes, &signers, now);
        let own = kept.approvals.iter().find(|given| given.author);
        let own = own.and_then(|given| approval::verify(&bytes, &given.signature, &signers, now.time).ok());
        let author = author_of(plan, own);
        let needed = u8::try_from(needs).unwrap_or(u8::MAX);
        approval::count(&author, &signatures, needed).map_err(|short| failure::unapproved(&short, plan))
    }

    /// Who may approve now: of the running generation's, who is still in the
    /// file.
    pub(super) fn signers(&self, asked: &Asked<'_>) -> Result<Signers, Failure> {
        let embedded = self.served.map(|served| &served.state.state.content.signers);
        match (&asked.on_disk, embedded) {
            (Ok(on_disk), Some(embedded)) => Ok(embedded.shrunk_by(on_disk)),
            (Err(failure), _) => Err(failure.clone()),
            (Ok(_), None) => Ok(Signers::default()),
        }
    }
}

/// Refusals refuse, but those that a broken glass is for. What refused the plan
/// when it was made does so still: whoever saw it was told so.
fn check_findings(findings: &[Finding], plan: &Plan, glass: bool, permit: &mut Permit) -> Result<(), Failure> {
    let mut refusals: Vec<&Finding> = Vec::new();
    for finding in findings.iter().chain(&plan.findings) {
        let told = |other: &&Finding| (&other.code, &other.object) == (&finding.code, &finding.object);
        if finding.severity == Severity::Refuse && !refusals.iter().any(told) {
            refusals.push(finding);
        }
    }
    if refusals.is_empty() {
        return Ok(());
    }
    if glass && refusals.iter().all(|finding| Code::yields_to_glass(&finding.code)) {
        permit.opened.glass = true;
        return Ok(());
    }
    Err(failure::refused(&refusals))
}

/// Pools of which nothing is left.
pub(super) fn emptied(blast: &Blast) -> BTreeSet<String> {
    let left = blast.capacity_left.iter().filter(|(_, left)| left.is_zero());
    left.map(|(pool, _)| pool.clone()).collect()
}

/// A change that may be made, and how.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    pub opened: Opened,
    /// It is on trial for so many seconds, unless somebody asked for another
    /// time.
    pub trial: Option<u32>,
}

/// Approvals that hold now: a signer who is not in the file any more, or whose
/// key is not valid any more, approves nothing.
pub(super) fn valid(kept: &Kept, bytes: &[u8], signers: &Signers, now: Now) -> Vec<approval::Signature> {
    let given = kept.approvals.iter().filter(|given| !given.author);
    let verified = given.filter_map(|given| approval::verify(bytes, &given.signature, signers, now.time).ok());
    verified.collect()
}

/// Who wants it: by login name, and by the signature as its author, if there is
/// one. Root is nobody in particular.
pub(super) fn author_of(plan: &Plan, signature: Option<approval::Signature>) -> Author {
    Author {
        name: (plan.author != "root").then(|| plan.author.clone()),
        signature,
    }
}
