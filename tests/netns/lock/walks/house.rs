//! The real daemon, and what the people of the model do to it.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lock_model::{Content, Key, Keys, Name, OnTrial, Person as Modelled};
use serde_json::json;
use support::{api, config::RAW};

use super::seen::Seen;
use crate::lock::{
    people::{
        Person::{self, Ann, Ben, Cy, Eve, Root},
        Team, last_entry,
    },
    ways::{adding, digest_of, dropped, plan_of},
};

/// No limit refuses anything and nothing is on trial unless somebody says so:
/// what is left is the lock.
const RULES: &str = "  liveVipWindow: 0s\n  requireDrain: false\n  maxTrafficAffected: 100%\n  minCapacityLeft: 0%\n  \
     confirm: { default: 0s }\n";

/// The shortest time that plans may wait, and one that no walk takes.
pub const SHORT_TTL: u64 = 1;
pub const LONG_TTL: u64 = 30;

/// Of trials and glasses that are meant to end by themselves.
const SOON: &str = "8s";
const SOON_S: Duration = Duration::from_secs(8);

/// Who starts beside another daemon is told so, and ends; it has no code of its own
/// for that, but the store's.
pub const IN_USE: &str = "HF4002";

/// The VIP that one plan adds, at a port of its own.
const EXTRA: u16 = 9100;

/// A time at which something ends by itself: no earlier, and no later.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    earliest: Instant,
    latest: Instant,
}

impl Due {
    /// Of something that began between `since` and now.
    fn after(since: Instant, time: Duration) -> Self {
        // Clocks of the data plane tick once in 1.07 s.
        let slack = Duration::from_millis(1500);
        Self {
            earliest: since + time,
            latest: Instant::now() + time + slack,
        }
    }

    /// It would come into the middle of the next step.
    pub fn is_near(self) -> bool {
        Instant::now() + Duration::from_secs(4) > self.earliest
    }

    pub fn wait(self) {
        thread::sleep(self.latest.saturating_duration_since(Instant::now()));
    }
}

/// What somebody got: done, or the code of the refusal.
pub type Answer = Result<(), String>;

/// A plan that was made: its file, its digest.
#[derive(Clone, Debug)]
pub struct Made {
    pub file: String,
    pub digest: String,
    pub due: Due,
}

pub struct House {
    pub team: Team,
    first: String,
    /// Of plans, minutes.
    ttl: u64,
    pub plans: [Option<Made>; 3],
    /// Digests of contents, as their plans say them.
    pub digests: HashMap<Content, String>,
    pub trial: Option<Due>,
    pub glass: Option<Due>,
}

pub const fn person(person: Modelled) -> Person {
    match person {
        Modelled::Ann => Ann,
        Modelled::Bob => Ben,
        Modelled::Cid => Cy,
        Modelled::Eve => Eve,
    }
}

/// The names in the approvers' file.
pub const fn name(person: Modelled) -> &'static str {
    match person {
        Modelled::Ann => "ann",
        Modelled::Bob => "ben",
        Modelled::Cid => "cy@example.net",
        Modelled::Eve => "eve",
    }
}

/// Whose key of the team's is this one.
const fn holder(key: Key) -> Person {
    match key {
        Key::Ann => Ann,
        Key::Bob => Ben,
        Key::Cid => Cy,
        Key::Spare => Root,
        Key::Eve => Eve,
    }
}

impl House {
    pub fn build(ttl: u64) -> Result<Self> {
        let team = Team::build_with(RULES, |yaml| {
            yaml.replace("ttl: 10m", &format!("ttl: {ttl}m"))
                .replace("operator: [\"uid:70011\"]", "operator: [\"uid:70011\", \"uid:70012\"]")
        })?;
        let first = fs::read_to_string(&team.rig.installation.config)?;
        Ok(Self {
            team,
            first,
            ttl,
            plans: [const { None }; 3],
            digests: HashMap::new(),
            trial: None,
            glass: None,
        })
    }

    /// Another daemon with a journal of its own, which serves generation 1.
    pub fn begin(&mut self) -> Result<()> {
        if self.is_up() {
            self.team.rig.kill_daemon()?;
        }
        let installation = &self.team.rig.installation;
        remove(&installation.pins)?;
        remove(&installation.state)?;
        fs::create_dir(&installation.state)?;
        fs::write(&installation.config, self.yaml(Content::default()))?;
        self.write_signers(Content::default().signers())?;
        self.plans = [const { None }; 3];
        self.digests.clear();
        (self.trial, self.glass) = (None, None);
        self.start()
    }

    pub const fn is_up(&self) -> bool {
        self.team.rig.is_up()
    }

    pub fn start(&mut self) -> Result<()> {
        self.team.start()?;
        self.team.rig.wait_resolved()?;
        Ok(())
    }

    pub fn crash(&mut self) -> Result<()> {
        self.team.rig.kill_daemon()
    }

    /// Somebody empties the pins while no daemon holds what they pin.
    pub fn lose_pins(&self) -> Result<()> {
        remove(&self.team.rig.installation.pins)
    }

    /// A second daemon: on the same state, and on the same pins.
    pub fn start_another(&self) -> Result<Answer> {
        let installation = &self.team.rig.installation;
        let elsewhere = self.team.rig.directory().join("another");
        for (state, pins, says) in [
            (&installation.state, &installation.pins, IN_USE),
            (&elsewhere, &installation.pins, "another daemon has the pins"),
        ] {
            let mut command = Command::new(installation.binaries.holdfastd());
            command
                .arg("--config")
                .arg(&installation.config)
                .arg("--state-dir")
                .arg(state)
                .arg("--socket")
                .arg(elsewhere.with_extension("sock"))
                .arg("--pin-dir")
                .arg(pins);
            let output = self.team.rig.network.balancer.run(|| command.output())??;
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            let said = format!("{err}{out}");
            ensure!(
                !output.status.success() && said.contains(says),
                "a second daemon on {} and {}: {said}",
                state.display(),
                pins.display()
            );
        }
        Ok(Err(IN_USE.to_owned()))
    }

    /// The file that means this content.
    fn yaml(&self, content: Content) -> String {
        let mut yaml = self.first.clone();
        if content.has(Name::Safe) {
            yaml = adding(&yaml, "extra4", EXTRA);
        }
        if content.has(Name::Risky) {
            yaml = format!("{}removed: [vip/raw4]\n", dropped(&yaml, "name: raw4,"));
        }
        yaml
    }

    pub fn write_signers(&self, keys: Keys) -> Result<()> {
        let lines: Vec<_> = keys.iter().map(|key| (name(key.owner()), holder(key))).collect();
        self.team.write_approvers(&lines)
    }

    /// Plans; the plan brings the signers of its content, whatever the file says
    /// otherwise.
    pub fn make(&mut self, plan: Name, base: Content, on_disk: Keys) -> Result<()> {
        let content = base.with(plan);
        fs::write(&self.team.rig.installation.config, self.yaml(content))?;
        self.write_signers(content.signers())?;
        let config = self.team.rig.installation.config.to_string_lossy().into_owned();
        let file = format!("{plan:?}.plan");
        let since = Instant::now();
        let author = person(plan.author());
        let path = self.team.desk.join(&file);
        let outcome = self.team.types(author, &["plan", "-f", &config, "--out", &file])?;
        self.write_signers(on_disk)?;
        ensure!(outcome.code == Some(0), "{outcome:?}");
        let made = plan_of(serde_json::from_str(&fs::read_to_string(path)?)?)?;
        let needs = if plan.is_risky() { lock_model::NEEDS } else { 0 };
        ensure!(made["needs"] == needs, "{made}");
        self.digests.insert(content, digest_of(&made["target"])?);
        let running = made["base"]["digest"].as_str().context("a base")?;
        self.digests.insert(base, running.to_owned());
        self.plans[plan as usize] = Some(Made {
            file,
            digest: digest_of(&made)?,
            due: Due::after(since, Duration::from_mins(self.ttl)),
        });
        Ok(())
    }

    pub fn made(&self, plan: Name) -> Result<Made> {
        self.plans[plan as usize].clone().context("a plan that was made")
    }

    pub fn approve(&self, plan: Name, key: Key) -> Result<Answer> {
        let digest = self.made(plan)?.digest;
        let file = self.team.key(holder(key)).to_string_lossy().into_owned();
        // Who hands it in does not matter, and reads the key.
        self.types(holder(key), &["approve", &digest, "--key", &file])
    }

    pub fn reject(&self, plan: Name) -> Result<Answer> {
        let digest = self.made(plan)?.digest;
        self.types(Cy, &["reject", &digest, "-m", "no"])
    }

    pub fn apply(&mut self, plan: Name, trial: OnTrial, short: bool) -> Result<Answer> {
        let made = self.made(plan)?;
        let within = if short { SOON } else { "1h" };
        let mut words = vec!["apply", made.file.as_str()];
        if trial == OnTrial::Yes {
            words.extend(["--confirm-within", within]);
        }
        let since = Instant::now();
        let answer = self.types(person(plan.author()), &words)?;
        if answer.is_ok() && trial == OnTrial::Yes && short {
            self.trial = Some(Due::after(since, SOON_S));
        }
        Ok(answer)
    }

    /// An apply in the middle of which the daemon is killed. By the API: a process
    /// takes longer to start than the daemon to apply.
    pub fn tear(&mut self, plan: Name, trial: OnTrial, after: Duration) -> Result<()> {
        let path = self.team.desk.join(self.made(plan)?.file);
        let made = plan_of(serde_json::from_str(&fs::read_to_string(path)?)?)?;
        let mut request = json!({ "plan": made, "digest": digest_of(&made)? });
        if trial == OnTrial::Yes {
            request["confirmWithin"] = json!(3600);
        }
        let socket = self.team.rig.installation.socket.clone();
        let uid = person(plan.author()).uid();
        let asking = thread::spawn(move || api::ask_as(uid, &socket, "POST", "/v1/apply", &request));
        thread::sleep(after);
        self.crash()?;
        // An answer, or none: it is seen what became of it.
        asking.join().map(drop).map_err(|_| anyhow!("who asked panicked"))
    }

    /// What the last start made of an intent without an outcome, if it was the last
    /// entry of its kind.
    pub fn settled(&self) -> Result<String> {
        let outcome = last_entry(&self.team.rig, "outcome")?;
        let result = outcome["payload"]["result"].as_str();
        Ok(result.context("a result")?.to_owned())
    }

    pub fn break_glass(&mut self, short: bool) -> Result<Answer> {
        let within = if short { SOON } else { "15m" };
        let since = Instant::now();
        let answer = self.types(Root, &["break-glass", "-m", "fire", "--within", within])?;
        self.glass = (answer.is_ok() && short).then(|| Due::after(since, SOON_S));
        Ok(answer)
    }

    pub fn mend_glass(&mut self) -> Result<Answer> {
        self.glass = None;
        self.types(Ann, &["break-glass", "--end"])
    }

    /// Confirms it, or takes it back.
    pub fn end_trial(&mut self, command: &str) -> Result<Answer> {
        let answer = self.types(Ben, &[command])?;
        if answer.is_ok() {
            self.trial = None;
        }
        Ok(answer)
    }

    pub fn types(&self, who: Person, words: &[&str]) -> Result<Answer> {
        let outcome = self.team.types(who, words)?;
        match outcome.code {
            Some(0) => Ok(Ok(())),
            _ => Ok(Err(code_in(&outcome.said()).with_context(|| format!("{outcome:?}"))?)),
        }
    }

    pub fn see(&self) -> Result<Seen> {
        Seen::by(&self.team.rig, &[("raw4", RAW.port), ("extra4", EXTRA)])
    }

    /// The program is on the interface, or nowhere.
    pub fn is_attached(&self) -> Result<bool> {
        let links = self.team.rig.network.balancer.ip("link show")?;
        Ok(links.contains("prog/xdp"))
    }

    /// Nothing of the kernel or the journal is otherwise than the daemon says.
    pub fn ensure_sound(&self) -> Result<()> {
        for check in ["bpf", "journal"] {
            let outcome = self.team.types(Root, &[check, "verify"])?;
            ensure!(outcome.code == Some(0), "{check}: {outcome:?}");
        }
        Ok(())
    }

    /// By what the last intent says the lock was opened: approvals, a glass.
    pub fn opened(&self) -> Result<(usize, bool)> {
        let intent = last_entry(&self.team.rig, "intent")?;
        let by = intent["payload"]["approvedBy"].as_array().map_or(0, Vec::len);
        Ok((by, intent["payload"]["glass"] == true))
    }
}

/// The first code that is said.
fn code_in(said: &str) -> Option<String> {
    let at = said.find("error[HF").map(|at| at + 6).or_else(|| said.find("HF"))?;
    said.get(at..at + 6).map(str::to_owned)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => bail!("{}: {error}", path.display()),
    }
}
