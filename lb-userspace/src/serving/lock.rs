//! What people do to the lock: approve, reject, hold, resume, break the glass.
//! Each is an entry of the journal, and counts from then on.

use super::{
    Footing, Serving,
    apply::{Asked, author_of, valid},
};
use crate::{
    api::model::{Approvals, Failure, Waiting},
    approval,
    clock::Now,
    digest::Digest,
    event, failure,
    lock::{Given, GlassTerm, Kept, LONGEST_BREAK, MAX_APPROVALS_KEPT},
    plan::{Plan, file},
    store::{Entry, Store},
};

impl Serving {
    fn writable_store(&mut self) -> Result<&mut Store, Failure> {
        self.check_writable()?;
        self.store.as_mut().ok_or_else(|| failure::absent("store"))
    }

    /// Keeps a plan that needs approvals, so that it can get them.
    ///
    /// # Errors
    /// When there is no room, or the store does not take it.
    pub fn keep(&mut self, plan: &Plan, now: Now) -> Result<(), Failure> {
        let store = self.writable_store()?;
        if !store.lock().has_room(&plan.author, now.time) {
            return Err(failure::no_room(&plan.author));
        }
        store.keep_plan(plan, now.time)?;
        event!(
            info,
            PlanKept,
            plan = plan.digest().short(),
            needs = plan.needs,
            author = plan.author,
            "a plan waits for approvals"
        );
        Ok(())
    }

    /// A plan that waits, as it was made.
    ///
    /// # Errors
    /// When there is none of this digest, or the store cannot be read.
    pub fn kept_plan(&self, digest: Digest) -> Result<Plan, Failure> {
        self.footing().kept_plan(digest)
    }

    /// Takes a signature of a plan, if it is one of somebody who may approve it.
    ///
    /// # Errors
    /// Nothing has changed then; that somebody tried is in the journal.
    pub fn approve(
        &mut self,
        digest: Digest,
        signature: String,
        as_author: bool,
        asked: &Asked<'_>,
        now: Now,
    ) -> Result<Approvals, Failure> {
        let given = match self.footing().check_approval(digest, signature, as_author, asked, now) {
            Ok(given) => given,
            Err(failure) => {
                self.note_refusal(vec![failure.code.clone()], Some(digest), asked, now);
                return Err(failure);
            }
        };
        let by = asked.by;
        let who = given.principals.join(",");
        self.writable_store()?.append(
            &Entry::Approved {
                plan: digest,
                given,
                by,
            },
            asked.author,
            now.time,
        )?;
        event!(info, PlanApproved, plan = digest.short(), who, "a plan is approved");
        self.approvals(asked, now)
    }

    /// Nobody applies this plan any more.
    ///
    /// # Errors
    /// When it does not wait, or the store does not take it.
    pub fn reject(
        &mut self,
        digest: Digest,
        why: Option<String>,
        asked: &Asked<'_>,
        now: Now,
    ) -> Result<Approvals, Failure> {
        if !self.footing().kept(digest)?.is_waiting(now.time) {
            return Err(failure::not_kept());
        }
        let by = asked.by;
        let entry = Entry::Rejected { plan: digest, why, by };
        self.writable_store()?.append(&entry, asked.author, now.time)?;
        event!(
            warn,
            PlanRejected,
            plan = digest.short(),
            who = asked.author,
            "a plan is rejected"
        );
        self.approvals(asked, now)
    }

    /// Plans that wait.
    ///
    /// # Errors
    /// When there is no store.
    pub fn approvals(&self, asked: &Asked<'_>, now: Now) -> Result<Approvals, Failure> {
        let lock = self.store.as_ref().ok_or_else(|| failure::absent("store"))?.lock();
        let waiting = lock.waiting(now.time).map(|(digest, kept)| Waiting {
            plan: *digest,
            author: kept.author.clone(),
            about: kept.about.clone(),
            needs: kept.needs,
            approved_by: kept
                .approvals
                .iter()
                .filter(|given| !given.author)
                .map(|given| given.principals.join(","))
                .collect(),
            expires: kept.expires,
        });
        Ok(Approvals {
            plans: waiting.collect(),
            // Where the file cannot be read, nobody may.
            signers: self.footing().signers(asked).unwrap_or_default(),
        })
    }

    /// No generation is made until [`Self::resume`].
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn hold(&mut self, why: Option<String>, asked: &Asked<'_>, now: Now) -> Result<(), Failure> {
        let by = asked.by;
        let said = why.clone();
        let entry = Entry::Held { why, by };
        self.writable_store()?.append(&entry, asked.author, now.time)?;
        event!(warn, Held, who = asked.author, why = said, "changes are on hold");
        Ok(())
    }

    /// Generations are made again.
    ///
    /// # Errors
    /// When there is no hold, or the store does not take it.
    pub fn resume(&mut self, asked: &Asked<'_>, now: Now) -> Result<(), Failure> {
        let by = asked.by;
        let store = self.writable_store()?;
        if store.lock().hold().is_none() {
            return Err(failure::absent("hold"));
        }
        store.append(&Entry::Resumed { by }, asked.author, now.time)?;
        event!(info, Resumed, who = asked.author, "changes are taken again");
        Ok(())
    }

    /// Opens the lock for `within` seconds.
    ///
    /// # Errors
    /// Without a reason, for too long, or when the store does not take it.
    pub fn break_glass(&mut self, why: &str, within: u32, asked: &Asked<'_>, now: Now) -> Result<(), Failure> {
        if why.trim().is_empty() {
            return Err(failure::bad_request("breaking the glass needs a reason".to_owned()));
        }
        if !(1..=LONGEST_BREAK).contains(&within) {
            return Err(failure::bad_request(format!(
                "the glass is broken for 1 to {LONGEST_BREAK} s, not {within} s"
            )));
        }
        let term = GlassTerm::from(now.coarse, within, &self.boot);
        let by = asked.by;
        let entry = Entry::GlassBroken {
            why: why.to_owned(),
            term,
            by,
        };
        self.writable_store()?.append(&entry, asked.author, now.time)?;
        self.tally.glass_broken += 1;
        event!(
            error,
            GlassBroken,
            who = asked.author,
            why,
            within,
            "the glass is broken: the lock is open"
        );
        Ok(())
    }

    /// The lock shuts again before its time.
    ///
    /// # Errors
    /// When it is shut, or the store does not take it.
    pub fn mend_glass(&mut self, asked: &Asked<'_>, now: Now) -> Result<(), Failure> {
        if !self.footing().glass_is_broken(now) {
            return Err(failure::absent("broken glass"));
        }
        let by = asked.by;
        self.writable_store()?
            .append(&Entry::GlassMended { by }, asked.author, now.time)?;
        event!(info, GlassMended, who = asked.author, "the lock is shut again");
        Ok(())
    }
}

impl Footing<'_> {
    /// A plan that waits, as it was made.
    ///
    /// # Errors
    /// When there is none of this digest, or the store cannot be read.
    fn kept_plan(&self, digest: Digest) -> Result<Plan, Failure> {
        let store = self.store.ok_or_else(|| failure::absent("store"))?;
        store.lock().kept(&digest).ok_or_else(failure::not_kept)?;
        store.kept_plan(digest)?.ok_or_else(failure::not_kept)
    }

    /// A signature that approves a plan, or says whose it is.
    pub(crate) fn check_approval(
        &self,
        digest: Digest,
        signature: String,
        as_author: bool,
        asked: &Asked<'_>,
        now: Now,
    ) -> Result<Given, Failure> {
        self.check_writable()?;
        let plan = self.kept_plan(digest)?;
        let kept = self.kept(digest)?;
        if let Some(rejection) = &kept.rejected {
            return Err(failure::rejected(rejection));
        }
        if kept.spent {
            return Err(failure::not_kept());
        }
        if !kept.is_waiting(now.time) {
            return Err(failure::expired(&plan, now.time));
        }
        if kept.approvals.len() >= MAX_APPROVALS_KEPT {
            return Err(failure::too_many_approvals(MAX_APPROVALS_KEPT));
        }
        let signers = self.signers(asked)?;
        let signed = approval::verify(&file::export(&plan), &signature, &signers, now.time)?;
        // One's own approval is said to be none at once, not when it is counted.
        let author = author_of(&plan, None);
        if !as_author && author.name.is_some() {
            approval::count(&author, std::slice::from_ref(&signed), 1)
                .map_err(|short| failure::own_approval(&short))?;
        }
        Ok(Given {
            principals: signed.principals,
            fingerprint: signed.fingerprint,
            signature,
            author: as_author,
        })
    }

    fn kept(&self, digest: Digest) -> Result<&Kept, Failure> {
        let store = self.store.ok_or_else(|| failure::absent("store"))?;
        store.lock().kept(&digest).ok_or_else(failure::not_kept)
    }

    /// Approvals of a plan that would count now, for people.
    pub(crate) fn counted(&self, plan: &Plan, asked: &Asked<'_>, now: Now) -> Vec<String> {
        let (Ok(kept), Ok(signers)) = (self.kept(plan.digest()), self.signers(asked)) else {
            return Vec::new();
        };
        let signatures = valid(kept, &file::export(plan), &signers, now);
        signatures
            .iter()
            .map(|signature| signature.principals.join(","))
            .collect()
    }
}
