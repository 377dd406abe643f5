//! Users of the host at the daemon's socket: the kernel says who they are, the
//! running generation what they may.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use anyhow::{Context, Result, ensure};
use support::{
    contract::Applied,
    rig::{Layout, Rig},
    topology::Shape,
};

const ACCESS: &str = "access: { viewer: [\"uid:70001\"], operator: [\"gid:70800\"], admin: [\"uid:70004\"] }\n";
const VIEWER: u32 = 70_001;
const OPERATOR: u32 = 70_003;
const ADMIN: u32 = 70_004;
const STRANGER: u32 = 70_009;

/// Other users may reach the socket and the command.
fn opened(rig: &Rig) -> Result<PathBuf> {
    let socket = &rig.installation.socket;
    let directory = socket.parent().context("a directory")?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
    let command = directory.join("holdfast");
    fs::copy(rig.installation.binaries.holdfast(), &command)?;
    Ok(command)
}

/// Runs the command as another user, with one supplementary group.
fn run_as(rig: &Rig, command: &PathBuf, uid: u32, group: u32, arguments: &[&str]) -> Result<Output> {
    let (uid, group) = (uid.to_string(), group.to_string());
    let output = Command::new("setpriv")
        .args(["--reuid", &uid, "--regid", &uid, "--groups", &group])
        .arg(command)
        .arg("--socket")
        .arg(&rig.installation.socket)
        .args(arguments)
        .output();
    output.context("running setpriv")
}

#[test]
fn users_may_what_the_running_generation_says_and_the_journal_has_them() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::OneArm, 3))?;
    let command = opened(&rig)?;
    let exit = |uid, group, arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = run_as(&rig, &command, uid, group, arguments)?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    // Without `access`: who opens the socket looks.
    let weight = ["backend", "weight", "web/be1", "50"];
    assert_eq!(exit(STRANGER, 1, &["status"])?.0, Some(0));
    let (code, said) = exit(STRANGER, 1, &weight)?;
    ensure!(
        code == Some(7) && said.contains("HF5003") && said.contains("root"),
        "{code:?} {said}"
    );

    // The file's `access` is nothing until it runs.
    let file = rig.installation.config.to_string_lossy().into_owned();
    fs::write(&file, format!("{}{ACCESS}", rig.fleet.yaml()))?;
    assert_eq!(exit(OPERATOR, 70_800, &weight)?.0, Some(7));
    let _: Applied = rig.installation.ask(&["apply", "-f", &file])?;
    assert_eq!(exit(VIEWER, 1, &["status"])?.0, Some(0));
    assert_eq!(exit(STRANGER, 1, &["status"])?.0, Some(7));
    let (code, said) = exit(VIEWER, 1, &weight)?;
    ensure!(
        code == Some(7) && said.contains("is viewer; this needs the role operator"),
        "{code:?} {said}"
    );
    ensure!(said.contains("gid:70800"), "it says who can: {said}");
    assert_eq!(
        exit(VIEWER, 1, &["backend", "weight", "web/be1", "50", "--plan"])?.0,
        Some(0)
    );
    let (code, said) = exit(OPERATOR, 70_800, &weight)?;
    assert_eq!(code, Some(0), "{said}");
    let journal = rig.installation.run(&["journal", "list", "-o", "json"])?.stdout;
    ensure!(
        journal.contains("\"uid\":70003") && journal.contains("\"pid\":"),
        "{journal}"
    );

    // Who may do what is of admins alone.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    fs::write(&file, rig.fleet.yaml())?;
    let (code, said) = exit(OPERATOR, 70_800, &["apply", "-f", &file])?;
    ensure!(
        code == Some(7) && said.contains("needs the role admin"),
        "{code:?} {said}"
    );
    let (code, said) = exit(ADMIN, 1, &["apply", "-f", &file])?;
    assert_eq!(code, Some(0), "{said}");
    Ok(())
}

#[test]
fn ten_thousand_connections_of_a_user_do_not_lock_root_out() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::OneArm, 2))?;
    opened(&rig)?;
    let socket = rig.installation.socket.clone();
    let flood = thread::spawn(move || -> Result<usize> {
        let uid = rustix::process::Uid::from_raw(STRANGER);
        // Of this thread alone; the connection is its.
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        let mut held = std::collections::VecDeque::new();
        for _ in 0..10_000 {
            held.push_back(UnixStream::connect(&socket)?);
            if held.len() > 400 {
                held.pop_front();
            }
        }
        Ok(held.len())
    });
    let mut answers = 0;
    while !flood.is_finished() || answers < 5 {
        let outcome = rig.installation.run(&["status"])?;
        assert_eq!(outcome.code, Some(0), "{}", outcome.said());
        answers += 1;
    }
    let held = flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
    println!("{answers} answers to root meanwhile; {held} connections were left open");
    Ok(())
}
