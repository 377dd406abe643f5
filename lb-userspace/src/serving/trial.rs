//! Generations on trial: confirmed by somebody, or taken back.

use std::{collections::BTreeMap, time::Instant};

use super::{Footing, Opened, Purpose, Served, Serving, unchanged};
use crate::{
    api::model::{Applied, Failure, TakenBack, TrialStatus},
    clock::Now,
    confirm::{
        LONGEST, OnTrial, Term,
        baseline::{Baseline, kept_by},
        judge::Judgement,
    },
    event, failure,
    kernel::received,
    neighbours::Resolution,
    part::Part,
    plan::Content,
    reports::Counted,
    revision::Revision,
    store::Entry,
};

impl Footing<'_> {
    /// While a generation is on trial no other is made: what would be gone back
    /// to otherwise?
    pub(super) fn check_no_trial(&self, now: Now) -> Result<(), Failure> {
        match self.on_trial {
            None => Ok(()),
            Some(trial) => Err(failure::on_trial(trial, now)),
        }
    }

    pub(super) fn check_trial(&self, within: Option<u32>) -> Result<(), Failure> {
        match within {
            Some(0) => Err(failure::bad_request(
                "a trial of 0 seconds cannot be confirmed".to_owned(),
            )),
            Some(within) if within > LONGEST => Err(failure::bad_request(format!(
                "a trial lasts a day at most ({LONGEST} s), not {within} s"
            ))),
            Some(_) if self.served.is_none() => Err(failure::bad_request(
                "nothing is served yet that could be gone back to".to_owned(),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl<'a> Footing<'a> {
    /// The generation on trial, if it may be confirmed now, and as it is served.
    pub(crate) fn may_confirm(&self, now: Now) -> Result<(u64, &'a Served), Failure> {
        self.check_writable()?;
        let (Some(trial), Some(served)) = (self.on_trial, self.served) else {
            return Err(failure::no_trial());
        };
        if trial.is_over(now.coarse, self.boot) {
            return Err(failure::too_late(trial));
        }
        Ok((trial.generation, served))
    }
}

impl Serving {
    /// On which terms `next` is published. `served` is still the one before.
    pub(super) fn term_of(&self, purpose: &Purpose, next: &Revision, now: Now) -> Option<Term> {
        let Purpose::Generation {
            confirm_within: Some(within),
            ..
        } = purpose
        else {
            return None;
        };
        let before = self.served.as_ref();
        let back_to = before.map_or(0, |served| served.generation);
        let baseline = before.map(|served| Baseline::of(&served.state, next, &self.activity));
        Some(Term::from(now.coarse, *within, &self.boot, back_to).compared(baseline))
    }

    pub(super) fn trial_of(&self, purpose: &Purpose, next: &Served, author: &str, now: Now) -> Option<OnTrial> {
        let term = self.term_of(purpose, &next.state, now)?;
        let before = self.served.as_ref().map(|served| served.state.state.content.clone());
        Some(OnTrial::new(next.generation, author.to_owned(), term, before))
    }

    /// Looks at what was counted: before a plan is judged, so that the first packet
    /// of a VIP a moment ago is one.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn see(&mut self, now: Instant) -> Result<(), Failure> {
        self.count(now).map(drop)
    }

    fn count(&mut self, now: Instant) -> Result<Counted, Failure> {
        let counted = Counted::of(self.publisher.kernel(), self.served.as_ref())?;
        self.sentinel.count(counted.received());
        self.activity.look(counted.counters(), now);
        self.arrivals.look(counted.received(), received::by_interface(), now);
        Ok(counted)
    }

    /// Looks at what was counted, and whether a trial is worse than what was
    /// before. Once a second.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn look(&mut self, now: Instant) -> Result<(), Failure> {
        let counted = self.count(now)?;
        let (Some(trial), Some(served)) = (&mut self.on_trial, &self.served) else {
            return Ok(());
        };
        let before = trial.before.as_ref();
        let kept = before.map_or_else(BTreeMap::new, |before| kept_by(before, &served.state));
        let generation = trial.generation;
        match trial.look(counted.counters(), &kept, now) {
            Judgement::Well => {}
            Judgement::TrafficFell { now, before } => {
                event!(
                    warn,
                    TrafficFell,
                    generation,
                    now,
                    before,
                    "a generation on trial gets less than half of the packets a second of before"
                );
            }
            Judgement::Worse(worse) => event!(error, TrialWorse, generation, %worse, "it is worse than before"),
        }
        Ok(())
    }

    /// Why the generation on trial ends by itself.
    #[must_use]
    pub fn cause_of_end(&self) -> String {
        self.on_trial.as_ref().map_or_else(String::new, OnTrial::cause)
    }

    /// The generation on trial stays.
    ///
    /// # Errors
    /// When none is, when its time is up, or when the journal does not take it:
    /// it is on trial then as before.
    pub fn confirm(&mut self, author: &str, now: Now) -> Result<Applied, Failure> {
        let (generation, served) = self.footing().may_confirm(now)?;
        let mut confirmed = unchanged(served);
        let store = self.store.as_mut().ok_or_else(|| failure::absent("store"))?;
        store.append(&Entry::Confirmed { generation }, author, now.time)?;
        tracing::info!(generation, author, "confirmed");
        confirmed.notes = vec![format!("generation {generation} is confirmed")];
        self.on_trial = None;
        Ok(confirmed)
    }

    /// The content to go back to, if somebody asks or if it is time.
    ///
    /// # Errors
    /// When none is on trial or no change is taken (and somebody asks), or the store
    /// cannot be read.
    pub fn content_before_trial(&self, asked: bool, now: Now) -> Result<Option<Part<Content>>, Failure> {
        // Without a journal a generation could not be told from the one before.
        if let Err(failure) = self.check_writable() {
            return if asked { Err(failure) } else { Ok(None) };
        }
        let trial = match &self.on_trial {
            Some(trial) if asked || trial.is_over(now.coarse, &self.boot) => trial,
            None if asked => return Err(failure::no_trial()),
            Some(_) | None => return Ok(None),
        };
        let store = self.store.as_ref().ok_or_else(|| failure::absent("store"))?;
        let back_to = trial.term.back_to;
        let (_, content) = store
            .generation(back_to)?
            .ok_or_else(|| failure::absent(&format!("generation {back_to}")))?;
        Ok(Some(content))
    }

    /// Serves `content` again, of the generation before the one on trial.
    ///
    /// # Errors
    /// The one on trial goes on then, and it is tried again.
    pub fn take_back(
        &mut self,
        content: &Part<Content>,
        cause: &str,
        resolution: &Resolution,
        author: &str,
        now: Now,
    ) -> Result<Applied, Failure> {
        let Some(trial) = &self.on_trial else {
            return Err(failure::no_trial());
        };
        let (generation, back_to) = (trial.generation, trial.term.back_to);
        let was_worse = trial.worse.is_some();
        self.check_writable()?;
        let purpose = Purpose::Generation {
            plan_digest: None,
            cause: cause.to_owned(),
            message: Some(format!(
                "generation {generation} was {}: the content of generation {back_to} again",
                if was_worse { "worse" } else { "not confirmed" }
            )),
            confirm_within: None,
            by: None,
            opened: Opened::default(),
        };
        match self.change(content, &purpose, resolution, author, now) {
            Ok(applied) => {
                self.taken_back = Some(TakenBack {
                    generation,
                    cause: cause.to_owned(),
                });
                event!(
                    warn,
                    TakenBack,
                    generation,
                    back_to,
                    cause,
                    now = applied.generation,
                    "taken back"
                );
                Ok(applied)
            }
            Err(failure) => {
                if let Some(trial) = &mut self.on_trial {
                    trial.put_off(now.coarse);
                }
                event!(
                    error,
                    TakeBackFailed,
                    generation,
                    holdfast.code = failure.code,
                    reason = failure.message,
                    "could not be taken back yet"
                );
                Err(failure)
            }
        }
    }

    /// What the kernel remembers of it, for a daemon whose store does not say.
    pub(crate) fn trial_remembered(&self) -> Option<OnTrial> {
        let served = self.served.as_ref()?;
        let last = self.past.generations().last()?;
        let intent = &last.intent;
        let term = intent.confirm.clone().filter(|_| !last.confirmed)?;
        let mut generations = self.past.generations().iter();
        let before = generations.find(|earlier| earlier.intent.generation == term.back_to);
        let before = before.and_then(|earlier| self.past.content(earlier.intent.content));
        (intent.generation == served.generation)
            .then(|| OnTrial::new(served.generation, last.author.clone(), term, before))
    }

    pub(crate) fn trial_status(&self, now: Now) -> Option<TrialStatus> {
        let trial = self.on_trial.as_ref()?;
        Some(TrialStatus {
            generation: trial.generation,
            author: trial.author.clone(),
            until: trial.term.until(now),
            back_to: trial.term.back_to,
        })
    }
}
