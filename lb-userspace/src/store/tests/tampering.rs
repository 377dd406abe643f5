//! Random journals with heads and keys, damaged in one place by somebody who can
//! write to the file, and has no key: the place is found.

use std::fmt::Write as _;

use proptest::{prelude::*, sample::Index};

use super::{
    keys::{judge, key_of},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Note,
    Generation,
    Sign,
    /// The key hands over to a new one.
    Rotate,
}

const COLUMNS: [&str; 6] = ["time", "author", "kind", "payload", "previous", "hash"];
const HEAD_COLUMNS: [&str; 5] = ["seq", "hash", "time", "fingerprint", "signature"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Note),
        2 => Just(Step::Generation),
        3 => Just(Step::Sign),
        1 => Just(Step::Rotate),
    ];
    proptest::collection::vec(step, 3..14)
}

/// A journal of these steps, its first key, and where its heads are.
struct Lived {
    dir: TempDir,
    store: Store,
    first: String,
    heads: Vec<SignedHead>,
}

/// Nothing here has to survive a power cut.
fn quickly(dir: &Path) -> Store {
    let store = open(dir);
    let unsafe_but_quick = store.connection.pragma_update(None, "synchronous", "OFF");
    unsafe_but_quick.expect("a pragma");
    store
}

fn live(steps: &[Step]) -> Lived {
    let dir = TempDir::new().expect("a directory");
    let mut store = quickly(dir.path());
    store.take_key(at(0)).expect("a key");
    let first = key_of(&store);
    for (step, second) in steps.iter().zip(1..) {
        let now = at(second);
        match step {
            Step::Note => drop(store.append(&note("something"), "ann", now).expect("room")),
            Step::Generation => {
                let next = store.next_generation().expect("a sound store");
                store.append(&intent(next, next), "ann", now).expect("room");
                store.append(&switched(next, next), "holdfastd", now).expect("room");
            }
            Step::Sign => store.sign_head(now).expect("room"),
            Step::Rotate => {
                drop(store);
                fs::rename(dir.path().join("journal.key"), dir.path().join("journal.key.old")).expect("our file");
                store = quickly(dir.path());
                store.take_key(now).expect("a key");
            }
        }
    }
    let heads = store.page(0).expect("a sound store").heads;
    Lived {
        dir,
        store,
        first,
        heads,
    }
}

impl Lived {
    fn end(&self) -> u64 {
        self.store.end().seq
    }

    fn rows(&self) -> Vec<Row> {
        self.store.page(0).expect("a sound store").entries
    }

    /// Runs `sql` without the triggers, and judges by the first key; with `kept`,
    /// by the head that the daemon knows, too.
    fn damaged(&self, sql: &str, kept: bool) -> Result<Audited, JournalDamage> {
        let drop = "DROP TRIGGER journal_is_not_edited; DROP TRIGGER journal_is_not_cut;
                    DROP TRIGGER heads_are_not_edited; DROP TRIGGER heads_are_not_deleted;";
        behind(self.dir.path(), &format!("{drop} {sql}"));
        let kept = kept.then(|| self.store.end()).into_iter().collect();
        judge(&self.store, Some(&self.first), kept)
    }

    /// Writes these rows, with all hashes and the journal's end made anew.
    fn rewritten(rows: &[Row]) -> String {
        let mut sql = "DELETE FROM journal;".to_owned();
        let mut head = Head::START;
        for row in rows {
            let hash = row.hash_after(head.hash);
            let Row {
                seq,
                time,
                author,
                kind,
                payload,
                ..
            } = row;
            let payload = payload.replace('\'', "''");
            write!(
                sql,
                "INSERT INTO journal VALUES ({seq}, '{time}', '{author}', '{kind}', '{payload}', '{}', '{hash}');",
                head.hash
            )
            .expect("a String takes all text");
            head = Head { seq: *seq, hash };
        }
        write!(
            sql,
            "UPDATE identity SET head_seq = {}, head_hash = '{}';",
            head.seq, head.hash
        )
        .expect("a String takes all text");
        sql
    }

    /// The first head at or after an entry; and the entry after the last head before.
    fn vouched(&self, seq: u64) -> (Option<u64>, u64) {
        let seqs = || self.heads.iter().map(|head| head.statement.seq);
        (
            seqs().find(|head| *head >= seq),
            seqs().rfind(|head| *head < seq).unwrap_or(0) + 1,
        )
    }
}

const fn found(seq: u64, what: Damage) -> JournalDamage {
    JournalDamage { seq, what }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn edit_of_any_column_of_any_entry_is_located(steps in steps(), which: Index, column in 0..COLUMNS.len()) {
        let lived = live(&steps);
        let (seq, column) = (which.index(lived.end() as usize) as u64 + 1, COLUMNS[column]);
        let sql = format!("UPDATE journal SET {column} = {column} || ' ' WHERE seq = {seq}");
        let what = if column == "previous" { Damage::Unchained } else { Damage::Edited };
        prop_assert_eq!(lived.damaged(&sql, false), Err(found(seq, what)));
    }

    #[test]
    fn entry_that_is_gone_is_located(steps in steps(), which: Index) {
        let lived = live(&steps);
        let seq = which.index(lived.end() as usize) as u64 + 1;
        let what = if seq == lived.end() { Damage::CutOff } else { Damage::Missing };
        let sql = format!("DELETE FROM journal WHERE seq = {seq}");
        prop_assert_eq!(lived.damaged(&sql, false), Err(found(seq, what)));
    }

    #[test]
    fn entries_that_changed_places_are_located(steps in steps(), which: Index) {
        let lived = live(&steps);
        prop_assume!(lived.end() > 1);
        let seq = which.index(lived.end() as usize - 1) as u64 + 1;
        let sql = format!(
            "UPDATE journal SET seq = 999 WHERE seq = {seq}; UPDATE journal SET seq = {seq} WHERE seq = {seq} + 1;
             UPDATE journal SET seq = {seq} + 1 WHERE seq = 999"
        );
        prop_assert_eq!(lived.damaged(&sql, false), Err(found(seq, Damage::Unchained)));
    }

    #[test]
    fn entry_put_in_between_is_located(steps in steps(), which: Index) {
        let lived = live(&steps);
        let seq = which.index(lived.end() as usize) as u64 + 1;
        // One after the other, from the end: numbers are unique.
        let shift: String = (seq..=lived.end())
            .rev()
            .fold(String::new(), |sql, at| format!("{sql}UPDATE journal SET seq = {at} + 1 WHERE seq = {at};"));
        let sql = format!(
            "{shift} INSERT INTO journal SELECT {seq}, time, author, kind, payload, previous, hash
             FROM journal WHERE seq = {seq} + 1; UPDATE journal SET author = 'x' WHERE seq = {seq}"
        );
        prop_assert_eq!(lived.damaged(&sql, false), Err(found(seq, Damage::Edited)));
    }

    /// Cut by somebody who sees to it that the rest looks whole.
    #[test]
    fn cut_end_is_located_by_a_later_head_or_one_that_was_kept(steps in steps(), which: Index) {
        let lived = live(&steps);
        let seq = which.index(lived.end() as usize) as u64 + 1;
        let sql = Lived::rewritten(&lived.rows()[..seq as usize - 1]);
        let signed_later = lived.vouched(seq).0.is_some();
        let judged = lived.damaged(&sql, !signed_later);
        let JournalDamage { seq: at, what } = judged.expect_err("it was cut");
        // A journal without its key is found where its first head is.
        let expected = if seq == 1 && signed_later { (lived.vouched(1).0.unwrap_or(0), Damage::Key) } else { (seq, Damage::CutOff) };
        prop_assert_eq!((at, what), expected);
    }

    /// An entry changed, with every hash after it made anew.
    #[test]
    fn history_written_anew_contradicts_the_next_head_or_one_that_was_kept(steps in steps(), which: Index) {
        let lived = live(&steps);
        let seq = which.index(lived.end() as usize) as u64 + 1;
        let mut rows = lived.rows();
        rows[seq as usize - 1].author = "nobody".to_owned();
        let sql = Lived::rewritten(&rows);
        let (later, since) = lived.vouched(seq);
        let until = later.unwrap_or_else(|| lived.end());
        let judged = lived.damaged(&sql, true);
        prop_assert_eq!(judged, Err(found(since, Damage::Rewritten { until })));
        prop_assert!(since <= seq && seq <= until);
    }

    #[test]
    fn edit_of_any_column_of_any_head_is_located(steps in steps(), which: Index, column in 0..HEAD_COLUMNS.len()) {
        let lived = live(&steps);
        let (head, column) = (&lived.heads[which.index(lived.heads.len())], HEAD_COLUMNS[column]);
        let seq = head.statement.seq;
        // A number that comes after all others: nothing is found before it.
        let edit = if column == "seq" { "seq + 1000".to_owned() } else { format!("{column} || ' '") };
        let sql = format!(
            "UPDATE heads SET {column} = {edit} WHERE seq = {seq} AND fingerprint = '{}'", head.fingerprint
        );
        let judged = lived.damaged(&sql, false).expect_err("it was edited");
        let rotated = lived.rows()[seq as usize - 1].kind == "keyRotated";
        match (column, rotated) {
            // Without its head a handover is none.
            ("seq", true) => prop_assert!(judged.seq == seq || judged.seq == seq + 1000, "{:?}", judged),
            ("seq", false) => prop_assert_eq!(judged, found(seq + 1000, Damage::Signature)),
            _ => prop_assert_eq!(judged, found(seq, Damage::Signature)),
        }
    }

    #[test]
    fn signature_of_another_head_or_key_is_located(steps in steps(), which: Index, theirs: bool) {
        let lived = live(&steps);
        let head = &lived.heads[which.index(lived.heads.len())];
        let (seq, own) = (head.statement.seq, &head.fingerprint);
        let other = live(&[Step::Note]);
        let (key, signature) = if theirs {
            // Genuine, under a key that is not the host's.
            let key = key::SigningKey::read(other.dir.path(), "journal.key").expect("a key");
            let signed = key.expect("a key").sign(head.statement.clone());
            (signed.fingerprint, signed.signature)
        } else {
            (own.clone(), other.heads[0].signature.clone())
        };
        let sql = format!(
            "UPDATE heads SET fingerprint = '{key}', signature = '{signature}' WHERE seq = {seq} AND fingerprint = '{own}'"
        );
        let what = if theirs { Damage::Key } else { Damage::Signature };
        prop_assert_eq!(lived.damaged(&sql, false), Err(found(seq, what)));
    }

    /// Everything written and signed anew, under another key: only who knows
    /// the host's key sees it.
    #[test]
    fn replaced_key_is_located(steps in steps()) {
        let lived = live(&steps);
        let other = live(&steps);
        prop_assert!(judge(&other.store, None, Vec::new()).is_ok());
        let judged = judge(&other.store, Some(&lived.first), Vec::new());
        prop_assert_eq!(judged, Err(found(1, Damage::Key)));
    }
}
