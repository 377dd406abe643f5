//! The file of the hash key, and the copy of it that the daemon keeps.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use lb_common::abi::hash_key::{HASH_KEY_BYTES, HashKey};

use crate::api::model::KeyFile;

/// What is in the file, if it is one; of a longer one a byte more than a key has.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    // Opening a FIFO must not wait for who writes into it.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(HASH_KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the hash key; makes one (mode 0600) where there is no file.
pub fn read(path: &Path) -> io::Result<HashKey> {
    match of_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_hash_key(path),
        read => read,
    }
}

/// Reads the hash key.
pub fn of_file(path: &Path) -> io::Result<HashKey> {
    let bytes: [u8; HASH_KEY_BYTES] = bytes_of(path)?.try_into().map_err(|bytes: Vec<u8>| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            match bytes.len() {
                length if length > HASH_KEY_BYTES => {
                    format!("it is longer than a hash key, of {HASH_KEY_BYTES} bytes")
                }
                length => format!("it has {length} bytes; a hash key has {HASH_KEY_BYTES}"),
            },
        )
    })?;
    Ok(HashKey::from_bytes(&bytes))
}

/// Where the daemon keeps the key that it serves with: who loses the file, or puts another there,
/// learns of it while the kernel has the key, or at the latest after a reboot.
pub fn copy(state_dir: &Path) -> PathBuf {
    state_dir.join("hash.key.copy")
}

/// Keeps this key. A state directory that is not there is not made for it.
pub fn keep(state_dir: &Path, key: &HashKey) -> io::Result<()> {
    let copy = copy(state_dir);
    if !state_dir.is_dir() || compare(&copy, key)? == KeyFile::Same {
        return Ok(());
    }
    write(&copy, &key.to_bytes())
}

fn make_hash_key(path: &Path) -> io::Result<HashKey> {
    use std::io::Read as _;
    let mut key = [0; HASH_KEY_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    write(path, &key)?;
    crate::event!(info, HashKeyMade, path = %path.display(), "made a hash key");
    Ok(HashKey::from_bytes(&key))
}

/// Whole or not there: a short file would keep every later daemon from starting.
fn write(path: &Path, key: &[u8; HASH_KEY_BYTES]) -> io::Result<()> {
    use std::io::Write as _;
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let draft = path.with_extension("new");
    let of_draft = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", draft.display()));
    // One that was left behind may have another mode, or lead elsewhere.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_draft(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(of_draft)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Whether the file has this key.
pub fn compare(path: &Path, key: &HashKey) -> io::Result<KeyFile> {
    match bytes_of(path) {
        Ok(bytes) if bytes == key.to_bytes() => Ok(KeyFile::Same),
        Ok(_) => Ok(KeyFile::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeyFile::Gone),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(KeyFile::Other),
        Err(error) => Err(error),
    }
}

/// Writes this key into the file; one that has another is kept beside it.
pub fn restore(path: &Path, key: &HashKey, now: Timestamp) -> io::Result<()> {
    if path.exists() {
        let time = now.strftime("%Y-%m-%dT%H-%M-%SZ");
        fs::rename(path, path.with_extension(format!("set-aside-{time}")))?;
    }
    write(path, &key.to_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use jiff::Timestamp;
    use lb_common::abi::hash_key::{HASH_KEY_BYTES, HashKey};

    use super::{compare, copy, keep, of_file, restore};
    use crate::api::model::KeyFile;

    const KEY: [u8; HASH_KEY_BYTES] = [7; HASH_KEY_BYTES];

    #[test]
    fn copy_is_the_key_in_use_and_no_directory_is_made_for_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = HashKey::from_bytes(&KEY);
        let state = dir.path().join("state");
        keep(&state, &key).expect("nothing to do");
        assert!(!state.exists());
        fs::create_dir(&state).expect("a directory");
        for before in [None, Some("short")] {
            if let Some(before) = before {
                fs::write(copy(&state), before).expect("a file");
            }
            keep(&state, &key).expect("kept");
            assert_eq!(of_file(&copy(&state)).expect("a key"), key);
        }
        let mode = fs::metadata(copy(&state)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn draft_that_was_left_behind_is_neither_followed_nor_taken_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, elsewhere) = (dir.path().join("hash.key"), dir.path().join("elsewhere"));
        fs::write(&elsewhere, "precious").expect("a file");
        std::os::unix::fs::symlink(&elsewhere, path.with_extension("new")).expect("a link");
        let key = HashKey::from_bytes(&KEY);
        restore(&path, &key, Timestamp::UNIX_EPOCH).expect("written");
        assert_eq!(compare(&path, &key).expect("read"), KeyFile::Same);
        assert_eq!(fs::read(&elsewhere).expect("read"), b"precious");
        // A directory in its place is named.
        fs::create_dir(path.with_extension("new")).expect("a directory");
        let error = restore(&path, &key, Timestamp::UNIX_EPOCH).expect_err("a directory");
        assert!(error.to_string().contains("hash.new"), "{error}");
    }
}
