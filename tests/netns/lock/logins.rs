//! Who is behind a key or behind root: agents of OpenSSH that sign, and the login
//! name that the kernel keeps over sudo.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use support::{process::Process, wait};

use super::people::{
    Person::{self, Ann, Ben, Cy, Eve, Root},
    SOON, Team, ensure_flat, ensure_same, enter, expect, last_entry, streams, without_vip,
};

/// Somebody's ssh-agent; ended when dropped.
struct Agent {
    _process: Process,
    socket: PathBuf,
}

impl Agent {
    fn start(team: &Team, person: Person, keys: &[Person]) -> Result<Self> {
        let socket = team.desk.join(format!("agent-{}", person.name()));
        let uid = person.uid().to_string();
        let as_them = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", program]);
            command
        };
        let mut command = as_them("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let log = team.desk.join(format!("agent-{}.log", person.name()));
        let mut process = Process::start_here(command, &log)?;
        process.wait_ready("ssh-agent", SOON, || socket.exists())?;
        for of in keys {
            // Keys are readable by their owners alone.
            let key = team.desk.join(format!("{}-of-{}", of.name(), person.name()));
            fs::copy(team.key(*of), &key)?;
            std::os::unix::fs::chown(&key, Some(person.uid()), Some(person.uid()))?;
            let output = as_them("ssh-add")
                .arg(&key)
                .env("SSH_AUTH_SOCK", &socket)
                .output()
                .context("running ssh-add")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self {
            _process: process,
            socket,
        })
    }
}

fn approve_by(team: &Team, agent: &Agent, person: Person, words: &[&str]) -> Result<support::daemon::Outcome> {
    let mut command = team.command(person);
    command.env("SSH_AUTH_SOCK", &agent.socket);
    enter(person, words, command)
}

fn fingerprint(team: &Team, person: Person) -> Result<String> {
    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(team.key(person).with_extension("pub"))
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    Ok(said.split_whitespace().nth(1).context("a fingerprint")?.to_owned())
}

#[test]
fn keys_of_agents_approve_and_the_plan_is_applied() -> Result<()> {
    let team = Team::build("")?;
    let load = streams(&team.rig)?;
    let before = team.rig.installation.status()?;
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    // Eve's key is there, too, and may not: Ben's is the only one that may.
    let ben = Agent::start(&team, Ben, &[Eve, Ben])?;
    expect(&approve_by(&team, &ben, Ben, &["approve", &digest, "--agent"])?, 0, "")?;
    team.is_refused(Ann, &["apply", &plan], 3, "1 of 2 approvals")?;
    // Two may, and Cy says which.
    let cy = Agent::start(&team, Cy, &[Ben, Cy])?;
    let outcome = approve_by(&team, &cy, Cy, &["approve", &digest, "--agent"])?;
    ensure!(outcome.code != Some(0), "whose approval is it? {outcome:?}");
    let eve = fingerprint(&team, Eve)?;
    let outcome = approve_by(&team, &ben, Ben, &["approve", &digest, "--agent", &eve])?;
    ensure!(outcome.code != Some(0), "eve approves nothing: {outcome:?}");
    let own = Agent::start(&team, Ann, &[Ann])?;
    let outcome = approve_by(&team, &own, Ann, &["approve", &digest, "--agent"])?;
    expect(&outcome, 3, "HF2117")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    let cys = fingerprint(&team, Cy)?;
    expect(
        &approve_by(&team, &cy, Cy, &["approve", &digest, "--agent", &cys])?,
        0,
        "",
    )?;
    team.does(Ann, &["apply", &plan])?;
    let intent = last_entry(&team.rig, "intent")?;
    let by = &intent["payload"]["approvedBy"];
    ensure!(*by == serde_json::json!(["ben", "cy@example.net"]), "{intent}");
    team.does(Ann, &["confirm"])?;
    ensure_flat(load)
}

#[test]
fn approval_without_an_agent_says_so_and_changes_nothing() -> Result<()> {
    let team = Team::build("")?;
    let (_, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    let ben = Agent::start(&team, Ben, &[Ben])?;
    let socket = ben.socket.clone();
    drop(ben);
    wait::until(SOON, "the agent is gone", || {
        (!socket.exists() || std::os::unix::net::UnixStream::connect(&socket).is_err()).then_some(())
    })?;
    let mut command = team.command(Ben);
    command.env("SSH_AUTH_SOCK", &socket);
    let outcome = enter(Ben, &["approve", &digest, "--agent"], command)?;
    expect(&outcome, 1, "HF21")?;
    let waiting = team.does(Ben, &["approvals"])?;
    ensure!(!waiting.contains("ben "), "{waiting}");
    Ok(())
}

/// Root after somebody's login, as by sudo.
fn sudo(team: &Team, person: Person, words: &[&str]) -> Result<support::daemon::Outcome> {
    let root = team.command(Root);
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo \"$0\" > /proc/self/loginuid && exec \"$@\""])
        .arg(person.uid().to_string())
        .arg(root.get_program())
        .args(root.get_args())
        .current_dir(&team.desk);
    enter(Root, words, command)
}

#[test]
fn behind_root_stands_who_logged_in_and_does_not_approve_their_own_plan() -> Result<()> {
    let login = fs::read_to_string("/proc/self/loginuid").context("this kernel keeps no login names")?;
    ensure!(
        login.trim() == "4294967295",
        "a login is behind this test, and the kernel lets nobody set another: run it from a service"
    );
    let team = Team::build("")?;
    let before = team.rig.installation.status()?;
    fs::write(
        &team.rig.installation.config,
        without_vip(&team.rig.fleet, "raw4").yaml(),
    )?;
    let config = team.rig.installation.config.to_string_lossy().into_owned();
    expect(
        &sudo(&team, Ben, &["plan", "-f", &config, "--out", "sudo.plan"])?,
        0,
        "HF2064",
    )?;
    let plan = fs::read_to_string(team.desk.join("sudo.plan"))?;
    let plan: serde_json::Value = serde_json::from_str(&plan)?;
    ensure!(plan["author"] == "ben", "the author is {}", plan["author"]);

    // Neither as himself nor as root, which he is.
    let own = team.key(Ben).to_string_lossy().into_owned();
    let approve = ["approve", "sudo.plan", "--key", &own];
    team.is_refused(Ben, &approve, 3, "HF2117")?;
    expect(&sudo(&team, Ben, &approve)?, 3, "HF2117")?;
    team.approves(Cy, "sudo.plan")?;
    let outcome = sudo(&team, Ben, &["apply", "sudo.plan"])?;
    expect(&outcome, 3, "1 of 2 approvals")?;
    ensure_same(&before, &team.rig.installation.status()?)?;

    // Two others, one of them an operator.
    team.approves(Ann, "sudo.plan")?;
    expect(&sudo(&team, Ben, &["apply", "sudo.plan"])?, 0, "on trial until")?;
    let intent = last_entry(&team.rig, "intent")?;
    ensure!(intent["author"] == "ben", "{intent}");
    expect(&sudo(&team, Ben, &["confirm"])?, 0, "")?;
    Ok(())
}
