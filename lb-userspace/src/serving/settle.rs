//! Whether the journal agrees with what is served.

use super::{Served, Serving, sentinel::AUTHOR};
use crate::{
    api::model::Mode,
    clock::Now,
    event, startup,
    store::{self, Entry, Outcome, Store, StoreError},
};

/// A revision that was published without the journal.
fn write_down(store: &mut Store, served: &Served, author: &str, now: Now) -> Result<(), StoreError> {
    let (generation, revision) = (served.generation, served.revision);
    let entry = Entry::Revision(store::Revision {
        generation,
        revision,
        state: served.state.clone(),
        cause: "published while the journal could not be written".to_owned(),
    });
    store.append(&entry, author, now.time)?;
    let outcome = Outcome::RolledForward { generation, revision };
    store.append(&Entry::Outcome(outcome), author, now.time).map(drop)
}

/// Why the journal is not to be believed of what is served.
pub(crate) type Disagreement = String;

impl Serving {
    /// Writes down what was published while the journal took nothing, once it does.
    pub fn catch_up(&mut self, now: Now) {
        let (Some(store), Some(served)) = (&mut self.store, &self.served) else {
            return;
        };
        if self.mode == Mode::ReadOnly || !self.signing.is_behind() {
            return;
        }
        let facts = (served.generation, served.revision, served.digest);
        let caught = startup::settle_pending(store, Some(facts), now).and_then(|()| {
            let last = store.last_switched()?;
            let is_behind =
                last.is_some_and(|last| last.generation == served.generation && last.revision < served.revision);
            if is_behind {
                write_down(store, served, AUTHOR, now)
            } else {
                // Nothing is missing, as after a change that was refused: does it write now?
                store.try_write()
            }
        });
        match caught {
            Ok(()) => self.signing.written(),
            Err(error) => self.signing.not_written(&error),
        }
    }

    /// Settles what is pending in the journal by what the kernel serves, and
    /// writes down revisions that it does not know yet. Then it agrees, or says why
    /// not. `author` is who found it so.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) fn settle(&mut self, author: &str, now: Now) -> Result<Result<(), Disagreement>, StoreError> {
        let (Some(store), Some(served)) = (&mut self.store, &self.served) else {
            return Ok(Ok(()));
        };
        let (generation, revision) = (served.generation, served.revision);
        let facts = (generation, revision, served.digest);
        startup::settle_pending(store, Some(facts), now)?;
        let lacks = store.lacks(&self.past)?;
        let reason = match store.last_switched()? {
            None => format!("the kernel serves generation {generation}, and the state directory knows of none"),
            Some(last) if last.generation != generation || last.content.digest() != served.digest => format!(
                "the kernel serves generation {generation} with digest {}, the journal says generation {} with {}",
                served.digest.short(),
                last.generation,
                last.content.digest().short()
            ),
            Some(last) if last.revision > revision => format!(
                "the kernel serves revision {revision}, the journal knows revision {}",
                last.revision
            ),
            Some(_) if let Some(what) = &lacks => {
                format!("the kernel remembers {what}, and the journal does not: it is an older one")
            }
            // What is published for a generation may be newer than the journal
            // knows: next hops are followed without it, too.
            Some(last) => {
                if last.revision < revision {
                    write_down(store, served, author, now)?;
                }
                let boot = Some(self.boot.clone());
                let adopted = Entry::Adopted {
                    generation,
                    revision,
                    boot,
                };
                store.append(&adopted, author, now.time)?;
                self.on_trial = store.on_trial()?;
                self.taken_back = store.taken_back()?;
                if let Some(trial) = &self.on_trial {
                    event!(warn, OnTrial, generation, due = ?trial.term.due(now.coarse, &self.boot), "on trial");
                }
                return Ok(Ok(()));
            }
        };
        Ok(Err(reason))
    }
}
