//! `holdfast drill`: every accident of the corpus is survived, with the
//! configuration that is built in and with a copy of an operator's; and whatever
//! ends a drill, nothing of it is left.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{daemon::Binaries, wait};

/// Longer than any drill here; CI has so long for all of them.
const HELD: Duration = Duration::from_mins(6);

fn holdfast(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(Binaries::find()?.holdfast());
    command.arg("drill").args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// One drill at a time: what one leaves is told from what another has.
static TURN: Mutex<()> = Mutex::new(());

/// Exit code and document.
fn drill(arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    drill_with(Stdio::null(), arguments)
}

fn drill_with(stdin: Stdio, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = holdfast(&[arguments, &["-o", "json"]].concat())?
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()?;
    let id = child.id();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if is_done.recv_timeout(HELD).is_err() {
            end(id, Signal::TERM);
        }
    });
    let output = child.wait_with_output()?;
    done.send(()).ok();
    watch.join().ok();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), serde_json::from_str(&said).context(said)?))
}

fn end(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

fn rows(document: &Value) -> Result<&Vec<Value>> {
    document["rows"].as_array().context("rows")
}

/// Every row is as it has to be, and what the summary says is what they say.
fn ensure_held(document: &Value) -> Result<()> {
    let rows = rows(document)?;
    for row in rows {
        println!("{row}");
    }
    let wrong: Vec<&Value> = rows.iter().filter(|row| row["held"] != true).collect();
    ensure!(
        wrong.is_empty(),
        "{} of {} accidents: {wrong:#?}",
        wrong.len(),
        rows.len()
    );
    for row in rows {
        ensure!(row["removedUnapproved"] == serde_json::json!([]), "{row}");
        ensure!(row["window"] != "none" || row["packetsLost"] == 0, "{row}");
        ensure!(row["tookMs"].is_u64(), "{row}");
    }
    let summary = &document["summary"];
    println!("{summary}");
    assert_eq!(summary["accidents"], rows.len() as u64);
    assert_eq!(summary["held"], summary["accidents"]);
    assert_eq!(summary["removedUnapproved"], 0);
    assert_eq!(summary["packetsLostOutsideWindows"], 0);
    // Whatever was measured was measured under traffic.
    let sent = summary["packetsSent"].as_u64().context("packets")?;
    ensure!(sent > 50 * rows.len() as u64, "{sent} packets were sent");
    Ok(())
}

#[test]
fn every_accident_is_survived_and_removes_nothing_that_nobody_approved() -> Result<()> {
    let (exit, document) = drill(&[])?;
    ensure_held(&document)?;
    assert_eq!(exit, Some(0));
    assert_eq!(
        (document["kind"].as_str(), document["apiVersion"].as_str()),
        (Some("Drill"), Some("holdfast/v1"))
    );
    Ok(())
}

#[test]
fn copy_of_an_operators_file_is_drilled_with_and_the_file_is_as_it_was() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("config.yaml");
    let sample = Command::new(Binaries::find()?.holdfast())
        .args([
            "config",
            "init",
            "--environment",
            "production",
            "--interface",
            "bond0.12",
        ])
        .output()?;
    // What cannot work in a drill.
    let text = String::from_utf8(sample.stdout)?.replace(
        "    table: minmove",
        "    health: { exec: { command: [/usr/local/bin/nobody-has-this] } }\n    table: minmove",
    );
    fs::write(&path, &text)?;
    let file = path.to_string_lossy().into_owned();
    let some = [
        "half-file",
        "forged-approval",
        "tables-deleted",
        "killed",
        "health-storm",
    ];
    let mut arguments = vec!["-f", &file];
    for name in &some {
        arguments.extend(["--only", name]);
    }
    let (exit, document) = drill(&arguments)?;
    ensure_held(&document)?;
    assert_eq!(exit, Some(0));
    let names: BTreeSet<&str> = rows(&document)?.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(some));
    let adapted = document["adapted"].to_string();
    for what in ["hashKeyFile", "approvals", "pools.web.health: exec becomes tcp"] {
        ensure!(adapted.contains(what), "{what}: {adapted}");
    }
    assert_eq!(fs::read_to_string(&path)?, text);
    // The same by stdin.
    let (exit, document) = drill_with(fs::File::open(&path)?.into(), &["-f", "-", "--only", "half-file"])?;
    ensure_held(&document)?;
    assert_eq!((exit, &document["file"]), (Some(0), &"stdin".into()));
    assert_eq!(document["adapted"].to_string(), adapted);
    Ok(())
}

/// A daemon that asks nobody: what the drill is for, in a daemon that is broken.
#[test]
fn daemon_that_removes_what_nobody_approved_does_not_pass() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("holdfastd");
    let script = format!(
        "#!/bin/sh\nshift\nconfig=$1\nshift\n\
         sed -E 's/^( +)(remove|drain): [0-9]+$/\\1\\2: 0/' \"$config\" > \"$config.asks-nobody\"\n\
         exec {} --config \"$config.asks-nobody\" \"$@\"\n",
        Binaries::find()?.holdfastd().display()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let daemon = path.to_string_lossy().into_owned();
    let (exit, document) = drill(&["--holdfastd", &daemon, "--only", "unapproved", "--only", "killed"])?;
    assert_eq!(exit, Some(1));
    let [unapproved, killed] = &rows(&document)?[..] else {
        anyhow::bail!("two rows: {document}");
    };
    assert_eq!(unapproved["held"], false, "{unapproved}");
    assert_eq!(
        unapproved["removedUnapproved"],
        serde_json::json!(["vip/drill-spare"]),
        "{unapproved}"
    );
    assert_eq!(document["summary"]["removedUnapproved"], 1);
    assert_eq!(killed["held"], true, "{killed}");
    Ok(())
}

/// What a drill could leave: names of namespaces, mounts, its directory, processes.
fn footprint() -> Result<(BTreeSet<String>, bool, Vec<String>)> {
    let namespaces = fs::read_dir("/run/netns").map_or_else(
        |_| BTreeSet::new(),
        |all| {
            let names = all
                .filter_map(Result::ok)
                .map(|entry| entry.file_name().to_string_lossy().into_owned());
            // Other tests have some, by names of their own.
            names.filter(|name| !name.starts_with("hf-")).collect()
        },
    );
    let mounts = fs::read_to_string("/proc/mounts")?.contains("holdfast-drill");
    let mut processes = Vec::new();
    for process in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("/run/holdfast-drill/") {
            processes.push(line);
        }
    }
    Ok((namespaces, mounts, processes))
}

/// A drill whose daemon runs.
fn under_way() -> Result<Child> {
    let child = holdfast(&["--only", "hung"])?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait::until(Duration::from_mins(1), "a daemon of the drill", || {
        footprint()
            .is_ok_and(|(.., processes)| !processes.is_empty())
            .then_some(())
    })?;
    Ok(child)
}

#[test]
fn whatever_ends_a_drill_nothing_of_it_is_left() -> Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = footprint()?;
    ensure!(before.2.is_empty(), "another drill is under way: {before:?}");
    for (signal, code) in [
        (Signal::TERM, Some(130)),
        (Signal::INT, Some(130)),
        (Signal::KILL, None),
    ] {
        let mut child = under_way()?;
        end(child.id(), signal);
        let status = child.wait()?;
        assert_eq!(status.code(), code, "{signal:?}");
        let gone = || footprint().is_ok_and(|now| now == before).then_some(());
        wait::until(Duration::from_secs(30), "nothing is left", gone)
            .with_context(|| format!("after {signal:?}: {:?}", footprint()))?;
    }
    Ok(())
}

#[test]
fn drill_without_root_says_so_and_an_accident_that_there_is_not_is_none() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let directory = tempfile::tempdir()?;
    let own = directory.path().join("holdfast");
    fs::copy(Binaries::find()?.holdfast(), &own)?;
    let mut permissions = fs::metadata(directory.path())?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(directory.path(), permissions)?;
    let output = Command::new(&own).arg("drill").uid(70_011).gid(70_011).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(7) && said.contains("error[HF5003]"),
        "{said}"
    );
    let output = holdfast(&["--only", "rapture"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && said.contains("error[HF5007]"),
        "{said}"
    );
    Ok(())
}
