//! Who is at the terminals, and what they see.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::{
    addresses::Family,
    config::{Fleet, STREAMS},
    contract::Status,
    daemon::Outcome,
    rig::{Layout, Rig},
    scrape::Scrape,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

pub const OPEN: usize = 24;
pub const SOON: Duration = Duration::from_secs(15);

/// What approvals are signed for.
pub const NAMESPACE: &str = "holdfast-plan-v1";

/// Users of the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Plans and applies.
    Ann,
    /// Approve.
    Ben,
    Cy,
    /// Has a key, and is nobody's approver at first.
    Eve,
    /// Who nobody knows: no login is behind it.
    Root,
}

impl Person {
    const ALL: [Self; 5] = [Self::Ann, Self::Ben, Self::Cy, Self::Eve, Self::Root];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ann => "ann",
            Self::Ben => "ben",
            Self::Cy => "cy",
            Self::Eve => "eve",
            Self::Root => "root",
        }
    }

    pub const fn uid(self) -> u32 {
        match self {
            Self::Ann => 70_011,
            Self::Ben => 70_012,
            Self::Cy => 70_013,
            Self::Eve => 70_014,
            Self::Root => 0,
        }
    }
}

/// `ann` has a key too: it must not count for her own plans. `dora` is the name
/// that root's key goes by.
const APPROVERS: [(&str, Person); 4] = [
    ("ann", Person::Ann),
    ("ben", Person::Ben),
    ("cy@example.net", Person::Cy),
    ("dora", Person::Root),
];

/// A balancer of three people: two approvals to remove something, one to take
/// capacity away.
pub struct Team {
    pub rig: Rig,
    pub desk: PathBuf,
    approvers: PathBuf,
    passwd: PathBuf,
    command: PathBuf,
}

impl Team {
    /// `further` are more lines of `protection`, with `further`'s own indent.
    pub fn build(further: &str) -> Result<Self> {
        Self::build_with(further, |yaml| yaml)
    }

    pub fn build_with(further: &str, adapt: impl FnOnce(String) -> String) -> Result<Self> {
        let layout = Layout::of(Shape::OneArm, 4).beside();
        let rig = Rig::without_daemon(&layout, |mut fleet| {
            let approvers = fleet.hash_key_file.with_file_name("approvers");
            fleet.protection = format!(
                "protection:\n  approvals: {{ approvers: {}, remove: 2, drain: 1, ttl: 10m }}\n{further}\
                 access: {{ operator: [\"uid:70011\"], approver: [\"uid:70012\", \"uid:70013\", \"uid:70014\"] }}\n",
                approvers.display()
            );
            fleet
        })?;
        let directory = rig.directory().to_owned();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let team = Self {
            desk: directory.join("desk"),
            approvers: directory.join("approvers"),
            passwd: directory.join("passwd"),
            command: directory.join("holdfast"),
            rig,
        };
        fs::create_dir(&team.desk)?;
        fs::set_permissions(&team.desk, fs::Permissions::from_mode(0o1777))?;
        fs::copy(team.rig.installation.binaries.holdfast(), &team.command)?;
        let mut passwd = fs::read_to_string("/etc/passwd")?;
        for person in Person::ALL {
            make_key(&team.key(person), person)?;
            let (name, uid) = (person.name(), person.uid());
            if uid != 0 {
                writeln!(passwd, "{name}:x:{uid}:{uid}::/:/bin/sh")?;
            }
        }
        fs::write(&team.passwd, passwd)?;
        team.write_approvers(&APPROVERS)?;
        fs::write(&team.rig.installation.config, adapt(team.rig.fleet.yaml()))?;
        let mut team = team;
        team.start()?;
        team.rig.wait_resolved()?;
        Ok(team)
    }

    /// The daemon sees a list of users with the team in it.
    pub fn start(&mut self) -> Result<()> {
        let script = format!(
            "mount --bind {} /etc/passwd && exec {} \"$@\"",
            self.passwd.display(),
            self.rig.installation.binaries.holdfastd().display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        self.rig.start_daemon_by(command)?;
        let socket = &self.rig.installation.socket;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
        Ok(())
    }

    pub fn key(&self, person: Person) -> PathBuf {
        self.desk.join(format!("key-{}", person.name()))
    }

    /// Writes the approvers' file with these.
    pub fn write_approvers(&self, all: &[(&str, Person)]) -> Result<()> {
        let mut text = String::new();
        for (name, person) in all {
            let public = fs::read_to_string(self.key(*person).with_extension("pub"))?;
            writeln!(text, "{name} namespaces=\"{NAMESPACE}\" {}", public.trim())?;
        }
        fs::write(&self.approvers, text)?;
        Ok(())
    }

    pub fn write_all_approvers(&self) -> Result<()> {
        self.write_approvers(&APPROVERS)
    }

    pub fn write_approvers_and(&self, name: &str, person: Person) -> Result<()> {
        self.write_approvers(&[&APPROVERS[..], &[(name, person)]].concat())
    }

    pub fn write_approvers_without(&self, person: Person) -> Result<()> {
        let left: Vec<_> = APPROVERS.into_iter().filter(|(_, of)| *of != person).collect();
        self.write_approvers(&left)
    }

    pub fn approvers(&self) -> &Path {
        &self.approvers
    }

    /// What they type.
    pub fn types(&self, person: Person, arguments: &[&str]) -> Result<Outcome> {
        enter(person, arguments, self.command(person))
    }

    /// The command line, at their terminal.
    pub fn command(&self, person: Person) -> Command {
        let uid = person.uid().to_string();
        let mut command = match person {
            Person::Root => Command::new(&self.command),
            Person::Ann | Person::Ben | Person::Cy | Person::Eve => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", &uid, "--regid", &uid, "--clear-groups"])
                    .arg(&self.command);
                command
            }
        };
        command
            .arg("--socket")
            .arg(&self.rig.installation.socket)
            .current_dir(&self.desk);
        command
    }

    /// It is refused, with this exit code and code.
    pub fn is_refused(&self, person: Person, arguments: &[&str], exit: i32, code: &str) -> Result<String> {
        let outcome = self.types(person, arguments)?;
        expect(&outcome, exit, code)?;
        Ok(outcome.said())
    }

    /// It works.
    pub fn does(&self, person: Person, arguments: &[&str]) -> Result<String> {
        let outcome = self.types(person, arguments)?;
        expect(&outcome, 0, "")?;
        Ok(outcome.said())
    }

    /// Ann plans a configuration; its file and digest.
    pub fn planned(&self, yaml: &str, name: &str) -> Result<(String, String)> {
        fs::write(&self.rig.installation.config, yaml)?;
        self.planned_as(Person::Ann, name)
    }

    pub fn planned_as(&self, person: Person, name: &str) -> Result<(String, String)> {
        let config = self.rig.installation.config.to_string_lossy().into_owned();
        let out = format!("{name}.plan");
        self.does(person, &["plan", "-f", &config, "--out", &out])?;
        let approvals: Value = serde_json::from_str(&self.types(Person::Ben, &["approvals", "-o", "json"])?.stdout)?;
        let plans = approvals["plans"].as_array().context("plans that wait")?;
        let newest = plans
            .iter()
            .max_by_key(|plan| plan["expires"].as_str().map(str::to_owned));
        let digest = newest.and_then(|plan| plan["plan"].as_str()).context("a plan waits")?;
        Ok((out, digest.to_owned()))
    }

    pub fn approves(&self, person: Person, digest: &str) -> Result<String> {
        let key = self.key(person).to_string_lossy().into_owned();
        self.does(person, &["approve", digest, "--key", &key])
    }

    pub fn log(&self) -> String {
        self.rig.daemon_log()
    }
}

/// What somebody types on a command line of theirs that was made ready.
pub fn enter(person: Person, arguments: &[&str], mut command: Command) -> Result<Outcome> {
    let output = command.args(arguments).output().context("running the command line")?;
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    println!(
        "{}$ holdfast {}\n{}= {:?}",
        person.name(),
        arguments.join(" "),
        outcome.said(),
        outcome.code
    );
    Ok(outcome)
}

/// The fleet without a VIP, and named.
pub fn without_vip(fleet: &Fleet, vip: &str) -> Fleet {
    let mut fleet = fleet.clone();
    fleet.vips.retain(|of| of.name != vip);
    fleet.removed.push(format!("vip/{vip}"));
    fleet
}

pub fn expect(outcome: &Outcome, exit: i32, code: &str) -> Result<()> {
    ensure!(
        outcome.code == Some(exit) && outcome.said().contains(code),
        "{:?}, not {exit} with {code:?}: {}",
        outcome.code,
        outcome.said()
    );
    Ok(())
}

/// Exit 0 on a rig of somebody alone, or 3 and so on.
pub fn alone(rig: &Rig, arguments: &[&str], exit: i32, code: &str) -> Result<String> {
    let outcome = rig.installation.run(arguments)?;
    println!(
        "$ holdfast {}\n{}= {:?}",
        arguments.join(" "),
        outcome.said(),
        outcome.code
    );
    expect(&outcome, exit, code)?;
    Ok(outcome.said())
}

/// Streams to the VIP `web4`.
pub fn streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(SOON, "open streams", |report| {
        report.open().filter(|record| record.backend.is_some()).count() == OPEN
    })?;
    Ok(load)
}

/// None broke, and none was opened anew.
pub fn ensure_flat(load: Load) -> Result<()> {
    let report = load.stop()?;
    ensure!(
        (report.connections(), report.completed()) == (OPEN, OPEN),
        "streams broke: {report}"
    );
    Ok(())
}

pub fn ensure_same(before: &Status, after: &Status) -> Result<()> {
    ensure!(
        (before.generation, before.revision, &before.digest) == (after.generation, after.revision, &after.digest),
        "something was changed: {before:?} {after:?}"
    );
    Ok(())
}

pub fn head(rig: &Rig) -> Result<String> {
    let said = rig.installation.run(&["status"])?.stdout;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

pub fn scrape(rig: &Rig) -> Result<Scrape> {
    Scrape::of_socket(&rig.installation.socket)
}

/// The newest entry of the journal of a kind.
pub fn last_entry(rig: &Rig, kind: &str) -> Result<Value> {
    let journal: Value = rig.installation.ask(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("entries")?;
    let found = entries.iter().rev().find(|entry| entry["kind"] == kind);
    found.cloned().with_context(|| format!("no {kind} in {journal}"))
}

fn make_key(path: &Path, person: Person) -> Result<()> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", person.name(), "-f"])
        .arg(path)
        .output()
        .context("running ssh-keygen")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    chown(path, Some(person.uid()), Some(person.uid()))?;
    Ok(())
}
