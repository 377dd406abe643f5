//! Signing with keys from files.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
};

use ssh_key::{
    PrivateKey,
    private::{KeypairData, SkEd25519},
};
use zeroize::Zeroizing;

use super::{
    super::{BadKey, SignError, sign, verify},
    PLAN, ed25519, fingerprint,
    interop::OpenSsh,
    now, p256, private_text, signers,
    token::Token,
    unasked,
};

fn passphrase(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

#[test]
fn what_is_signed_is_taken() {
    for key in [ed25519(1), p256(1)] {
        let signed = sign::with_key(PLAN, private_text(&key).as_bytes(), unasked).unwrap();
        assert_eq!(signed.fingerprint, fingerprint(&key));
        let signature = verify(PLAN, &signed.armored, &signers(&[("alice", &key)]), now()).unwrap();
        assert_eq!(signature.key_type, signed.key_type);
    }
}

#[test]
fn a_file_that_others_can_read_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, private_text(&ed25519(1))).unwrap();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = sign::with_file(PLAN, &path, unasked).unwrap_err();
        assert!(
            matches!(error, SignError::OpenToAll { mode: found, .. } if found == mode),
            "{error}"
        );
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    sign::with_file(PLAN, &path, unasked).unwrap();
    let none = sign::with_file(PLAN, &dir.path().join("none"), unasked).unwrap_err();
    assert!(matches!(none, SignError::KeyFile { .. }), "{none}");
    let not_a_file = sign::with_file(PLAN, dir.path(), unasked).unwrap_err();
    assert_eq!(not_a_file.code(), "HF2111");
}

#[test]
fn a_passphrase_is_asked_if_there_is_one() {
    let openssh = OpenSsh::new();
    let key = openssh.keygen("key", &["-t", "ed25519", "-N", "secret", "-a", "4"]);
    let signed = sign::with_file(PLAN, &key, || Ok(passphrase("secret"))).unwrap();
    assert_eq!(signed.fingerprint, openssh.fingerprint("key"));
    let wrong = sign::with_file(PLAN, &key, || Ok(passphrase("Secret"))).unwrap_err();
    assert!(matches!(wrong, SignError::WrongPassphrase), "{wrong}");
    let none = sign::with_file(PLAN, &key, || Err(io::ErrorKind::NotConnected.into())).unwrap_err();
    assert!(matches!(none, SignError::NoPassphrase(_)), "{none}");
    assert_eq!((wrong.code(), none.code()), ("HF2112", "HF2112"));
}

#[test]
fn what_is_no_private_key_is_told() {
    let public = super::public(&ed25519(1));
    let long = "x".repeat(64 * 1024 + 1);
    for text in ["", "x", &public, "-----BEGIN RSA PRIVATE KEY-----\n", &long] {
        let error = sign::with_key(PLAN, text.as_bytes(), unasked).unwrap_err();
        assert!(matches!(error, SignError::NotAKey(_)), "{error}");
    }
}

#[test]
fn keys_of_types_that_are_not_taken_do_not_sign() {
    let openssh = OpenSsh::new();
    for (name, options) in [
        ("rsa", ["-t", "rsa", "-b", "1024"]),
        ("p384", ["-t", "ecdsa", "-b", "384"]),
    ] {
        let key = openssh.keygen(name, &[&options[..], &["-N", ""]].concat());
        let error = sign::with_file(PLAN, &key, unasked).unwrap_err();
        assert!(matches!(error, SignError::BadKey(BadKey::Type)), "{name}: {error}");
    }
}

#[test]
fn a_key_in_a_token_is_left_to_the_agent() {
    let public = Token::ed25519(1, "ssh:").key().key_data().sk_ed25519().unwrap().clone();
    // Of a token OpenSSH writes a handle where the secret would be.
    let token = KeypairData::SkEd25519(SkEd25519::new(public, 1, vec![7; 32]).unwrap());
    let text = private_text(&PrivateKey::new(token, "").unwrap());
    let error = sign::with_key(PLAN, text.as_bytes(), unasked).unwrap_err();
    assert!(matches!(error, SignError::InToken), "{error}");
}
