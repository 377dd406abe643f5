//! The file of the hash key.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use lb_common::abi::hash_key::{HASH_KEY_BYTES, HashKey};

/// Reads the hash key; makes one (mode 0600) where there is no file.
pub fn read(path: &Path) -> io::Result<HashKey> {
    match fs::read(path) {
        Ok(bytes) => {
            let bytes: [u8; HASH_KEY_BYTES] = bytes.try_into().map_err(|bytes: Vec<u8>| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("it has {} bytes; a hash key has {HASH_KEY_BYTES}", bytes.len()),
                )
            })?;
            Ok(HashKey::from_bytes(&bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_hash_key(path),
        Err(error) => Err(error),
    }
}

fn make_hash_key(path: &Path) -> io::Result<HashKey> {
    use std::io::{Read as _, Write as _};
    let mut key = [0; HASH_KEY_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Whole or not there: a short file would keep every later daemon from
    // starting.
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    crate::event!(info, HashKeyMade, path = %path.display(), "made a hash key");
    Ok(HashKey::from_bytes(&key))
}
