use super::*;

const DROP: &str = "DROP TRIGGER journal_is_not_edited; DROP TRIGGER journal_is_not_cut;
                    DROP TRIGGER contents_are_not_edited; DROP TRIGGER contents_are_not_deleted;
                    DROP TRIGGER heads_are_not_edited; DROP TRIGGER heads_are_not_deleted;";

/// What `verify` and `open` say after somebody ran `sql`, who took the triggers
/// away and put them back.
fn damage(sql: &str) -> JournalDamage {
    let (dir, store) = lived();
    let triggers = triggers(&store);
    behind(dir.path(), &format!("{DROP} {sql}; {triggers}"));
    let StoreError::Journal(found) = store.verify().expect_err("a damaged journal") else {
        panic!("not about the journal");
    };
    drop(store);
    let opened = Store::open_on(dir.path(), Host::named("here"))
        .err()
        .expect("a damaged journal");
    assert!(matches!(opened, StoreError::Journal(again) if again == found));
    found
}

fn triggers(store: &Store) -> String {
    let sql = "SELECT group_concat(sql, ';') || ';' FROM sqlite_schema WHERE type = 'trigger'";
    store.connection.query_row(sql, [], |row| row.get(0)).expect("triggers")
}

const fn damaged(seq: u64, what: Damage) -> JournalDamage {
    JournalDamage { seq, what }
}

#[test]
fn triggers_refuse_edits_and_deletions() {
    let (dir, store) = lived();
    let before = seen(&store);
    let connection = Connection::open(dir.path().join(STORE_FILE)).expect("the file");
    for sql in [
        "UPDATE journal SET author = 'nobody' WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 13",
        "UPDATE contents SET json = '{}'",
        "DELETE FROM contents",
    ] {
        let refused = connection.execute_batch(sql).expect_err("a trigger");
        assert!(refused.to_string().contains("append-only") || refused.to_string().contains("immutable"));
    }
    assert_eq!(seen(&store), before);
}

#[test]
fn missing_trigger_is_found_when_the_store_is_opened() {
    let (dir, store) = lived();
    drop(store);
    behind(dir.path(), "DROP TRIGGER journal_is_not_edited");
    let opened = Store::open_on(dir.path(), Host::named("here")).err();
    assert!(matches!(opened, Some(StoreError::AlteredSchema { .. })));
}

#[test]
fn edit_of_any_column_is_located() {
    for edit in [
        "author = 'nobody'",
        "time = '2026-01-01T00:00:00Z'",
        "kind = 'note'",
        "payload = replace(payload, 'change 2', 'change 9')",
        "hash = upper(hash)",
        "hash = previous",
    ] {
        let found = damage(&format!("UPDATE journal SET {edit} WHERE seq = 6"));
        assert_eq!(found, damaged(6, Damage::Edited), "{edit}");
    }
    let found = damage("UPDATE journal SET previous = hash WHERE seq = 6");
    assert_eq!(found, damaged(6, Damage::Unchained));
}

#[test]
fn edit_with_its_hash_made_again_breaks_the_next_entry() {
    let (_dir, store) = lived();
    let sixth = &store.journal(5, 1).expect("a sound store")[0];
    let row = Row {
        seq: 6,
        time: sixth.time.to_string(),
        author: "nobody".to_owned(),
        kind: "note".to_owned(),
        payload: "{\"text\":\"nothing happened\"}".to_owned(),
        previous: sixth.previous.to_string(),
        hash: String::new(),
    };
    let hash = row.hash_after(sixth.previous);
    let found = damage(&format!(
        "UPDATE journal SET author = 'nobody', kind = 'note', payload = '{}', hash = '{hash}' WHERE seq = 6",
        row.payload
    ));
    assert_eq!(found, damaged(7, Damage::Unchained));
}

#[test]
fn entry_cut_out_of_the_middle_is_located() {
    assert_eq!(damage("DELETE FROM journal WHERE seq = 6"), damaged(6, Damage::Missing));
    assert_eq!(damage("DELETE FROM journal WHERE seq < 4"), damaged(1, Damage::Missing));
}

#[test]
fn gap_that_is_closed_by_renumbering_is_located() {
    let found = damage("DELETE FROM journal WHERE seq = 6; UPDATE journal SET seq = seq - 1 WHERE seq > 6");
    assert_eq!(found, damaged(6, Damage::Unchained));
}

#[test]
fn entries_that_changed_places_are_located() {
    let found = damage(
        "UPDATE journal SET seq = 99 WHERE seq = 6; UPDATE journal SET seq = 6 WHERE seq = 7;
         UPDATE journal SET seq = 7 WHERE seq = 99;",
    );
    assert_eq!(found, damaged(6, Damage::Unchained));
}

#[test]
fn journal_cut_off_at_its_end_is_located() {
    assert_eq!(damage("DELETE FROM journal WHERE seq > 9"), damaged(10, Damage::CutOff));
    assert_eq!(damage("DELETE FROM journal"), damaged(1, Damage::CutOff));
}

#[test]
fn entry_that_nobody_wrote_is_located() {
    let found =
        damage("INSERT INTO journal SELECT 14, time, author, kind, payload, hash, hash FROM journal WHERE seq = 13");
    assert_eq!(found, damaged(14, Damage::Edited));
}

#[test]
fn content_that_is_gone_or_edited_is_located() {
    let digest = numbered(2).digest();
    let gone = damage(&format!("DELETE FROM contents WHERE digest = '{digest}'"));
    assert_eq!(gone, damaged(6, Damage::Content));
    let edited = damage(&format!(
        "UPDATE contents SET json = replace(json, '10.0.1.11', '10.9.9.9') WHERE digest = '{digest}'"
    ));
    assert_eq!(edited, damaged(6, Damage::Content));
}

#[test]
fn state_of_what_is_served_must_be_sound() {
    for sql in ["DELETE FROM states", "UPDATE states SET json = '{}'"] {
        let (dir, store) = lived();
        drop(store);
        behind(dir.path(), sql);
        let error = Store::open_on(dir.path(), Host::named("here"))
            .err()
            .expect("a missing state");
        let digest = states::Index::of(&state(&numbered(2), 3)).digest();
        assert!(matches!(error, StoreError::Content { digest: missing } if missing == digest));
    }
    for sql in [
        "DELETE FROM parts",
        "UPDATE parts SET json = '{}'",
        "DELETE FROM tables",
    ] {
        let (dir, store) = lived();
        drop(store);
        behind(dir.path(), sql);
        let error = Store::open_on(dir.path(), Host::named("here")).err();
        assert!(matches!(error, Some(StoreError::Content { .. })), "{sql}: {error:?}");
    }
}

/// The derived tables count for nothing against the journal.
#[test]
fn edited_projections_are_made_again_from_the_journal() {
    for sql in [
        "UPDATE revisions SET served = 0",
        "DELETE FROM generations WHERE generation = 1",
        "UPDATE generations SET content = (SELECT content FROM generations WHERE generation = 1)",
        "INSERT INTO revisions SELECT 9, 9, content, state, 99, 1, 99, 1 FROM revisions WHERE revision = 1",
    ] {
        let (dir, store) = lived();
        let before = seen(&store);
        drop(store);
        assert!(behind(dir.path(), sql) > 0);
        let store = open(dir.path());
        assert_eq!(seen(&store), before, "{sql}");
        assert!(store.was_rebuilt(), "{sql}");
    }
}
