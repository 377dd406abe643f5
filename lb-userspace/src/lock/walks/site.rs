//! What the product is asked with: contents, keys, next hops.

use std::{collections::HashMap, path::PathBuf, sync::LazyLock};

use lock_model::{Content as Names, Key, Keys, NEEDS, Name};
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::{
    approval::{NAMESPACE, Signers, sign},
    neighbours::Resolution,
    part::Part,
    plan::{Content, samples},
    revision::Revision,
};

/// Private keys, as their files have them, and lines of the approvers' file.
struct Signing {
    private: String,
    line: String,
}

fn signing_of(key: Key) -> Signing {
    let private = PrivateKey::from(Ed25519Keypair::from_seed(&[key as u8 + 1; 32]));
    let public = private.public_key().to_openssh().expect("a key");
    let name = match key {
        Key::Ann => "ann",
        Key::Bob => "bob",
        Key::Cid | Key::Spare => "cid",
        Key::Eve => "eve",
    };
    Signing {
        line: format!("{name} namespaces=\"{NAMESPACE}\" {}\n", public.trim_end()),
        private: private.to_openssh(LineEnding::LF).expect("a key").to_string(),
    }
}

static SIGNING: LazyLock<Vec<Signing>> = LazyLock::new(|| Key::ALL.map(signing_of).into());

pub fn signers(keys: Keys) -> Signers {
    let text: String = keys.iter().map(|key| SIGNING[key as usize].line.as_str()).collect();
    if text.is_empty() {
        return Signers::default();
    }
    Signers::parse(&text).expect("a sound file")
}

pub fn signature(key: Key, message: &[u8]) -> String {
    let private = SIGNING[key as usize].private.as_bytes();
    let unasked = || unreachable!("these keys have no passphrase");
    sign::with_key(message, private, unasked).expect("a key").armored
}

/// What a set of plans has made of the first generation, and its revision.
pub fn content(names: Names) -> &'static (Part<Content>, Revision) {
    static ALL: LazyLock<HashMap<Names, (Part<Content>, Revision)>> =
        LazyLock::new(|| Names::all().map(|names| (names, made(names))).collect());
    &ALL[&names]
}

fn made(names: Names) -> (Part<Content>, Revision) {
    let mut config = samples::content().config;
    config.pools.retain(|pool| pool.name == "web");
    config.vips.retain(|vip| vip.name == "web4");
    let approvals = &mut config.protection.approvals;
    approvals.remove = NEEDS as u32;
    approvals.approvers = Some(PathBuf::from("/etc/holdfast/approvers"));
    if names.has(Name::Risky) {
        config.protection.require_drain = false;
    }
    if names.has(Name::Safe) {
        let mut vip = config.vips[0].clone();
        vip.name = "extra".to_owned();
        vip.port += 1;
        config.vips.insert(0, vip);
    }
    let signers = signers(names.signers());
    let content = Part::new(Content::new(config, samples::content().overrides).with_signers(signers));
    let revision = Revision::next(None, &content, &resolution_of(&content).hops, 0).expect("a small revision");
    (content, revision)
}

fn resolution_of(content: &Content) -> Resolution {
    Resolution {
        hops: samples::hops(content),
        ..Resolution::default()
    }
}

/// Every backend is a neighbour.
pub fn resolution() -> &'static Resolution {
    static RESOLUTION: LazyLock<Resolution> = LazyLock::new(|| resolution_of(&content(Names::default()).0));
    &RESOLUTION
}
