//! Where the store's file is: whether somebody took it away from under us, and
//! how it comes back; and how one that is of no use is set aside.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::{
    Store, StoreError,
    sqlite::{self, LOCK_FILE, STORE_FILE, file_error, is_there},
};

/// In the state directory: stores that were of no use, by the time they were found so.
const ASIDE: &str = "set-aside";

/// A file by what no rename changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode(u64, u64);

impl Inode {
    /// Of what has that name now, not of what it leads to; `None`: nothing.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some(Self(metadata.dev(), metadata.ino()))
    }
}

impl Store {
    /// The file is still the one under its name, and so is its lock: nobody removed or
    /// replaced them.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.is_under_its_name() && Inode::of(&self.path.with_file_name(LOCK_FILE)) == self.lock_inode
    }

    fn is_under_its_name(&self) -> bool {
        Inode::of(&self.path) == self.inode
    }

    /// Writes the store out again under its name, from the file that is open and
    /// has none any more; with it the lock and the key beside it. What somebody put
    /// in its place is set aside.
    ///
    /// # Errors
    /// If the disk does not take it, or another process has a store there: this
    /// one is as it was.
    pub fn put_back(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let dir = sqlite::directory(self.path.parent().unwrap_or_else(|| Path::new("/")))?;
        if Inode::of(&dir.join(LOCK_FILE)) != self.lock_inode {
            self.lock_file = sqlite::lock(&dir)?;
            self.lock_inode = Inode::of(&dir.join(LOCK_FILE));
        }
        if self.is_under_its_name() {
            return Ok(());
        }
        // SQLite takes an empty file, and keeps its mode.
        let (new, _) = sqlite::begin(&dir)?;
        let name = new.to_string_lossy();
        self.connection.execute("VACUUM INTO ?1", [&*name])?;
        let written = File::open(&new).map_err(file_error(&new))?;
        written.sync_all().map_err(file_error(&new))?;
        // Before the store: with that in its place nobody looks for it any more.
        if let Some(key) = self.signing.key() {
            key.keep(&dir)?;
        }
        if is_there(&self.path)? {
            move_aside(&dir, now)?;
        }
        fs::rename(&new, &self.path).map_err(file_error(&self.path))?;
        let entries = File::open(&dir).map_err(file_error(&dir))?;
        entries.sync_all().map_err(file_error(&dir))?;
        self.connection = sqlite::connect(&self.path)?;
        self.connection.busy_timeout(sqlite::OTHERS)?;
        self.inode = Inode::of(&self.path);
        Ok(())
    }
}

/// What a new store needs at least, bytes; and what is tried at most.
const NEEDED: u64 = 1 << 20;
const TRIED: u64 = 64 << 20;

/// Whether a store as large as the one that is there could be written beside it.
///
/// # Errors
/// What the directory or the disk has against it. Nothing was changed.
pub fn try_directory(dir: &Path) -> Result<(), StoreError> {
    let dir = sqlite::directory(dir)?;
    let before = fs::metadata(dir.join(STORE_FILE)).map_or(0, |before| before.len());
    let (new, file) = sqlite::begin(&dir)?;
    let tried = write_out(&file, before.clamp(NEEDED, TRIED));
    let removed = fs::remove_file(&new);
    tried.and(removed).map_err(file_error(&new))
}

fn write_out(mut file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Not every file system can: what follows tells.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(errno) => return Err(errno.into()),
    }
    file.write_all(&[0; 4096])?;
    file.sync_all()
}

/// Moves what is there of a store out of the way, and says where it is: nothing is
/// deleted. `None`: there was nothing.
///
/// # Errors
/// If another process has it, or the disk does not take it.
pub fn set_aside(dir: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let dir = sqlite::directory(dir)?;
    let _lock = sqlite::lock(&dir)?;
    move_aside(&dir, now)
}

fn move_aside(dir: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let mut there = Vec::new();
    for end in ["", "-journal", "-wal", "-shm"] {
        let path = dir.join(format!("{STORE_FILE}{end}"));
        if is_there(&path)? {
            there.push(path);
        }
    }
    if there.is_empty() {
        return Ok(None);
    }
    let aside = free_name(&dir.join(ASIDE), now)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&aside)
        .map_err(file_error(&aside))?;
    // The store last: without its journal it would be another one.
    for path in there.iter().rev() {
        let to = aside.join(path.file_name().unwrap_or_default());
        fs::rename(path, &to).map_err(file_error(path))?;
    }
    for changed in [&aside, dir] {
        let entries = File::open(changed).map_err(file_error(changed))?;
        entries.sync_all().map_err(file_error(changed))?;
    }
    Ok(Some(aside))
}

fn free_name(dir: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let time = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let mut path = dir.join(&time);
    let mut more = 1;
    while is_there(&path)? {
        more += 1;
        path = dir.join(format!("{time}-{more}"));
    }
    Ok(path)
}
