//! Whether enough people approved.

use super::{
    super::{Author, KeyType, Short, Signature, count, verify},
    PLAN, ed25519, now, p256, signed, signers,
};

fn by(principals: &[&str], key: &str) -> Signature {
    Signature {
        principals: principals.iter().map(|&name| name.to_owned()).collect(),
        fingerprint: format!("SHA256:{key}"),
        key_type: KeyType::Ed25519,
    }
}

fn author(name: &str) -> Author {
    Author {
        name: Some(name.to_owned()),
        signature: None,
    }
}

fn who_signed(signature: Signature) -> Author {
    Author {
        name: None,
        signature: Some(signature),
    }
}

fn too_few(needed: u8, people: &[&str], own: &[&str]) -> Result<Vec<String>, Short> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Err(Short::TooFew {
        needed,
        people: owned(people),
        own: owned(own),
    })
}

#[test]
fn people_are_counted() {
    let approvals = [by(&["bob"], "b"), by(&["alice"], "a")];
    let zoe = author("zoe");
    assert_eq!(
        count(&zoe, &approvals, 2),
        Ok(vec!["alice".to_owned(), "bob".to_owned()])
    );
    assert_eq!(count(&zoe, &approvals, 1).unwrap().len(), 2);
    assert_eq!(count(&zoe, &approvals, 3), too_few(3, &["alice", "bob"], &[]));
    assert_eq!(count(&zoe, &[], 1), too_few(1, &[], &[]));
}

#[test]
fn nobody_counts_twice() {
    let zoe = author("zoe");
    for approvals in [
        [by(&["alice"], "a"), by(&["alice"], "a")],
        [by(&["alice"], "a"), by(&["alice"], "another")],
        [by(&["alice"], "a"), by(&["ALICE"], "another")],
        [by(&["alice"], "a"), by(&["alice@corp"], "another")],
        [by(&["alice", "al"], "a"), by(&["al"], "another")],
        [by(&["alice"], "a"), by(&["bob"], "a")],
    ] {
        assert_eq!(count(&zoe, &approvals, 1).unwrap().len(), 1, "{approvals:?}");
        assert!(count(&zoe, &approvals, 2).is_err(), "{approvals:?}");
    }
}

#[test]
fn links_between_names_count_in_any_order() {
    let chain = [by(&["a"], "1"), by(&["b"], "2"), by(&["a", "b"], "3")];
    for order in [[0, 1, 2], [2, 1, 0], [0, 2, 1]] {
        let approvals = order.map(|at| chain[at].clone());
        assert_eq!(count(&author("zoe"), &approvals, 1), Ok(vec!["a".to_owned()]));
    }
}

#[test]
fn an_author_does_not_approve_by_name() {
    for name in ["alice", "Alice", "alice@corp", "ALICE@anywhere"] {
        let approvals = [by(&[name], "a"), by(&["bob"], "b")];
        assert_eq!(
            count(&author("alice"), &approvals, 2),
            too_few(2, &["bob"], &[name]),
            "{name}"
        );
        assert_eq!(
            count(&author("alice"), &approvals, 1),
            Ok(vec!["bob".to_owned()]),
            "{name}"
        );
    }
    let others = [by(&["alice2"], "a"), by(&["malice@corp"], "b"), by(&["bob@alice"], "c")];
    assert_eq!(count(&author("alice"), &others, 3).unwrap().len(), 3);
}

#[test]
fn an_author_does_not_approve_by_another_name_of_the_line() {
    let approvals = [by(&["al", "alice@corp"], "a")];
    assert_eq!(count(&author("alice"), &approvals, 1), too_few(1, &[], &["al"]));
}

#[test]
fn an_author_does_not_approve_by_key() {
    let own = by(&["alice@corp"], "a");
    assert_eq!(
        count(&who_signed(own.clone()), std::slice::from_ref(&own), 1),
        too_few(1, &[], &["alice@corp"])
    );
    let renamed = by(&["bob"], "a");
    assert_eq!(
        count(&who_signed(own.clone()), &[renamed], 1),
        too_few(1, &[], &["bob"])
    );
    let second_key = by(&["alice@corp"], "another");
    assert_eq!(
        count(&who_signed(own.clone()), &[second_key], 1),
        too_few(1, &[], &["alice@corp"])
    );
    assert_eq!(
        count(&who_signed(own), &[by(&["bob"], "b")], 1),
        Ok(vec!["bob".to_owned()])
    );
}

#[test]
fn an_author_has_both_names() {
    let both = Author {
        name: Some("alice".to_owned()),
        signature: Some(by(&["ops@corp"], "o")),
    };
    let approvals = [by(&["alice@corp"], "a"), by(&["ops@corp"], "p"), by(&["bob"], "b")];
    assert_eq!(
        count(&both, &approvals, 2),
        too_few(2, &["bob"], &["alice@corp", "ops@corp"])
    );
}

#[test]
fn nobody_can_approve_for_an_unknown_author() {
    let approvals = [by(&["bob"], "b"), by(&["carol"], "c")];
    for unknown in [Author::default(), author("")] {
        let short = count(&unknown, &approvals, 1).unwrap_err();
        assert_eq!(short, Short::UnknownAuthor { needed: 1 });
        assert_eq!(short.code(), "HF2116");
    }
}

#[test]
fn where_none_is_needed_none_is_missed() {
    for author in [Author::default(), author("alice"), who_signed(by(&["alice"], "a"))] {
        assert_eq!(count(&author, &[], 0), Ok(Vec::new()));
        assert!(count(&author, &[by(&["alice"], "a")], 0).is_ok());
    }
}

#[test]
fn what_is_missing_is_said() {
    let short = count(&author("alice"), &[by(&["alice@corp"], "a"), by(&["bob"], "b")], 2).unwrap_err();
    assert_eq!(short.code(), "HF2117");
    assert_eq!(
        short.to_string(),
        "1 of 2 approvals: by bob. The author's own do not count: alice@corp"
    );
    let none = count(&author("alice"), &[], 2).unwrap_err();
    assert_eq!(none.to_string(), "0 of 2 approvals");
}

#[test]
fn two_keys_of_one_person_verify_and_count_once() {
    let (laptop, desk, bob) = (ed25519(1), p256(1), ed25519(2));
    let signers = signers(&[("alice@corp", &laptop), ("alice@corp", &desk), ("bob@corp", &bob)]);
    let approvals: Vec<Signature> = [laptop, desk, bob]
        .iter()
        .map(|key| verify(PLAN, &signed(PLAN, key), &signers, now()).unwrap())
        .collect();
    assert_eq!(
        count(&author("zoe"), &approvals[..2], 2),
        too_few(2, &["alice@corp"], &[])
    );
    assert_eq!(
        count(&author("zoe"), &approvals, 2).unwrap(),
        ["alice@corp", "bob@corp"]
    );
    assert_eq!(
        count(&author("bob"), &approvals, 2),
        too_few(2, &["alice@corp"], &["bob@corp"])
    );
}
