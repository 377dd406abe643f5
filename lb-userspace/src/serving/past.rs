//! Keeps what the kernel remembers of before up to date: with each generation in
//! its own publish, and within a second of what somebody does to the lock.

use super::Serving;
use crate::{
    api::model::{Failure, Mode},
    event,
    layout::{Layout, RootFacts},
    part::Part,
    past::{Earlier, Locked, Past},
    plan::Content,
    rehearsal,
};

impl Serving {
    /// With a generation that is about to be published.
    pub(super) fn past_with(&self, begun: Earlier, content: &Part<Content>) -> Past {
        let running = self.served.as_ref().map(|served| &served.state.state.content);
        let known = || running.into_iter().chain([content]);
        // What was done since the kernel was told last.
        let (locked, confirmed) = self.settled();
        self.past.settled(locked, confirmed).followed_by(begun, |digest| {
            known().find(|content| content.digest() == digest).cloned()
        })
    }

    /// What the kernel is to remember follows from the store; `adopted` is what it
    /// does. Without a store that is to be believed it is kept as it is.
    pub(crate) fn begin_past(&mut self, adopted: Past) {
        let agreed = self.store.as_ref().filter(|_| self.mode == Mode::Normal);
        match agreed.map(|store| store.past(&adopted)) {
            Some(Ok(past)) => {
                self.past_is_new = !past.says(&adopted);
                self.past = past;
            }
            Some(Err(error)) => {
                event!(error, PublishFailed, reason = %error, "what the kernel is to remember cannot be read");
                self.past = adopted;
            }
            None => self.past = adopted,
        }
    }

    /// Has the kernel remember the lock as it is now, and that a trial was
    /// confirmed. It is the same revision once more; nothing of it is written anew
    /// but the root, the VIP chunks that a root has of its own, and the past.
    pub fn keep_past(&mut self) {
        if self.store.is_none() || self.mode != Mode::Normal {
            return;
        }
        let (locked, confirmed) = self.settled();
        let last = self.past.generations().last();
        let same = *self.past.locked() == locked && last.is_none_or(|last| last.confirmed == confirmed);
        if same && !self.past_is_new {
            return;
        }
        let past = self.past.settled(locked, confirmed);
        match self.publish_again(&past) {
            Ok(()) => {
                self.past = past;
                self.past_is_new = false;
            }
            Err(failure) => event!(
                error,
                PublishFailed,
                holdfast.code = failure.code,
                reason = failure.message,
                "what was before could not be published"
            ),
        }
    }

    /// The lock as it is now, and whether the generation that runs was confirmed.
    fn settled(&self) -> (Locked, bool) {
        let lock = self.store.as_ref().map(|store| Locked::of(store.lock()));
        let last = self.past.generations().last();
        let was_on_trial = last.is_some_and(|last| last.intent.confirm.is_some());
        let locked = lock.unwrap_or_else(|| self.past.locked().clone());
        (locked, self.on_trial.is_none() && was_on_trial)
    }

    /// The revision that is served, with another past, or because a part of it was
    /// damaged: what is not whole is written anew.
    pub(super) fn publish_again(&mut self, past: &Past) -> Result<(), Failure> {
        let Some(served) = &self.served else {
            return Ok(());
        };
        let layout = Layout::of(&served.state, served.layout.as_ref())?.after(past.written().clone());
        let facts = RootFacts {
            generation: served.generation,
            revision: served.revision,
            digest: served.digest,
            state: served.state.state.digest(),
        };
        self.publisher.publish(&layout, &facts, |kernel, active| {
            // It is served already, rehearsed or not.
            if kernel.refusal().is_some() {
                return Ok(());
            }
            rehearsal::rehearse(kernel, active, &served.state).map_err(Into::into)
        })?;
        if let Some(served) = &mut self.served {
            served.layout = Some(layout);
        }
        Ok(())
    }
}
