//! Whether the journal agrees with what is served.

use super::Serving;
use crate::{
    clock::Now,
    event, startup,
    store::{self, Entry, Outcome, StoreError},
};

/// Why the journal is not to be believed of what is served.
pub(crate) type Disagreement = String;

impl Serving {
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
            // What is published for a generation may be newer than the journal
            // knows: next hops are followed without it, too.
            Some(last) => {
                if last.revision < revision {
                    let entry = Entry::Revision(store::Revision {
                        generation,
                        revision,
                        state: served.state.clone(),
                        cause: "published while the journal could not be written".to_owned(),
                    });
                    store.append(&entry, author, now.time)?;
                    let outcome = Outcome::RolledForward { generation, revision };
                    store.append(&Entry::Outcome(outcome), author, now.time)?;
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
