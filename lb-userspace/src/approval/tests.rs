//! Keys, files and signatures for the tests of approvals.

mod agent;
mod codes;
mod counting;
mod forged;
mod interop;
mod lines;
mod mutations;
mod sets;
mod signing;
mod token;
mod verifying;

use std::io;

use jiff::Timestamp;
use ssh_key::{
    LineEnding, PrivateKey,
    private::{EcdsaKeypair, Ed25519Keypair},
};
use zeroize::Zeroizing;

use super::{NAMESPACE, Signers, sign};

/// What is signed: the length of a small plan.
const PLAN: &[u8] = b"{\"base\":41,\"environment\":\"prod\",\"statement\":\"remove vip/dns\",\"target\":42}\n";

fn now() -> Timestamp {
    "2026-11-25T18:00:00Z".parse().unwrap()
}

fn ed25519(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn p256(seed: u8) -> PrivateKey {
    let secret = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
    PrivateKey::from(EcdsaKeypair::NistP256 {
        public: secret.public_key().into(),
        private: secret.into(),
    })
}

/// As in a `.pub` file, without a comment.
fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap().trim_end().to_owned()
}

fn line(names: &str, public: &str) -> String {
    format!("{names} namespaces=\"{NAMESPACE}\" {public}\n")
}

fn signers(lines: &[(&str, &PrivateKey)]) -> Signers {
    let text: String = lines.iter().map(|(names, key)| line(names, &public(key))).collect();
    Signers::parse(&text).unwrap()
}

fn private_text(key: &PrivateKey) -> String {
    key.to_openssh(LineEnding::LF).unwrap().to_string()
}

fn signed(message: &[u8], key: &PrivateKey) -> String {
    sign::with_key(message, private_text(key).as_bytes(), unasked)
        .unwrap()
        .armored
}

/// For keys that have no passphrase.
fn unasked() -> io::Result<Zeroizing<String>> {
    panic!("no passphrase is needed");
}

fn fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
}
