//! Whose signature it is, if it is one of this message.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ssh_key::{HashAlg, SshSig};

use super::{
    NAMESPACE, Signature, Signer, Signers, armor,
    envelope::{Envelope, Raw},
    error::{ApprovalError, Malformed},
    key::{Key, KeyType},
};

/// Whether `armored` is one signer's signature of exactly `message`, at the
/// time `at`; and whose.
///
/// The time is that of the decision, not of the signature, which carries
/// none: a key that has ended ends what it approved and nobody applied.
pub fn verify(message: &[u8], armored: &str, signers: &Signers, at: Timestamp) -> Result<Signature, ApprovalError> {
    let blob = armor::blob(armored)?;
    let envelope = Envelope::decode(&blob)?;
    // First, because it is what is most often wrong with a sound signature.
    if envelope.namespace != NAMESPACE.as_bytes() {
        return Err(ApprovalError::OtherNamespace {
            found: String::from_utf8_lossy(envelope.namespace).chars().take(64).collect(),
        });
    }
    let key = Key::from_blob(envelope.key).map_err(Malformed::Key)?;
    let signer = signers
        .by_key(&STANDARD.encode(envelope.key))
        .ok_or_else(|| ApprovalError::UnknownKey {
            fingerprint: key.fingerprint(),
        })?;
    is_valid(signer, at)?;
    check(message, &envelope, &key)?;
    Ok(Signature {
        principals: signer.principals.clone(),
        fingerprint: signer.fingerprint.clone(),
        key_type: signer.algorithm,
    })
}

/// As OpenSSH: both ends count.
fn is_valid(signer: &Signer, at: Timestamp) -> Result<(), ApprovalError> {
    let fingerprint = || signer.fingerprint.clone();
    match (signer.valid_after, signer.valid_before) {
        (Some(from), _) if at < from => Err(ApprovalError::NotYetValid {
            fingerprint: fingerprint(),
            from,
        }),
        (_, Some(until)) if at > until => Err(ApprovalError::Expired {
            fingerprint: fingerprint(),
            until,
        }),
        _ => Ok(()),
    }
}

/// Whether the envelope holds a signature of `message` by `key`, which was
/// made in the presence of its owner if the key can tell.
pub(super) fn check(message: &[u8], envelope: &Envelope<'_>, key: &Key) -> Result<(), ApprovalError> {
    let hash = match envelope.hash {
        b"sha256" => HashAlg::Sha256,
        b"sha512" => HashAlg::Sha512,
        _ => return Err(Malformed::Hash.into()),
    };
    let raw = raw(envelope, key.algorithm)?;
    let signature =
        ssh_key::Signature::new(key.algorithm.algorithm(), raw.joined()).map_err(|_| Malformed::Signature)?;
    let wrong = || ApprovalError::WrongSignature {
        fingerprint: key.fingerprint(),
    };
    // Namespace and hash are part of what is signed.
    let signature = SshSig::new(key.public.key_data().clone(), NAMESPACE, hash, signature).map_err(|_| wrong())?;
    key.public.verify(NAMESPACE, message, &signature).map_err(|_| wrong())?;
    if raw.token.is_some_and(|token| !token.user_was_present()) {
        return Err(ApprovalError::NotPresent {
            fingerprint: key.fingerprint(),
        });
    }
    Ok(())
}

/// Of the very kind that the key makes: not one by its twin in a browser, nor
/// one of another curve.
fn raw<'a>(envelope: &Envelope<'a>, key_type: KeyType) -> Result<Raw<'a>, Malformed> {
    let raw = Raw::decode(envelope.signature, key_type).ok_or(Malformed::Signature)?;
    if raw.algorithm == key_type.as_str().as_bytes() {
        Ok(raw)
    } else {
        Err(Malformed::Signature)
    }
}
