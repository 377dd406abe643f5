use std::time::{Duration, Instant};

use super::*;
use crate::store::key::{KEY_FILE, OLD_KEY_FILE};

/// Judged as the daemon does it: by what is in the file.
pub(super) fn judge(store: &Store, trusted: Option<&str>, kept: Vec<Head>) -> Result<Audited, JournalDamage> {
    let mut walk = Walk::new(trusted.map(str::to_owned), kept);
    let mut after = Some(0);
    while let Some(from) = after {
        let page = match store.page(from) {
            Ok(page) => page,
            Err(StoreError::Journal(damage)) => return Err(damage),
            Err(error) => panic!("{error}"),
        };
        after = walk.page(page)?;
    }
    walk.finish()
}

pub(super) fn key_of(store: &Store) -> String {
    store.key_fingerprint().expect("a key").to_owned()
}

fn last(store: &Store) -> Filed {
    store.journal_tail(1).expect("a sound store")[0].entry.clone()
}

#[test]
fn key_is_made_for_its_owner_alone_and_the_journal_names_it() {
    let (dir, mut store) = lived();
    let taken = store.take_key(at(99)).expect("a key");
    let fingerprint = key_of(&store);
    let expected = KeyTaken::Made {
        fingerprint: fingerprint.clone(),
    };
    assert_eq!(taken, expected);
    let metadata = fs::metadata(dir.path().join(KEY_FILE)).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let public_key = fs::read_to_string(dir.path().join("journal.key.pub")).expect("a file");
    let public_key = public_key.trim().to_owned();
    assert_eq!(
        last(&store),
        Entry::KeyMade {
            public_key,
            fingerprint
        }
    );
    let audited = judge(&store, Some(&key_of(&store)), Vec::new()).expect("a sound journal");
    assert_eq!((audited.signed, audited.heads, audited.warnings), (14, 1, Vec::new()));
    // It is taken again as it is.
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.take_key(at(100)).expect("the key"), KeyTaken::Same);
    assert_eq!(store.end().seq, 14);
}

#[test]
fn head_is_due_when_a_generation_has_its_outcome_and_after_many_entries() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(dir.path());
    store.take_key(at(0)).expect("a key");
    write(&mut store, &[intent(1, 1)]);
    assert!(!store.head_is_due());
    write(&mut store, &[switched(1, 1)]);
    assert!(store.head_is_due());
    store.sign_head(at(9)).expect("room");
    assert!(!store.head_is_due());
    write(&mut store, &[revision(1, 2), switched(1, 2)]);
    assert!(!store.head_is_due(), "revisions are many");
    for number in 2..SIGN_EVERY {
        assert!(!store.head_is_due(), "{number}");
        write(&mut store, &[note("something")]);
    }
    assert!(store.head_is_due());
    store.sign_head(at(999)).expect("room");
    assert_eq!(store.unsigned(), 0);
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!((audited.signed, audited.heads), (store.end().seq, 3));
}

#[test]
fn heads_are_signed_one_for_one_and_say_what_they_cost() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(dir.path());
    store.take_key(at(0)).expect("a key");
    let (mut entry, mut head) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..20 {
        let begun = Instant::now();
        store.append(&note("something"), "ann", at(1)).expect("room");
        entry += begun.elapsed();
        let begun = Instant::now();
        store.sign_head(at(1)).expect("room");
        head += begun.elapsed();
    }
    println!("an entry costs {:?}, its head {:?} more", entry / 20, head / 20);
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!((audited.heads, audited.signed), (21, store.end().seq));
}

#[test]
fn long_stretch_without_a_head_is_warned_of() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(dir.path());
    store.take_key(at(0)).expect("a key");
    for _ in 0..=2 * SIGN_EVERY {
        store.append(&note("something"), "ann", at(1)).expect("room");
    }
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    let (from, to) = (2, 2 * SIGN_EVERY + 2);
    assert_eq!(audited.warnings, [Warning::Unsigned { from, to }]);
}

#[test]
fn key_that_hands_over_is_followed_by_one_that_is_trusted() {
    let (dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    let first = key_of(&store);
    drop(store);
    fs::rename(dir.path().join(KEY_FILE), dir.path().join(OLD_KEY_FILE)).expect("our file");
    let mut store = open(dir.path());
    let taken = store.take_key(at(100)).expect("a key");
    assert!(
        matches!(taken, KeyTaken::Rotated { handed_over: true, .. }),
        "{taken:?}"
    );
    assert_ne!(key_of(&store), first);
    write(&mut store, &[note("and on")]);
    store.sign_head(at(101)).expect("room");
    for trusted in [Some(first.as_str()), Some(key_of(&store).as_str()), None] {
        let audited = judge(&store, trusted, Vec::new()).expect("a sound journal");
        assert_eq!((audited.signed, audited.heads, &audited.warnings[..]), (16, 4, &[][..]));
        assert_eq!(audited.keys[1].handed_over, Some(true));
    }
}

#[test]
fn key_that_was_lost_is_replaced_loudly_and_not_trusted() {
    let (dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    let first = key_of(&store);
    drop(store);
    fs::remove_file(dir.path().join(KEY_FILE)).expect("our file");
    let mut store = open(dir.path());
    let taken = store.take_key(at(100)).expect("a key");
    assert!(
        matches!(taken, KeyTaken::Rotated { handed_over: false, .. }),
        "{taken:?}"
    );
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!(audited.warnings, [Warning::KeyLost { seq: 15 }]);
    let found = judge(&store, Some(&first), Vec::new());
    let expected = JournalDamage {
        seq: 15,
        what: Damage::Key,
    };
    assert_eq!(found, Err(expected));
    assert!(judge(&store, Some(&key_of(&store)), Vec::new()).is_ok());
}

#[test]
fn key_replaced_behind_our_back_signs_nothing() {
    let (dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    let heads = judge(&store, None, Vec::new()).expect("a sound journal").heads;
    drop(store);
    let (other, mut others) = lived();
    others.take_key(at(99)).expect("a key");
    fs::copy(other.path().join(KEY_FILE), dir.path().join(KEY_FILE)).expect("our file");
    let mut store = open(dir.path());
    let error = store.take_key(at(100)).expect_err("another key");
    assert!(matches!(error, StoreError::Key(KeyError::Replaced { .. })), "{error}");
    assert_eq!((error.code(), store.end().seq), ("HF4008", 14));
    write(&mut store, &[note("and on")]);
    store.sign_head(at(101)).expect("nothing to do");
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!(audited.heads, heads);
}

#[test]
fn key_that_others_can_read_or_that_is_none_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(KEY_FILE);
    let mut store = open(dir.path());
    fs::write(&path, "no key").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our file");
    let error = store.take_key(at(0)).expect_err("it is open");
    assert!(
        matches!(error, StoreError::Key(KeyError::OpenToOthers { .. })),
        "{error}"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
    let error = store.take_key(at(0)).expect_err("no key");
    assert!(matches!(error, StoreError::Key(KeyError::NotAKey { .. })), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), b"no key");
}

/// Fault 14, for the head: it alone is missing, and comes when there is room.
#[test]
fn full_disk_costs_the_head_and_nothing_else() {
    let (_dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    let pages = |store: &Store, most: u64| -> i64 {
        let sql = format!("PRAGMA max_page_count = {most}");
        store
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .expect("a pragma")
    };
    // As many as there are, then entries until one more does not fit.
    pages(&store, 1);
    let mut heads = 1;
    let error = loop {
        assert!(heads < 1000, "the disk is not full");
        if store.append(&note("x"), "ann", at(100)).is_err() {
            // The entry itself found no room: the head's table is what is tried.
            pages(&store, 1 << 20);
            store.append(&note("x"), "ann", at(100)).expect("room");
            pages(&store, 1);
        }
        match store.sign_head(at(101)) {
            Ok(()) => heads += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "HF4001", "{error}");
    assert!(store.unsigned() > 0);
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!((audited.heads, audited.end), (heads, store.end()));
    pages(&store, 1 << 20);
    store.sign_head(at(102)).expect("room");
    let audited = judge(&store, None, Vec::new()).expect("a sound journal");
    assert_eq!((audited.heads, audited.signed), (heads + 1, store.end().seq));
}

/// An entry that somebody added below ours is not vouched for.
#[test]
fn foreign_entry_is_never_signed() {
    let (dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    let mut row = store.page(0).expect("a sound store").entries.pop().expect("an entry");
    let before: Digest = row.hash.parse().expect("a hash");
    row.previous.clone_from(&row.hash);
    row.seq += 1;
    row.kind = "note".to_owned();
    row.payload = "{\"text\":\"nobody wrote this\"}".to_owned();
    let hash = row.hash_after(before);
    let sql = format!(
        "INSERT INTO journal VALUES ({}, '{}', '{}', '{}', '{}', '{}', '{hash}');
         UPDATE identity SET head_seq = {}, head_hash = '{hash}'",
        row.seq, row.time, row.author, row.kind, row.payload, row.previous, row.seq
    );
    behind(dir.path(), &sql);
    let added = |error: StoreError| {
        matches!(
            error,
            StoreError::Journal(JournalDamage {
                seq: 15,
                what: Damage::Added
            })
        )
    };
    store.append(&note("ours"), "ann", at(100)).expect("room");
    assert!(added(store.sign_head(at(101)).expect_err("a foreign entry")));
    store.append(&note("ours"), "ann", at(102)).expect("room");
    assert!(added(store.sign_head(at(103)).expect_err("still there")));
    // In itself the journal is sound; who wrote the rest of it knows better.
    let audited = judge(&store, None, Vec::new()).expect("a sound chain");
    assert!(added(store.vouch_for(audited).expect_err("a foreign entry").into()));
}
