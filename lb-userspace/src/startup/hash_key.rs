//! The file of the hash key.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

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
    match bytes_of(path) {
        Ok(bytes) => {
            let bytes: [u8; HASH_KEY_BYTES] = bytes.try_into().map_err(|bytes: Vec<u8>| {
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_hash_key(path),
        Err(error) => Err(error),
    }
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
        fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
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
