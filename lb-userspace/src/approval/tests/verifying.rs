//! What is taken as a signature of a plan.

use jiff::{SignedDuration, Timestamp};
use ssh_key::{HashAlg, SshSig};

use super::{
    super::{
        ApprovalError, KeyType, Malformed, Signature, Signers, armor, envelope::Envelope, verify, wire::put_string,
    },
    NAMESPACE, PLAN, ed25519, fingerprint, now, p256, public, signed, signers, token,
};

fn error(message: &[u8], armored: &str, signers: &Signers) -> ApprovalError {
    verify(message, armored, signers, now()).unwrap_err()
}

/// A sound signature by the first key for anything, put into an envelope that
/// says so.
fn for_namespace(namespace: &str, hash: HashAlg) -> String {
    let key = ed25519(1);
    let data = SshSig::signed_data(namespace, hash, PLAN).unwrap();
    let mut raw = Vec::new();
    put_string(&mut raw, b"ssh-ed25519");
    put_string(&mut raw, &token::sign(&key, &data));
    let hash = hash.to_string();
    let envelope = Envelope {
        key: &key.public_key().to_bytes().unwrap(),
        namespace: namespace.as_bytes(),
        hash: hash.as_bytes(),
        signature: &raw,
    };
    armor::armored(&envelope.encode())
}

#[test]
fn it_says_whose_signature_it_is() {
    for (key, key_type) in [(ed25519(1), KeyType::Ed25519), (p256(1), KeyType::EcdsaP256)] {
        let signers = signers(&[("bob", &ed25519(2)), ("alice,al", &key)]);
        let signature = verify(PLAN, &signed(PLAN, &key), &signers, now()).unwrap();
        let expected = Signature {
            principals: vec!["al".to_owned(), "alice".to_owned()],
            fingerprint: fingerprint(&key),
            key_type,
        };
        assert_eq!(signature, expected);
    }
}

#[test]
fn a_signature_is_of_exactly_these_bytes() {
    let key = ed25519(1);
    let signers = signers(&[("alice", &key)]);
    let signature = signed(PLAN, &key);
    for other in [&PLAN[1..], &PLAN[..PLAN.len() - 1], &[PLAN, b"\n"].concat(), b""] {
        let error = error(other, &signature, &signers);
        assert_eq!(
            error,
            ApprovalError::WrongSignature {
                fingerprint: fingerprint(&key)
            }
        );
        assert_eq!(error.code(), "HF2110");
    }
}

#[test]
fn a_key_that_is_not_listed_does_not_approve() {
    let signers = signers(&[("alice", &ed25519(1))]);
    let error = error(PLAN, &signed(PLAN, &ed25519(2)), &signers);
    assert_eq!(
        error,
        ApprovalError::UnknownKey {
            fingerprint: fingerprint(&ed25519(2))
        }
    );
    assert_eq!(error.code(), "HF2107");
}

#[test]
fn both_hashes_of_openssh_are_taken() {
    let signers = signers(&[("alice", &ed25519(1))]);
    for hash in [HashAlg::Sha256, HashAlg::Sha512] {
        verify(PLAN, &for_namespace(NAMESPACE, hash), &signers, now()).unwrap();
    }
}

#[test]
fn a_signature_for_something_else_does_not_approve() {
    let signers = signers(&[("alice", &ed25519(1))]);
    for namespace in [
        "git",
        "file",
        "holdfast-plan-v2",
        "holdfast-plan-v",
        "holdfast-plan-v1 ",
        "Holdfast-plan-v1",
    ] {
        let error = error(PLAN, &for_namespace(namespace, HashAlg::Sha512), &signers);
        assert_eq!(
            error,
            ApprovalError::OtherNamespace {
                found: namespace.to_owned()
            }
        );
        assert_eq!(error.code(), "HF2106");
    }
}

#[test]
fn a_key_approves_within_its_time() {
    let key = ed25519(1);
    let options = "valid-after=\"20261101Z\",valid-before=\"20261201Z\"";
    let text = format!("alice namespaces=\"{NAMESPACE}\",{options} {}", public(&key));
    let signers = Signers::parse(&text).unwrap();
    let signature = signed(PLAN, &key);
    let at = |at: Timestamp| verify(PLAN, &signature, &signers, at);
    let from: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let until: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let moment = SignedDuration::from_nanos(1);
    let fingerprint = fingerprint(&key);
    for good in [from, now(), until] {
        at(good).unwrap();
    }
    let early = ApprovalError::NotYetValid {
        fingerprint: fingerprint.clone(),
        from,
    };
    assert_eq!(at(from - moment), Err(early.clone()));
    assert_eq!(at(Timestamp::MIN), Err(early));
    let late = ApprovalError::Expired { fingerprint, until };
    assert_eq!(at(until + moment), Err(late.clone()));
    assert_eq!(at(Timestamp::MAX), Err(late));
}

#[test]
fn the_text_is_a_signature_and_nothing_else() {
    let key = ed25519(1);
    let signers = signers(&[("alice", &key)]);
    let text = signed(PLAN, &key);
    for fine in [text.clone(), text.trim_end().to_owned(), text.replace('\n', "\r\n")] {
        verify(PLAN, &fine, &signers, now()).unwrap();
    }
    for (bad, what) in [
        (String::new(), Malformed::Armor),
        (format!("{text}x"), Malformed::Armor),
        (format!("{text}\n"), Malformed::Armor),
        (format!("{text}{text}"), Malformed::Base64),
        (format!("Subject: x\n\n{text}"), Malformed::Armor),
        (text.replacen('\n', "\n\n", 1), Malformed::Armor),
        (text.replace("SSH SIGNATURE", "PGP SIGNATURE"), Malformed::Armor),
        (text.replacen("\nU1", "\nU 1", 1), Malformed::Base64),
        (text.replace('\n', "\r"), Malformed::Armor),
    ] {
        assert_eq!(error(PLAN, &bad, &signers), what.into(), "{bad}");
    }
}

#[test]
fn a_text_has_a_limit() {
    let signers = signers(&[("alice", &ed25519(1))]);
    let limit = 64 * 1024;
    let long = "x".repeat(limit + 1);
    assert_eq!(
        error(PLAN, &long, &signers),
        ApprovalError::TooLong {
            bytes: limit + 1,
            limit
        }
    );
    assert_eq!(error(PLAN, &long[1..], &signers), Malformed::Armor.into());
}

#[test]
fn an_envelope_is_of_version_1_and_has_nothing_reserved() {
    let key = ed25519(1);
    let signers = signers(&[("alice", &key)]);
    let blob = armor::blob(&signed(PLAN, &key)).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut blob = blob.clone();
        change(&mut blob);
        error(PLAN, &armor::armored(&blob), &signers)
    };
    assert_eq!(changed(&|blob| blob[9] = 2), Malformed::Version(2).into());
    assert_eq!(changed(&|blob| blob[9] = 0), Malformed::Version(0).into());
    assert_eq!(changed(&|blob| blob[0] = b's'), Malformed::Layout.into());
    assert_eq!(changed(&|blob| blob.push(0)), Malformed::Layout.into());
    assert_eq!(changed(&|blob| blob.truncate(blob.len() - 1)), Malformed::Layout.into());
    // Behind magic and version, the key and the namespace with their lengths.
    let reserved = 6 + 4 + 4 + 51 + 4 + NAMESPACE.len();
    let something = |blob: &mut Vec<u8>| {
        blob[reserved + 3] = 1;
        blob.insert(reserved + 4, 0);
    };
    assert_eq!(changed(&something), Malformed::Reserved.into());
    // The same text with another hash's name, of the same length.
    let hash = reserved + 4 + 4;
    assert_eq!(
        changed(&|blob| blob[hash..hash + 6].copy_from_slice(b"sha384")),
        Malformed::Hash.into()
    );
    let other = changed(&|blob| blob[hash..hash + 6].copy_from_slice(b"sha256"));
    assert!(matches!(other, ApprovalError::WrongSignature { .. }), "{other}");
}

#[test]
fn bytes_inside_the_signature_are_counted() {
    for key in [ed25519(1), p256(1)] {
        let signers = signers(&[("alice", &key)]);
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, PLAN).unwrap();
        let public = key.public_key().to_bytes().unwrap();
        let name = key.algorithm().to_string();
        let sound = token::sign(&key, &data);
        let longer = [&sound[..], b"\0"].concat();
        for (signature, behind) in [(&longer[..], &b""[..]), (&sound, b"\0"), (&sound[1..], b""), (b"", b"")] {
            let mut raw = Vec::new();
            put_string(&mut raw, name.as_bytes());
            put_string(&mut raw, signature);
            raw.extend(behind);
            assert_eq!(
                error(PLAN, &token::enveloped(&public, &raw), &signers),
                Malformed::Signature.into()
            );
        }
        let mut raw = Vec::new();
        put_string(&mut raw, name.as_bytes());
        put_string(&mut raw, &sound);
        verify(PLAN, &token::enveloped(&public, &raw), &signers, now()).unwrap();
    }
}
