//! SQLite's extended codes in words. It knows the operating system's error and tells
//! it only to C.

use std::error::Error;

use rusqlite::ffi;

/// Of a cause that is one of SQLite's codes; `None`: it is another.
pub fn words(cause: &(dyn Error + 'static)) -> Option<String> {
    let code = cause.downcast_ref::<ffi::Error>()?.extended_code;
    let (name, words) = match code {
        ffi::SQLITE_FULL => ("SQLITE_FULL", "the disk has no room, or the quota is used up"),
        ffi::SQLITE_READONLY => ("SQLITE_READONLY", "the file or its disk is read-only"),
        ffi::SQLITE_READONLY_DIRECTORY => (
            "SQLITE_READONLY_DIRECTORY",
            "its journal cannot be made: the directory is read-only",
        ),
        ffi::SQLITE_READONLY_DBMOVED => ("SQLITE_READONLY_DBMOVED", "the file was moved or removed"),
        ffi::SQLITE_CANTOPEN => (
            "SQLITE_CANTOPEN",
            "its journal cannot be made: the directory or its disk is read-only, or descriptors have run out",
        ),
        ffi::SQLITE_BUSY => ("SQLITE_BUSY", "another process has it locked"),
        ffi::SQLITE_IOERR_READ => ("SQLITE_IOERR_READ", "a read failed"),
        ffi::SQLITE_IOERR_SHORT_READ => ("SQLITE_IOERR_SHORT_READ", "it is shorter than it was"),
        ffi::SQLITE_IOERR_WRITE => (
            "SQLITE_IOERR_WRITE",
            "a write failed: the disk fails, or lets nobody write to the file (lsattr)",
        ),
        ffi::SQLITE_IOERR_FSYNC => ("SQLITE_IOERR_FSYNC", "what was written could not be synced"),
        ffi::SQLITE_IOERR_DIR_FSYNC => ("SQLITE_IOERR_DIR_FSYNC", "the directory could not be synced"),
        ffi::SQLITE_IOERR_TRUNCATE => ("SQLITE_IOERR_TRUNCATE", "it could not be cut"),
        ffi::SQLITE_IOERR_FSTAT => ("SQLITE_IOERR_FSTAT", "it could not be looked at"),
        ffi::SQLITE_IOERR_LOCK => ("SQLITE_IOERR_LOCK", "it could not be locked"),
        ffi::SQLITE_IOERR_DELETE => (
            "SQLITE_IOERR_DELETE",
            "its journal could not be removed: the directory lets nobody write to it (lsattr)",
        ),
        _ => return None,
    };
    Some(format!("{name} ({code}): {words}"))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use crate::{failure::chain, store::StoreError};

    #[test]
    fn failure_of_the_disk_has_its_name_in_words() {
        let error = |code: i32, text: &str| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.to_owned()));
            chain(&StoreError::Sqlite(error))
        };
        let text = error(778, "disk I/O error");
        assert!(
            text.starts_with(
                "the store does not take the entry: disk I/O error: SQLITE_IOERR_WRITE (778): a write failed"
            ),
            "{text}"
        );
        // A code without words keeps its number.
        let text = error(3338, "disk I/O error");
        assert!(text.ends_with("Error code 3338: disk I/O error"), "{text}");
    }
}
