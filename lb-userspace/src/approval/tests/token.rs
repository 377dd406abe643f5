//! A FIDO token in software, as OpenSSH's PROTOCOL.u2f describes it: there is
//! no hardware in a test.

use sha2::{Digest, Sha256};
use ssh_key::{
    HashAlg, PrivateKey, SigningKey, SshSig,
    public::{KeyData, SkEcdsaSha2NistP256, SkEd25519},
    sec1::{EncodedPoint, consts::U32},
};

use super::{
    super::{
        ApprovalError, BadKey, KeyType, LineError, LineProblem, Malformed, NAMESPACE, Signers, SignersError, armor,
        envelope::Envelope, verify, wire::put_string,
    },
    PLAN, ed25519, line, now, p256, public,
};

/// Somebody touched it.
pub const PRESENT: u8 = 0x01;
/// Somebody gave the PIN.
const VERIFIED: u8 = 0x04;

pub struct Token {
    secret: PrivateKey,
    application: &'static str,
    key_type: KeyType,
}

impl Token {
    pub fn ed25519(seed: u8, application: &'static str) -> Self {
        Self {
            secret: ed25519(seed),
            application,
            key_type: KeyType::SkEd25519,
        }
    }

    pub fn p256(seed: u8, application: &'static str) -> Self {
        Self {
            secret: p256(seed),
            application,
            key_type: KeyType::SkEcdsaP256,
        }
    }

    pub fn key(&self) -> ssh_key::PublicKey {
        let public = self.secret.public_key().key_data();
        let key = if let Some(key) = public.ed25519() {
            KeyData::SkEd25519(SkEd25519::new(*key, self.application))
        } else {
            let point = EncodedPoint::<U32>::from_bytes(public.ecdsa().unwrap().as_sec1_bytes()).unwrap();
            KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(point, self.application))
        };
        key.into()
    }

    pub fn blob(&self) -> Vec<u8> {
        self.key().to_bytes().unwrap()
    }

    pub fn public(&self) -> String {
        self.key().to_openssh().unwrap().trim_end().to_owned()
    }

    /// The encoded signature: of what a token is given, with what it adds.
    pub fn raw(&self, data: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        let mut signed = Sha256::digest(self.application).to_vec();
        signed.push(flags);
        signed.extend(counter.to_be_bytes());
        signed.extend(Sha256::digest(data));
        let mut raw = Vec::new();
        put_string(&mut raw, self.key_type.as_str().as_bytes());
        put_string(&mut raw, &sign(&self.secret, &signed));
        raw.push(flags);
        raw.extend(counter.to_be_bytes());
        raw
    }

    pub fn approval(&self, message: &[u8], flags: u8, counter: u32) -> String {
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, message).unwrap();
        enveloped(&self.blob(), &self.raw(&data, flags, counter))
    }
}

/// The bytes of a signature, without the name of its algorithm.
pub fn sign(key: &impl SigningKey, data: &[u8]) -> Vec<u8> {
    key.try_sign(data).unwrap().as_bytes().to_vec()
}

pub fn enveloped(key: &[u8], signature: &[u8]) -> String {
    let envelope = Envelope {
        key,
        namespace: NAMESPACE.as_bytes(),
        hash: b"sha512",
        signature,
    };
    armor::armored(&envelope.encode())
}

fn both() -> [Token; 2] {
    [Token::ed25519(1, "ssh:"), Token::p256(1, "ssh:holdfast")]
}

fn listed(token: &Token) -> Signers {
    Signers::parse(&line("alice", &token.public())).unwrap()
}

#[test]
fn a_token_that_was_touched_approves() {
    for token in both() {
        for flags in [PRESENT, PRESENT | VERIFIED] {
            let approval = token.approval(PLAN, flags, 7);
            let signature = verify(PLAN, &approval, &listed(&token), now()).unwrap();
            assert_eq!(
                (signature.principals, signature.key_type),
                (vec!["alice".to_owned()], token.key_type)
            );
        }
    }
}

#[test]
fn a_token_that_was_not_touched_does_not() {
    for token in both() {
        for flags in [0, VERIFIED, 0x80] {
            let approval = token.approval(PLAN, flags, 7);
            let error = verify(PLAN, &approval, &listed(&token), now()).unwrap_err();
            assert!(matches!(error, ApprovalError::NotPresent { .. }), "{flags}: {error}");
            assert_eq!(error.code(), "HF2109");
        }
    }
}

#[test]
fn presence_cannot_be_claimed_afterwards() {
    for token in both() {
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, PLAN).unwrap();
        let mut raw = token.raw(&data, 0, 7);
        let flags = raw.len() - 5;
        raw[flags] = PRESENT;
        let error = verify(PLAN, &enveloped(&token.blob(), &raw), &listed(&token), now()).unwrap_err();
        assert!(matches!(error, ApprovalError::WrongSignature { .. }), "{error}");
    }
}

#[test]
fn another_application_of_the_same_token_does_not_approve() {
    for (listed_for, asked_for) in [("ssh:", "ssh:other"), ("ssh:holdfast", "ssh:")] {
        let (mine, other) = (Token::ed25519(1, listed_for), Token::ed25519(1, asked_for));
        let by_other = verify(PLAN, &other.approval(PLAN, PRESENT, 7), &listed(&mine), now());
        assert!(
            matches!(by_other, Err(ApprovalError::UnknownKey { .. })),
            "{by_other:?}"
        );
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, PLAN).unwrap();
        let disguised = enveloped(&mine.blob(), &other.raw(&data, PRESENT, 7));
        let disguised = verify(PLAN, &disguised, &listed(&mine), now());
        assert!(
            matches!(disguised, Err(ApprovalError::WrongSignature { .. })),
            "{disguised:?}"
        );
    }
}

#[test]
fn a_token_key_of_a_web_site_is_refused() {
    for token in [Token::ed25519(1, "https://bank.example"), Token::p256(1, "")] {
        let error = Signers::parse(&line("alice", &token.public())).unwrap_err();
        let what = LineError::Key(BadKey::Application);
        assert_eq!(error, SignersError::Lines(vec![LineProblem { line: 1, what }]));
    }
}

#[test]
fn the_secret_of_a_token_does_not_sign_as_a_plain_key() {
    let token = Token::ed25519(1, "ssh:");
    let plain = super::signed(PLAN, &token.secret);
    let unknown = verify(PLAN, &plain, &listed(&token), now());
    assert!(matches!(unknown, Err(ApprovalError::UnknownKey { .. })), "{unknown:?}");
    // And a plain signature is none of the token's.
    let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, PLAN).unwrap();
    let mut raw = Vec::new();
    put_string(&mut raw, b"ssh-ed25519");
    put_string(&mut raw, &sign(&token.secret, &data));
    let disguised = verify(PLAN, &enveloped(&token.blob(), &raw), &listed(&token), now());
    assert_eq!(disguised, Err(ApprovalError::Malformed(Malformed::Signature)));
}

#[test]
fn a_token_signature_is_not_taken_for_a_plain_key() {
    let token = Token::ed25519(1, "ssh:");
    let signers = Signers::parse(&line("alice", &public(&token.secret))).unwrap();
    let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, PLAN).unwrap();
    let plain = token.secret.public_key().to_bytes().unwrap();
    let error = verify(PLAN, &enveloped(&plain, &token.raw(&data, PRESENT, 7)), &signers, now());
    assert_eq!(error, Err(ApprovalError::Malformed(Malformed::Signature)));
}
