//! What a store's file says of itself, read without SQLite.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::{StoreError, migration::OLDEST, sqlite::file_error};

/// `PRAGMA application_id`: "Hfst".
pub const APPLICATION_ID: u32 = u32::from_be_bytes(*b"Hfst");

/// `PRAGMA user_version`.
pub const SCHEMA: u32 = 4;

/// Looks at the file before SQLite does: a foreign one is none of its business.
/// Gives its schema, which may be older than ours.
pub fn check_header(path: &Path) -> Result<u32, StoreError> {
    let (header, length) = header(path)?;
    if length == 0 {
        return Err(StoreError::EmptyFile { path: path.to_owned() });
    }
    let not_a_store = || StoreError::NotAStore { path: path.to_owned() };
    let header = header.ok_or_else(not_a_store)?;
    if header.application_id != APPLICATION_ID {
        return Err(not_a_store());
    }
    match header.user_version {
        found @ OLDEST..=SCHEMA => Ok(found),
        // There was no schema before the first.
        0 => Err(not_a_store()),
        found @ 1..OLDEST => Err(StoreError::Older { found, known: SCHEMA }),
        found => Err(StoreError::Newer { found, known: SCHEMA }),
    }
}

/// SQLite takes a last page that is cut for one of zeros, and what comes after
/// the last page for nothing.
pub fn check_length(path: &Path) -> Result<(), StoreError> {
    let (header, found) = header(path)?;
    let expected = header.map_or(0, |header| header.length);
    if found == expected {
        Ok(())
    } else {
        let path = path.to_owned();
        Err(StoreError::Length { path, found, expected })
    }
}

/// What the 100 bytes say that every SQLite file starts with
/// (<https://www.sqlite.org/fileformat2.html#the_database_header>).
struct Header {
    /// Pages times their size, bytes.
    length: u64,
    user_version: u32,
    application_id: u32,
}

/// The header, if there is one, and the length of the file in bytes.
fn header(path: &Path) -> Result<(Option<Header>, u64), StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(file_error(path))?;
    let metadata = file.metadata().map_err(file_error(path))?;
    if !metadata.is_file() {
        return Err(StoreError::NotAStore { path: path.to_owned() });
    }
    let mut bytes = [0; 100];
    match file.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((None, metadata.len())),
        Err(error) => return Err(file_error(path)(error)),
    }
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    // "The value 1 representing a page size of 65536".
    let page_bytes = match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let header = bytes.starts_with(b"SQLite format 3\0").then(|| Header {
        length: u64::from(number(28)) * page_bytes,
        user_version: number(60),
        application_id: number(68),
    });
    Ok((header, metadata.len()))
}
