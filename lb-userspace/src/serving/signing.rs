//! Has the journal's heads signed. Whatever fails here is said, and stops
//! neither a change nor a revision.

use lb_common::abi::flows::Seconds;

use super::Serving;
use crate::{
    clock::Now,
    event,
    failure::chain,
    store::{JournalDamage, KeyError, KeyTaken, StoreError},
};

/// Entries wait no longer than this for their head, nor does another try.
const SIGN_WITHIN: Seconds = 60;

/// What is wrong with the journal or its signatures.
#[derive(Debug, Default)]
pub struct Signing {
    /// Why no head is signed.
    unsigned: Option<String>,
    /// Why the last entry was not written.
    unwritten: Option<String>,
    /// What was found when the journal was last judged.
    altered: Option<String>,
    /// When a head was last signed, or should have been.
    tried: Seconds,
}

impl Signing {
    /// For people; `None`: nothing is known to be wrong.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        let problems = [&self.altered, &self.unwritten, &self.unsigned];
        problems.into_iter().find_map(|problem| problem.as_deref())
    }

    /// Why no head is signed.
    #[must_use]
    pub fn unsigned(&self) -> Option<&str> {
        self.unsigned.as_deref()
    }

    /// An entry was written.
    pub fn written(&mut self) {
        self.unwritten = None;
    }

    /// The last entry could not be written.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Says once why an entry could not be written.
    pub fn not_written(&mut self, error: &StoreError) {
        let reason = chain(error);
        if self.unwritten.as_ref() != Some(&reason) {
            event!(error, JournalFailed, reason, "the journal does not take entries");
        }
        self.unwritten = Some(reason);
    }

    /// What a judgement of the journal found.
    pub fn judged(&mut self, damage: Option<JournalDamage>) {
        let altered = damage.map(|damage| damage.to_string());
        if let Some(reason) = altered.as_ref().filter(|_| self.altered != altered) {
            event!(error, JournalAltered, reason, "the journal is not what was written");
        }
        self.altered = altered;
    }
}

impl Serving {
    /// At a start, once it is clear what is served: takes the key, and signs.
    pub(crate) fn begin_signing(&mut self, now: Now) {
        self.signing.tried = now.coarse;
        let Some(store) = &mut self.store else { return };
        match store.take_key(now.time) {
            Ok(KeyTaken::Same) => {}
            Ok(KeyTaken::Made { fingerprint }) => {
                event!(info, JournalKeyMade, fingerprint, "the journal's heads have a key");
            }
            Ok(KeyTaken::Rotated {
                fingerprint,
                previous,
                handed_over,
            }) => event!(
                warn,
                JournalKeyRotated,
                fingerprint,
                previous,
                handed_over,
                "the journal's heads have another key"
            ),
            Err(StoreError::Key(error @ KeyError::Replaced { .. })) => {
                event!(error, JournalKeyReplaced, reason = %error, "the journal's key was replaced");
                self.signing.unsigned = Some(error.to_string());
            }
            Err(error) => self.not_signed(&error),
        }
    }

    /// Signs the head if it is time to: a generation has its outcome, many
    /// entries came, or some have waited long.
    pub(crate) fn sign_if_due(&mut self, now: Now) {
        let Some(store) = &self.store else { return };
        let waited = now.coarse.wrapping_sub(self.signing.tried) >= SIGN_WITHIN;
        let soon = store.head_is_due() && self.signing.unsigned.is_none();
        if soon || (waited && store.unsigned() > 0) {
            self.sign_all(now);
        }
    }

    /// Signs the head, unless it is signed.
    pub(crate) fn sign_all(&mut self, now: Now) {
        self.signing.tried = now.coarse;
        let Some(store) = self.store.as_mut().filter(|store| store.key_fingerprint().is_some()) else {
            return;
        };
        match store.sign_head(now.time) {
            Ok(()) => self.signing.unsigned = None,
            Err(error) => self.not_signed(&error),
        }
    }

    fn not_signed(&mut self, error: &StoreError) {
        let reason = chain(error);
        if self.signing.unsigned.as_ref() != Some(&reason) {
            event!(error, HeadNotSigned, reason, "the journal's head is not signed");
        }
        self.signing.unsigned = Some(reason);
    }
}
