use super::*;

#[test]
fn new_store_has_served_nothing() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    assert_eq!(store.last_switched().expect("a sound store"), None);
    assert_eq!(store.pending_intent().expect("a sound store"), None);
    assert_eq!(store.history().expect("a sound store"), []);
    assert_eq!(store.next_generation().expect("a sound store"), 1);
    assert_eq!(store.next_revision().expect("a sound store"), 1);
    assert_eq!(store.verify().expect("a sound store"), Head::START);
}

#[test]
fn store_that_is_opened_again_says_the_same() {
    let (dir, store) = lived();
    let before = seen(&store);
    drop(store);
    let store = open(dir.path());
    assert_eq!(seen(&store), before);
    assert!(!store.was_rebuilt());
}

#[test]
fn last_switched_is_the_last_that_was_served() {
    let (_dir, store) = lived();
    let served = store.last_switched().expect("a sound store").expect("something served");
    assert_eq!((served.generation, served.revision), (2, 3));
    assert_eq!(served.content, numbered(2));
    assert_eq!(store.state(&served).expect("a sound store"), state(&numbered(2), 3));
}

#[test]
fn revision_serves_its_generations_content() {
    let (_dir, mut store) = lived();
    write(&mut store, &[revision(2, 5), switched(2, 5)]);
    let served = store.last_switched().expect("a sound store").expect("something served");
    assert_eq!((served.generation, served.revision), (2, 5));
    assert_eq!(served.content, numbered(2));
    assert_eq!(store.state(&served).expect("a sound store"), state(&numbered(2), 5));
}

#[test]
fn history_has_what_was_served_newest_first() {
    let (_dir, store) = lived();
    let history = store.history().expect("a sound store");
    let told: Vec<_> = history
        .iter()
        .map(|summary| (summary.generation, summary.running, summary.vips, summary.backends))
        .collect();
    assert_eq!(told, [(2, true, 4, 5), (1, false, 4, 5)]);
    assert_eq!(history[0].digest, numbered(2).digest());
    assert_eq!(history[0].author, "uid 1000");
    assert_eq!(history[0].cause, "apply");
    assert_eq!(history[0].message.as_deref(), Some("change 2"));
    assert_eq!(history[0].applied, at(7));
    // Served again by revision 2, but applied once.
    assert_eq!(history[1].applied, at(3));
}

#[test]
fn generation_shows_its_changes_from_the_one_before() {
    let (_dir, store) = lived();
    let detail = |number| store.generation_detail(number).expect("a sound store");
    let second = detail(2).expect("generation 2");
    assert_eq!(second.content, *numbered(2));
    assert_eq!(
        second.changes,
        crate::plan::diff::diff(Some(&numbered(1)), &numbered(2))
    );
    assert_eq!(second.changes.len(), 1);
    assert_eq!(detail(3), None, "it was never served");
    assert_eq!(detail(9), None);
}

#[test]
fn intent_without_an_outcome_is_pending_across_restarts() {
    let (dir, mut store) = lived();
    write(&mut store, &[intent(4, 5)]);
    drop(store);
    let mut store = open(dir.path());
    let pending = store.pending_intent().expect("a sound store").expect("an intent");
    assert!(pending.new_generation);
    assert_eq!((pending.served.generation, pending.served.revision), (4, 5));
    assert_eq!(pending.served.content, numbered(4));
    write(&mut store, &[discarded(4, 5)]);
    assert_eq!(store.pending_intent().expect("a sound store"), None);
    let served = store.last_switched().expect("a sound store").expect("something served");
    assert_eq!(served.generation, 2);
}

#[test]
fn journal_is_read_in_pages_oldest_first() {
    let (_dir, store) = lived();
    let seqs = |records: Vec<Record>| records.iter().map(|record| record.seq).collect::<Vec<_>>();
    assert_eq!(seqs(store.journal(0, 3).expect("a sound store")), [1, 2, 3]);
    assert_eq!(seqs(store.journal(11, 9).expect("a sound store")), [12, 13]);
    assert_eq!(seqs(store.journal_tail(2).expect("a sound store")), [12, 13]);
    assert_eq!(store.journal_tail(99).expect("a sound store").len(), 13);
}

#[test]
fn record_as_json_has_the_columns_of_the_table() {
    let (_dir, store) = lived();
    let record = &store.journal(2, 1).expect("a sound store")[0];
    let json = serde_json::to_value(record).expect("plain JSON");
    assert_eq!(json["seq"], 3);
    assert_eq!(json["kind"], "outcome");
    assert_eq!(
        json["payload"],
        json!({ "result": "switched", "generation": 1, "revision": 1 })
    );
    assert_eq!(
        json["previous"],
        json!(store.journal(1, 1).expect("a sound store")[0].hash)
    );
    let again: Record = serde_json::from_value(json).expect("a record");
    assert_eq!(&again, record);
}

#[test]
fn rebuilt_projections_are_what_they_were() {
    let (_dir, mut store) = lived();
    let before = seen(&store);
    store.rebuild().expect("room on the disk");
    assert_eq!(seen(&store), before);
    assert!(store.projections_agree().expect("a sound store"));
}

#[test]
fn same_content_is_kept_once() {
    let (dir, mut store) = lived();
    let Entry::Intent(rollback) = intent(4, 5) else {
        panic!("an intent");
    };
    let content = numbered(1);
    write(
        &mut store,
        &[Entry::Intent(Intent { content, ..rollback }), switched(4, 5)],
    );
    let connection = Connection::open(dir.path().join(STORE_FILE)).expect("the file");
    let contents: u32 = connection
        .query_row("SELECT count(*) FROM contents", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(contents, 3);
}

#[test]
fn states_of_old_revisions_are_forgotten_but_never_the_served_one() {
    let (dir, mut store) = lived();
    let failed = u64::from(STATES_KEPT) + 5;
    for number in 0..failed {
        let (generation, revision) = (4 + number, 5 + number);
        write(
            &mut store,
            &[intent(generation, revision), discarded(generation, revision)],
        );
    }
    let served = store.last_switched().expect("a sound store").expect("something served");
    assert_eq!(store.state(&served).expect("a sound store"), state(&numbered(2), 3));
    let connection = Connection::open(dir.path().join(STORE_FILE)).expect("the file");
    let count = |table: &str| -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).expect("a count")
    };
    assert_eq!(count("states"), STATES_KEPT + 1);
    // Pool dns has other weights in each generation, and so another table; all
    // of them share that of pool web, which has other next hops.
    assert_eq!(count("tables"), STATES_KEPT + 2);
    let (counters, dns, web) = (1, 1, STATES_KEPT + 1);
    assert_eq!(count("parts"), counters + dns + web);
    // Contents are kept, all of them: history is shown and rolled back to.
    assert_eq!(store.history().expect("a sound store").len(), 2);
}

#[test]
fn revision_that_changes_nothing_of_a_pool_keeps_nothing_of_it_anew() {
    let (dir, mut store) = lived();
    let connection = Connection::open(dir.path().join(STORE_FILE)).expect("the file");
    let counts = || {
        ["states", "parts", "tables"].map(|table| -> u32 {
            let sql = format!("SELECT count(*) FROM {table}");
            connection.query_row(&sql, [], |row| row.get(0)).expect("a count")
        })
    };
    let before = counts();
    write(&mut store, &[revision(2, 5), switched(2, 5)]);
    // The list of parts, and the one pool whose next hop is another.
    assert_eq!(counts(), [before[0] + 1, before[1] + 1, before[2]]);
}
