//! A store that is rebuilt from what the kernel remembers says what the one before
//! said.

use super::*;
use crate::{
    confirm::Term,
    kernel::ChunkImage,
    lock::Lock,
    past::{Earlier, Past},
};

/// As it is read back from the kernel.
fn through_chunks(past: &Past) -> Past {
    let images: Vec<ChunkImage> = past.written().chunks().map(|(_, image)| image.clone()).collect();
    Past::read(&images).expect("a whole past")
}

/// Five generations, of which the second was confirmed and the fourth has two more
/// revisions; a hold.
fn filled(dir: &Path) -> Store {
    let mut store = open(dir);
    let mut append = |entry: Entry, second: u64| {
        let now = at(second.cast_signed());
        drop(store.append(&entry, "anna", now).expect("room"));
    };
    for number in 1..=5 {
        let first = number * 10;
        let mut entry = intent(number, first);
        if let (Entry::Intent(intent), 2 | 5) = (&mut entry, number) {
            intent.confirm = Some(Term::from(100, 60, "boot", number - 1));
        }
        append(entry, number * 100);
        append(switched(number, first), number * 100 + 1);
        if number == 2 {
            append(Entry::Confirmed { generation: 2 }, 250);
        }
        if number == 4 {
            for more in [41, 42] {
                append(revision(4, more), 400 + more);
                append(switched(4, more), 400 + more);
            }
        }
    }
    let why = Some("a storm".to_owned());
    append(Entry::Held { why, by: None }, 600);
    store
}

fn rebuilt(dir: &Path, store: &Store) -> Store {
    let mut new = open(dir);
    assert!(new.is_blank().expect("sound"));
    rebuild(&mut new, store).expect("room");
    new
}

fn rebuild(new: &mut Store, store: &Store) -> Result<(), StoreError> {
    let past = through_chunks(&store.past(&Past::default()).expect("a sound store"));
    let last = store.last_switched().expect("sound").expect("something");
    let recovered = Recovered {
        generation: last.generation,
        revision: last.revision,
        state: store.state(&last).expect("its state"),
        why: "the state directory knows of none".to_owned(),
        aside: None,
        locked: past.locked().clone(),
        boot: "boot".to_owned(),
        by: None,
    };
    new.rebuild_from(&past, &last.content, recovered, "root", at(1000))
}

fn same(one: &Store, other: &Store) {
    assert_eq!(one.history().expect("sound"), other.history().expect("sound"));
    for summary in one.history().expect("sound") {
        let number = summary.generation;
        let detail = |store: &Store| store.generation_detail(number).expect("sound");
        assert_eq!(detail(one), detail(other), "generation {number}");
    }
    let (last, again) = (
        one.last_switched().expect("sound"),
        other.last_switched().expect("sound"),
    );
    assert_eq!(last, again);
    let last = last.expect("something");
    assert_eq!(
        one.state(&last).expect("its state"),
        other.state(&last).expect("its state")
    );
    assert_eq!(one.on_trial().expect("sound"), other.on_trial().expect("sound"));
    assert_eq!(one.taken_back().expect("sound"), other.taken_back().expect("sound"));
    let lock = |lock: &Lock| (lock.hold().cloned(), lock.expenses().to_vec());
    assert_eq!(lock(one.lock()), lock(other.lock()));
    let next = |store: &Store| {
        (
            store.next_generation().expect("sound"),
            store.next_revision().expect("sound"),
        )
    };
    assert_eq!(next(one), next(other));
    let past = |store: &Store| store.past(&Past::default()).expect("sound");
    assert!(past(one).says(&past(other)));
}

#[test]
fn store_rebuilt_from_the_kernel_says_the_same() {
    let (old, new) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
    let store = filled(old.path());
    assert!(store.on_trial().expect("sound").is_some());
    let rebuilt = rebuilt(new.path(), &store);
    same(&store, &rebuilt);
    drop(rebuilt);
    // And after a restart, whose projections are made from the journal.
    let again = open(new.path());
    assert!(!again.was_rebuilt());
    same(&store, &again);
    // The next change comes as it would have.
    let mut again = again;
    again
        .append(&Entry::Resumed { by: None }, "anna", at(1100))
        .expect("room");
    again
        .append(&Entry::Confirmed { generation: 5 }, "anna", at(1101))
        .expect("room");
    assert_eq!(again.on_trial().expect("sound"), None);
    again.append(&intent(6, 60), "anna", at(1102)).expect("room");
    again.append(&switched(6, 60), "anna", at(1103)).expect("room");
    assert!(again.verify().is_ok());
}

#[test]
fn rebuilt_store_can_be_rebuilt_again_and_again() {
    let dirs: Vec<TempDir> = (0..3).map(|_| TempDir::new().expect("room")).collect();
    let store = filled(dirs[0].path());
    let once = rebuilt(dirs[1].path(), &store);
    let twice = rebuilt(dirs[2].path(), &once);
    same(&store, &twice);
}

#[test]
fn revision_that_runs_may_be_the_generations_own_or_a_later_one() {
    for revisions in [0_u64, 1, 3] {
        let (old, new) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
        let mut store = open(old.path());
        for entry in [intent(1, 1), switched(1, 1)] {
            store.append(&entry, "anna", at(1)).expect("room");
        }
        for more in 2..2 + revisions {
            for entry in [revision(1, more), switched(1, more)] {
                store.append(&entry, "holdfastd", at(2)).expect("room");
            }
        }
        let rebuilt = rebuilt(new.path(), &store);
        same(&store, &rebuilt);
        assert_eq!(
            rebuilt.last_switched().expect("sound").expect("it").revision,
            1 + revisions
        );
    }
}

#[test]
fn generation_of_which_nothing_is_remembered_is_recovered_as_it_runs() {
    let dir = TempDir::new().expect("room");
    let mut store = open(dir.path());
    let (content, runs) = (numbered(7), state(&numbered(7), 9));
    let earlier = Earlier::unknown(7, 9, content.digest(), at(1));
    let past = Past::default().followed_by(earlier, |_| Some(numbered(7)));
    let recovered = Recovered {
        generation: 7,
        revision: 9,
        state: runs.clone(),
        why: "gone".to_owned(),
        aside: Some("/somewhere".to_owned()),
        locked: past.locked().clone(),
        boot: "boot".to_owned(),
        by: Some(By { uid: 0, pid: None }),
    };
    store
        .rebuild_from(&past, &content, recovered, "root", at(2))
        .expect("room");
    let last = store.last_switched().expect("sound").expect("it");
    assert_eq!((last.generation, last.revision, &last.content), (7, 9, &content));
    assert_eq!(store.state(&last).expect("its state"), runs);
    assert_eq!(store.next_generation().expect("sound"), 8);
    assert_eq!(store.last_boot().expect("sound").as_deref(), Some("boot"));
}

#[test]
fn store_that_is_taken_away_while_it_is_open_is_put_back_whole() {
    for gone in ["file", "directory", "replaced"] {
        let parent = TempDir::new().expect("room");
        let dir = parent.path().join("state");
        let mut store = filled(&dir);
        store.take_key(at(601)).expect("a key");
        let (end, key) = (store.end(), store.key_fingerprint().map(str::to_owned));
        assert!(store.is_in_place());
        match gone {
            "file" => fs::remove_file(dir.join("holdfast.db")).expect("a file"),
            "directory" => fs::remove_dir_all(&dir).expect("a directory"),
            _ => {
                fs::rename(dir.join("holdfast.db"), dir.join("other")).expect("a file");
                fs::write(dir.join("holdfast.db"), "something else").expect("room");
            }
        }
        assert!(!store.is_in_place(), "{gone}");
        store.put_back(at(700)).expect("room");
        assert!(store.is_in_place(), "{gone}");
        store
            .append(&Entry::Resumed { by: None }, "anna", at(701))
            .expect("room");
        store.sign_head(at(702)).expect("the key is there");
        drop(store);
        let mut again = open(&dir);
        assert_eq!(again.journal(end.seq, 9).expect("sound").len(), 1, "{gone}");
        assert_eq!(again.take_key(at(703)).expect("a key"), KeyTaken::Same, "{gone}");
        assert_eq!(again.key_fingerprint().map(str::to_owned), key);
        let mode = fs::metadata(dir.join("holdfast.db"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let aside = fs::read_dir(dir.join("set-aside")).map_or(0, Iterator::count);
        assert_eq!(aside, usize::from(gone == "replaced"), "nothing is deleted");
    }
}

#[test]
fn what_is_set_aside_is_kept_under_a_name_of_its_own() {
    let dir = TempDir::new().expect("room");
    let mut kept = Vec::new();
    for text in ["one", "two"] {
        fs::write(dir.path().join("holdfast.db"), text).expect("room");
        fs::write(dir.path().join("holdfast.db-journal"), "j").expect("room");
        kept.push((set_aside(dir.path(), at(0)).expect("room").expect("something"), text));
        assert!(!dir.path().join("holdfast.db").exists());
    }
    assert_eq!(set_aside(dir.path(), at(0)).expect("room"), None);
    for (aside, text) in kept {
        assert_eq!(fs::read_to_string(aside.join("holdfast.db")).expect("a file"), text);
        assert!(aside.join("holdfast.db-journal").exists());
    }
    drop(open(dir.path()));
}

#[test]
fn directory_is_tried_without_touching_what_is_there() {
    let (old, other) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
    drop(filled(old.path()));
    let store = old.path().join(STORE_FILE);
    let before = fs::read(&store).expect("the file");
    let (left, elsewhere) = (old.path().join("holdfast.db.new"), other.path().join("precious"));
    fs::write(&elsewhere, "precious").expect("room");
    std::os::unix::fs::symlink(&elsewhere, &left).expect("a link");
    try_directory(old.path()).expect("room");
    assert_eq!(fs::read_to_string(&elsewhere).expect("the file"), "precious");
    assert_eq!(fs::read(&store).expect("the file"), before);
    assert!(fs::symlink_metadata(&left).is_err(), "what was tried is left");
}

#[test]
fn disk_without_room_for_all_that_is_remembered_has_nothing_of_it() {
    let (old, other) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
    let store = filled(old.path());
    let mut new = open(other.path());
    let pages: u32 = new
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("sound");
    let limit = |store: &Store, pages: u32| {
        store
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, u32>(0))
            .expect("a number");
    };
    // Whatever is the last that has room.
    let mut room = pages;
    loop {
        limit(&new, room);
        match rebuild(&mut new, &store) {
            Ok(()) => break,
            Err(error) => assert!(matches!(error, StoreError::Sqlite(_)), "{error}"),
        }
        assert!(new.is_blank().expect("sound"), "with {room} pages");
        assert_eq!(new.verify().expect("sound").seq, 0, "with {room} pages");
        room += 1;
    }
    assert!(room > pages + 1, "it never failed half way");
    same(&store, &new);
}
