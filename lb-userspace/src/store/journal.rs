//! The journal: what was meant, in the order it was meant.
//!
//! `append`, and `append_all` for what is only true together, are the only ways to
//! write to the store: rows, their contents and states and the projections are one
//! transaction.

use std::fs;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};
use serde_json::{Value, json};

use super::{
    Damage, Entry, Filed, JournalDamage, Record, Store, StoreError,
    chain::{Head, Row},
    projection, states,
};
use crate::{
    digest::{Digest, canonical_json},
    part::Part,
    plan::Content,
};

/// All of a row.
pub const ROWS: &str = "SELECT seq, time, author, kind, payload, previous, hash FROM journal";

impl Store {
    /// Adds an entry; it is on the disk when this returns. `now` is wall-clock
    /// time: the order of entries is that of `seq`, whatever the clock does.
    ///
    /// # Errors
    /// If the entry cannot come now, or the disk does not take it. Nothing was
    /// changed then.
    pub fn append(&mut self, entry: &Entry, author: &str, now: Timestamp) -> Result<Record, StoreError> {
        self.append_then(entry, author, now, |_, _| Ok(()))
    }

    /// The same with something more in the same transaction.
    pub(super) fn append_then(
        &mut self,
        entry: &Entry,
        author: &str,
        now: Timestamp,
        then: impl FnOnce(&Transaction<'_>, &Record) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        let transaction = self.begin()?;
        let record = add(&transaction, entry, author, now)?;
        then(&transaction, &record)?;
        if let Err(error) = transaction.commit() {
            self.see_what_became_of(&[(record, entry)]);
            return Err(error.into());
        }
        self.follow(&record, entry);
        Ok(record)
    }

    /// Adds entries that are only true together: all of them are on the disk when
    /// this returns, or none.
    ///
    /// # Errors
    /// As of `append`, of any of them.
    pub(super) fn append_all(&mut self, entries: &[Entry], author: &str, now: Timestamp) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        let records = entries
            .iter()
            .map(|entry| Ok((add(&transaction, entry, author, now)?, entry)));
        let records = records.collect::<Result<Vec<_>, StoreError>>()?;
        if let Err(error) = transaction.commit() {
            self.see_what_became_of(&records);
            return Err(error.into());
        }
        for (record, entry) in records {
            self.follow(&record, entry);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// A commit that failed may have happened all the same: its last step is to sync the
    /// directory. Whoever asked hears that it failed, since nobody knows whether it
    /// outlives a power cut; what comes after has to know that it is there.
    fn see_what_became_of(&mut self, records: &[(Record, &Entry)]) {
        let (Ok(end), Some((last, _))) = (head(&self.connection), records.last()) else {
            return;
        };
        if (end.seq, end.hash) == (last.seq, last.hash) {
            for (record, entry) in records {
                self.follow(record, entry);
            }
        }
    }

    fn follow(&mut self, record: &Record, entry: &Entry) {
        let (seq, hash) = (record.seq, record.hash);
        if (seq, record.previous) != (self.end.seq + 1, self.end.hash) {
            // Entries matter more than who tampers with them; but no head of
            // ours shall vouch for what is not ours.
            self.foreign = self.foreign.or_else(|| Some(self.tampered(seq - 1)));
        }
        self.end = Head { seq, hash };
        self.signing.follow(entry);
        self.lock.follow(record);
    }

    /// The journal ends where this store ended it: nobody else wrote into the file, or
    /// wrote another one over it. A disk that does not answer is not taken for that.
    #[must_use]
    pub fn ends_as_written(&self) -> bool {
        match head(&self.connection) {
            Ok(end) => end == self.end && self.has_its_length(),
            Err(StoreError::Sqlite(error)) => !matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)
            ),
            Err(_) => false,
        }
    }

    /// Pages that were read once are not read again: of a file that was cut its length
    /// tells.
    fn has_its_length(&self) -> bool {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let pages: rusqlite::Result<i64> = self.connection.query_row(sql, [], |row| row.get(0));
        match (pages, fs::metadata(&self.path)) {
            (Ok(pages), Ok(file)) => file.len() == pages.cast_unsigned(),
            _ => true,
        }
    }

    /// At most `limit` entries after entry `after`, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn journal(&self, after: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("{ROWS} WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
        let rows = statement.query_map((signed(after), limit), row)?;
        rows.map(|row| Ok(record(row?)?)).collect()
    }

    /// The last `limit` entries, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn journal_tail(&self, limit: u32) -> Result<Vec<Record>, StoreError> {
        let head = head(&self.connection)?;
        self.journal(head.seq.saturating_sub(u64::from(limit)), limit)
    }

    /// Walks along the whole journal and gives its end. Signatures are not
    /// checked: `page` does that.
    ///
    /// # Errors
    /// [`StoreError::Journal`] with the first entry that is edited, missing, out
    /// of its place or names a content that is gone.
    pub fn verify(&self) -> Result<Head, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{ROWS} ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        let mut at = Head::START;
        while let Some(sqlite_row) = rows.next()? {
            let seq = at.seq + 1;
            let damage = |what| JournalDamage { seq, what };
            let row = row(sqlite_row).map_err(|_| damage(Damage::Unreadable))?;
            at = at.after(&row).map_err(damage)?;
            let record = record(row)?;
            if let Some(content) = record.entry.content()
                && !content_is_sound(&self.connection, content)?
            {
                return Err(damage(Damage::Content).into());
            }
        }
        let end = head(&self.connection)?;
        let (seq, what) = match at {
            at if at == end => return Ok(at),
            at if at.seq > end.seq => (end.seq + 1, Damage::Added),
            at => (at.seq + 1, Damage::CutOff),
        };
        Err(JournalDamage { seq, what }.into())
    }
}

/// Runs `visit` over every entry, oldest first.
pub fn each_record(
    connection: &Connection,
    mut visit: impl FnMut(&Record) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(&format!("{ROWS} ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(sqlite_row) = rows.next()? {
        visit(&record(row(sqlite_row)?)?)?;
    }
    Ok(())
}

/// SQLite's integers are signed; numbers here count up from 1 and do not reach
/// the sign within the age of the universe.
pub const fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A column that [`signed`] filled.
pub fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column)
        .and_then(|number| u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number)))
}

/// The row of an entry, and all that follows from it.
fn add(transaction: &Transaction<'_>, entry: &Entry, author: &str, now: Timestamp) -> Result<Record, StoreError> {
    let filed = entry.filed();
    projection::check_order(transaction, &filed)?;
    keep(transaction, entry)?;
    let record = write(transaction, filed, author, now)?;
    projection::project(transaction, &record)?;
    states::forget(transaction)?;
    Ok(record)
}

/// Keeps the content and state that the journal will name by their digests.
fn keep(transaction: &Transaction<'_>, entry: &Entry) -> Result<(), StoreError> {
    match entry {
        Entry::Intent(intent) => {
            keep_content(transaction, &intent.content)?;
            states::keep(transaction, &intent.state)
        }
        Entry::Remembered(earlier) => keep_content(transaction, &earlier.intent.content),
        Entry::Revision(revision) => states::keep(transaction, &revision.state),
        Entry::Recovered(recovered) => states::keep(transaction, &recovered.state),
        Entry::FirstStart { .. }
        | Entry::Outcome(_)
        | Entry::Adopted { .. }
        | Entry::ServedAgain { .. }
        | Entry::Confirmed { .. }
        | Entry::Refused { .. }
        | Entry::ReadOnly { .. }
        | Entry::Note { .. }
        | Entry::Drift { .. }
        | Entry::Approved { .. }
        | Entry::Rejected { .. }
        | Entry::Held { .. }
        | Entry::Resumed { .. }
        | Entry::GlassBroken { .. }
        | Entry::GlassMended { .. }
        | Entry::Kept { .. }
        | Entry::KeyMade { .. }
        | Entry::KeyRotated { .. } => Ok(()),
    }
}

fn keep_content(transaction: &Transaction<'_>, content: &Part<Content>) -> Result<(), StoreError> {
    let content = content.json();
    transaction
        .prepare_cached("INSERT INTO contents VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((content.digest.to_string(), &content.text))?;
    Ok(())
}

fn write(transaction: &Transaction<'_>, entry: Filed, author: &str, now: Timestamp) -> Result<Record, StoreError> {
    let head = head(transaction)?;
    let (kind, payload) = columns(&entry);
    let mut row = Row {
        seq: head.seq + 1,
        time: now.to_string(),
        author: author.to_owned(),
        kind,
        payload,
        previous: head.hash.to_string(),
        hash: String::new(),
    };
    let hash = row.hash_after(head.hash);
    row.hash = hash.to_string();
    transaction
        .prepare_cached("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute((
            signed(row.seq),
            &row.time,
            &row.author,
            &row.kind,
            &row.payload,
            &row.previous,
            &row.hash,
        ))?;
    transaction
        .prepare_cached("UPDATE identity SET head_seq = ?1, head_hash = ?2")?
        .execute((signed(row.seq), &row.hash))?;
    Ok(Record {
        seq: row.seq,
        time: now,
        author: row.author,
        entry,
        previous: head.hash,
        hash,
    })
}

/// Where the journal ends, as the last `append` left it.
pub fn head(connection: &Connection) -> Result<Head, StoreError> {
    let (seq, hash) = connection.query_row("SELECT head_seq, head_hash FROM identity", [], |row| {
        Ok((unsigned(row, 0)?, row.get::<_, String>(1)?))
    })?;
    let what = Damage::Unreadable;
    let hash = hash.parse().map_err(|_| JournalDamage { seq, what })?;
    Ok(Head { seq, hash })
}

/// The columns `kind` and `payload`.
fn columns(entry: &Filed) -> (String, String) {
    let value = serde_json::to_value(entry).expect("entries are plain JSON");
    let kind = value["kind"].as_str().expect("entries have a kind").to_owned();
    (kind, canonical_json(&value["payload"]))
}

pub fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: unsigned(row, 0)?,
        time: row.get(1)?,
        author: row.get(2)?,
        kind: row.get(3)?,
        payload: row.get(4)?,
        previous: row.get(5)?,
        hash: row.get(6)?,
    })
}

/// Understands a row.
pub fn record(row: Row) -> Result<Record, JournalDamage> {
    let seq = row.seq;
    let understand = || -> Option<Record> {
        let payload: Value = serde_json::from_str(&row.payload).ok()?;
        Some(Record {
            seq,
            time: row.time.parse().ok()?,
            author: row.author,
            entry: serde_json::from_value(json!({ "kind": row.kind, "payload": payload })).ok()?,
            previous: row.previous.parse().ok()?,
            hash: row.hash.parse().ok()?,
        })
    };
    let what = Damage::Unreadable;
    understand().ok_or(JournalDamage { seq, what })
}

/// A content is there, and is what it was.
pub fn content_is_sound(connection: &Connection, digest: Digest) -> Result<bool, StoreError> {
    let json: Option<String> = connection
        .prepare_cached("SELECT json FROM contents WHERE digest = ?1")?
        .query_row([digest.to_string()], |row| row.get(0))
        .optional()?;
    Ok(json.is_some_and(|json| Digest::of(json.as_bytes()) == digest))
}
