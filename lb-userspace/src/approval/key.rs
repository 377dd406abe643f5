//! Public keys that signatures are taken of.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, public::KeyData};

use super::wire::Reader;

/// The types of keys that approve. No RSA and no DSA: Ed25519 and P-256 are
/// shorter and safer, and the library for RSA leaks its key through time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum KeyType {
    #[serde(rename = "ssh-ed25519")]
    Ed25519,
    #[serde(rename = "ecdsa-sha2-nistp256")]
    EcdsaP256,
    /// Ed25519 in a FIDO token.
    #[serde(rename = "sk-ssh-ed25519@openssh.com")]
    SkEd25519,
    /// ECDSA in a FIDO token.
    #[serde(rename = "sk-ecdsa-sha2-nistp256@openssh.com")]
    SkEcdsaP256,
}

impl KeyType {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::EcdsaP256, Self::SkEd25519, Self::SkEcdsaP256];

    /// OpenSSH's name, of the key and of its signatures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// By OpenSSH's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.as_str() == name)
    }

    /// The key is in a FIDO token, which says whether somebody touched it.
    #[must_use]
    pub const fn is_token(self) -> bool {
        match self {
            Self::Ed25519 | Self::EcdsaP256 => false,
            Self::SkEd25519 | Self::SkEcdsaP256 => true,
        }
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Ed25519 => Algorithm::Ed25519,
            Self::EcdsaP256 => Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
            Self::SkEd25519 => Algorithm::SkEd25519,
            Self::SkEcdsaP256 => Algorithm::SkEcdsaSha2NistP256,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is no key that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("keys are of the types ssh-ed25519, ecdsa-sha2-nistp256 and their sk- variants; others are not taken")]
    Type,
    #[error("the key is not base64")]
    Base64,
    #[error("the key's bytes are not those of a key of its type")]
    Encoding,
    /// A cut or mistyped key; or one that would verify what nobody signed.
    #[error("the key is not a sound point of its curve")]
    Point,
    /// A token's key made for a web site could be asked for signatures by it.
    #[error("the token's key was made for another application than `ssh:`")]
    Application,
}

/// A key, checked.
pub struct Key {
    pub algorithm: KeyType,
    pub public: PublicKey,
    /// What the owner of the secret is known by, whatever the key is called:
    /// the same point as a key of another type is the same secret.
    pub point: Vec<u8>,
}

impl Key {
    /// From two words of a line: the type's name, and base64.
    pub fn from_text(name: &str, base64: &str) -> Result<Self, BadKey> {
        let key_type = KeyType::named(name).ok_or(BadKey::Type)?;
        let key = Self::from_blob(&STANDARD.decode(base64).map_err(|_| BadKey::Base64)?)?;
        if key.algorithm == key_type {
            Ok(key)
        } else {
            Err(BadKey::Encoding)
        }
    }

    /// From its encoding. There is one for each key: what is equal in
    /// meaning is equal in bytes.
    pub fn from_blob(blob: &[u8]) -> Result<Self, BadKey> {
        let name = Reader::new(blob).string().ok_or(BadKey::Encoding)?;
        let name = str::from_utf8(name).map_err(|_| BadKey::Type)?;
        let key_type = KeyType::named(name).ok_or(BadKey::Type)?;
        let public = PublicKey::from_bytes(blob).map_err(|_| BadKey::Encoding)?;
        if !public.to_bytes().is_ok_and(|bytes| bytes == blob) {
            return Err(BadKey::Encoding);
        }
        let point = sound_point(key_type, public.key_data())?.to_vec();
        Ok(Self {
            algorithm: key_type,
            public,
            point,
        })
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The encoding.
    pub fn blob(&self) -> Vec<u8> {
        // It was read from bytes, so it can be written.
        self.public.to_bytes().unwrap_or_default()
    }

    /// The encoding in base64, as in a file of keys.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.blob())
    }
}

fn sound_point(key_type: KeyType, data: &KeyData) -> Result<&[u8], BadKey> {
    let (point, sound, application) = match key_type {
        KeyType::Ed25519 => {
            let key = data.ed25519().ok_or(BadKey::Encoding)?;
            (&key.0[..], ed25519_is_sound(&key.0), None)
        }
        KeyType::EcdsaP256 => {
            let key = data.ecdsa().ok_or(BadKey::Encoding)?.as_sec1_bytes();
            (key, p256_is_sound(key), None)
        }
        KeyType::SkEd25519 => {
            let key = data.sk_ed25519().ok_or(BadKey::Encoding)?;
            let point = &key.public_key().0;
            (&point[..], ed25519_is_sound(point), Some(key.application()))
        }
        KeyType::SkEcdsaP256 => {
            let key = data.sk_ecdsa_p256().ok_or(BadKey::Encoding)?;
            let point = key.ec_point().as_bytes();
            (point, p256_is_sound(point), Some(key.application()))
        }
    };
    if !sound {
        return Err(BadKey::Point);
    }
    match application {
        Some(application) if !application.starts_with("ssh:") => Err(BadKey::Application),
        Some(_) | None => Ok(point),
    }
}

/// On the curve, and not of small order: for such a key (all zeros is one)
/// signatures can be made without a secret.
fn ed25519_is_sound(point: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(point).is_ok_and(|key| !key.is_weak())
}

/// On the curve, and written in full: a compressed point would be a second
/// encoding of the same key.
fn p256_is_sound(point: &[u8]) -> bool {
    point.len() == 65 && p256::PublicKey::from_sec1_bytes(point).is_ok()
}
