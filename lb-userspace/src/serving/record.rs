//! What the journal is told of a change.

use super::{Purpose, Serving, apply::Asked};
use crate::{
    api::model::{Failure, Mode},
    clock::Now,
    digest::Digest,
    event,
    past::Earlier,
    revision::Revision,
    startup,
    store::{Entry, Intent, Outcome, StoreError},
};

/// What is about to be published.
pub(super) struct Recorded {
    pub generation: u64,
    pub revision: u64,
    /// The generation, if it is a new one, as it will be remembered.
    pub begun: Option<Earlier>,
    /// The journal has it, and waits for its outcome.
    pub is_in_journal: bool,
}

impl Serving {
    pub(super) fn record_intent(
        &mut self,
        next: &Revision,
        purpose: &Purpose,
        author: &str,
        now: Now,
    ) -> Result<Recorded, Failure> {
        if self.store.is_none() || self.mode == Mode::ReadOnly {
            return Ok(self.unrecorded());
        }
        let recorded = self.record(next, purpose, author, now);
        match (recorded, purpose) {
            (Ok(recorded), _) => {
                self.signing.written();
                Ok(recorded)
            }
            (Err(error), Purpose::Revision { .. }) => {
                self.signing.not_written(&error);
                Ok(self.recorded_all_the_same(next).unwrap_or_else(|| self.unrecorded()))
            }
            (Err(error), Purpose::Generation { .. }) => {
                self.signing.not_written(&error);
                Err(error.into())
            }
        }
    }

    /// A commit that failed may have happened: the entry is there, and waits for its
    /// outcome.
    fn recorded_all_the_same(&self, next: &Revision) -> Option<Recorded> {
        let store = self.store.as_ref()?;
        let pending = store.pending_intent().ok()??.served;
        let is_it = store.state(&pending).is_ok_and(|state| state == *next);
        is_it.then_some(Recorded {
            generation: pending.generation,
            revision: pending.revision,
            begun: None,
            is_in_journal: true,
        })
    }

    /// A daemon that cannot use its store changes no generation, but follows health
    /// and next hops: connections matter more than the record of them. The next
    /// revision that is recorded has a later number, and a start writes this one down.
    fn unrecorded(&self) -> Recorded {
        let (generation, revision) = self
            .served
            .as_ref()
            .map_or((0, 1), |served| (served.generation, served.revision + 1));
        // A number that was meant once is another revision's.
        let free = self.store.as_ref().and_then(|store| store.next_revision().ok());
        Recorded {
            generation,
            revision: revision.max(free.unwrap_or(0)),
            begun: None,
            is_in_journal: false,
        }
    }

    fn record(&mut self, next: &Revision, purpose: &Purpose, author: &str, now: Now) -> Result<Recorded, StoreError> {
        let confirm = self.term_of(purpose, next, now);
        let running = self.served.as_ref();
        let Some(store) = self.store.as_mut() else {
            return Ok(self.unrecorded());
        };
        // One that was taken though its commit failed is in nobody's hands any more.
        let served = running.map(|served| (served.generation, served.revision, served.digest));
        startup::settle_pending(store, served, now)?;
        let revision = store
            .next_revision()?
            .max(running.map_or(0, |served| served.revision + 1));
        let state = next.clone();
        let (generation, entry) = match purpose {
            Purpose::Generation {
                plan_digest,
                cause,
                message,
                confirm_within: _,
                by,
                opened,
            } => {
                let generation = store
                    .next_generation()?
                    .max(running.map_or(0, |served| served.generation + 1));
                let intent = Intent {
                    generation,
                    revision,
                    content: next.state.content.clone(),
                    state,
                    plan_digest: *plan_digest,
                    cause: cause.clone(),
                    message: message.clone(),
                    confirm,
                    by: *by,
                    expense: opened.expense.clone(),
                    approved_by: opened.approved_by.clone(),
                    glass: opened.glass,
                };
                (generation, Entry::Intent(intent))
            }
            Purpose::Revision { cause } => {
                let generation = running.map_or(0, |served| served.generation);
                let revision = crate::store::Revision {
                    generation,
                    revision,
                    state,
                    cause: cause.clone(),
                };
                (generation, Entry::Revision(revision))
            }
        };
        let record = store.append(&entry, author, now.time)?;
        let begun = record.entry.into_intent().map(|intent| Earlier {
            intent,
            author: author.to_owned(),
            applied: now.time,
            confirmed: false,
        });
        Ok(Recorded {
            generation,
            revision,
            begun,
            is_in_journal: true,
        })
    }

    /// The switch has happened, or has not: what the store makes of the news
    /// cannot change that. A start settles a pending intent from the kernel.
    pub(super) fn record_outcome(&mut self, outcome: Outcome, author: &str, now: Now) {
        if self.mode != Mode::ReadOnly
            && let Some(store) = &mut self.store
            && let Err(error) = store.append(&Entry::Outcome(outcome), author, now.time)
        {
            event!(error, JournalFailed, %error, "the outcome could not be journaled");
            if error.is_locked() {
                // What is pending is settled by what the kernel serves (`catch_up`).
                self.signing.not_written(&error);
                return;
            }
            self.become_read_only(format!("the journal could not be written ({error})"));
        }
        self.sign_if_due(now);
    }

    /// A refusal is said everywhere: in the log, the metrics and the journal, and
    /// from there in `status`.
    pub(super) fn note_refusal(&mut self, codes: Vec<String>, plan: Option<Digest>, asked: &Asked<'_>, now: Now) {
        let author = asked.author;
        event!(
            warn,
            PlanRefused,
            holdfast.code = codes.first(),
            ?codes,
            author,
            "a plan was refused"
        );
        self.tally.refuse(&codes);
        if self.is_said(&codes, plan, author, now) {
            return;
        }
        if let Some(store) = &mut self.store
            && let Err(error) = store.append(
                &Entry::Refused {
                    codes,
                    plan_digest: plan,
                    by: asked.by,
                },
                author,
                now.time,
            )
        {
            event!(error, JournalFailed, %error, "the refusal could not be journaled");
        }
    }

    /// The same refusal a moment ago: whoever tries a thousand times a second
    /// does not fill the disk with it.
    fn is_said(&self, codes: &[String], plan: Option<Digest>, author: &str, now: Now) -> bool {
        const MOMENT_S: i64 = 10;
        let last = self.store.as_ref().and_then(|store| store.lock().refusal());
        last.is_some_and(|last| {
            let age = now.time.as_second() - last.at.as_second();
            last.codes == codes && last.plan == plan && last.author == author && (0..MOMENT_S).contains(&age)
        })
    }

    pub(crate) fn become_read_only(&mut self, reason: String) {
        event!(error, ReadOnly, reason, "read-only");
        self.mode = Mode::ReadOnly;
        self.mode_reason = Some(reason);
    }
}
