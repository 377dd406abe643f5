use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    plan::samples::{content, hop},
    revision::{BackendId, Hops, Revision as Published},
};

mod damage;
mod exports;
mod history;
mod keys;
mod opening;
mod order;
mod past;
mod tampering;
mod trials;

/// The only clock there is.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_000_000 + second).expect("a time")
}

fn open(dir: &Path) -> Store {
    Store::open_on(dir, Host::named("here")).expect("a sound store")
}

/// Content that differs with `number`.
fn numbered(number: u64) -> Part<Content> {
    let mut content = content();
    content.config.pools[0].backends[0].weight = 100 + number as u32;
    Part::new(content)
}

/// What revision `revision` of a content publishes: each has a next hop, and so
/// a state, of its own; those of one content share their tables.
fn state(content: &Part<Content>, revision: u64) -> Published {
    let id = BackendId {
        pool: "web".to_owned(),
        backend: "be1".to_owned(),
    };
    let hops = Hops::from([(id, hop([2, 0, 0, 0, 0, revision as u8]))]);
    Published::next(None, content, &hops, 0).expect("a small revision")
}

fn intent(generation: u64, revision: u64) -> Entry {
    Entry::Intent(Intent {
        generation,
        revision,
        content: numbered(generation),
        state: state(&numbered(generation), revision),
        plan_digest: Some(Digest::of(b"a plan")),
        cause: "apply".to_owned(),
        message: Some(format!("change {generation}")),
        confirm: None,
        by: Some(By {
            uid: 1000,
            pid: Some(4711),
        }),
        expense: None,
        approved_by: Vec::new(),
        glass: false,
    })
}

fn revision(generation: u64, revision: u64) -> Entry {
    Entry::Revision(Revision {
        generation,
        revision,
        state: state(&numbered(generation), revision),
        cause: "next hop of web/be1".to_owned(),
    })
}

const fn switched(generation: u64, revision: u64) -> Entry {
    Entry::Outcome(Outcome::Switched { generation, revision })
}

const fn discarded(generation: u64, revision: u64) -> Entry {
    Entry::Outcome(Outcome::Discarded { generation, revision })
}

fn note(text: &str) -> Entry {
    Entry::Note { text: text.to_owned() }
}

fn write(store: &mut Store, entries: &[Entry]) {
    for entry in entries {
        let seq = store.verify().expect("a sound journal").seq + 1;
        let record = store
            .append(entry, "uid 1000", at(seq.cast_signed()))
            .expect("room on the disk");
        assert_eq!(record.seq, seq);
    }
}

/// Generations 1 (revisions 1 and 2) and 2 (revision 3) served, 3 discarded.
fn lived() -> (TempDir, Store) {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(dir.path());
    write(
        &mut store,
        &[
            Entry::FirstStart {
                environment: "lab".to_owned(),
                boot: None,
            },
            intent(1, 1),
            switched(1, 1),
            revision(1, 2),
            switched(1, 2),
            intent(2, 3),
            Entry::Outcome(Outcome::RolledForward {
                generation: 2,
                revision: 3,
            }),
            intent(3, 4),
            discarded(3, 4),
            Entry::Refused {
                codes: vec!["HF2000".to_owned()],
                plan_digest: None,
                by: None,
            },
            Entry::Adopted {
                generation: 2,
                revision: 3,
                boot: None,
            },
            Entry::ReadOnly {
                reason: "the kernel serves revision 9".to_owned(),
            },
            note("an operator looked"),
        ],
    );
    (dir, store)
}

/// Everything a reader can see.
fn seen(store: &Store) -> Value {
    let generations: Vec<_> = (0..6)
        .map(|number| store.generation_detail(number).expect("a sound store"))
        .collect();
    let served = store.last_switched().expect("a sound store");
    let state = served
        .as_ref()
        .map(|served| store.state(served).expect("a sound store"));
    let pending = store.pending_intent().expect("a sound store");
    json!({
        "journal": store.journal(0, 1000).expect("a sound store"),
        "history": store.history().expect("a sound store"),
        "generations": generations,
        "served": format!("{served:?} {state:?}"),
        "pending": format!("{pending:?}"),
        "next": [store.next_generation().expect("a sound store"), store.next_revision().expect("a sound store")],
    })
}

/// Another connection, as somebody who goes behind the daemon's back has it.
fn behind(dir: &Path, sql: &str) -> usize {
    let connection = Connection::open(dir.join(STORE_FILE)).expect("the file");
    connection.execute_batch(sql).expect("sound SQL");
    connection.changes() as usize
}
