//! Every command, with the worst that it takes.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    glass,
    served::More,
    site::{Site, adding, digest_of, exported, plan_of},
};
use crate::lock::people::Person::Root;

/// How a command is tried.
#[derive(Clone, Copy)]
pub enum Tried {
    /// It only reads, or prints; typed all the same. A line each.
    Reads(&'static [&'static str]),
    /// It is refused, a line each.
    Refused(&'static [&'static str]),
    /// The first are refused; the others only show what would be.
    RefusedOrShown(&'static [&'static str], &'static [&'static str]),
    /// By hand.
    By(fn(&mut Site) -> Result<()>),
}

impl Tried {
    pub fn on(self, site: &mut Site) -> Result<()> {
        match self {
            Self::Reads(lines) => {
                for line in lines {
                    type_line(site, line)?;
                }
            }
            Self::Refused(lines) => {
                for line in lines {
                    let line = meant(site, line);
                    site.is_refused(&words(&line))?;
                }
            }
            Self::RefusedOrShown(refused, shown) => {
                Self::Refused(refused).on(site)?;
                Self::Reads(shown).on(site)?;
            }
            Self::By(tries) => tries(site)?,
        }
        Ok(())
    }
}

use Tried::{By, Reads, Refused, RefusedOrShown};

/// A command that is new has to say here how it is tried.
pub const COMMANDS: [(&str, Tried); 55] = [
    ("status", Reads(&["status"])),
    ("plan", By(plan)),
    ("preview", By(preview)),
    (
        "diff",
        Reads(&["diff --file CONFIG", "diff --from 1", "diff --from 1 --to 2"]),
    ),
    ("apply", By(apply)),
    ("confirm", By(confirm)),
    ("abort", By(abort)),
    ("rollback", By(rollback)),
    ("approve", By(approve)),
    ("reject", By(reject)),
    ("withdraw", By(withdraw)),
    ("approvals", Reads(&["approvals"])),
    ("hold", By(hold)),
    ("resume", Reads(&["resume"])),
    ("break-glass", By(break_glass)),
    ("recover", Reads(&["recover --dry-run", "recover"])),
    ("undelete", By(undelete)),
    (
        "wipe",
        Refused(&[
            "wipe --environment lab --message m --confirm-within 1h --wait",
            "wipe --environment production",
        ]),
    ),
    ("why-refused", By(why_refused)),
    ("history", Reads(&["history"])),
    ("show", Reads(&["show 1"])),
    ("vip list", Reads(&["vip list"])),
    ("vip show", Reads(&["vip show web4"])),
    (
        "vip maint",
        RefusedOrShown(
            &["vip maint web4 --message m", "vip maint raw4"],
            &["vip maint raw4 --plan"],
        ),
    ),
    (
        "vip ready",
        Reads(&["vip ready web4 --plan", "vip ready web4 --message m"]),
    ),
    (
        "vip reset",
        Reads(&["vip reset web4 --plan", "vip reset web4 --message m"]),
    ),
    ("pool list", Reads(&["pool list"])),
    ("pool show", Reads(&["pool show web"])),
    ("backend list", Reads(&["backend list"])),
    ("backend show", Reads(&["backend show web/be1"])),
    (
        "backend drain",
        RefusedOrShown(
            &[
                "backend drain web/be1",
                "backend drain web/be1 --deadline 1s --wait --message m",
            ],
            &["backend drain dns/be2 --plan"],
        ),
    ),
    (
        "backend maint",
        RefusedOrShown(
            &["backend maint web/be1 --message m", "backend maint dns/be2"],
            &["backend maint dns/be2 --plan"],
        ),
    ),
    (
        "backend ready",
        Reads(&["backend ready web/be1 --plan", "backend ready web/be1 --message m"]),
    ),
    (
        "backend weight",
        RefusedOrShown(
            &[
                "backend weight web/be1 0",
                "backend weight web/be1 1 --message m",
                "backend weight dns/be2 65535",
            ],
            &["backend weight dns/be2 0 --plan"],
        ),
    ),
    (
        "backend reset",
        // The file drains it.
        RefusedOrShown(
            &["backend reset web/be4", "backend reset web/be4 --message m"],
            &["backend reset web/be4 --plan"],
        ),
    ),
    (
        "attach",
        Reads(&["attach INTERFACE", "attach lo --message m --confirm-within 1s --wait"]),
    ),
    (
        "detach",
        Refused(&[
            "detach INTERFACE",
            "detach INTERFACE INTERFACE --message m --confirm-within 1s --wait",
        ]),
    ),
    ("why", Reads(&["why 198.51.100.7 40000 203.0.113.10 443 tcp"])),
    ("config check", Reads(&["config check CONFIG"])),
    ("config schema", Reads(&["config schema"])),
    (
        "config init",
        Reads(&["config init --environment lab --interface INTERFACE"]),
    ),
    ("export prometheus-rules", Reads(&["export prometheus-rules"])),
    ("export grafana", Reads(&["export grafana"])),
    ("export openapi", Reads(&["export openapi"])),
    ("man", Reads(&["man", "man --out ."])),
    ("bpf dump", Reads(&["bpf dump"])),
    ("bpf verify", Reads(&["bpf verify"])),
    ("journal list", Reads(&["journal list"])),
    (
        "journal verify",
        Reads(&[
            "journal verify",
            "journal verify --file STORE --key KEY",
            "journal verify --export CONFIG --key KEY",
            "journal verify --head 1:0000000000000000000000000000000000000000000000000000000000000000",
        ]),
    ),
    ("journal export", Reads(&["journal export --from 1"])),
    ("agent run", By(agent_run)),
    ("top", Reads(&["top --times 1 --interval 100ms"])),
    ("drill", By(drill)),
    (
        "doctor",
        Reads(&["doctor", "doctor --config CONFIG --state-dir STATE --pin-dir PINS"]),
    ),
    ("completions", Reads(&["completions bash"])),
];

/// With the words in capitals replaced by what they stand for.
fn meant(site: &Site, line: &str) -> String {
    let installation = &site.team.rig.installation;
    let state = installation.state.display().to_string();
    line.split(' ')
        .map(|word| match word {
            "CONFIG" => installation.config.display().to_string(),
            "STATE" => state.clone(),
            "STORE" => format!("{state}/holdfast.db"),
            "KEY" => format!("{state}/journal.key.pub"),
            "PINS" => installation.pins.display().to_string(),
            "INTERFACE" => site.interface(),
            other => other.to_owned(),
        })
        .collect::<Vec<String>>()
        .join(" ")
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn type_line(site: &mut Site, line: &str) -> Result<Option<i32>> {
    let line = meant(site, line);
    Ok(site.types(&words(&line), More::Nothing)?.code)
}

fn plan(site: &mut Site) -> Result<()> {
    for (what, file) in site.files()? {
        println!("-- {what}");
        let line = format!("plan --file {file} --remove vip/web4 --remove pool/web --out p.plan --detailed-exitcode");
        site.types(&words(&line), More::Nothing)?;
    }
    let line = "plan --file CONFIG --remove vip/web4 --sample 1s";
    type_line(site, line)?;
    Ok(())
}

/// Whatever is looked at, and with another program on the interface meanwhile.
fn preview(site: &mut Site) -> Result<()> {
    let (plan, digest) = waiting(site)?;
    for line in [
        format!("preview {plan}"),
        format!("preview {digest} --sample 1s"),
        format!("preview {digest} --sample 21s"),
    ] {
        site.types(&words(&line), More::Nothing)?;
    }
    site.is_locked(&["apply", &plan])
}

fn apply(site: &mut Site) -> Result<()> {
    for (what, file) in site.files()? {
        println!("-- {what}");
        let kept = site.team.desk.join("p.plan");
        if kept.is_file() {
            fs::remove_file(&kept)?;
        }
        site.types(&["plan", "--file", &file, "--out", "p.plan"], More::Nothing)?;
        if kept.is_file() {
            site.is_refused(&["apply", "p.plan"])?;
            site.is_refused(&words("apply p.plan --message m --confirm-within 1s --wait"))?;
        }
        site.is_refused(&["apply", "--file", &file, "--sample", "0s"])?;
        let line = format!("apply --file {file} --remove vip/web4 --remove backend/web/be1 --confirm-within 1h");
        site.is_refused(&words(&line))?;
    }
    Ok(())
}

/// A VIP more, on trial.
fn on_trial(site: &mut Site, name: &str, port: u16) -> Result<()> {
    let file = site.file("trial.yaml", &adding(&site.yaml, name, port))?;
    let line = format!("apply --file {file} --confirm-within 1h");
    let outcome = site.types(&words(&line), More::Adds)?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    Ok(())
}

fn confirm(site: &mut Site) -> Result<()> {
    site.is_refused(&["confirm"])?;
    on_trial(site, "kept4", 7002)?;
    site.yaml = adding(&site.yaml, "kept4", 7002);
    ensure!(type_line(site, "confirm")? == Some(0), "it was not confirmed");
    Ok(())
}

/// Takes away what it added itself, and nothing else.
fn abort(site: &mut Site) -> Result<()> {
    site.is_refused(&["abort"])?;
    let before = site.served.clone();
    on_trial(site, "gone4", 7003)?;
    site.served = before;
    let outcome = site.types(&["abort"], More::Adds)?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    Ok(())
}

/// Whatever is gone back to, something goes: a VIP that was added, or more.
fn rollback(site: &mut Site) -> Result<()> {
    on_trial(site, "new5", 7005)?;
    site.yaml = adding(&site.yaml, "new5", 7005);
    ensure!(type_line(site, "confirm")? == Some(0), "it was not confirmed");
    for line in [
        "rollback",
        "rollback --message m --confirm-within 1h --wait",
        "rollback 1",
        "rollback 2",
        "rollback 3 --confirm-within 1s",
        "rollback 4",
    ] {
        site.is_refused(&words(line))?;
    }
    Ok(())
}

/// A plan that waits for two; its file and digest.
fn waiting(site: &mut Site) -> Result<(String, String)> {
    let plan: Value = site.removal()?;
    let file = site.file("waits.plan", &exported(&plan)?)?;
    Ok((file, digest_of(&plan)?))
}

fn approve(site: &mut Site) -> Result<()> {
    let (plan, digest) = waiting(site)?;
    let key = site.key().to_string_lossy().into_owned();
    let signature = {
        let signature = site.signature(&plan_of(serde_json::from_str(&fs::read_to_string(&plan)?)?)?)?;
        site.file("own.sig", &signature)?
    };
    for line in [
        format!("approve {plan} --key {key} --as-author"),
        format!("approve {digest} --key {key}"),
        format!("approve {plan} --signature {signature}"),
        format!("approve {plan} --signature {signature} --as-author"),
        format!("approve {plan} --agent"),
        format!("approve {plan} --out signs.plan"),
    ] {
        site.types(&words(&line), More::Nothing)?;
        site.is_locked(&["apply", &plan])?;
    }
    Ok(())
}

fn reject(site: &mut Site) -> Result<()> {
    let (plan, digest) = waiting(site)?;
    site.types(&["reject", &digest, "--message", "m"], More::Nothing)?;
    site.is_refused(&["apply", &plan])
}

fn withdraw(site: &mut Site) -> Result<()> {
    let (plan, digest) = waiting(site)?;
    site.types(&["withdraw", &digest, "--message", "m"], More::Nothing)?;
    site.is_refused(&["apply", &plan])
}

fn hold(site: &mut Site) -> Result<()> {
    ensure!(type_line(site, "hold --message later")? == Some(0), "no hold");
    let (plan, _) = waiting(site)?;
    site.is_refused(&["apply", &plan])?;
    ensure!(type_line(site, "resume")? == Some(0), "it is on hold yet");
    site.is_locked(&["apply", &plan])
}

/// The exception.
fn break_glass(site: &mut Site) -> Result<()> {
    let outcome = site.types(&words("break-glass --message m --within 5h"), More::Nothing)?;
    ensure!(outcome.code == Some(64), "{outcome:?}");
    let outcome = site.types(&["break-glass", "--message", glass::WHY], More::Nothing)?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    glass::ensure_opens_loudly(site)?;
    ensure!(type_line(site, "break-glass --end")? == Some(0), "it is open yet");
    glass::ensure_is_shut(site)
}

fn undelete(site: &mut Site) -> Result<()> {
    site.is_refused(&words("undelete vip/nobody --confirm-within 1h --wait"))?;
    site.is_refused(&words("undelete vip/web4 pool/web"))?;
    let outcome = site.types(&words("undelete vip/dns6 --message m"), More::Adds)?;
    ensure!(outcome.code == Some(0), "{outcome:?}");
    let name = site.team.rig.installation.status()?.vips;
    name.iter()
        .find(|vip| vip.name == "dns6")
        .context("it did not come back")?;
    Ok(())
}

fn why_refused(site: &mut Site) -> Result<()> {
    let (plan, digest) = waiting(site)?;
    site.is_refused(&["why-refused", &plan])?;
    site.is_refused(&["why-refused", &digest])
}

/// A directory that the agent makes a bpffs of, which outlives it.
struct AgentsPins(PathBuf);

impl Drop for AgentsPins {
    fn drop(&mut self) {
        // Nothing is mounted there where the agent was not let in.
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).ok();
    }
}

/// On the balancer itself, on the balancer's interface, with the balancer's pins.
fn agent_run(site: &mut Site) -> Result<()> {
    let balancer = site.team.rig.network.balancer.name().to_owned();
    let inside = move |command: Command| -> Result<Command> {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &balancer]);
        inside.arg(command.get_program()).args(command.get_args());
        inside.current_dir(command.get_current_dir().context("a desk")?);
        Ok(inside)
    };
    let own = AgentsPins(site.team.desk.join("pins"));
    for pins in [site.team.rig.installation.pins.clone(), own.0.clone()] {
        for mode in ["native", "generic"] {
            let line = format!(
                "agent run --interface {} --from 10.255.0.0/16 --pin-dir {} --mode {mode}",
                site.interface(),
                pins.display()
            );
            let outcome = site.enters(&words(&line), More::Nothing, &inside)?;
            ensure!(outcome.code != Some(0), "{outcome:?}");
        }
    }
    // The daemon finds its own as they were.
    if site.who == Root {
        let outcome = site.types(&["bpf", "verify"], More::Nothing)?;
        ensure!(outcome.code == Some(0), "{outcome:?}");
    }
    Ok(())
}

/// On a host that serves, with what it serves: it has a daemon of its own, and
/// this one is not in it.
fn drill(site: &mut Site) -> Result<()> {
    site.types(&["drill", "--list"], More::Nothing)?;
    let daemon = site.team.rig.installation.binaries.holdfastd();
    let line = format!(
        "drill --file CONFIG --only empty-file --only killed --holdfastd {}",
        daemon.display()
    );
    let line = meant(site, &line);
    let outcome = site.types(&words(&line), More::Nothing)?;
    let expected = if site.who == Root { 0 } else { 7 };
    ensure!(outcome.code == Some(expected), "{outcome:?}");
    Ok(())
}
