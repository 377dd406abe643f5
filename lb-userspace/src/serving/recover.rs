//! Back to normal, from read-only: the store is put right, or rebuilt from what the
//! kernel serves and remembers. What is served is not touched.

use std::path::PathBuf;

use super::{Serving, apply::Asked};
use crate::{
    api::model::{Failure, KeyFile, Mode, RecoverRequest, Recovery},
    clock::Now,
    event, failure,
    past::Past,
    startup::hash_key,
    store::{self, Recovered, Store, StoreError},
    takeover,
};

/// How the store comes to agree with the kernel.
enum Remedy {
    /// It does, once what is pending is settled.
    Settle,
    /// It is blank: what the kernel remembers goes into it.
    Fill,
    /// It is of no use, and is set aside.
    Replace,
}

impl Serving {
    /// Ends read-only: afterwards the journal says what the kernel serves, with the
    /// history, overrides and lock that the kernel remembers, and the file of the
    /// hash key has the key that flows are hashed with.
    ///
    /// # Errors
    /// When nothing is served, or the disk does not take it: the daemon is as it
    /// was then, and nothing was deleted.
    pub fn recover(&mut self, request: &RecoverRequest, asked: &Asked<'_>, now: Now) -> Result<Recovery, Failure> {
        let Some(served) = &self.served else {
            return Err(failure::nothing_to_recover_from(self.mode_reason.as_deref()));
        };
        let mut recovery = Recovery {
            generation: served.generation,
            revision: served.revision,
            digest: served.digest,
            recovered: false,
            why: None,
            rebuilt: false,
            remembered: None,
            aside: None,
            hash_key: KeyFile::Same,
            mode: self.mode_now().0,
            trial: None,
            trial_is_over: false,
        };
        if self.mode != Mode::ReadOnly {
            recovery.hash_key = self.hash_key_file((!request.dry_run).then_some(now))?;
            return Ok(recovery);
        }
        let was = self.mode_reason.clone().unwrap_or_default();
        recovery.why = Some(was.clone());
        let mut reopened = None;
        if self.store.is_none() {
            match Store::open(&self.state_dir) {
                Ok(store) => reopened = Some(store),
                // Whoever wrote or has it knows more than this daemon.
                Err(error @ (StoreError::InUse { .. } | StoreError::Newer { .. })) => return Err(error.into()),
                Err(error) => tracing::info!(%error, "the store is of no use"),
            }
        }
        let remedy = match self.store.as_ref().or(reopened.as_ref()) {
            Some(store) => match self.remedy(store) {
                // What somebody wrote over it cannot be read.
                Err(_) if !store.ends_as_written() => Remedy::Replace,
                remedy => remedy?,
            },
            None => Remedy::Replace,
        };
        let past = self.past_to_recover(now);
        recovery.rebuilt = !matches!(remedy, Remedy::Settle);
        recovery.remembered = match &remedy {
            Remedy::Settle => None,
            Remedy::Fill | Remedy::Replace => Some(past.generations().len() as u32),
        };
        // Before anything is moved: where a new store cannot be written, the one before stays.
        if recovery.rebuilt {
            store::try_directory(&self.state_dir)?;
        }
        if request.dry_run {
            recovery.hash_key = self.hash_key_file(None)?;
            self.say_trial(&mut recovery, now);
            return Ok(recovery);
        }
        if let Some(store) = reopened {
            self.store = Some(store);
        }
        self.put_right(&remedy, &past, &was, asked, now, &mut recovery)?;
        recovery.hash_key = self.hash_key_file(Some(now))?;
        (self.mode, self.mode_reason) = (Mode::Normal, None);
        let adopted = std::mem::take(&mut self.past);
        self.begin_past(adopted);
        self.begin_signing(now);
        if let Some(refusal) = self.publisher.kernel().refusal() {
            let reason = takeover::refused(refusal);
            self.become_read_only(reason);
        }
        recovery.recovered = self.mode != Mode::ReadOnly;
        recovery.mode = self.mode_now().0;
        self.say_trial(&mut recovery, now);
        event!(
            warn,
            Recovered,
            generation = recovery.generation,
            rebuilt = recovery.rebuilt,
            author = asked.author,
            reason = was,
            "recovered"
        );
        Ok(recovery)
    }

    /// What is served may be taken back as soon as changes are taken again.
    fn say_trial(&self, recovery: &mut Recovery, now: Now) {
        recovery.trial = self.trial_status(now);
        let trial = self.on_trial.as_ref();
        recovery.trial_is_over = trial.is_some_and(|trial| trial.is_over(now.coarse, &self.boot));
    }

    /// What is to be done with a store that can be read.
    fn remedy(&self, store: &Store) -> Result<Remedy, Failure> {
        let Some(served) = &self.served else {
            return Ok(Remedy::Settle);
        };
        if store.is_blank()? {
            return Ok(Remedy::Fill);
        }
        let pending = store.pending_intent()?.map(|pending| pending.served);
        let known = store.last_switched()?;
        let is_served = |last: &store::Served| {
            last.generation == served.generation
                && last.content.digest() == served.digest
                && last.revision <= served.revision
        };
        if store.lacks(&self.past)?.is_none() && known.iter().chain(&pending).any(is_served) {
            return Ok(Remedy::Settle);
        }
        Ok(Remedy::Replace)
    }

    /// What the kernel remembers; what it serves is in it, whoever published it.
    fn past_to_recover(&self, now: Now) -> Past {
        let Some(served) = &self.served else {
            return self.past.clone();
        };
        let last = self.past.generations().last();
        if last.is_some_and(|last| last.intent.generation == served.generation) {
            return self.past.clone();
        }
        // By a version that remembered nothing.
        let content = &served.state.state.content;
        let earlier = crate::past::Earlier::unknown(served.generation, served.revision, served.digest, now.time);
        self.past.followed_by(earlier, |_| Some(content.clone()))
    }

    fn put_right(
        &mut self,
        remedy: &Remedy,
        past: &Past,
        was: &str,
        asked: &Asked<'_>,
        now: Now,
        recovery: &mut Recovery,
    ) -> Result<(), Failure> {
        match remedy {
            Remedy::Settle => {
                if let Err(reason) = self.settle(asked.author, now)? {
                    return Err(failure::read_only(&reason));
                }
                return Ok(());
            }
            Remedy::Fill => {}
            Remedy::Replace => {
                // Its lock goes with it.
                self.store = None;
                let aside = store::set_aside(&self.state_dir, now.time)?;
                recovery.aside = aside.map(|aside| aside.display().to_string());
                let opened = Store::open(&self.state_dir);
                self.store = Some(opened.map_err(|error| failure::half_recovered(&error, recovery.aside.as_deref()))?);
            }
        }
        let (Some(store), Some(served)) = (&mut self.store, &self.served) else {
            return Ok(());
        };
        let recovered = Recovered {
            generation: served.generation,
            revision: served.revision,
            state: served.state.clone(),
            why: was.to_owned(),
            aside: recovery.aside.clone(),
            locked: past.locked().clone(),
            boot: self.boot.clone(),
            by: asked.by,
        };
        let content = &served.state.state.content;
        store
            .rebuild_from(past, content, recovered, asked.author, now.time)
            .map_err(|error| failure::half_recovered(&error, recovery.aside.as_deref()))?;
        self.on_trial = store.on_trial()?;
        self.taken_back = store.taken_back()?;
        Ok(())
    }

    /// The file of the hash key has the key in use; `now`: or gets it. Without it
    /// every flow would move at the next boot.
    pub(crate) fn hash_key_file(&self, now: Option<Now>) -> Result<KeyFile, Failure> {
        let Some(served) = &self.served else {
            return Ok(KeyFile::Same);
        };
        let path: PathBuf = served.state.config().node.hash_key_file.clone();
        let key = self.publisher.kernel().hash_key()?;
        let found = hash_key::compare(&path, &key).map_err(|source| failure::hash_key(&path, &source))?;
        if found != KeyFile::Same
            && let Some(now) = now
        {
            hash_key::restore(&path, &key, now.time).map_err(|source| failure::hash_key(&path, &source))?;
        }
        Ok(found)
    }
}
