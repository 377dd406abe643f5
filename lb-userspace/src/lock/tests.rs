//! What the lock remembers, and when it forgets.

mod entries;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    part::Part,
    plan::samples::{content, hops},
    revision::Revision,
    store::{Intent, Store},
};

const BOOT: &str = "boot-1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

/// Entries as they come to the lock, without a store.
#[derive(Default)]
struct Told {
    lock: Lock,
    seq: u64,
}

impl Told {
    #[expect(clippy::needless_pass_by_value, reason = "entries are made for this call")]
    fn tell(&mut self, second: i64, author: &str, entry: Entry) -> &Lock {
        self.seq += 1;
        self.lock.follow(&Record {
            seq: self.seq,
            time: at(second),
            author: author.to_owned(),
            entry: entry.filed(),
            previous: digest(0),
            hash: digest(0),
        });
        &self.lock
    }
}

fn kept(number: u8, expires: i64) -> Entry {
    Entry::Kept {
        plan: digest(number),
        about: format!("plan {number}"),
        needs: 2,
        expires: at(expires),
    }
}

fn approved(number: u8, who: &str, author: bool) -> Entry {
    Entry::Approved {
        plan: digest(number),
        given: Given {
            principals: vec![who.to_owned()],
            fingerprint: format!("SHA256:{who}"),
            signature: "…".to_owned(),
            author,
        },
        by: None,
    }
}

fn intent(generation: u64, plan: Option<u8>, expense: Option<Expense>) -> Entry {
    let content = Part::new(content());
    Entry::Intent(Intent {
        generation,
        revision: generation,
        state: Revision::next(None, &content, &hops(&content), 0).expect("few objects"),
        content,
        plan_digest: plan.map(digest),
        cause: "apply".to_owned(),
        message: None,
        confirm: None,
        by: None,
        expense,
        approved_by: Vec::new(),
        glass: false,
    })
}

const fn switched(generation: u64) -> Entry {
    Entry::Outcome(Outcome::Switched {
        generation,
        revision: generation,
    })
}

fn failed(generation: u64) -> Entry {
    Entry::Outcome(Outcome::Failed {
        generation,
        revision: generation,
        code: "HF5000".to_owned(),
        message: "it did not work".to_owned(),
    })
}

fn expense(second: i64, broken: u32) -> Expense {
    Expense {
        at: at(second),
        served: BTreeMap::new(),
        broken,
    }
}

fn refused() -> Entry {
    Entry::Refused {
        codes: vec!["HF2001".to_owned()],
        plan_digest: Some(digest(9)),
        by: None,
    }
}

#[test]
fn plan_waits_until_it_expires_is_rejected_or_used() {
    let mut told = Told::default();
    let lock = told.tell(0, "ann", kept(1, 1800));
    let waits = |lock: &Lock, second| lock.waiting(at(second)).count() == 1;
    assert!(waits(lock, 0) && waits(lock, 1799));
    assert!(!waits(lock, 1800), "it expires");
    assert!(!waits(lock, -1), "a clock that was set back makes nothing valid");
    let lock = told.tell(
        5,
        "bea",
        Entry::Rejected {
            plan: digest(1),
            why: None,
            by: None,
        },
    );
    assert!(!waits(lock, 6));
    assert_eq!(
        lock.kept(&digest(1))
            .and_then(|kept| kept.rejected.clone())
            .expect("it is rejected")
            .who,
        "bea"
    );

    let mut told = Told::default();
    told.tell(0, "ann", kept(1, 1800));
    assert!(
        !waits(told.tell(1, "ann", intent(1, Some(1), None)), 1),
        "used when it is begun"
    );
    assert!(!waits(told.tell(2, "ann", failed(1)), 2), "and if it fails, too");
}

#[test]
fn approval_of_one_key_counts_once_and_that_of_an_author_apart() {
    let mut told = Told::default();
    told.tell(0, "ann", kept(1, 1800));
    for who in ["bea", "cyd", "bea"] {
        told.tell(1, who, approved(1, who, false));
    }
    let lock = told.tell(1, "ann", approved(1, "bea", true));
    let given = &lock.kept(&digest(1)).expect("it waits").approvals;
    let given: Vec<_> = given
        .iter()
        .map(|given| (given.principals[0].as_str(), given.author))
        .collect();
    assert_eq!(given, [("cyd", false), ("bea", false), ("bea", true)]);
    // One of a plan that does not wait is none.
    assert_eq!(told.tell(1, "bea", approved(2, "bea", false)).kept(&digest(2)), None);
}

#[test]
fn nobody_takes_all_places() {
    let mut told = Told::default();
    for number in 0..MAX_KEPT_OF_AUTHOR as u8 {
        assert!(told.lock.has_room("ann", at(0)));
        told.tell(0, "ann", kept(number, 60));
        told.tell(0, "bea", approved(number, "bea", false));
    }
    assert!(!told.lock.has_room("ann", at(0)));
    assert!(told.lock.has_room("bea", at(0)));
    assert!(told.lock.has_room("ann", at(60)), "they expired");
    for number in MAX_KEPT_OF_AUTHOR..MAX_KEPT {
        told.tell(0, &format!("user {number}"), kept(number as u8, 60));
    }
    assert!(!told.lock.has_room("bea", at(0)));
}

#[test]
fn plans_that_are_over_are_dropped_when_another_comes() {
    let mut told = Told::default();
    told.tell(0, "ann", kept(1, 60));
    told.tell(0, "ann", kept(2, 9000));
    let lock = told.tell(60, "ann", kept(3, 9000));
    assert_eq!(lock.kept(&digest(1)), None);
    assert!(lock.kept(&digest(2)).is_some());
}

#[test]
fn only_what_was_served_was_spent() {
    let mut told = Told::default();
    told.tell(0, "ann", intent(1, None, Some(expense(0, 7))));
    assert!(told.lock.expenses().is_empty());
    told.tell(0, "ann", failed(1));
    assert!(told.lock.expenses().is_empty());
    told.tell(1, "ann", intent(2, None, Some(expense(1, 8))));
    let forward = Outcome::RolledForward {
        generation: 2,
        revision: 2,
    };
    told.tell(2, "ann", Entry::Outcome(forward));
    assert_eq!(told.lock.expenses(), [expense(1, 8)]);
    // A week later it counts for no window.
    let week = i64::from(crate::config::limits::MAX_PROTECTION_WINDOW.0);
    told.tell(week, "ann", intent(3, None, Some(expense(week + 1, 9))));
    told.tell(week, "ann", switched(3));
    assert_eq!(told.lock.expenses(), [expense(week + 1, 9)]);
}

#[test]
fn refusal_is_told_until_something_is_served() {
    let mut told = Told::default();
    assert_eq!(told.tell(0, "ann", refused()).refusal().expect("one").codes, ["HF2001"]);
    told.tell(1, "ann", intent(1, None, None));
    assert!(told.tell(1, "ann", failed(1)).refusal().is_some());
    told.tell(1, "ann", intent(2, None, None));
    assert!(told.tell(1, "ann", switched(2)).refusal().is_none());
}

#[test]
fn hold_holds_until_somebody_resumes() {
    let mut told = Told::default();
    let held = Entry::Held {
        why: Some("freeze".to_owned()),
        by: None,
    };
    assert_eq!(
        told.tell(0, "ann", held).hold().map(|hold| hold.who.as_str()),
        Some("ann")
    );
    assert_eq!(told.tell(1, "bea", Entry::Resumed { by: None }).hold(), None);
}

fn glass(within: u32, now: Coarse, boot: &str) -> Entry {
    Entry::GlassBroken {
        why: "night".to_owned(),
        term: GlassTerm::from(now, within, boot),
        by: None,
    }
}

#[test]
fn broken_glass_ends_by_the_clock_of_its_boot_whatever_the_wall_clock_does() {
    let mut told = Told::default();
    // 600 s are 559 ticks of 2^30 ns, rounded up.
    let lock = told.tell(0, "ann", glass(600, 1000, BOOT)).clone();
    assert!(lock.glass(1000, BOOT).is_some());
    assert!(lock.glass(1558, BOOT).is_some());
    assert!(lock.glass(1559, BOOT).is_none(), "its time is over");
    assert!(lock.glass(1000, "boot-2").is_none(), "a reboot ends it");
    // Years later by the wall clock, and years before: entries do not move it.
    for second in [300_000_000, -300_000_000] {
        let lock = told.tell(second, "ann", refused());
        assert!(lock.glass(1558, BOOT).is_some());
    }
    assert!(
        told.tell(1, "ann", Entry::GlassMended { by: None })
            .glass(1000, BOOT)
            .is_none()
    );
}

#[test]
fn glass_term_is_never_short_and_never_wraps() {
    for within in [1, 59, 600, LONGEST_BREAK] {
        let term = GlassTerm::from(7, within, BOOT);
        let nanoseconds = u64::from(term.deadline - 7) << 30;
        let asked = u64::from(within) * 1_000_000_000;
        assert!((asked..asked + (1 << 30)).contains(&nanoseconds), "{within}");
    }
    assert_eq!(GlassTerm::from(Coarse::MAX - 1, 600, BOOT).deadline, Coarse::MAX);
}

/// What people do, by chance.
#[derive(Clone, Debug)]
enum Deed {
    Keep(u8, i64),
    Approve(u8, u8),
    Reject(u8),
    Hold(bool),
    Glass(Option<u32>),
    Refuse,
    Apply { plan: u8, served: bool, broken: u32 },
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0..6_u8, 1..5000_i64).prop_map(|(plan, expires)| Deed::Keep(plan, expires)),
        3 => (0..6_u8, 0..4_u8).prop_map(|(plan, who)| Deed::Approve(plan, who)),
        1 => (0..6_u8).prop_map(Deed::Reject),
        1 => any::<bool>().prop_map(Deed::Hold),
        1 => proptest::option::of(1..LONGEST_BREAK).prop_map(Deed::Glass),
        1 => Just(Deed::Refuse),
        2 => (0..6_u8, any::<bool>(), 0..500_u32)
            .prop_map(|(plan, served, broken)| Deed::Apply { plan, served, broken }),
    ]
}

fn entries(deed: &Deed, generation: &mut u64, second: i64) -> Vec<Entry> {
    match deed {
        Deed::Keep(plan, expires) => vec![kept(*plan, *expires)],
        Deed::Approve(plan, who) => vec![approved(
            *plan,
            ["ann", "bea", "cyd", "dot"][usize::from(*who)],
            *who == 0,
        )],
        Deed::Reject(plan) => vec![Entry::Rejected {
            plan: digest(*plan),
            why: None,
            by: None,
        }],
        Deed::Hold(true) => vec![Entry::Held { why: None, by: None }],
        Deed::Hold(false) => vec![Entry::Resumed { by: None }],
        Deed::Glass(Some(within)) => vec![glass(*within, 1, BOOT)],
        Deed::Glass(None) => vec![Entry::GlassMended { by: None }],
        Deed::Refuse => vec![refused()],
        Deed::Apply { plan, served, broken } => {
            *generation += 1;
            let begun = intent(*generation, Some(*plan), Some(expense(second, *broken)));
            vec![
                begun,
                if *served {
                    switched(*generation)
                } else {
                    failed(*generation)
                },
            ]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// The store reads its journal again: what the lock knew, it knows.
    #[test]
    fn restart_forgets_nothing(deeds in proptest::collection::vec((any_deed(), 0..4000_i64), 1..24)) {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mut store = Store::open(dir.path()).expect("a new store");
        let mut generation = 0;
        // Clocks go back, too.
        for (deed, second) in &deeds {
            for entry in entries(deed, &mut generation, *second) {
                store.append(&entry, "ann", at(*second)).expect("room on the disk");
            }
        }
        let known = store.lock().clone();
        drop(store);
        let again = Store::open(dir.path()).expect("the same store");
        prop_assert_eq!(again.lock(), &known);
    }
}
