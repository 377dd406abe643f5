use super::*;

fn refused(store: &mut Store, entry: &Entry) -> OutOfOrder {
    let before = seen(store);
    let error = store
        .append(entry, "uid 1000", at(99))
        .expect_err("an entry out of order");
    assert_eq!(seen(store), before, "a refused entry changed the store");
    let StoreError::OutOfOrder(order) = error else {
        panic!("not about order: {error}");
    };
    order
}

#[test]
fn one_change_is_in_flight_at_a_time() {
    let (_dir, mut store) = lived();
    write(&mut store, &[intent(4, 5)]);
    let pending = OutOfOrder::Pending {
        generation: 4,
        revision: 5,
    };
    assert_eq!(refused(&mut store, &intent(5, 6)), pending);
    assert_eq!(refused(&mut store, &revision(2, 6)), pending);
    write(
        &mut store,
        &[note("notes are taken meanwhile"), switched(4, 5), revision(4, 6)],
    );
}

#[test]
fn numbers_are_never_used_again_whatever_became_of_them() {
    let (_dir, mut store) = lived();
    assert_eq!(store.next_generation().expect("a sound store"), 4);
    assert_eq!(store.next_revision().expect("a sound store"), 5);
    assert_eq!(refused(&mut store, &intent(3, 5)), OutOfOrder::GenerationUsed(3));
    assert_eq!(refused(&mut store, &intent(4, 4)), OutOfOrder::RevisionUsed(4));
    assert_eq!(refused(&mut store, &revision(2, 4)), OutOfOrder::RevisionUsed(4));
}

#[test]
fn revision_is_of_the_generation_that_is_served() {
    let (_dir, mut store) = lived();
    assert_eq!(refused(&mut store, &revision(1, 5)), OutOfOrder::NotServed(1));
    assert_eq!(refused(&mut store, &revision(3, 5)), OutOfOrder::NotServed(3));
}

#[test]
fn outcome_is_of_the_pending_intent() {
    let (_dir, mut store) = lived();
    let not_pending = |generation, revision| OutOfOrder::NotPending { generation, revision };
    assert_eq!(refused(&mut store, &switched(2, 3)), not_pending(2, 3));
    write(&mut store, &[intent(4, 5)]);
    assert_eq!(refused(&mut store, &switched(4, 6)), not_pending(4, 6));
}

#[test]
fn clock_that_goes_back_does_not_change_the_order() {
    let (_dir, mut store) = lived();
    let early = store
        .append(&note("ten years ago"), "uid 0", at(-315_360_000))
        .expect("room on the disk");
    assert_eq!(early.seq, 14);
    assert_eq!(store.verify().expect("a sound journal").seq, 14);
}

/// Fault 13 without a power switch: what is not committed was never there.
#[test]
fn connection_that_dies_in_a_transaction_leaves_the_store_as_it_was() {
    let (dir, store) = lived();
    let before = seen(&store);
    store
        .connection
        .execute_batch(
            "BEGIN IMMEDIATE;
             INSERT INTO journal VALUES (14, 'now', 'me', 'note', '{}', '', '');
             DELETE FROM revisions;",
        )
        .expect("a transaction");
    drop(store);
    assert_eq!(seen(&open(dir.path())), before);
}

/// Faults 13 and 14: the n-th page that does not fit, for all n.
#[test]
fn full_disk_leaves_the_old_state_or_the_new_one() {
    let (_dir, mut store) = lived();
    let pages: u32 = store
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .expect("a count");
    let before = seen(&store);
    let Entry::Intent(mut large) = intent(4, 5) else {
        panic!("an intent");
    };
    // More than ten pages.
    let counters = (0..2_000).map(|counter| (format!("{counter:020}"), counter));
    large.state.state.vip_counters = Part::new(counters.collect());
    let large = Entry::Intent(large);
    let mut refusals = 0;
    for room in 0.. {
        store
            .connection
            .query_row(&format!("PRAGMA max_page_count = {}", pages + room), [], |_| Ok(()))
            .expect("a limit");
        match store.append(&large, "uid 1000", at(14)) {
            Ok(_) => break,
            Err(error) => {
                assert_eq!(error.code(), "HF4001");
                assert_eq!(seen(&store), before, "with room for {room} pages");
                refusals += 1;
            }
        }
    }
    assert!(refusals >= 10);
    assert_eq!(store.verify().expect("a sound journal").seq, 14);
}
