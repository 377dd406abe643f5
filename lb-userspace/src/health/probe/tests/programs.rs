//! exec.

use std::{fs, path::Path, time::Duration};

use super::{PATIENT, SHORT, probe, said};
use crate::config::Check;

fn shell(script: &str) -> Check {
    Check::Exec {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
    }
}

#[tokio::test]
async fn exit_code_decides_and_the_first_line_is_shown() {
    probe(shell("echo fine"), PATIENT).await.expect("it ends with 0");
    assert_eq!(said(probe(shell("exit 3"), PATIENT).await), "exit code 3");
    let failed = probe(shell("echo; echo replica is behind >&2; echo more; exit 1"), PATIENT).await;
    assert_eq!(said(failed), "exit code 1: replica is behind");
    assert_eq!(said(probe(shell("kill -9 $$"), PATIENT).await), "ended by signal 9");
}

#[tokio::test]
async fn program_that_is_missing_is_named() {
    let check = Check::Exec {
        command: vec!["/nowhere/check".to_owned()],
    };
    let failed = said(probe(check, PATIENT).await);
    assert!(
        failed.starts_with("/nowhere/check cannot be run: No such file"),
        "{failed}"
    );
}

#[tokio::test]
async fn environment_holds_what_is_checked_and_nothing_of_ours() {
    let failed = probe(
        shell("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^PATH= | sort | tr '\\n' ' '; exit 1"),
        PATIENT,
    )
    .await;
    assert_eq!(
        said(failed),
        "exit code 1: HOLDFAST_ADDRESS=127.0.0.1 HOLDFAST_BACKEND=be1 HOLDFAST_POOL=web"
    );
}

#[tokio::test]
async fn input_is_empty_and_endless_output_is_no_obstacle() {
    probe(shell("! read line"), PATIENT).await.expect("there is no input");
    probe(shell("head -c 1000000 /dev/zero"), PATIENT)
        .await
        .expect("output is read");
}

#[tokio::test]
async fn what_it_leaves_behind_neither_delays_the_verdict_nor_lives_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let pid = directory.path().join("pid");
    // The background process holds the pipe open.
    let script = format!("sleep 1000 & echo $! > {}", pid.display());
    probe(shell(&script), PATIENT).await.expect("it ends with 0");
    gone(&pid).await;
}

#[tokio::test]
async fn program_and_its_children_are_ended_at_the_timeout() {
    let directory = tempfile::tempdir().expect("a directory");
    let pid = directory.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    assert_eq!(said(probe(shell(&script), SHORT).await), "no answer within 300ms");
    gone(&pid).await;
}

/// Waits until the process is gone, or only its entry is left.
async fn gone(pid: &Path) {
    let pid = fs::read_to_string(pid).expect("the script ran");
    let state = format!("/proc/{}/stat", pid.trim());
    for _ in 0..1000 {
        match fs::read_to_string(&state) {
            Err(_) => return,
            Ok(stat) if stat.contains(") Z ") => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("{pid} lives on");
}
