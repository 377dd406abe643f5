//! Judges a journal, whoever reads it out: rows and heads are handed in, in
//! their order, and the first that is not sound ends it.
//!
//! What a chain proves: nothing between two entries was changed, unless all
//! after it was. What a head proves: the journal had this entry, with all before
//! it, when the host's key signed it. So a journal that was written anew, or
//! cut, contradicts the heads that are left of it, or one somebody kept.

use std::fmt;

use super::{
    Damage, Entry, JournalDamage,
    chain::{Head, Row},
    head::SignedHead,
    journal::record,
    signing::SIGN_EVERY,
};

/// More entries than this without a head mean that heads were not signed, or
/// were taken away. Twice what the daemon lets come together.
pub const LONGEST_UNSIGNED: u64 = 2 * SIGN_EVERY;

/// Warnings are about stretches of the journal: this many are enough to see.
const WARNINGS: usize = 16;

/// What a judgement starts from.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub store_id: String,
    pub host: String,
    /// The fingerprint of a key that is known to be the host's.
    pub trusted: Option<String>,
    /// Heads that somebody kept elsewhere.
    pub kept: Vec<Head>,
    /// For a journal that does not begin with its first entry: the entry before,
    /// and the key in force then.
    pub begin: Option<(Head, Option<String>)>,
}

/// A judgement under way.
#[derive(Debug)]
pub struct Audit {
    terms: Terms,
    at: Head,
    /// The last entry under a good head.
    signed: u64,
    heads: u64,
    keys: Vec<NamedKey>,
    handover: Option<Handover>,
    /// A head after the last entry, of a key that is not known by then.
    stray: Option<JournalDamage>,
    trust: Trust,
    warnings: Vec<Warning>,
}

/// A key that the journal names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    pub fingerprint: String,
    /// The entry that names it.
    pub since: u64,
    /// The key before signed that entry; absent: there was none before.
    pub handed_over: Option<bool>,
}

/// An entry that names another key, until it is clear who signed it.
#[derive(Debug)]
struct Handover {
    seq: u64,
    from: String,
    /// The entry says that the key before signed it.
    claimed: bool,
    seen: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Trust {
    /// Nobody said which key is the host's.
    Unasked,
    /// The journal has not named it yet.
    Waiting,
    /// It was named, and so were all after it by one before.
    Held,
}

/// A sound journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    pub end: Head,
    pub heads: u64,
    /// The last entry under a good head; 0: none is.
    pub signed: u64,
    pub keys: Vec<NamedKey>,
    pub warnings: Vec<Warning>,
}

/// Nothing is wrong, but less is proved than could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The journal names no key.
    NoKey,
    /// The key in force signed none of these entries.
    Unsigned { from: u64, to: u64 },
    /// The key was changed, and the one before did not sign that.
    KeyLost { seq: u64 },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("no entry names a key: nothing is signed"),
            Self::Unsigned { from, to } => {
                write!(f, "entries {from} to {to} had no signed head of their own")
            }
            Self::KeyLost { seq } => write!(
                f,
                "entry {seq} names another key, and the key before did not sign it: name the key with --key"
            ),
        }
    }
}

impl Audit {
    #[must_use]
    pub fn new(mut terms: Terms) -> Self {
        let (at, key) = terms.begin.take().unwrap_or((Head::START, None));
        let mut audit = Self {
            at,
            signed: 0,
            heads: 0,
            keys: Vec::new(),
            handover: None,
            stray: None,
            trust: match &terms.trusted {
                Some(_) => Trust::Waiting,
                None => Trust::Unasked,
            },
            warnings: Vec::new(),
            terms,
        };
        if let Some(fingerprint) = key {
            audit.believe(&fingerprint);
            audit.keys.push(NamedKey {
                fingerprint,
                since: at.seq,
                handed_over: None,
            });
        }
        audit
    }

    /// The last entry that was handed in.
    #[must_use]
    pub const fn at(&self) -> Head {
        self.at
    }

    /// The next entry. Heads of the entries before come first.
    ///
    /// # Errors
    /// If it is not what was written.
    pub fn row(&mut self, row: &Row) -> Result<(), JournalDamage> {
        self.settle_handover()?;
        let seq = self.at.seq + 1;
        let damage = |what| JournalDamage { seq, what };
        self.at = self.at.after(row).map_err(damage)?;
        if self.terms.kept.iter().any(|kept| kept.seq == seq && *kept != self.at) {
            return Err(self.rewritten());
        }
        let entry = record(row.clone())?.entry;
        if let Entry::KeyMade { fingerprint, .. } = &entry {
            self.name(fingerprint, false)?;
        } else if let Entry::KeyRotated {
            fingerprint,
            handed_over,
            ..
        } = &entry
        {
            self.name(fingerprint, *handed_over)?;
        }
        Ok(())
    }

    /// A head: of the last entry, if all is well.
    ///
    /// # Errors
    /// If it is not genuine, or says something else than the entries do.
    pub fn head(&mut self, head: &SignedHead) -> Result<(), JournalDamage> {
        let statement = &head.statement;
        let seq = statement.seq;
        let damage = |what| JournalDamage { seq, what };
        let ours = statement.store_id == self.terms.store_id && statement.host == self.terms.host;
        if !ours || seq < self.at.seq || !head.is_genuine() {
            return Err(damage(Damage::Signature));
        }
        let handover = self.handover.as_mut();
        let handover = handover.filter(|handover| handover.seq == seq && handover.from == head.fingerprint);
        if let Some(handover) = handover {
            handover.seen = true;
        } else if self.keys.last().is_none_or(|key| key.fingerprint != head.fingerprint) {
            if seq > self.at.seq {
                // Of an entry that is not there: a head that shows why may follow.
                self.stray = self.stray.or_else(|| Some(damage(Damage::Key)));
                return Ok(());
            }
            return Err(damage(Damage::Key));
        }
        if seq > self.at.seq {
            return Err(self.cut_off());
        }
        if statement.hash != self.at.hash.to_string() {
            return Err(self.rewritten());
        }
        self.warn_unsigned(seq.saturating_sub(1));
        self.signed = seq;
        self.heads += 1;
        Ok(())
    }

    /// There are no more entries, and no more heads. `end` is where the journal
    /// ends, as its writer left word.
    ///
    /// # Errors
    /// If it does not end there, or not where a kept head does.
    pub fn finish(mut self, end: Head) -> Result<Audited, JournalDamage> {
        self.settle_handover()?;
        if self.at.seq > end.seq {
            let (seq, what) = (end.seq + 1, Damage::Added);
            return Err(JournalDamage { seq, what });
        }
        if self.at != end {
            return Err(self.cut_off());
        }
        if let Some(stray) = self.stray {
            return Err(stray);
        }
        if self.terms.kept.iter().any(|kept| kept.seq > self.at.seq) {
            return Err(self.cut_off());
        }
        if self.trust == Trust::Waiting {
            let seq = self.keys.first().map_or(self.at.seq, |key| key.since);
            let what = Damage::Key;
            return Err(JournalDamage { seq, what });
        }
        if self.keys.is_empty() && self.at.seq > 0 {
            self.warnings.push(Warning::NoKey);
        }
        self.warn_unsigned(self.at.seq);
        Ok(Audited {
            end: self.at,
            heads: self.heads,
            signed: self.signed,
            keys: self.keys,
            warnings: self.warnings,
        })
    }

    /// The journal names a key.
    fn name(&mut self, fingerprint: &str, claimed: bool) -> Result<(), JournalDamage> {
        let seq = self.at.seq;
        let before = self.keys.last().map(|key| key.fingerprint.clone());
        self.keys.push(NamedKey {
            fingerprint: fingerprint.to_owned(),
            since: seq,
            handed_over: before.as_ref().map(|_| false),
        });
        match before {
            Some(from) => {
                self.handover = Some(Handover {
                    seq,
                    from,
                    claimed,
                    seen: false,
                });
            }
            None if claimed => {
                let what = Damage::Handover;
                return Err(JournalDamage { seq, what });
            }
            None => self.believe(fingerprint),
        }
        Ok(())
    }

    fn believe(&mut self, fingerprint: &str) {
        if self.terms.trusted.as_deref() == Some(fingerprint) {
            self.trust = Trust::Held;
        }
    }

    /// By now it is clear whether the key before signed the entry that names
    /// the next.
    fn settle_handover(&mut self) -> Result<(), JournalDamage> {
        let Some(Handover { seq, claimed, seen, .. }) = self.handover.take() else {
            return Ok(());
        };
        let damage = |what| JournalDamage { seq, what };
        let Some(key) = self.keys.last_mut() else { return Ok(()) };
        key.handed_over = Some(seen);
        if self.terms.trusted.as_deref() == Some(&key.fingerprint) {
            self.trust = Trust::Held;
        } else if !seen && self.trust == Trust::Held {
            return Err(damage(Damage::Key));
        }
        if claimed && !seen {
            return Err(damage(Damage::Handover));
        }
        if !seen {
            self.warnings.push(Warning::KeyLost { seq });
        }
        Ok(())
    }

    /// Entries after the last head, or after the key was named, up to `to`.
    fn warn_unsigned(&mut self, to: u64) {
        let Some(key) = self.keys.last() else { return };
        let from = self.signed.max(key.since) + 1;
        if to >= from && to - from >= LONGEST_UNSIGNED && self.warnings.len() < WARNINGS {
            self.warnings.push(Warning::Unsigned { from, to });
        }
    }

    /// Somebody vouches for another entry here: one of those after the last
    /// head, up to this one, is not what it was.
    const fn rewritten(&self) -> JournalDamage {
        let until = self.at.seq;
        JournalDamage {
            seq: self.signed + 1,
            what: Damage::Rewritten { until },
        }
    }

    const fn cut_off(&self) -> JournalDamage {
        JournalDamage {
            seq: self.at.seq + 1,
            what: Damage::CutOff,
        }
    }
}

/// Hands entries and heads to a judgement in their order: an entry comes after
/// the heads of those before it.
///
/// # Errors
/// The first that is not sound.
pub fn feed(
    audit: &mut Audit,
    rows: &[Row],
    heads: Vec<SignedHead>,
    unsound: Option<u64>,
) -> Result<(), JournalDamage> {
    let mut heads = heads.into_iter().peekable();
    for row in rows {
        let before = audit.at().seq;
        while let Some(head) = heads.next_if(|head| head.statement.seq <= before) {
            audit.head(&head)?;
        }
        audit.row(row)?;
        let seq = audit.at().seq;
        if unsound == Some(seq) {
            let what = Damage::Content;
            return Err(JournalDamage { seq, what });
        }
    }
    heads.try_for_each(|head| audit.head(&head))
}
