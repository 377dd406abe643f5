//! The store: one SQLite file whose journal says what was meant to be served.
//!
//! * `journal` is the truth: an append-only, hash-chained table.
//! * `projection` keeps tables derived from it (generations, revisions), which
//!   can be thrown away and made again.
//! * `sqlite` opens the file, or says why it must not be used.
//! * `signing` signs the journal's heads, `audit` judges a journal and its heads.
//!
//! Contract: what `append` returned `Ok` for is on the disk. Whatever fails, the
//! store is as it was before or as it is after, never between. A file that is
//! damaged, newer or of another host is refused and left as it is. The clock is
//! not read here.
//!
//! Growth: a journal row has a few hundred bytes. The content of a generation is
//! kept forever, once for all generations that share it. The state of a revision
//! is kept for the last [`STATES_KEPT`] revisions and for the ones that are served
//! or pending; the journal keeps the digests of all. A state is a list of digests
//! (170 bytes a pool): what they stand for, a pool's members and its lookup table,
//! packed (40 KiB for 31 backends), is kept once for all states that name it, and
//! goes with the last of them (`states`). So a revision costs what it changed.

mod audit;
mod chain;
mod entry;
mod error;
mod export;
mod head;
mod header;
mod journal;
mod key;
mod migration;
mod page;
mod past;
mod place;
mod plans;
mod probe;
mod projection;
mod signing;
mod sqlite;
mod states;
mod trials;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use self::{
    audit::{Audited, NamedKey, Warning},
    chain::{Head, NotAHead, Row},
    entry::{By, Entry, Filed, Intent, Outcome, Recovered, Revision},
    error::{Damage, JournalDamage, OutOfOrder, StoreError},
    export::{ExportError, Exporter, verify_export},
    head::{NAMESPACE, SignedHead, Statement, fingerprint},
    key::KeyError,
    page::{Copy, Page, Walk},
    place::{set_aside, try_directory},
    signing::{KeyTaken, SIGN_EVERY},
    sqlite::{Host, STORE_FILE},
};
use crate::{digest::Digest, lock::Lock, part::Part, plan::Content};

/// Revisions whose state is kept.
pub const STATES_KEPT: u32 = 32;

/// An open store. One process has it at a time.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    rebuilt: bool,
    /// Follows the journal.
    lock: Lock,
    /// Of the journal, as this process wrote it: the file may be edited
    /// meanwhile.
    end: Head,
    /// The first entry that somebody else added below ours.
    foreign: Option<JournalDamage>,
    signing: signing::Signing,
    /// Held, not read: its lock keeps a second daemon out until this one ends,
    /// however it ends.
    lock_file: File,
    lock_inode: Option<place::Inode>,
    /// Of the file when it was opened.
    inode: Option<place::Inode>,
}

impl Store {
    /// What the approval lock remembers.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The derived tables were not what the journal says, and were made anew
    /// when the store was opened. Somebody edited them, or the disk did.
    #[must_use]
    pub const fn was_rebuilt(&self) -> bool {
        self.rebuilt
    }
}

/// What was last switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub generation: u64,
    pub revision: u64,
    pub content: Part<Content>,
    /// Of its state: `Store::state`.
    pub state: Digest,
}

/// An intent without an outcome: the daemon ended in between. The kernel says
/// what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub served: Served,
    /// It makes a generation, not only a revision of the running one.
    pub new_generation: bool,
}

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    pub time: Timestamp,
    pub author: String,
    #[serde(flatten)]
    pub entry: Filed,
    /// Hash of the row before; zeros in the first.
    pub previous: Digest,
    /// SHA-256 over `previous` (32 bytes) and the row's canonical JSON.
    pub hash: Digest,
}

#[cfg(test)]
mod tests;
