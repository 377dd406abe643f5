//! Makes an approval, as `ssh-keygen -Y sign -n holdfast-plan-v1` does.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ssh_key::{HashAlg, PrivateKey, SshSig};
use zeroize::Zeroizing;

use super::{
    KeyType, NAMESPACE, Signers,
    agent::Agent,
    armor,
    envelope::Envelope,
    error::SignError,
    key::{BadKey, Key},
    verify,
};

/// What OpenSSH hashes with unless told otherwise.
const HASH: HashAlg = HashAlg::Sha512;

/// The longest file that is read as a key, bytes. Ours have about 500.
const LONGEST_KEY: u64 = 64 * 1024;

/// A signature that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The text of a `.sig` file.
    pub armored: String,
    /// Of the key that signed: `SHA256:` and base64.
    pub fingerprint: String,
    /// Of the key that signed.
    pub key_type: KeyType,
}

/// Signs with the private key in a file. As ssh does, it takes no key that
/// others can read. `passphrase` is asked once, if the key has one.
pub fn with_file(
    message: &[u8],
    path: &Path,
    passphrase: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> Result<Signed, SignError> {
    with_key(message, &read(path)?, passphrase)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let failed = |source| SignError::KeyFile {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SignError::OpenToAll {
            path: path.to_owned(),
            mode,
        });
    }
    // In one piece, so that no copy is left behind when it grows.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_KEY as usize + 1));
    file.take(LONGEST_KEY + 1).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

/// Signs with a private key in OpenSSH's format.
pub fn with_key(
    message: &[u8],
    private_key: &[u8],
    passphrase: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> Result<Signed, SignError> {
    if private_key.len() as u64 > LONGEST_KEY {
        return Err(SignError::NotAKey(ssh_key::Error::FormatEncoding));
    }
    let private = PrivateKey::from_openssh(private_key).map_err(SignError::NotAKey)?;
    // The public half is readable without the passphrase.
    let blob = private.public_key().to_bytes().map_err(SignError::NotAKey)?;
    let key = Key::from_blob(&blob)?;
    if key.algorithm.is_token() {
        return Err(SignError::InToken);
    }
    let private = if private.is_encrypted() {
        let passphrase = passphrase().map_err(SignError::NoPassphrase)?;
        let wrong = |_| SignError::WrongPassphrase;
        private.decrypt(passphrase.as_bytes()).map_err(wrong)?
    } else {
        private
    };
    let signature = private.sign(NAMESPACE, HASH, message).map_err(SignError::Unable)?;
    let signature = Vec::try_from(signature.signature().clone()).map_err(SignError::Unable)?;
    signed(message, &key, &signature)
}

/// Signs with a key of the ssh-agent at `socket`, the value of
/// `SSH_AUTH_SOCK`. `wanted` is a fingerprint (`SHA256:…`) or a public key as
/// a `.pub` file has it; without one, the agent's only key among `signers`.
///
/// Waits two minutes for somebody to touch a token or to confirm.
pub fn with_agent(
    message: &[u8],
    socket: Option<&OsStr>,
    wanted: Option<&str>,
    signers: &Signers,
) -> Result<Signed, SignError> {
    let socket = socket.filter(|path| !path.is_empty()).ok_or(SignError::NoAgent)?;
    let wanted = wanted.map(fingerprint_of).transpose()?;
    let failed = |source| SignError::Agent {
        socket: socket.into(),
        source,
    };
    let mut agent = Agent::connect(Path::new(socket)).map_err(failed)?;
    let identities = agent.identities().map_err(failed)?;
    let key = choose(&identities, wanted.as_deref(), signers)?;
    let data = SshSig::signed_data(NAMESPACE, HASH, message).map_err(SignError::Unable)?;
    let signature = agent.sign(&key.blob(), &data).map_err(failed)?;
    signed(message, &key, &signature.ok_or(SignError::Refused)?)
}

/// What the operator means by it.
fn fingerprint_of(wanted: &str) -> Result<String, SignError> {
    let wanted = wanted.trim();
    if wanted.starts_with("SHA256:") {
        return Ok(wanted.to_owned());
    }
    let mut words = wanted.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(key_type), Some(base64)) => Ok(Key::from_text(key_type, base64)?.fingerprint()),
        _ => Err(SignError::NotAName {
            wanted: wanted.to_owned(),
        }),
    }
}

/// The key of an agent to sign with. Those of types that we do not take are
/// passed over, unless one of them is the one that is wanted.
pub(super) fn choose(identities: &[Vec<u8>], wanted: Option<&str>, signers: &Signers) -> Result<Key, SignError> {
    let mut fitting: Vec<Key> = Vec::new();
    for blob in identities {
        match (Key::from_blob(blob), wanted) {
            (Ok(key), Some(wanted)) if key.fingerprint() == wanted => return Ok(key),
            (Ok(key), None) if signers.by_key(&STANDARD.encode(blob)).is_some() => fitting.push(key),
            (Err(BadKey::Type), Some(wanted)) if fingerprint_of_any(blob) == wanted => {
                return Err(BadKey::Type.into());
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
    match (fitting.pop(), wanted) {
        (None, Some(wanted)) => Err(SignError::NotInAgent {
            fingerprint: wanted.to_owned(),
        }),
        (None, None) => Err(SignError::NoneInAgent),
        (Some(key), _) if fitting.is_empty() => Ok(key),
        (Some(last), _) => {
            fitting.push(last);
            Err(SignError::SeveralInAgent {
                fingerprints: fitting.iter().map(Key::fingerprint).collect(),
            })
        }
    }
}

/// Of a key of any type.
fn fingerprint_of_any(blob: &[u8]) -> String {
    let digest = HASH_OF_KEYS.digest(blob);
    format!("SHA256:{}", STANDARD.encode(digest).trim_end_matches('='))
}

const HASH_OF_KEYS: HashAlg = HashAlg::Sha256;

/// Puts the signature into its envelope, having checked it: nothing is handed
/// out that would not be taken.
fn signed(message: &[u8], key: &Key, signature: &[u8]) -> Result<Signed, SignError> {
    let blob = key.blob();
    let hash = HASH.to_string();
    let envelope = Envelope {
        key: &blob,
        namespace: NAMESPACE.as_bytes(),
        hash: hash.as_bytes(),
        signature,
    };
    verify::check(message, &envelope, key).map_err(SignError::BadSignature)?;
    Ok(Signed {
        armored: armor::armored(&envelope.encode()),
        fingerprint: key.fingerprint(),
        key_type: key.algorithm,
    })
}
