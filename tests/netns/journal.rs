//! The journal of the real daemon: checked by it, by the command line alone, and
//! by hand with ssh-keygen; and what is said when somebody writes to it.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{daemon::Installation, rig::Rig, topology::Shape};

const KEPT: &str = "kept.pub";

/// A rig whose daemon has made some generations.
fn lived() -> Result<Rig> {
    let rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    for weight in [50, 70] {
        rig.installation
            .apply(&rig.fleet.clone().weighing("web", "be1", weight))?;
    }
    fs::copy(rig.installation.state.join("journal.key.pub"), file(&rig, KEPT))?;
    Ok(rig)
}

fn file(rig: &Rig, name: &str) -> PathBuf {
    rig.directory().join(name)
}

fn path(rig: &Rig, name: &str) -> String {
    file(rig, name).display().to_string()
}

/// `journal verify` with further arguments: exit code and document.
fn verify(installation: &Installation, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let outcome = installation.run(&[&["journal", "verify", "-j"], arguments].concat())?;
    Ok((outcome.code, outcome.json().with_context(|| outcome.said())?))
}

fn store(rig: &Rig) -> Result<Connection> {
    Ok(Connection::open(rig.installation.state.join("holdfast.db"))?)
}

/// What stands in the schema for a trigger.
fn trigger(store: &Connection, name: &str) -> Result<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
    Ok(store.query_row(sql, [name], |row| row.get(0))?)
}

/// Changes who wrote entry 3, with the triggers out of the way.
fn edit(rig: &Rig) -> Result<()> {
    let store = store(rig)?;
    let trigger = trigger(&store, "journal_is_not_edited")?;
    let sql =
        format!("DROP TRIGGER journal_is_not_edited; UPDATE journal SET author = 'nobody' WHERE seq = 3; {trigger}");
    Ok(store.execute_batch(&sql)?)
}

#[test]
fn journal_is_proved_by_the_daemon_by_an_export_and_by_hand() -> Result<()> {
    let rig = lived()?;
    let (code, verified) = verify(&rig.installation, &[])?;
    assert_eq!((code, &verified["ok"]), (Some(0), &Value::Bool(true)), "{verified}");
    assert_eq!(verified["warnings"], serde_json::json!([]), "{verified}");
    assert_eq!(
        verified["signed"], verified["entries"],
        "the last switch is signed: {verified}"
    );
    let entries = verified["entries"].as_u64().context("a number")?;
    let head = format!("{entries}:{}", verified["hash"].as_str().context("a hash")?);

    let exported = rig.installation.run(&["journal", "export"])?;
    ensure!(exported.code == Some(0), "{}", exported.said());
    fs::write(file(&rig, "journal.jsonl"), &exported.stdout)?;
    let arguments = [
        "--export",
        &path(&rig, "journal.jsonl"),
        "--key",
        &path(&rig, KEPT),
        "--head",
        &head,
    ];
    let (code, again) = verify(&rig.installation, &arguments)?;
    assert_eq!(code, Some(0), "{again}");
    assert_eq!(
        (&again["entries"], &again["heads"], &again["keys"]),
        (&verified["entries"], &verified["heads"], &verified["keys"])
    );
    let part = rig.installation.run(&["journal", "export", "--from", "3"])?;
    ensure!(
        part.stdout
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("\"seq\":3")),
        "{}",
        part.said()
    );

    // By hand: what docs/journal.md says, with nothing of ours.
    let lines: Vec<Value> = exported
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut previous = vec![0; 32];
    let mut chained = 0;
    for entry in lines.iter().filter_map(|line| line.get("entry")) {
        let fields = ["author", "kind", "payload", "seq", "time"];
        let object: serde_json::Map<String, Value> = fields
            .iter()
            .map(|field| ((*field).to_owned(), entry[*field].clone()))
            .collect();
        let hash = Sha256::new()
            .chain_update(&previous)
            .chain_update(Value::Object(object).to_string())
            .finalize();
        previous = hash.to_vec();
        let text = previous
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(entry["hash"], text.as_str(), "{entry}");
        chained += 1;
    }
    assert_eq!(chained, entries);
    let heads: Vec<&Value> = lines.iter().filter_map(|line| line.get("head")).collect();
    ensure!(heads.len() >= 3, "{} heads", heads.len());
    for head in heads {
        ensure!(by_hand(&rig, head, false)?, "ssh-keygen does not take {head}");
        ensure!(!by_hand(&rig, head, true)?, "ssh-keygen takes anything");
    }
    Ok(())
}

/// Whether ssh-keygen takes a head, or one of the entry after it.
fn by_hand(rig: &Rig, head: &Value, forged: bool) -> Result<bool> {
    let public = fs::read_to_string(file(rig, KEPT))?;
    fs::write(
        file(rig, "signers"),
        format!("holdfast namespaces=\"holdfast-journal-v1\" {public}"),
    )?;
    fs::write(
        file(rig, "head.sig"),
        head["signature"].as_str().context("a signature")?,
    )?;
    let mut statement = head["statement"].clone();
    if forged {
        statement["seq"] = Value::from(statement["seq"].as_u64().context("a number")? + 1);
    }
    fs::write(file(rig, "statement"), format!("{statement}\n"))?;
    let status = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "holdfast", "-n", "holdfast-journal-v1"])
        .arg("-f")
        .arg(file(rig, "signers"))
        .arg("-s")
        .arg(file(rig, "head.sig"))
        .stdin(File::open(file(rig, "statement"))?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("ssh-keygen: cargo xtask setup installs it")?;
    Ok(status.success())
}

#[test]
fn entry_edited_behind_the_daemons_back_is_found_and_said() -> Result<()> {
    let mut rig = lived()?;
    let before = rig.installation.status()?;
    ensure!(before.journal_problem.is_none(), "{:?}", before.journal_problem);
    edit(&rig)?;
    let (code, found) = verify(&rig.installation, &[])?;
    assert_eq!(code, Some(1), "{found}");
    assert_eq!(
        (&found["damage"]["code"], &found["damage"]["seq"]),
        (&"HF4004".into(), &3.into()),
        "{found}"
    );
    let status = rig.installation.run(&["status"])?;
    ensure!(
        status.stdout.contains("▲ JOURNAL the journal is damaged at entry 3"),
        "{}",
        status.said()
    );
    ensure!(rig.daemon_log().contains("JournalAltered"), "no event");
    // What is served is not touched.
    let after = rig.installation.status()?;
    assert_eq!((after.generation, after.revision), (before.generation, before.revision));

    // The same without the daemon: of a copy, and of an export.
    fs::copy(rig.installation.state.join("holdfast.db"), file(&rig, "copy.db"))?;
    let exported = rig.installation.run(&["journal", "export"])?;
    fs::write(file(&rig, "journal.jsonl"), exported.stdout)?;
    rig.kill_daemon()?;
    for (what, name) in [("--file", "copy.db"), ("--export", "journal.jsonl")] {
        let (code, found) = verify(&rig.installation, &[what, &path(&rig, name)])?;
        assert_eq!((code, &found["damage"]["seq"]), (Some(1), &3.into()), "{what}: {found}");
    }
    // The next daemon serves what is served, and changes nothing.
    rig.start_daemon()?;
    let after = rig.installation.status()?;
    assert_eq!(
        (after.mode.as_str(), after.generation),
        ("read-only", before.generation)
    );
    Ok(())
}

#[test]
fn history_written_anew_is_found_by_its_heads() -> Result<()> {
    let mut rig = lived()?;
    let before = rig.installation.status()?;
    let entries = verify(&rig.installation, &[])?.1["entries"]
        .as_u64()
        .context("a number")?;
    rig.stop_daemon()?;
    // The last entry taken away, and everything made to look as if it had never been.
    let store = store(&rig)?;
    let trigger = trigger(&store, "journal_is_not_cut")?;
    store.execute_batch(&format!(
        "DROP TRIGGER journal_is_not_cut; DELETE FROM journal WHERE seq = {entries}; {trigger};
         UPDATE identity SET head_seq = {entries} - 1,
                head_hash = (SELECT hash FROM journal WHERE seq = {entries} - 1)"
    ))?;
    drop(store);
    rig.start_daemon()?;
    let after = rig.installation.status()?;
    assert_eq!(
        (after.mode.as_str(), after.generation),
        ("read-only", before.generation)
    );
    let said = rig.installation.run(&["status"])?.stdout;
    ensure!(
        said.contains(&format!("entry {entries}: the journal was cut off there")),
        "{said}"
    );
    Ok(())
}

#[test]
fn replaced_key_signs_nothing_until_the_one_before_hands_over() -> Result<()> {
    let mut rig = lived()?;
    let state = rig.installation.state.clone();
    rig.stop_daemon()?;
    fs::rename(state.join("journal.key"), file(&rig, "before"))?;
    // A key as an operator makes it.
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(state.join("journal.key"))
        .status()?;
    ensure!(made.success(), "ssh-keygen makes no key");
    rig.start_daemon()?;
    let said = rig.installation.status()?.journal_problem.unwrap_or_default();
    ensure!(said.contains("somebody replaced it"), "{said}");
    ensure!(rig.daemon_log().contains("JournalKeyReplaced"), "no event");
    // Changes go on; they are not signed, and that is said.
    rig.installation.apply(&rig.fleet.clone().weighing("web", "be1", 90))?;
    let (code, unsigned) = verify(&rig.installation, &[])?;
    ensure!(
        code == Some(0) && unsigned["warnings"].to_string().contains("no head is signed now"),
        "{unsigned}"
    );
    ensure!(unsigned["signed"].as_u64() < unsigned["entries"].as_u64(), "{unsigned}");

    rig.stop_daemon()?;
    fs::rename(file(&rig, "before"), state.join("journal.key.old"))?;
    rig.start_daemon()?;
    let status = rig.installation.status()?;
    ensure!(status.journal_problem.is_none(), "{:?}", status.journal_problem);
    let (code, handed) = verify(&rig.installation, &["--key", &path(&rig, KEPT)])?;
    assert_eq!(
        (code, &handed["keys"][1]["handedOver"]),
        (Some(0), &true.into()),
        "{handed}"
    );
    assert_eq!(
        (&handed["signed"], &handed["warnings"]),
        (&handed["entries"], &serde_json::json!([])),
        "{handed}"
    );
    Ok(())
}

#[test]
fn change_whose_head_cannot_be_signed_is_made_all_the_same() -> Result<()> {
    let mut rig = lived()?;
    store(&rig)?
        .execute_batch("CREATE TRIGGER no_heads BEFORE INSERT ON heads BEGIN SELECT RAISE(ABORT, 'no room'); END")?;
    let applied = rig.installation.apply(&rig.fleet.clone().weighing("web", "be1", 90))?;
    let status = rig.installation.status()?;
    assert_eq!(
        (status.generation, status.mode.as_str()),
        (applied.generation, "normal")
    );
    ensure!(status.journal_problem.is_some(), "nothing is said");
    ensure!(rig.daemon_log().contains("HeadNotSigned"), "no event");
    store(&rig)?.execute_batch("DROP TRIGGER no_heads")?;
    // It is signed at the next occasion: here the daemon's end.
    rig.stop_daemon()?;
    rig.start_daemon()?;
    let (code, signed) = verify(&rig.installation, &[])?;
    assert_eq!((code, &signed["signed"]), (Some(0), &signed["entries"]), "{signed}");
    Ok(())
}
