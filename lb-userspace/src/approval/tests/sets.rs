//! What sets of signers are, and how they are compared.

use super::{
    super::{LineError, LineProblem, Signers, SignersError},
    NAMESPACE, ed25519, line, p256, public, signers,
};

fn conflict(text: &str) -> LineProblem {
    let Err(SignersError::Lines(mut lines)) = Signers::parse(text) else {
        panic!("taken: {text}");
    };
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn dated(names: &str, options: &str, seed: u8) -> String {
    format!(
        "{names} namespaces=\"{NAMESPACE}\"{options} {}\n",
        public(&ed25519(seed))
    )
}

#[test]
fn one_person_may_have_two_keys() {
    let signers = signers(&[
        ("alice@corp", &ed25519(1)),
        ("alice@corp", &p256(1)),
        ("bob@corp", &ed25519(2)),
    ]);
    assert_eq!((signers.len(), signers.people()), (3, 2));
}

#[test]
fn one_key_under_two_names_is_refused() {
    let text = format!(
        "{}{}",
        line("alice", &public(&ed25519(1))),
        line("bob", &public(&ed25519(1)))
    );
    let problem = conflict(&text);
    assert_eq!(
        problem,
        LineProblem {
            line: 2,
            what: LineError::SameKey { first_line: 1 }
        }
    );
    assert_eq!(problem.what.code(), "HF2104");
}

#[test]
fn one_key_with_two_validities_is_refused() {
    let text = format!(
        "{}{}",
        dated("alice", "", 1),
        dated("alice", ",valid-before=\"20270101Z\"", 1)
    );
    assert_eq!(conflict(&text).what, LineError::SameKey { first_line: 1 });
}

#[test]
fn the_same_line_twice_is_one() {
    let text = line("alice", &public(&ed25519(1)));
    let commented = format!("{} laptop\n", text.trim_end());
    let twice = Signers::parse(&format!("{commented}{text}")).unwrap();
    assert_eq!(twice.len(), 1);
    let other_order = Signers::parse(&format!("{text}{commented}")).unwrap();
    assert_eq!(twice, other_order);
}

#[test]
fn the_same_point_as_a_token_key_is_the_same_key() {
    let plain = ed25519(1);
    let token = super::token::Token::ed25519(1, "ssh:");
    let text = format!("{}{}", line("alice", &public(&plain)), line("bob", &token.public()));
    assert_eq!(conflict(&text).what, LineError::SameKey { first_line: 1 });
}

#[test]
fn a_person_has_the_same_names_on_every_line() {
    for (one, other) in [
        ("alice,alice@corp", "alice"),
        ("alice", "alice@corp"),
        ("alice@corp", "alice"),
        ("Alice@Corp", "alice@corp"),
        ("a@x,b@x", "b@x,c@x"),
    ] {
        let text = format!(
            "{}{}",
            line(one, &public(&ed25519(1))),
            line(other, &public(&ed25519(2)))
        );
        let problem = conflict(&text);
        assert!(
            matches!(
                problem,
                LineProblem {
                    line: 2,
                    what: LineError::SplitPerson { first_line: 1, .. }
                }
            ),
            "{one} {other}: {problem}"
        );
    }
}

#[test]
fn people_of_two_hosts_are_two() {
    let signers = signers(&[("alice@corp", &ed25519(1)), ("alice@partner", &ed25519(2))]);
    assert_eq!(signers.people(), 2);
}

#[test]
fn the_order_of_lines_changes_nothing() {
    let lines: Vec<String> = (1..=6).map(|seed| dated(&format!("p{seed}"), "", 7 - seed)).collect();
    let forth = Signers::parse(&lines.concat()).unwrap();
    let back: String = lines.iter().rev().cloned().collect();
    let back = Signers::parse(&format!("# reversed\n{back}")).unwrap();
    assert_eq!(forth, back);
    assert_eq!(forth.digest(), back.digest());
    assert_ne!(forth.digest(), signers(&[("p1", &ed25519(6))]).digest());
}

#[test]
fn the_json_is_this_and_stays_this() {
    let text = dated("bob,alice", ",valid-before=\"20270101Z\"", 1);
    let signers = Signers::parse(&format!("{} laptop", text.trim_end())).unwrap();
    let json = crate::digest::canonical_json(&signers);
    assert_eq!(
        json,
        "[{\"algorithm\":\"ssh-ed25519\",\"comment\":\"laptop\",\
          \"fingerprint\":\"SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8\",\
          \"key\":\"AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c\",\
          \"principals\":[\"alice\",\"bob\"],\"validBefore\":\"2027-01-01T00:00:00Z\"}]"
    );
    assert_eq!(serde_json::from_str::<Signers>(&json).unwrap(), signers);
}

#[test]
fn a_stored_set_is_checked_like_a_file() {
    let set = signers(&[("alice", &ed25519(1)), ("bob", &ed25519(2))]);
    let json = serde_json::to_value(&set).unwrap();
    let changed = |at: usize, field: &str, value: serde_json::Value| {
        let mut json = json.clone();
        json[at][field] = value;
        serde_json::from_value::<Signers>(json)
    };
    assert_eq!(serde_json::from_value::<Signers>(json.clone()).unwrap(), set);
    assert!(changed(0, "key", json[1]["key"].clone()).is_err(), "another key");
    assert!(
        changed(0, "fingerprint", json[1]["fingerprint"].clone()).is_err(),
        "another fingerprint"
    );
    assert!(
        changed(0, "algorithm", "ecdsa-sha2-nistp256".into()).is_err(),
        "another type"
    );
    assert!(changed(0, "principals", serde_json::json!([])).is_err(), "nobody");
    assert!(changed(0, "principals", serde_json::json!(["*"])).is_err(), "a pattern");
    assert!(
        changed(0, "principals", serde_json::json!(["z", "a"])).is_err(),
        "out of order"
    );
    assert!(
        changed(0, "principals", serde_json::json!(["bob", "x"])).is_err(),
        "half a person"
    );
    assert!(changed(0, "certAuthority", true.into()).is_err(), "an unknown field");
    let mut twice = json.clone();
    twice[1]["key"] = json[0]["key"].clone();
    twice[1]["fingerprint"] = json[0]["fingerprint"].clone();
    assert!(serde_json::from_value::<Signers>(twice).is_err(), "one key for two");
    let backwards = serde_json::json!([json[1], json[0]]);
    assert_eq!(serde_json::from_value::<Signers>(backwards).unwrap(), set);
}

#[test]
fn a_file_takes_signers_away_and_adds_none() {
    let (alice, bob, carol) = (ed25519(1), ed25519(2), ed25519(3));
    let embedded = signers(&[("alice", &alice), ("bob", &bob)]);
    let on_disk = signers(&[("bob", &bob), ("carol", &carol)]);
    assert_eq!(embedded.shrunk_by(&on_disk), signers(&[("bob", &bob)]));
    assert_eq!(embedded.shrunk_by(&embedded), embedded);
    assert!(embedded.shrunk_by(&Signers::default()).is_empty());
    assert!(Signers::default().shrunk_by(&on_disk).is_empty());
}

#[test]
fn a_file_gives_no_key_another_name() {
    let (alice, bob) = (ed25519(1), ed25519(2));
    let embedded = signers(&[("alice,al", &alice), ("bob", &bob)]);
    assert!(
        embedded
            .shrunk_by(&signers(&[("bob", &alice), ("alice,al", &bob)]))
            .is_empty()
    );
    assert!(
        embedded.shrunk_by(&signers(&[("alice", &alice)])).is_empty(),
        "fewer names"
    );
    assert!(
        embedded.shrunk_by(&signers(&[("alice,al,zoe", &alice)])).is_empty(),
        "more names"
    );
}

#[test]
fn a_file_shortens_validity_and_never_lengthens_it() {
    let set = |options: &str| Signers::parse(&dated("alice", options, 1)).unwrap();
    let (from, until) = (",valid-after=\"20260601Z\"", ",valid-before=\"20270101Z\"");
    let both = set(&format!("{from}{until}"));
    assert_eq!(set(from).shrunk_by(&set(until)), both);
    assert_eq!(set(until).shrunk_by(&set(from)), both);
    assert_eq!(both.shrunk_by(&set("")), both);
    assert_eq!(set("").shrunk_by(&both), both);
    let later = set(",valid-before=\"20280101Z\"");
    assert_eq!(set(until).shrunk_by(&later), set(until));
    assert_eq!(later.shrunk_by(&set(until)), set(until));
    let ended = set(",valid-before=\"20260101Z\"");
    assert!(set(from).shrunk_by(&ended).is_empty(), "nothing is left of it");
}

#[test]
fn a_difference_says_what_came_went_and_changed() {
    let (alice, bob, carol) = (ed25519(1), ed25519(2), ed25519(3));
    let before = signers(&[("alice", &alice), ("bob", &bob)]);
    let after = signers(&[("alice,al", &alice), ("carol", &carol)]);
    let diff = before.diff(&after);
    let names = |signers: &[crate::approval::Signer]| -> Vec<String> {
        signers.iter().map(crate::approval::Signer::names).collect()
    };
    assert_eq!(names(&diff.added), ["carol"]);
    assert_eq!(names(&diff.removed), ["bob"]);
    assert_eq!(diff.changed.len(), 1);
    assert_eq!(
        (diff.changed[0].0.names(), diff.changed[0].1.names()),
        ("alice".into(), "al,alice".into())
    );
    assert!(before.diff(&before).is_empty());
    assert!(!diff.is_empty());
}
