//! Nothing is served, and the store knows what was: why, and is it to be served
//! again?

use super::AUTHOR;
use super::Found;
use crate::{
    api::model::TakenBack,
    clock::Now,
    part::Part,
    plan::Content,
    store::{Entry, Store, StoreError},
};

impl Found {
    /// Says whether the host was rebooted; without a boot id in the journal it
    /// was not, as far as anybody knows.
    pub(super) fn note_served_again(&mut self, generation: u64, revision: u64, now: Now) -> Result<bool, StoreError> {
        let boot = self.serving.boot.clone();
        let Some(store) = &mut self.serving.store else {
            return Ok(false);
        };
        let rebooted = store.last_boot()?.is_some_and(|last| last != boot);
        if rebooted {
            tracing::info!(generation, "the host was rebooted");
        } else {
            crate::event!(
                error,
                PinsLost,
                generation,
                "the pins were removed, and the host was not rebooted"
            );
        }
        let again = Entry::ServedAgain {
            generation,
            revision,
            boot,
            rebooted,
        };
        store.append(&again, AUTHOR, now.time)?;
        Ok(rebooted)
    }

    pub(super) fn taken_back(&self) -> Result<Option<TakenBack>, StoreError> {
        let store = self.serving.store.as_ref();
        Ok(store.map(Store::taken_back).transpose()?.flatten())
    }

    /// The content to go back to, if what was served last was on trial and is not
    /// served any more: nothing of it is left that somebody could confirm.
    pub(super) fn not_confirmed(&mut self) -> Result<Option<Part<Content>>, StoreError> {
        let Some(store) = &self.serving.store else {
            return Ok(None);
        };
        let before = content_before_trial(store)?;
        self.serving.on_trial = store.on_trial()?;
        Ok(before)
    }
}

/// What to go back to, if the generation served last is on trial.
pub fn content_before_trial(store: &Store) -> Result<Option<Part<Content>>, StoreError> {
    let Some(trial) = store.on_trial()? else {
        return Ok(None);
    };
    Ok(store.generation(trial.term.back_to)?.map(|(_, content)| content))
}
