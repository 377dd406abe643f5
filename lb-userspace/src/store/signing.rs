//! Signs the journal's heads, and keeps the journal's word and the key's file
//! together.
//!
//! A head is a transaction of its own, after that of the entry: a disk that
//! takes the entry and not the head costs the head.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Audited, Damage, Entry, JournalDamage, Store, StoreError,
    chain::Head,
    head::{SignedHead, Statement},
    journal::{self, signed, unsigned},
    key::{KEY_FILE, KeyError, OLD_KEY_FILE, SigningKey},
};

/// A head is signed after so many entries, if nothing asks for one before.
pub const SIGN_EVERY: u64 = 64;

/// Who writes what the daemon does by itself.
const AUTHOR: &str = "holdfastd";

/// The key, and what it has not signed yet.
#[derive(Default)]
pub struct Signing {
    key: Option<SigningKey>,
    /// Entries after its last head.
    unsigned: u64,
    /// An intent of a generation has no outcome yet.
    pub(super) generation: bool,
    /// A generation has an outcome that is not signed yet.
    due: bool,
}

impl Signing {
    pub(super) const fn key(&self) -> Option<&SigningKey> {
        self.key.as_ref()
    }

    /// Follows the journal by one entry.
    pub(super) const fn follow(&mut self, entry: &Entry) {
        self.unsigned += 1;
        if matches!(entry, Entry::Intent(_)) {
            self.generation = true;
        } else if matches!(entry, Entry::Outcome(_)) {
            self.due |= self.generation;
            self.generation = false;
        }
    }
}

/// What became of the key at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTaken {
    /// It is the one that the journal names.
    Same,
    /// The journal named none.
    Made { fingerprint: String },
    /// The journal named another.
    Rotated {
        fingerprint: String,
        previous: String,
        /// The one before signed the entry that says so.
        handed_over: bool,
    },
}

impl Store {
    /// Takes the key in the state directory, and makes one if there is none.
    /// Whatever is new about it is journaled and signed.
    ///
    /// # Errors
    /// [`KeyError::Replaced`], if it is not the journal's key and that key does
    /// not hand over. No head is signed then.
    pub fn take_key(&mut self, now: Timestamp) -> Result<KeyTaken, StoreError> {
        let dir = self.path.with_file_name("");
        let named = key_in_force(&self.connection, u64::MAX)?;
        let found = SigningKey::read(&dir, KEY_FILE)?;
        let (key, taken) = match (found, named) {
            (Some(key), Some(named)) if key.fingerprint == named => (key, KeyTaken::Same),
            (found, None) => {
                let key = found.map_or_else(|| SigningKey::make(&dir), Ok)?;
                let (public_key, fingerprint) = (key.public.clone(), key.fingerprint.clone());
                self.append(
                    &Entry::KeyMade {
                        public_key,
                        fingerprint: fingerprint.clone(),
                    },
                    AUTHOR,
                    now,
                )?;
                (key, KeyTaken::Made { fingerprint })
            }
            (found, Some(journal)) => {
                // One that cannot be read hands nothing over.
                let old = SigningKey::read(&dir, OLD_KEY_FILE).ok().flatten();
                let old = old.filter(|old| old.fingerprint == journal);
                let key = match (found, &old) {
                    (Some(key), None) => {
                        let file = key.fingerprint;
                        return Err(KeyError::Replaced { journal, file }.into());
                    }
                    (Some(key), Some(_)) => key,
                    (None, _) => SigningKey::make(&dir)?,
                };
                let taken = self.rotate(&key, journal, old.as_ref(), now)?;
                (key, taken)
            }
        };
        key.show(&dir)?;
        self.signing.key = Some(key);
        // Whatever was signed, and by whom: what comes next says so again.
        self.signing.unsigned = self.signing.unsigned.max(1);
        self.sign_head(now)?;
        Ok(taken)
    }

    fn rotate(
        &mut self,
        key: &SigningKey,
        previous: String,
        old: Option<&SigningKey>,
        now: Timestamp,
    ) -> Result<KeyTaken, StoreError> {
        let entry = Entry::KeyRotated {
            public_key: key.public.clone(),
            fingerprint: key.fingerprint.clone(),
            previous: previous.clone(),
            handed_over: old.is_some(),
        };
        // In one transaction: an entry that claims a signature has it.
        self.append_then(&entry, AUTHOR, now, |transaction, record| {
            let Some(old) = old else { return Ok(()) };
            let (seq, hash) = (record.seq, record.hash);
            let statement = statement(transaction, Head { seq, hash }, now)?;
            insert(transaction, &old.sign(statement))
        })?;
        Ok(KeyTaken::Rotated {
            fingerprint: key.fingerprint.clone(),
            previous,
            handed_over: old.is_some(),
        })
    }

    /// Signs the journal as it is now; nothing happens without a key, or if it
    /// is signed already. It is on the disk when this returns.
    ///
    /// # Errors
    /// If the disk does not take it, or somebody else wrote to the journal, which
    /// no head of ours shall vouch for. The journal is as it was.
    pub fn sign_head(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(key) = self.signing.key.as_ref().filter(|_| self.signing.unsigned > 0) else {
            return Ok(());
        };
        if let Some(foreign) = self.foreign {
            return Err(foreign.into());
        }
        let end = journal::head(&self.connection)?;
        if end != self.end {
            return Err(self.tampered(end.seq).into());
        }
        if self.end.seq > 0 {
            insert(&self.connection, &key.sign(statement(&self.connection, self.end, now)?))?;
        }
        self.signing.unsigned = 0;
        self.signing.due = false;
        Ok(())
    }

    /// A journal that is sound in itself, if this process wrote all of it that came since
    /// it opened the store: somebody else may have chained an entry as well.
    ///
    /// # Errors
    /// The first entry that it did not write.
    pub fn vouch_for(&self, audited: Audited) -> Result<Audited, JournalDamage> {
        self.foreign.map_or(Ok(audited), Err)
    }

    /// Where the journal stops being what this process wrote, if it now ends
    /// with entry `end`.
    pub(super) const fn tampered(&self, end: u64) -> JournalDamage {
        if end > self.end.seq {
            let (seq, what) = (self.end.seq + 1, Damage::Added);
            return JournalDamage { seq, what };
        }
        let (seq, what) = (end + 1, Damage::CutOff);
        JournalDamage { seq, what }
    }

    /// A head should be signed now: a generation has its outcome, or there are
    /// many entries without one.
    #[must_use]
    pub const fn head_is_due(&self) -> bool {
        self.signing.due || self.signing.unsigned >= SIGN_EVERY
    }

    /// Entries that no head of this key covers.
    #[must_use]
    pub const fn unsigned(&self) -> u64 {
        self.signing.unsigned
    }

    /// Of the key that signs; `None`: none does.
    #[must_use]
    pub fn key_fingerprint(&self) -> Option<&str> {
        self.signing.key.as_ref().map(|key| key.fingerprint.as_str())
    }

    /// The journal's end, as this process wrote it.
    #[must_use]
    pub const fn end(&self) -> Head {
        self.end
    }

    /// Every head names an entry that is there as it was. Signatures are not
    /// checked: a start has no time for that, `journal verify` has.
    ///
    /// # Errors
    /// [`StoreError::Journal`] with the first entry that may be another.
    pub(super) fn check_heads(&self) -> Result<(), StoreError> {
        let sql = "SELECT heads.seq FROM heads LEFT JOIN journal ON journal.seq = heads.seq
                   WHERE journal.hash IS NOT heads.hash ORDER BY heads.seq LIMIT 1";
        let wrong = self.connection.query_row(sql, [], |row| unsigned(row, 0)).optional()?;
        let Some(until) = wrong else { return Ok(()) };
        if until > self.end.seq {
            let (seq, what) = (self.end.seq + 1, Damage::CutOff);
            return Err(JournalDamage { seq, what }.into());
        }
        let sql = "SELECT coalesce(max(seq), 0) + 1 FROM heads WHERE seq < ?1";
        let seq = self
            .connection
            .query_row(sql, [signed(until)], |row| unsigned(row, 0))?;
        let what = Damage::Rewritten { until };
        Err(JournalDamage { seq, what }.into())
    }
}

/// Of the key that the journal names last, at or before an entry.
pub fn key_in_force(connection: &Connection, at: u64) -> Result<Option<String>, StoreError> {
    let sql = "SELECT payload ->> '$.fingerprint' FROM journal
               WHERE kind IN ('keyMade', 'keyRotated') AND seq <= ?1 ORDER BY seq DESC LIMIT 1";
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let named = connection.prepare_cached(sql)?.query_row([at], |row| row.get(0));
    Ok(named.optional()?)
}

fn statement(connection: &Connection, head: Head, now: Timestamp) -> Result<Statement, StoreError> {
    let sql = "SELECT store_id, host FROM identity";
    let (store_id, host) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Statement {
        store_id,
        host,
        seq: head.seq,
        hash: head.hash.to_string(),
        time: now.to_string(),
    })
}

fn insert(connection: &Connection, head: &SignedHead) -> Result<(), StoreError> {
    let statement = &head.statement;
    connection
        .prepare_cached("INSERT INTO heads VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?
        .execute((
            signed(statement.seq),
            &statement.hash,
            &statement.time,
            &head.fingerprint,
            &head.signature,
        ))?;
    Ok(())
}
