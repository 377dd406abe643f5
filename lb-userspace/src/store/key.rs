//! The host's key for the journal's heads: `journal.key`, an ed25519 key as
//! `ssh-keygen` writes it, and `journal.key.pub` beside it.
//!
//! A key whose name is `journal.key.old` is one that hands over to the next.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

use super::head::{NAMESPACE, SignedHead, Statement, fingerprint};

/// The key, in the state directory.
pub const KEY_FILE: &str = "journal.key";
/// The key before, when somebody changes it.
pub const OLD_KEY_FILE: &str = "journal.key.old";
const PUBLIC_FILE: &str = "journal.key.pub";

/// Keys have some 400 bytes.
const LONGEST: u64 = 16 * 1024;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read or write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others than its owner can read {}", path.display())]
    OpenToOthers { path: PathBuf },
    #[error("{} is no key in OpenSSH's format: {cause}", path.display())]
    NotAKey { path: PathBuf, cause: ssh_key::Error },
    #[error("{} is not an ed25519 key without a passphrase", path.display())]
    OfAnotherKind { path: PathBuf },
    #[error("a key could not be made: {0}")]
    Make(ssh_key::Error),
    #[error("the journal names the key {journal}, and journal.key is {file}: somebody replaced it")]
    Replaced { journal: String, file: String },
}

/// An ed25519 key that is not encrypted.
pub struct SigningKey {
    private: PrivateKey,
    /// As a line of `authorized_keys`.
    pub public: String,
    pub fingerprint: String,
}

impl SigningKey {
    /// The key in that file of `dir`; `None`: there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, is no such key, or others can read it.
    pub fn read(dir: &Path, name: &str) -> Result<Option<Self>, KeyError> {
        let path = dir.join(name);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error(&path)(error)),
        };
        let mode = file.metadata().map_err(file_error(&path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::OpenToOthers { path });
        }
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(file_error(&path))?;
        let private = PrivateKey::from_openssh(text).map_err(|cause| KeyError::NotAKey {
            path: path.clone(),
            cause,
        })?;
        if private.is_encrypted() || private.algorithm() != Algorithm::Ed25519 {
            return Err(KeyError::OfAnotherKind { path });
        }
        Self::of(private).map(Some)
    }

    /// Makes one, durably: a head signed by a key that is gone after a power
    /// cut would be worth nothing.
    ///
    /// # Errors
    /// If there is no randomness, or the disk does not take it.
    pub fn make(dir: &Path) -> Result<Self, KeyError> {
        let mut private = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(KeyError::Make)?;
        private.set_comment("holdfast journal");
        let text = private.to_openssh(LineEnding::LF).map_err(KeyError::Make)?;
        write(dir, KEY_FILE, text.as_bytes(), 0o600)?;
        Self::of(private)
    }

    /// Writes its file again, if somebody removed it.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn keep(&self, dir: &Path) -> Result<(), KeyError> {
        if !dir.join(KEY_FILE).exists() {
            let text = self.private.to_openssh(LineEnding::LF).map_err(KeyError::Make)?;
            write(dir, KEY_FILE, text.as_bytes(), 0o600)?;
        }
        self.show(dir)
    }

    /// Puts the public half beside it, unless it is there.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn show(&self, dir: &Path) -> Result<(), KeyError> {
        let line = format!("{}\n", self.public);
        match fs::read(dir.join(PUBLIC_FILE)) {
            Ok(there) if there == line.as_bytes() => Ok(()),
            Ok(_) | Err(_) => write(dir, PUBLIC_FILE, line.as_bytes(), 0o644),
        }
    }

    fn of(private: PrivateKey) -> Result<Self, KeyError> {
        Ok(Self {
            public: private.public_key().to_openssh().map_err(KeyError::Make)?,
            fingerprint: fingerprint(private.public_key()),
            private,
        })
    }

    /// Signs a head.
    ///
    /// # Panics
    /// Never: only keys that are encrypted, or of another kind, fail.
    #[must_use]
    pub fn sign(&self, statement: Statement) -> SignedHead {
        let signature = self
            .private
            .sign(NAMESPACE, HashAlg::Sha512, &statement.bytes())
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .expect("an ed25519 key that is not encrypted signs");
        SignedHead {
            statement,
            fingerprint: self.fingerprint.clone(),
            signature,
        }
    }
}

/// Whole and durable under its name, or not there.
fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&new)(error)),
        Ok(()) | Err(_) => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    written.map_err(file_error(&path))
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File {
        path: path.clone(),
        source,
    }
}
