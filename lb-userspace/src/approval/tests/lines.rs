//! What is taken as a line of allowed signers.

use jiff::Timestamp;

use super::{
    super::{BadKey, KeyType, LineError, LineProblem, Signers, SignersError},
    ed25519, fingerprint, line, p256, public,
};

fn taken(text: &str) -> Signers {
    Signers::parse(text).unwrap()
}

fn refused(text: &str) -> LineError {
    let Err(SignersError::Lines(lines)) = Signers::parse(text) else {
        panic!("taken: {text}");
    };
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap().what
}

/// A line with these options, of a key that is fine.
fn with(options: &str) -> String {
    format!("alice@corp {options} {}\n", public(&ed25519(1)))
}

const OURS: &str = "namespaces=\"holdfast-plan-v1\"";

#[test]
fn a_line_says_names_key_and_comment() {
    let text = format!(
        "# who approves\n\n \t\nbob,alice@corp\t{OURS}  {} her  laptop \n",
        public(&ed25519(1))
    );
    let signers = taken(&text);
    let signer = signers.iter().next().unwrap();
    assert_eq!(signers.len(), 1);
    assert_eq!(signer.principals, ["alice@corp", "bob"]);
    assert_eq!(signer.algorithm, KeyType::Ed25519);
    assert_eq!(format!("ssh-ed25519 {}", signer.key), public(&ed25519(1)));
    assert_eq!(signer.fingerprint, fingerprint(&ed25519(1)));
    assert_eq!((signer.valid_after, signer.valid_before), (None, None));
    assert_eq!(signer.comment, "her  laptop");
}

#[test]
fn keys_of_p256_are_taken() {
    let signers = taken(&line("carol", &public(&p256(1))));
    assert_eq!(signers.iter().next().unwrap().algorithm, KeyType::EcdsaP256);
}

#[test]
fn lines_may_end_as_on_windows() {
    let text = line("carol", &public(&p256(1))).replace('\n', "\r\n");
    assert_eq!(taken(&text).len(), 1);
}

#[test]
fn a_name_twice_in_a_line_is_there_once() {
    let signers = taken(&line("carol,carol", &public(&p256(1))));
    assert_eq!(signers.iter().next().unwrap().principals, ["carol"]);
}

#[test]
fn our_namespace_may_be_one_of_several() {
    assert_eq!(taken(&with("namespaces=\"git,holdfast-plan-v1,file\"")).len(), 1);
    assert_eq!(taken(&with("NameSpaces=\"holdfast-plan-v1\"")).len(), 1);
}

#[test]
fn a_line_without_our_namespace_is_refused() {
    let key = public(&ed25519(1));
    assert_eq!(refused(&format!("alice {key}")), LineError::Namespace);
    assert_eq!(refused(&with("namespaces=\"git\"")), LineError::Namespace);
    assert_eq!(refused(&with("namespaces=\"\"")), LineError::Namespace);
    assert_eq!(refused(&with("namespaces=\"holdfast-plan-v10\"")), LineError::Namespace);
    assert_eq!(refused(&with("namespaces=\"Holdfast-plan-v1\"")), LineError::Namespace);
    assert_eq!(refused(&with("valid-after=\"20260101Z\"")), LineError::Namespace);
}

#[test]
fn namespaces_are_named_without_patterns() {
    for list in [
        "*",
        "holdfast-*",
        "holdfast-plan-v?",
        "*,!holdfast-plan-v1",
        "holdfast-plan-v1,*",
    ] {
        let text = with(&format!("namespaces=\"{list}\""));
        assert_eq!(refused(&text), LineError::NamespacePattern, "{list}");
    }
}

#[test]
fn certificate_authorities_are_refused() {
    assert_eq!(
        refused(&with(&format!("cert-authority,{OURS}"))),
        LineError::CertAuthority
    );
    assert_eq!(
        refused(&with(&format!("{OURS},CERT-AUTHORITY"))),
        LineError::CertAuthority
    );
}

#[test]
fn patterns_are_refused_as_names() {
    for name in ["*", "*@corp", "alice@*", "al?ce", "!mallory", "alice,!alice", "alice,*"] {
        let what = refused(&line(name, &public(&ed25519(1))));
        assert!(matches!(what, LineError::PrincipalPattern { .. }), "{name}: {what}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    for name in [
        "",
        "alice,",
        ",alice",
        "\"alice\"",
        "@corp",
        "al\u{456}ce",
        "al\\ice",
        "a;b",
        &"a".repeat(257),
    ] {
        let text = line(&format!("{name},x"), &public(&ed25519(1)));
        assert!(matches!(refused(&text), LineError::Principal { .. }), "{name}");
    }
}

#[test]
fn other_types_of_keys_are_refused() {
    let rsa = "AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7";
    for key in [
        format!("ssh-rsa {rsa}"),
        format!("ssh-dss {rsa}"),
        format!("ecdsa-sha2-nistp384 {rsa}"),
        format!("ssh-ed25519-cert-v01@openssh.com {rsa}"),
        format!("webauthn-sk-ecdsa-sha2-nistp256@openssh.com {rsa}"),
        format!("ssh-ed25519 {rsa}"),
    ] {
        assert_eq!(refused(&line("alice", &key)), LineError::Key(BadKey::Type), "{key}");
    }
}

#[test]
fn damaged_keys_are_refused() {
    let sound = public(&ed25519(1));
    let base64 = sound.strip_prefix("ssh-ed25519 ").unwrap();
    let cut = &sound[..sound.len() - 4];
    assert_eq!(refused(&line("alice", cut)), LineError::Key(BadKey::Encoding));
    assert_eq!(
        refused(&line("alice", &sound[..sound.len() - 1])),
        LineError::Key(BadKey::Base64)
    );
    let other = format!("ecdsa-sha2-nistp256 {base64}");
    assert_eq!(refused(&line("alice", &other)), LineError::Key(BadKey::Encoding));
    let longer = format!("{sound}AAAA");
    assert_eq!(refused(&line("alice", &longer)), LineError::Key(BadKey::Encoding));
    let none = format!("alice {OURS} ssh-ed25519\n");
    assert_eq!(refused(&none), LineError::NoKey);
    assert_eq!(refused("alice\n"), LineError::NoKey);
}

#[test]
fn keys_that_would_verify_anything_are_refused() {
    // All zeros, as in an example that was never filled in.
    let zeros = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}", "A".repeat(43));
    assert_eq!(refused(&line("alice", &zeros)), LineError::Key(BadKey::Point));
}

#[test]
fn times_are_of_utc_and_of_three_lengths() {
    let text = with(&format!(
        "valid-after=\"20260101Z\",{OURS},valid-before=\"20270131183059Z\""
    ));
    let signers = taken(&text);
    let signer = signers.iter().next().unwrap();
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    assert_eq!(signer.valid_after, time("2026-01-01T00:00:00Z"));
    assert_eq!(signer.valid_before, time("2027-01-31T18:30:59Z"));
    let minutes = taken(&with(&format!("valid-after=\"202601011830Z\",{OURS}")));
    assert_eq!(minutes.iter().next().unwrap().valid_after, time("2026-01-01T18:30:00Z"));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "Z",
        "2026Z",
        "20260101",
        "202601011830",
        "20260230Z",
        "20261301Z",
        "202601012460Z",
        "2026010Z",
    ] {
        let line = with(&format!("{OURS},valid-before=\"{text}\""));
        assert_eq!(refused(&line), LineError::Time { option: "valid-before" }, "{text}");
    }
}

#[test]
fn a_key_that_is_never_valid_is_refused() {
    let line = with(&format!("valid-after=\"20260101Z\",valid-before=\"20260101Z\",{OURS}"));
    assert_eq!(refused(&line), LineError::NeverValid);
}

#[test]
fn options_that_cannot_be_read_are_refused() {
    for options in [
        "namespaces=holdfast-plan-v1",
        "namespaces=\"holdfast-plan-v1",
        "namespaces=\"holdfast-plan-v1\"x",
        "namespaces",
        "namespaces=\"holdfast-plan-v1\\\"\"",
    ] {
        assert_eq!(refused(&with(options)), LineError::Options, "{options}");
    }
    for options in [
        "holdfast",
        &format!("{OURS},"),
        &format!(",{OURS}"),
        &format!("{OURS},no-touch-required"),
    ] {
        assert_eq!(refused(&with(options)), LineError::UnknownOption, "{options}");
    }
    assert_eq!(refused(&with(&format!("{OURS},{OURS}"))), LineError::RepeatedOption);
}

#[test]
fn control_characters_are_refused() {
    let text = format!("{} \u{1b}[2J\n", line("alice", &public(&ed25519(1))).trim_end());
    assert_eq!(refused(&text), LineError::Control);
    assert_eq!(refused("# \u{7}\n"), LineError::Control);
}

#[test]
fn every_line_that_is_not_taken_is_told() {
    let text = format!(
        "alice\n{}# a comment\n* {OURS} {}\n",
        line("bob", &public(&ed25519(2))),
        public(&ed25519(3))
    );
    let error = Signers::parse(&text).unwrap_err();
    let pattern = LineError::PrincipalPattern { name: "*".to_owned() };
    let lines = vec![
        LineProblem {
            line: 1,
            what: LineError::NoKey,
        },
        LineProblem { line: 4, what: pattern },
    ];
    assert_eq!(error, SignersError::Lines(lines));
    assert_eq!(error.code(), "HF2100");
    assert_eq!(
        error.to_string(),
        "line 1: it ends before the key [HF2100]; line 4: `*` is a pattern: name every approver [HF2102]"
    );
}

#[test]
fn there_are_limits_for_bytes_and_lines() {
    let fits = format!("{}{}", "#\n".repeat(999), line("bob", &public(&ed25519(2))));
    assert_eq!(taken(&fits).len(), 1);
    let lines = Signers::parse(&format!("#\n{fits}"));
    assert_eq!(
        lines,
        Err(SignersError::TooManyLines {
            lines: 1001,
            limit: 1000
        })
    );
    let long = format!("#{}", "x".repeat(256 * 1024 - 1));
    assert!(taken(&long).is_empty());
    let longer = Signers::parse(&format!("{long}x"));
    let limit = 256 * 1024;
    assert_eq!(
        longer,
        Err(SignersError::TooLong {
            bytes: limit + 1,
            limit
        })
    );
}
