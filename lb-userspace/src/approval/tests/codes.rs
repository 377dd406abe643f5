//! The codes of approvals, and their document.

use std::{collections::BTreeSet, io};

use super::{super::*, now};

const REFUSALS: &str = include_str!("../../../../docs/refusals.md");

#[test]
fn the_document_has_a_section_about_every_code_of_approvals() {
    for code in CODES {
        assert!(REFUSALS.contains(&format!("\n### {code} ")), "{code}");
    }
    assert!(CODES.is_sorted());
    assert!(CODES.iter().all(|code| ("HF2100"..="HF2119").contains(code)));
}

/// One of every kind of error, with its code and fix.
fn all() -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let fingerprint = || "SHA256:x".to_owned();
    for error in [
        LineError::Options,
        LineError::Namespace,
        LineError::CertAuthority,
        LineError::Key(BadKey::Type),
        LineError::SameKey { first_line: 1 },
    ] {
        all.push((error.code(), error.fix()));
    }
    for error in [
        ApprovalError::Malformed(Malformed::Armor),
        ApprovalError::OtherNamespace {
            found: "git".to_owned(),
        },
        ApprovalError::UnknownKey {
            fingerprint: fingerprint(),
        },
        ApprovalError::Expired {
            fingerprint: fingerprint(),
            until: now(),
        },
        ApprovalError::NotPresent {
            fingerprint: fingerprint(),
        },
        ApprovalError::WrongSignature {
            fingerprint: fingerprint(),
        },
    ] {
        all.push((error.code(), error.fix()));
    }
    for error in [
        SignError::InToken,
        SignError::NoPassphrase(io::ErrorKind::Interrupted.into()),
        SignError::NoAgent,
        SignError::NoneInAgent,
        SignError::Refused,
    ] {
        all.push((error.code(), error.fix()));
    }
    for error in [
        Short::UnknownAuthor { needed: 1 },
        Short::TooFew {
            needed: 1,
            people: Vec::new(),
            own: Vec::new(),
        },
    ] {
        all.push((error.code(), error.fix()));
    }
    all
}

#[test]
fn the_errors_have_these_codes_and_no_others() {
    let all = all();
    let codes: BTreeSet<&str> = all.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, BTreeSet::from(CODES));
    let fixes: BTreeSet<&str> = all.iter().map(|(_, fix)| *fix).collect();
    assert_eq!(fixes.len(), all.len(), "each has a fix of its own");
}
