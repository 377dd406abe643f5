//! Why the store cannot be used, or cannot take an entry.

use std::{fmt, io, path::PathBuf};

use rusqlite::ErrorCode;

use super::key::KeyError;

/// One variant for each thing an operator would do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot use {} as the state directory", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Others could replace the store or read secrets beside it.
    #[error("everybody can write to the state directory {}", path.display())]
    OpenToAll { path: PathBuf },
    #[error("cannot read or write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The disk is full, read-only or failing. Nothing was changed.
    #[error("the store does not take the entry")]
    Sqlite(#[from] rusqlite::Error),
    #[error("another process has the store in {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} is empty: it was a store, or never became one", path.display())]
    EmptyFile { path: PathBuf },
    /// What it leads to is not opened: somebody else may have put it there.
    #[error("{} is a symbolic link, and not followed: link the state directory instead", path.display())]
    Link { path: PathBuf },
    #[error("{} is no store of holdfast", path.display())]
    NotAStore { path: PathBuf },
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{} is damaged: SQLite's check says: {finding}", path.display())]
    FailedCheck {
        path: PathBuf,
        /// The first line of `PRAGMA quick_check`.
        finding: String,
    },
    #[error("{} has {found} bytes and should have {expected}", path.display())]
    Length { path: PathBuf, found: u64, expected: u64 },
    /// A table, an index or a trigger that guards the journal is missing or
    /// was changed.
    #[error("the schema of {} was altered", path.display())]
    AlteredSchema { path: PathBuf },
    #[error(transparent)]
    Journal(#[from] JournalDamage),
    /// Edited while the store was open: `open` makes these tables anew.
    #[error("a table derived from the journal holds what this program never writes")]
    Projections,
    /// A transaction of a store that is gone: with a new store it would be
    /// written over it.
    #[error("{} is left from a store that is not there any more", path.display())]
    LeftOver { path: PathBuf },
    #[error("the store has schema {found}, this program knows {known}: it was written by a newer holdfast")]
    Newer { found: u32, known: u32 },
    /// No release wrote such a store: there is nothing to convert.
    #[error(
        "the store has schema {found}, this program knows {known}: it was written before the first release; \
         move it away, and what the kernel serves stays served"
    )]
    Older { found: u32, known: u32 },
    #[error("{} was made on another host", path.display())]
    OtherHost { path: PathBuf },
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A content or state is missing, or is not what it was when it was kept.
    #[error("the store has nothing sound under the digest {digest}")]
    Content { digest: crate::digest::Digest },
    #[error("no head of the journal can be signed")]
    Key(#[from] KeyError),
}

impl StoreError {
    /// Somebody else has the file for a moment: it is as it was, and can be written later.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        let code = error.sqlite_error_code();
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// The codes of this enum, in the order of `docs/refusals.md`.
    pub const CODES: [&'static str; 9] = [
        "HF4000", "HF4001", "HF4002", "HF4003", "HF4004", "HF4005", "HF4006", "HF4007", "HF4008",
    ];

    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } | Self::OpenToAll { .. } | Self::File { .. } => "HF4000",
            Self::Sqlite(_) => "HF4001",
            Self::InUse { .. } => "HF4002",
            Self::EmptyFile { .. }
            | Self::NotAStore { .. }
            | Self::Link { .. }
            | Self::Damaged { .. }
            | Self::FailedCheck { .. }
            | Self::Length { .. }
            | Self::AlteredSchema { .. }
            | Self::LeftOver { .. } => "HF4003",
            Self::Journal(_) | Self::Projections | Self::Content { .. } => "HF4004",
            Self::Newer { .. } | Self::Older { .. } => "HF4005",
            Self::OtherHost { .. } => "HF4006",
            Self::OutOfOrder(_) => "HF4007",
            Self::Key(_) => "HF4008",
        }
    }
}

/// Where the journal is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is damaged at entry {seq}: {what}")]
pub struct JournalDamage {
    /// Of the first entry that is not sound.
    pub seq: u64,
    pub what: Damage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// There is no such entry, though there are later ones.
    Missing,
    /// It does not follow the entry before it.
    Unchained,
    /// Its hash is not that of what it says.
    Edited,
    /// It cannot be read as an entry.
    Unreadable,
    /// The journal ends before the entry that was the last one written.
    CutOff,
    /// It names a content that is not there, or is not what it was.
    Content,
    /// It comes after the entry that was the last one written.
    Added,
    /// It, or one after it up to `until`, is not what was signed there.
    Rewritten { until: u64 },
    /// Its head was not signed as it stands.
    Signature,
    /// Its head was signed, or its key named, by somebody else.
    Key,
    /// It says that the key before signed it, and that did not.
    Handover,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Rewritten { until } => {
                return write!(f, "it, or one after it up to {until}, is not what was signed or kept");
            }
            Self::Missing => "it is missing",
            Self::Unchained => "it does not follow the entry before it",
            Self::Edited => "it was edited",
            Self::Unreadable => "it cannot be read",
            Self::CutOff => "the journal was cut off there",
            Self::Content => "the content it names is missing or was edited",
            Self::Added => "nobody wrote it: it was added to the file",
            Self::Signature => "the signature of its head is wrong",
            Self::Key => "a key that nobody handed over to is used from there on",
            Self::Handover => "the key before should have signed it, and did not",
        };
        f.write_str(text)
    }
}

/// An entry that cannot come now: an error of the program, caught before it is
/// written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    #[error("revision {revision} of generation {generation} has no outcome yet: one change at a time")]
    Pending { generation: u64, revision: u64 },
    #[error("generation {0} was used before")]
    GenerationUsed(u64),
    #[error("revision {0} was used before")]
    RevisionUsed(u64),
    #[error("generation {0} is not the one that is served")]
    NotServed(u64),
    #[error("generation {0} is not on trial")]
    NotOnTrial(u64),
    #[error("revision {revision} of generation {generation} is not pending")]
    NotPending { generation: u64, revision: u64 },
}
