//! Reads a configuration file, whatever the path leads to, without waiting.
//!
//! Symbolic links are followed: configuration management and Kubernetes
//! volumes are made of them, and what counts is the text that was read: a plan
//! is bound to the digest of its meaning, not to a path. Everything else that
//! is no regular file is refused, before a byte of it is read.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::{
    Parsed,
    errors::{ConfigError, ConfigErrors, Found},
    limits::MAX_FILE_BYTES,
    parse,
    place::Place,
    problem::Problem,
};

/// A configuration, and the text it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub parsed: Parsed,
    pub text: String,
    pub path: PathBuf,
}

/// Reads and judges a file.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let name = path.display().to_string();
    let text = read(path)?;
    Ok(Loaded {
        parsed: parse(&name, &text)?,
        text,
        path: path.to_owned(),
    })
}

/// Reads a file, without judging what it says.
pub fn read(path: &Path) -> Result<String, ConfigErrors> {
    read_text(path).map_err(|found| ConfigErrors::new(&path.display().to_string(), "", found))
}

fn read_text(path: &Path) -> Result<String, Found> {
    let bytes = read_bytes(path).map_err(|problem| Found::from(ConfigError::of_file(problem)))?;
    String::from_utf8(bytes).map_err(|cause| {
        let offset = cause.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&cause.as_bytes()[..offset]).into_owned();
        Found::from(ConfigError::at(
            Problem::FileNotUtf8(offset),
            Place::of_byte(before.len(), &before),
        ))
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    // NONBLOCK: opening a pipe nobody writes to would wait. NOCTTY: opening a
    // terminal would make it ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(unreadable)?;
    let stat = fstat(&file).map_err(unreadable)?;
    if let Some(what) = not_regular(FileType::from_raw_mode(stat.st_mode)) {
        return Err(Problem::FileNotRegular(what));
    }
    // The size is not asked for: a file can grow while it is read.
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    File::from(file)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(Problem::FileUnreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Problem::FileTooLarge {
            bytes: bytes.len() as u64,
        });
    }
    Ok(bytes)
}

fn unreadable(errno: rustix::io::Errno) -> Problem {
    Problem::FileUnreadable(io::Error::from(errno))
}

const fn not_regular(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Symlink | FileType::Unknown => Some("something else"),
    }
}
