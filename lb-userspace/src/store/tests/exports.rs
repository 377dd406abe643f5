use super::{keys::judge, *};

fn export(store: &Store, from: u64) -> String {
    let mut bytes = Vec::new();
    let mut exporter = Exporter::new(&mut bytes);
    let mut after = Some(from - 1);
    while let Some(at) = after {
        let page = store.page(at).expect("a sound store");
        assert!(page.entries.len() <= 256, "a page is bounded");
        after = page.next;
        exporter.page(page).expect("memory takes it");
    }
    String::from_utf8(bytes).expect("it is text")
}

fn verify(text: &str, trusted: Option<&str>, kept: Vec<Head>) -> Result<Audited, ExportError> {
    verify_export(&mut text.as_bytes(), trusted.map(str::to_owned), kept)
}

fn damage(text: &str) -> JournalDamage {
    match verify(text, None, Vec::new()) {
        Err(ExportError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

/// More entries than a page holds, some heads, two keys.
fn long() -> (TempDir, Store) {
    let (dir, mut store) = lived();
    store.take_key(at(99)).expect("a key");
    for number in 0..600 {
        store.append(&note(&format!("{number}")), "ann", at(100)).expect("room");
        if store.head_is_due() {
            store.sign_head(at(100)).expect("room");
        }
    }
    drop(store);
    fs::rename(dir.path().join("journal.key"), dir.path().join("journal.key.old")).expect("our file");
    let mut store = open(dir.path());
    store.take_key(at(101)).expect("a key");
    (dir, store)
}

#[test]
fn export_proves_what_the_store_proves() {
    let (_dir, store) = long();
    let text = export(&store, 1);
    assert_eq!(
        text.lines().count() as u64,
        1 + 615 + judge(&store, None, Vec::new()).expect("sound").heads + 1
    );
    let audited = verify(&text, store.key_fingerprint(), vec![store.end()]).expect("a sound export");
    assert_eq!(audited, judge(&store, None, Vec::new()).expect("a sound journal"));
    assert_eq!(audited.warnings, []);
}

#[test]
fn part_of_a_journal_is_proved_from_its_first_entry_on() {
    let (_dir, store) = long();
    let audited = verify(&export(&store, 400), None, vec![store.end()]).expect("a sound export");
    assert_eq!((audited.end, audited.keys[0].since), (store.end(), 399));
    let nothing = verify(&export(&store, 616), None, Vec::new()).expect("an empty export");
    assert_eq!(nothing.end, store.end());
}

#[test]
fn line_that_is_gone_changed_or_out_of_its_place_is_located() {
    let (_dir, store) = lived();
    let text = export(&store, 1);
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n");
    for seq in 1..=13_usize {
        let at = |what| JournalDamage { seq: seq as u64, what };
        let mut without = lines.clone();
        without.remove(seq);
        assert_eq!(
            damage(&joined(&without)),
            at(if seq == 13 { Damage::CutOff } else { Damage::Missing })
        );
        let edited = lines[seq].replace("uid 1000", "uid 0");
        let mut with = lines.clone();
        with[seq] = &edited;
        assert_eq!(damage(&joined(&with)), at(Damage::Edited));
        with[seq] = "{\"entry\":{}}";
        assert_eq!(damage(&joined(&with)), at(Damage::Unreadable));
        assert_eq!(damage(&joined(&lines[..seq])), at(Damage::CutOff));
        if seq < 13 {
            let mut swapped = lines.clone();
            swapped.swap(seq, seq + 1);
            assert_eq!(damage(&joined(&swapped)), at(Damage::Missing));
        }
    }
    let twice = format!("{text}{text}");
    assert_eq!(damage(&twice).what, Damage::Added);
}

#[test]
fn file_that_is_no_export_is_said_to_be_none() {
    for text in [
        "",
        "\n",
        "{}",
        "{\"entry\":{}}",
        "not JSON",
        "{\"end\":{\"seq\":0,\"hash\":\"\"}}",
    ] {
        assert!(
            matches!(verify(text, None, Vec::new()), Err(ExportError::NoHeader)),
            "{text}"
        );
    }
}
