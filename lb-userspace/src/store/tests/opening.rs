use super::*;

fn error(dir: &Path) -> StoreError {
    match Store::open_on(dir, Host::named("here")) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

/// Puts `bytes` in the store's place: the error, after which they are the same.
fn error_for(bytes: &[u8]) -> StoreError {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(STORE_FILE);
    fs::write(&path, bytes).expect("a file");
    let error = error(dir.path());
    assert_eq!(fs::read(&path).expect("the file"), bytes, "a refused file was touched");
    error
}

fn bytes_of(dir: &TempDir) -> Vec<u8> {
    fs::read(dir.path().join(STORE_FILE)).expect("the file")
}

#[test]
fn store_and_directory_are_for_their_owner_alone() {
    let dir = TempDir::new().expect("a directory");
    let state = dir.path().join("var/holdfast");
    let store = open(&state);
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(store.path()), 0o600);
}

#[test]
fn directory_that_everybody_can_write_to_is_refused() {
    let dir = TempDir::new().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("our directory");
    assert!(matches!(error(dir.path()), StoreError::OpenToAll { .. }));
}

#[test]
fn second_daemon_is_kept_out_until_the_first_ends() {
    let (dir, store) = lived();
    assert!(matches!(error(dir.path()), StoreError::InUse { .. }));
    drop(store);
    open(dir.path());
}

#[test]
fn commits_are_durable_before_they_return() {
    let (_dir, store) = lived();
    let pragma = |name: &str| -> String {
        let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        store
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .expect("a pragma")
    };
    assert_eq!(pragma("synchronous"), "3", "EXTRA");
    assert_eq!(pragma("journal_mode"), "delete");
}

#[test]
fn empty_file_is_not_taken_for_a_new_store() {
    assert!(matches!(error_for(b""), StoreError::EmptyFile { .. }));
}

#[test]
fn foreign_files_are_refused() {
    assert!(matches!(error_for(b"hash.key"), StoreError::NotAStore { .. }));
    assert!(matches!(error_for(&vec![0; 65_536]), StoreError::NotAStore { .. }));
    let dir = TempDir::new().expect("a directory");
    behind(dir.path(), "CREATE TABLE journal (seq)");
    assert!(matches!(error_for(&bytes_of(&dir)), StoreError::NotAStore { .. }));
}

#[test]
fn link_or_directory_in_the_place_of_the_store_is_refused() {
    let (other, store) = lived();
    drop(store);
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join(STORE_FILE);
    std::os::unix::fs::symlink(other.path().join(STORE_FILE), &path).expect("a link");
    assert!(matches!(error(dir.path()), StoreError::Link { .. }));
    fs::remove_file(&path).expect("our link");
    fs::create_dir(&path).expect("a directory");
    assert!(matches!(error(dir.path()), StoreError::NotAStore { .. }));
}

#[test]
fn state_directory_may_be_a_link() {
    let (dir, store) = lived();
    let before = seen(&store);
    drop(store);
    let elsewhere = TempDir::new().expect("a directory");
    let link = elsewhere.path().join("state");
    std::os::unix::fs::symlink(dir.path(), &link).expect("a link");
    assert_eq!(seen(&open(&link)), before);
}

#[test]
fn newer_schema_is_refused_and_left_alone() {
    let (dir, store) = lived();
    drop(store);
    behind(dir.path(), "PRAGMA user_version = 5");
    assert!(matches!(
        error_for(&bytes_of(&dir)),
        StoreError::Newer { found: 5, known: 4 }
    ));
}

#[test]
fn schema_from_before_the_first_release_is_refused_and_left_alone() {
    let (dir, store) = lived();
    drop(store);
    behind(dir.path(), "PRAGMA user_version = 1");
    assert!(matches!(
        error_for(&bytes_of(&dir)),
        StoreError::Older { found: 1, known: 4 }
    ));
}

/// What a release with schema 2 left behind.
fn of_schema_2(dir: &Path) {
    behind(
        dir,
        "DROP TABLE plans; DROP TABLE heads; DROP INDEX journal_keys; PRAGMA user_version = 2; VACUUM",
    );
}

#[test]
fn store_of_schema_2_is_converted_and_says_the_same() {
    let (dir, store) = lived();
    let before = seen(&store);
    drop(store);
    of_schema_2(dir.path());
    let mut store = open(dir.path());
    assert_eq!(seen(&store), before);
    assert!(!store.was_rebuilt());
    store.take_key(at(99)).expect("a key");
    drop(store);
    // Now it is one like any.
    let store = open(dir.path());
    assert!(store.check_schema().is_ok() && store.check_heads().is_ok());
}

#[test]
fn store_of_schema_3_is_converted_and_says_the_same() {
    let (dir, store) = lived();
    let before = seen(&store);
    drop(store);
    behind(dir.path(), "DROP TABLE plans; PRAGMA user_version = 3; VACUUM");
    let store = open(dir.path());
    assert_eq!(seen(&store), before);
    assert!(store.check_schema().is_ok());
}

#[test]
fn damaged_store_of_schema_2_is_refused_and_left_alone() {
    let (dir, store) = lived();
    drop(store);
    of_schema_2(dir.path());
    let trigger = "CREATE TRIGGER journal_is_not_edited BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END";
    behind(
        dir.path(),
        &format!("DROP TRIGGER journal_is_not_edited; UPDATE journal SET author = 'nobody' WHERE seq = 6; {trigger}"),
    );
    let error = error_for(&bytes_of(&dir));
    assert_eq!(error.code(), "HF4004", "{error}");
}

#[test]
fn copy_of_a_store_of_schema_2_is_checked_as_it_is() {
    let (dir, store) = lived();
    drop(store);
    of_schema_2(dir.path());
    let before = bytes_of(&dir);
    let copy = Copy::open(&dir.path().join(STORE_FILE)).expect("a sound copy");
    let audited = copy.verify(None, Vec::new()).expect("a sound journal");
    assert_eq!((audited.end.seq, audited.warnings), (13, vec![Warning::NoKey]));
    assert_eq!(bytes_of(&dir), before);
}

#[test]
fn store_of_another_host_is_refused() {
    let (dir, store) = lived();
    drop(store);
    let elsewhere = Store::open_on(dir.path(), Host::named("elsewhere"));
    assert!(matches!(elsewhere.err(), Some(StoreError::OtherHost { .. })));
    // A host that does not say who it is cannot be told from this one.
    drop(Store::open_on(dir.path(), Host::unknown()).expect("a sound store"));
    drop(Store::open_on(dir.path(), Host::named(" here\n")).expect("the same host"));
}

#[test]
fn transaction_of_a_store_that_is_gone_is_not_written_over_a_new_one() {
    let dir = TempDir::new().expect("a directory");
    let left = dir.path().join("holdfast.db-journal");
    fs::write(&left, b"a transaction").expect("a file");
    assert!(matches!(error(dir.path()), StoreError::LeftOver { path } if path == left));
    assert_eq!(fs::read(&left).expect("the file"), b"a transaction");
}

#[test]
fn store_that_was_never_finished_is_made_again() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("holdfast.db.new"), b"half").expect("a file");
    let store = open(dir.path());
    assert_eq!(store.verify().expect("a sound store"), Head::START);
    assert!(!dir.path().join("holdfast.db.new").exists());
}

/// Fault 15: cut at every page and in the middle of some.
#[test]
fn truncated_store_is_refused_and_left_alone() {
    let (dir, store) = lived();
    drop(store);
    let whole = bytes_of(&dir);
    for length in (1..whole.len()).step_by(2048) {
        let error = error_for(&whole[..length]);
        assert!(matches!(error.code(), "HF4003" | "HF4004"), "cut to {length}: {error}");
    }
}

#[test]
fn garbage_after_the_store_is_refused_and_left_alone() {
    let (dir, store) = lived();
    drop(store);
    for garbage in [&[0; 1][..], &[0xff; 4096], &[0x0d; 8192]] {
        let error = error_for(&[&bytes_of(&dir), garbage].concat());
        assert_eq!(error.code(), "HF4003", "{error}");
    }
}

/// Fault 15: a flipped bit is found, or was in nothing anybody reads.
#[test]
fn flipped_bit_is_found_or_changes_nothing() {
    let (dir, store) = lived();
    let before = seen(&store);
    drop(store);
    let whole = bytes_of(&dir);
    let path = dir.path().join(STORE_FILE);
    let mut found = 0;
    // A prime step meets every kind of page, and every place in some.
    for at in (0..whole.len()).step_by(251) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).expect("a file");
        if let Ok(store) = Store::open_on(dir.path(), Host::named("here")) {
            assert_eq!(seen(&store), before, "bit flipped in byte {at}");
        } else {
            let left = fs::read(&path).expect("the file");
            assert!(left == flipped, "a refused file was touched, bit flipped in byte {at}");
            found += 1;
        }
    }
    // Most of so small a store is empty space or derived tables.
    assert!(found > 20, "only {found} were found");
}
