//! The journal, a page at a time: whoever reads all of it holds neither the
//! writer's lock nor all of it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::{
    Damage, JournalDamage, Store, StoreError,
    audit::{Audit, Audited, Terms, feed},
    chain::{Head, Row},
    head::{SignedHead, Statement},
    header::{check_header, check_length},
    journal::{self, signed, unsigned},
    migration,
    signing::key_in_force,
    sqlite,
};

/// Entries of a page.
pub const PAGE_ENTRIES: u32 = 256;
/// Bytes of payloads after which a page ends before it is full.
const PAGE_BYTES: usize = 1 << 20;

/// Entries that follow one another, and the heads of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub store_id: String,
    /// SHA-256 of the host's machine id, salted; empty: unknown.
    pub host: String,
    /// Where the journal ends.
    pub end: Head,
    /// Fingerprint of the key in force before the first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub entries: Vec<Row>,
    pub heads: Vec<SignedHead>,
    /// Where the next page begins: after this entry; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The first entry here whose content is missing or is not what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsound: Option<u64>,
}

/// Another copy of a store's file, to be looked at and nothing else.
pub struct Copy {
    connection: Connection,
}

impl Store {
    /// The entries after entry `after`, as many as a page holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn page(&self, after: u64) -> Result<Page, StoreError> {
        page(&self.connection, after)
    }

    /// Nobody took away what guards the journal.
    ///
    /// # Errors
    /// [`StoreError::AlteredSchema`], or if the store cannot be read.
    pub fn check_schema(&self) -> Result<(), StoreError> {
        sqlite::check_schema(&self.connection, &self.path, super::header::SCHEMA)
    }
}

impl Copy {
    /// Opens a copy read-only: it may be of any host, and of a daemon that runs.
    ///
    /// # Errors
    /// If it is no store, or its file is damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let schema = check_header(path)?;
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let path = &path.canonicalize().map_err(sqlite::file_error(path))?;
        let open = || -> Result<Self, StoreError> {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            let finding: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if finding != "ok" {
                let path = path.clone();
                return Err(StoreError::FailedCheck { path, finding });
            }
            check_length(path)?;
            sqlite::check_schema(&connection, path, schema)?;
            if schema < migration::HEADS {
                // An older store has no heads; in memory it gets an empty table.
                connection.execute_batch("CREATE TEMP TABLE heads (seq, hash, time, fingerprint, signature)")?;
            }
            Ok(Self { connection })
        };
        open().map_err(|error| sqlite::unsound(path, error))
    }

    /// Judges all of it.
    ///
    /// # Errors
    /// [`StoreError::Journal`] with the first entry that is not sound.
    pub fn verify(&self, trusted: Option<String>, kept: Vec<Head>) -> Result<Audited, StoreError> {
        let mut walk = Walk::new(trusted, kept);
        let mut after = Some(0);
        while let Some(from) = after {
            after = walk.page(page(&self.connection, from)?)?;
        }
        Ok(walk.finish()?)
    }
}

/// Judges a journal that is read page by page.
pub struct Walk {
    terms: Terms,
    audit: Option<Audit>,
    end: Head,
}

impl Walk {
    /// `trusted` is the fingerprint of the host's key, if it is known; `kept` are
    /// heads that are known from elsewhere.
    #[must_use]
    pub fn new(trusted: Option<String>, kept: Vec<Head>) -> Self {
        let terms = Terms {
            trusted,
            kept,
            ..Terms::default()
        };
        Self {
            terms,
            audit: None,
            end: Head::START,
        }
    }

    /// The next page; gives where the one after it begins.
    ///
    /// # Errors
    /// The first entry that is not sound.
    pub fn page(&mut self, page: Page) -> Result<Option<u64>, JournalDamage> {
        let audit = self.audit.get_or_insert_with(|| {
            Audit::new(Terms {
                store_id: page.store_id.clone(),
                host: page.host.clone(),
                ..std::mem::take(&mut self.terms)
            })
        });
        self.end = page.end;
        feed(audit, &page.entries, page.heads, page.unsound)?;
        Ok(page.next)
    }

    /// There are no more pages.
    ///
    /// # Errors
    /// If the journal does not end where it should.
    pub fn finish(self) -> Result<Audited, JournalDamage> {
        let audit = self.audit.unwrap_or_else(|| Audit::new(self.terms));
        audit.finish(self.end)
    }
}

fn page(connection: &Connection, after: u64) -> Result<Page, StoreError> {
    let sql = "SELECT store_id, host FROM identity";
    let (store_id, host) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let end = journal::head(connection)?;
    let entries = rows(connection, after)?;
    let mut unsound = None;
    for row in &entries {
        if ["intent", "remembered"].contains(&row.kind.as_str())
            && unsound.is_none()
            && !has_sound_content(connection, row)?
        {
            unsound = Some(row.seq);
        }
    }
    let last = entries.last().map(|row| row.seq);
    // Whatever its writer said: there may be more.
    let more = match last {
        Some(last) => exists_after(connection, last)?,
        None => false,
    };
    let next = last.filter(|_| more);
    Ok(Page {
        heads: heads(connection, after, next)?,
        store_id,
        host,
        end,
        key: key_in_force(connection, after)?,
        entries,
        next,
        unsound,
    })
}

/// The least number after an entry's. What has a number below the first is
/// somebody else's, and comes with it.
fn least(after: u64) -> i64 {
    match i64::try_from(after) {
        Ok(0) => i64::MIN,
        Ok(after) => after.saturating_add(1),
        Err(_) => i64::MAX,
    }
}

fn rows(connection: &Connection, after: u64) -> Result<Vec<Row>, StoreError> {
    let least = least(after);
    let mut statement = connection.prepare_cached(&format!(
        "{} WHERE seq >= ?1 ORDER BY seq LIMIT {PAGE_ENTRIES}",
        journal::ROWS
    ))?;
    let mut found = statement.query([least])?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let seq = after.saturating_add(entries.len() as u64 + 1);
        let what = Damage::Unreadable;
        let row = journal::row(row).map_err(|_| JournalDamage { seq, what })?;
        bytes += row.payload.len();
        entries.push(row);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    Ok(entries)
}

/// Those of a page's entries; the last page has all that are left.
fn heads(connection: &Connection, after: u64, next: Option<u64>) -> Result<Vec<SignedHead>, StoreError> {
    let least = least(after);
    let mut statement = connection.prepare_cached(
        "SELECT seq, hash, time, fingerprint, signature, store_id, host FROM heads, identity
         WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq, fingerprint",
    )?;
    let found = statement.query_map((least, next.map_or(i64::MAX, signed)), |row| {
        let statement = Statement {
            store_id: row.get(5)?,
            host: row.get(6)?,
            // One of before the first entry is nobody's, whatever it says.
            seq: unsigned(row, 0).unwrap_or(0),
            hash: row.get(1)?,
            time: row.get(2)?,
        };
        Ok(SignedHead {
            statement,
            fingerprint: row.get(3)?,
            signature: row.get(4)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// An entry that cannot be read is found by whoever judges it.
fn has_sound_content(connection: &Connection, row: &Row) -> Result<bool, StoreError> {
    let entry = journal::record(row.clone()).map(|record| record.entry);
    match entry.ok().and_then(|entry| entry.content()) {
        Some(content) => journal::content_is_sound(connection, content),
        None => Ok(true),
    }
}

fn exists_after(connection: &Connection, seq: u64) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM journal WHERE seq > ?1")?;
    Ok(statement.exists([signed(seq)])?)
}
