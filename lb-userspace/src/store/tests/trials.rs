use super::*;
use crate::confirm::{Term, baseline::Baseline};

fn baseline() -> Baseline {
    Baseline {
        drops: [("DropNoBackend".to_owned(), 3)].into(),
        forwarded: 1000,
        healthy: [("web".to_owned(), 2)].into(),
    }
}

/// An intent with another cause, on trial or not.
fn changed(generation: u64, revision: u64, cause: &str, confirm: Option<Term>) -> Entry {
    let Entry::Intent(intent) = intent(generation, revision) else {
        unreachable!("it is an intent")
    };
    Entry::Intent(Intent {
        cause: cause.to_owned(),
        confirm,
        ..intent
    })
}

#[test]
fn trial_comes_back_with_its_baseline_and_what_was_served_before() {
    let (dir, mut store) = lived();
    let term = Term::from(7, 120, "a boot", 2).compared(Some(baseline()));
    write(
        &mut store,
        &[changed(4, 5, "apply", Some(term.clone())), switched(4, 5)],
    );
    drop(store);
    let trial = open(dir.path()).on_trial().expect("a sound store").expect("a trial");
    assert_eq!((trial.generation, &trial.term), (4, &term));
    assert_eq!(trial.before, Some(numbered(2)));
    assert_eq!(trial.term.baseline, Some(baseline()));
}

#[test]
fn trial_of_a_daemon_that_knew_no_baseline_is_read() {
    let text = r#"{"within":120,"deadline":9,"boot":"a boot","backTo":2}"#;
    let term: Term = serde_json::from_str(text).expect("as it was written");
    assert_eq!(term.baseline, None);
    assert_eq!(serde_json::to_string(&term).expect("plain JSON"), text);
}

#[test]
fn generation_that_took_another_back_says_so_until_the_next_one() {
    let (dir, mut store) = lived();
    let taken_back = |store: &Store| store.taken_back().expect("a sound store");
    assert_eq!(taken_back(&store), None);
    let term = Term::from(7, 120, "a boot", 2).compared(Some(baseline()));
    write(
        &mut store,
        &[changed(4, 5, "apply", Some(term.clone())), switched(4, 5)],
    );
    assert_eq!(taken_back(&store), None);
    let cause = "taken back: 312 drops a second (DropNoBackend), 0 before";
    write(&mut store, &[changed(5, 6, cause, None), switched(5, 6)]);
    drop(store);
    let mut store = open(dir.path());
    let back = taken_back(&store).expect("it was taken back");
    assert_eq!((back.generation, back.cause.as_str()), (4, cause));
    write(&mut store, &[revision(5, 7), switched(5, 7)]);
    assert_eq!(taken_back(&store), Some(back));

    // One that is confirmed is not taken back by what follows.
    write(
        &mut store,
        &[
            changed(6, 8, "apply", Some(term)),
            switched(6, 8),
            Entry::Confirmed { generation: 6 },
            changed(7, 9, "apply", None),
            switched(7, 9),
        ],
    );
    assert_eq!(taken_back(&store), None);
}
