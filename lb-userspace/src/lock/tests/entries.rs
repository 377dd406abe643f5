//! What the lock remembers, entry by entry.

use jiff::Timestamp;

use super::super::{Given, GlassTerm, Lock};
use crate::{
    digest::Digest,
    store::{Entry, Filed, Record},
};

const BOOT: &str = "0b5e7a3a-0000-4000-8000-000000000001";

/// Entries of one author, a second apart.
fn lock_of(entries: impl IntoIterator<Item = Filed>) -> Lock {
    let mut lock = Lock::default();
    for (entry, second) in entries.into_iter().zip(1_000..) {
        lock.follow(&Record {
            seq: 1,
            time: at(second),
            author: "ann".to_owned(),
            entry,
            previous: Digest::of(b""),
            hash: Digest::of(b""),
        });
    }
    lock
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn plan() -> Digest {
    Digest::of(b"plan")
}

fn kept() -> Filed {
    Entry::Kept {
        plan: plan(),
        about: "about".to_owned(),
        needs: 2,
        expires: at(2_800),
    }
}

fn approved(fingerprint: &str, author: bool) -> Filed {
    Entry::Approved {
        plan: plan(),
        given: Given {
            principals: vec!["ben".to_owned()],
            fingerprint: fingerprint.to_owned(),
            signature: String::new(),
            author,
        },
        by: None,
    }
}

fn broken(now: u32, within: u32) -> Filed {
    Entry::GlassBroken {
        why: "INC-4711".to_owned(),
        term: GlassTerm::from(now, within, BOOT),
        by: None,
    }
}

#[test]
fn broken_glass_ends_with_its_time_and_with_its_boot() {
    let lock = lock_of([broken(100, 900)]);
    assert!(lock.glass(100, BOOT).is_some());
    // A tick is 2^30 ns.
    assert!(lock.glass(100 + 838, BOOT).is_some());
    assert!(lock.glass(100 + 839, BOOT).is_none(), "900 s are over");
    assert!(lock.glass(100, "another boot").is_none(), "a reboot ends it");
    assert!(lock.glass(0, "another boot").is_none(), "whatever its clock says");
}

#[test]
fn mended_glass_is_shut_and_broken_again_it_is_open() {
    let mended = || Entry::GlassMended { by: None };
    assert!(lock_of([broken(100, 900), mended()]).glass(101, BOOT).is_none());
    assert!(
        lock_of([broken(100, 900), mended(), broken(101, 900)])
            .glass(101, BOOT)
            .is_some()
    );
}

#[test]
fn approval_of_a_key_counts_once_and_beside_its_authors_word() {
    let lock = lock_of([
        kept(),
        approved("a", false),
        approved("a", false),
        approved("b", false),
        approved("a", true),
    ]);
    let kept = lock.kept(&plan()).expect("it waits");
    assert_eq!(kept.approvals.len(), 3);
    assert!(kept.is_waiting(at(1_010)));
    assert!(!kept.is_waiting(at(2_800)), "its time is over");
    assert!(!kept.is_waiting(at(900)), "a clock was set back");
}

#[test]
fn rejected_plan_waits_no_more_whoever_approves_it_after() {
    let rejected = Entry::Rejected {
        plan: plan(),
        why: None,
        by: None,
    };
    let lock = lock_of([kept(), approved("a", false), rejected, approved("b", false)]);
    assert_eq!(lock.waiting(at(1_010)).count(), 0);
}

#[test]
fn hold_is_until_somebody_resumes() {
    let held = || Entry::Held {
        why: Some("later".to_owned()),
        by: None,
    };
    let lock = lock_of([held()]);
    assert_eq!(lock.hold().map(|hold| hold.who.as_str()), Some("ann"));
    assert_eq!(lock_of([held(), Entry::Resumed { by: None }]).hold(), None);
}

#[test]
fn an_authors_unapproved_plans_give_way_to_newer_ones() {
    let many = (0..20_u8).map(|nth| Entry::Kept {
        plan: Digest::of(&[nth]),
        about: String::new(),
        needs: 1,
        expires: at(9_000),
    });
    let lock = lock_of(many);
    assert_eq!(lock.waiting(at(1_100)).count(), super::MAX_KEPT_OF_AUTHOR);
    assert!(lock.kept(&Digest::of(&[19])).is_some(), "the newest waits");
    assert!(lock.kept(&Digest::of(&[0])).is_none());
    assert!(lock.has_room("ann", at(1_100)));
}
