//! A hundred thousand signatures that nobody made of this plan.

use std::collections::BTreeMap;

use fastrand::Rng;
use ssh_key::{HashAlg, PrivateKey, SshSig};

use super::{
    super::{KeyType, NAMESPACE, Signers, armor, envelope::Envelope, verify, wire::put_string},
    PLAN, ed25519, line, now, p256, public, signed, signers,
    token::{self, PRESENT, Token},
};

/// A signature that is sound, and what forgers know of it.
struct Sound {
    key_type: KeyType,
    key: Vec<u8>,
    armored: String,
    blob: Vec<u8>,
    /// Inside the envelope, with the name of its algorithm.
    raw: Vec<u8>,
}

impl Sound {
    fn new(key_type: KeyType, key: Vec<u8>, armored: String) -> Self {
        let blob = armor::blob(&armored).unwrap();
        let raw = Envelope::decode(&blob).unwrap().signature.to_vec();
        Self {
            key_type,
            key,
            armored,
            blob,
            raw,
        }
    }

    fn plain(key_type: KeyType, key: &PrivateKey) -> Self {
        Self::new(key_type, key.public_key().to_bytes().unwrap(), signed(PLAN, key))
    }
}

/// An attempt: what is said to be approved, and the approval of it.
type Attempt = (Vec<u8>, String);

/// One after the other.
type Way = fn(&mut Forger) -> Attempt;

struct Forger {
    rng: Rng,
    /// Of every type of key, each of a person of its own.
    sound: Vec<Sound>,
}

impl Forger {
    fn sound(&mut self) -> &Sound {
        // Mostly Ed25519, which is verified ten times as fast.
        let at = if self.rng.u8(..) < 230 {
            0
        } else {
            self.rng.usize(..self.sound.len())
        };
        &self.sound[at]
    }

    /// One bit of the envelope.
    fn flipped(&mut self) -> Attempt {
        let mut blob = self.sound().blob.clone();
        flip(&mut self.rng, &mut blob);
        (PLAN.to_vec(), armor::armored(&blob))
    }

    /// One byte of the text.
    fn miswritten(&mut self) -> Attempt {
        let mut text = self.sound().armored.clone().into_bytes();
        let at = self.rng.usize(..text.len());
        let byte = self.rng.u8(..128);
        // The last line end is no part of it, and a line may end in two ways.
        if text[at] == byte || at + 1 == text.len() {
            return self.miswritten();
        }
        text[at] = byte;
        (PLAN.to_vec(), String::from_utf8(text).unwrap())
    }

    /// Cut, or with something added.
    fn cut_or_longer(&mut self) -> Attempt {
        let mut blob = self.sound().blob.clone();
        let text = self.sound().armored.clone();
        let armored = match self.rng.u8(..4) {
            0 => {
                blob.truncate(self.rng.usize(..blob.len()));
                armor::armored(&blob)
            }
            1 => {
                let at = self.rng.usize(..=blob.len());
                blob.insert(at, self.rng.u8(..));
                armor::armored(&blob)
            }
            2 => text[..self.rng.usize(..text.len() - 1)].to_owned(),
            _ => format!("{text}{}", self.rng.alphanumeric()),
        };
        (PLAN.to_vec(), armored)
    }

    /// A sound signature with another plan.
    fn replayed(&mut self) -> Attempt {
        let mut plan = PLAN.to_vec();
        match self.rng.u8(..3) {
            0 => flip(&mut self.rng, &mut plan),
            1 => plan.truncate(self.rng.usize(..plan.len())),
            _ => plan.insert(self.rng.usize(..=plan.len()), self.rng.u8(..)),
        }
        let same = plan == PLAN;
        let armored = self.sound().armored.clone();
        if same { self.replayed() } else { (plan, armored) }
    }

    /// The parts of sound signatures, put together otherwise.
    fn rebound(&mut self) -> Attempt {
        let (one, other) = (self.rng.usize(..self.sound.len()), self.rng.usize(..self.sound.len()));
        let (one, other) = (&self.sound[one], &self.sound[other]);
        let namespaces = ["git", "file", "holdfast-plan-v2", ""];
        let mut envelope = Envelope {
            key: &one.key,
            namespace: NAMESPACE.as_bytes(),
            hash: b"sha512",
            signature: &one.raw,
        };
        match self.rng.u8(..3) {
            0 => envelope.hash = b"sha256",
            1 => envelope.namespace = self.rng.choice(namespaces).unwrap().as_bytes(),
            _ if one.key == other.key => return self.rebound(),
            _ => envelope.signature = &other.raw,
        }
        (PLAN.to_vec(), armor::armored(&envelope.encode()))
    }

    /// Made without the key.
    fn invented(&mut self) -> Attempt {
        let length = if self.rng.bool() { 64 } else { self.rng.usize(..80) };
        let bytes: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
        let sound = self.sound();
        let mut raw = Vec::new();
        put_string(&mut raw, sound.key_type.as_str().as_bytes());
        put_string(&mut raw, &bytes);
        if sound.key_type.is_token() {
            raw.extend([PRESENT, 0, 0, 0, 9]);
        }
        (PLAN.to_vec(), token::enveloped(&sound.key, &raw))
    }

    /// By the right key, but as a signature for something else, or of the
    /// bare plan.
    fn relabelled(&mut self) -> Attempt {
        let data = match self.rng.u8(..4) {
            0 => PLAN.to_vec(),
            1 => SshSig::signed_data("git", HashAlg::Sha512, PLAN).unwrap(),
            2 => SshSig::signed_data("holdfast-plan-v2", HashAlg::Sha512, PLAN).unwrap(),
            _ => SshSig::signed_data(NAMESPACE, HashAlg::Sha256, PLAN).unwrap(),
        };
        let key = ed25519(1);
        let mut raw = Vec::new();
        put_string(&mut raw, b"ssh-ed25519");
        put_string(&mut raw, &token::sign(&key, &data));
        (
            PLAN.to_vec(),
            token::enveloped(&key.public_key().to_bytes().unwrap(), &raw),
        )
    }

    /// Sound, by somebody who may not.
    fn by_others(&mut self) -> Attempt {
        (PLAN.to_vec(), signed(PLAN, &ed25519(self.rng.u8(100..))))
    }

    /// By a token that nobody touched.
    fn untouched(&mut self) -> Attempt {
        let token = Token::ed25519(3, "ssh:");
        let flags = self.rng.u8(..) & !PRESENT;
        (PLAN.to_vec(), token.approval(PLAN, flags, self.rng.u32(..)))
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    let at = rng.usize(..bytes.len());
    bytes[at] ^= 1 << rng.u8(..8);
}

fn everybody() -> (Signers, Vec<Sound>) {
    let (plain, ecdsa) = (ed25519(1), p256(2));
    let (token, old_token) = (Token::ed25519(3, "ssh:"), Token::p256(4, "ssh:"));
    let text = [
        line("alice", &public(&plain)),
        line("bob", &public(&ecdsa)),
        line("carol", &token.public()),
        line("dave", &old_token.public()),
    ];
    let sound = vec![
        Sound::plain(KeyType::Ed25519, &plain),
        Sound::plain(KeyType::EcdsaP256, &ecdsa),
        Sound::new(KeyType::SkEd25519, token.blob(), token.approval(PLAN, PRESENT, 7)),
        Sound::new(
            KeyType::SkEcdsaP256,
            old_token.blob(),
            old_token.approval(PLAN, PRESENT, 7),
        ),
    ];
    (Signers::parse(&text.concat()).unwrap(), sound)
}

#[test]
fn none_of_a_hundred_thousand_forgeries_is_taken() {
    let (signers, sound) = everybody();
    for sound in &sound {
        verify(PLAN, &sound.armored, &signers, now()).unwrap();
    }
    let mut forger = Forger {
        rng: Rng::with_seed(0x000f_0e0d),
        sound,
    };
    let ways: [(Way, usize); 9] = [
        (Forger::flipped, 40_000),
        (Forger::miswritten, 20_000),
        (Forger::cut_or_longer, 12_000),
        (Forger::replayed, 15_000),
        (Forger::rebound, 6_000),
        (Forger::invented, 5_000),
        (Forger::relabelled, 1_000),
        (Forger::by_others, 500),
        (Forger::untouched, 500),
    ];
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for (way, times) in ways {
        for _ in 0..times {
            let (plan, armored) = way(&mut forger);
            match verify(&plan, &armored, &signers, now()) {
                Ok(signature) => panic!("taken as {:?}: {armored}", signature.principals),
                Err(error) => *refused.entry(error.code()).or_default() += 1,
            }
        }
    }
    assert_eq!(refused.values().sum::<usize>(), 100_000);
    // Each for its reason: a refusal of everything would not do.
    let reasons: Vec<&str> = refused.keys().copied().collect();
    assert_eq!(reasons, ["HF2105", "HF2106", "HF2107", "HF2109", "HF2110"]);
    assert!(
        refused["HF2110"] > 30_000,
        "enough got as far as the cryptography: {refused:?}"
    );
}

#[test]
fn a_sound_signature_is_taken_at_no_time_but_its_own() {
    let key = ed25519(1);
    let options = "valid-after=\"20261101Z\",valid-before=\"20261201Z\"";
    let text = format!("alice namespaces=\"{NAMESPACE}\",{options} {}", public(&key));
    let signers = Signers::parse(&text).unwrap();
    let armored = signed(PLAN, &key);
    let signer = signers.iter().next().unwrap();
    let (from, until) = (signer.valid_after.unwrap(), signer.valid_before.unwrap());
    let mut rng = Rng::with_seed(7);
    let mut taken = 0;
    for _ in 0..5_000 {
        let at = from + jiff::SignedDuration::from_secs(rng.i64(-10_000_000..10_000_000));
        let within = (from..=until).contains(&at);
        assert_eq!(verify(PLAN, &armored, &signers, at).is_ok(), within, "{at}");
        taken += usize::from(within);
    }
    assert!((200..2_000).contains(&taken), "{taken}");
}

#[test]
fn a_sound_signature_is_not_taken_under_another_name() {
    let key = ed25519(1);
    let embedded = signers(&[("alice", &key), ("bob", &ed25519(2))]);
    let armored = signed(PLAN, &key);
    let mut rng = Rng::with_seed(8);
    for _ in 0..2_000 {
        let length = rng.usize(1..6);
        let name: String = (0..length)
            .map(|_| rng.choice(['a', 'l', 'i', 'c', 'e']).unwrap())
            .collect();
        let on_disk = signers(&[(&name, &key)]);
        let taken = verify(PLAN, &armored, &embedded.shrunk_by(&on_disk), now());
        assert_eq!(taken.is_ok(), name == "alice", "{name}");
        assert_eq!(verify(PLAN, &armored, &on_disk, now()).unwrap().principals, [name]);
    }
}
