//! A balancer with a past that every way can be tried on, and somebody who tries.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{
    api::{self, Answer},
    daemon::Outcome,
    streams::Load,
};

use super::{
    inputs::{FILES, dropped, gone},
    served::{More, Served},
};
use crate::lock::people::{
    NAMESPACE,
    Person::{self, Ann, Ben, Cy},
    Team, enter, streams,
};

/// What was removed before, by the approvals it takes.
pub const REMOVED: &str = "removed: [vip/raw6, vip/dns6";

/// Everything that somebody could do alone, one after the other.
pub struct Site {
    pub team: Team,
    pub load: Load,
    /// Who tries: no approval of anybody else is given.
    pub who: Person,
    /// The file that means what is served.
    pub yaml: String,
    pub served: Served,
    /// Options and keys of bodies that were tried.
    pub tried: BTreeSet<String>,
    /// Refusals by their codes, for whoever reads what the test prints.
    pub codes: BTreeMap<String, usize>,
    pub refused: usize,
}

impl Site {
    /// Generation 1 has a backend that the file drains; generation 2 has it ready
    /// by command; generation 3 has two VIPs less, as two people approved; 4 has a
    /// VIP more. So there is something to go back to, to reset and to undelete.
    pub fn build(who: Person) -> Result<Self> {
        let team = Team::build_with("", |yaml| {
            let line = yaml
                .lines()
                .find(|line| line.contains("name: be4,"))
                .unwrap_or_default();
            let drained = line.replace("state: ready", "state: drain");
            // Slots stay dirty as long as this takes: else flows would come home meanwhile.
            yaml.replace(
                "    backends:\n",
                "    drain: { idle: 1h, deadline: 2h }\n    backends:\n",
            )
            .replacen(line, &drained, 1)
            .replacen("access: { operator:", "access: { admin:", 1)
        })?;
        let first = fs::read_to_string(&team.rig.installation.config)?;
        ensure!(first.contains("state: drain") && first.contains("admin:"), "{first}");
        team.does(Ann, &["backend", "ready", "web/be4"])?;
        let fewer = dropped(&dropped(&first, "name: raw6,"), "name: dns6,");
        let fewer = format!("{fewer}{REMOVED}]\n");
        let (plan, digest) = team.planned(&fewer, "before")?;
        team.approves(Ben, &digest)?;
        team.approves(Cy, &digest)?;
        team.does(Ann, &["apply", &plan])?;
        team.does(Ann, &["confirm"])?;
        let yaml = adding(&fewer, "new4", 7001);
        fs::write(&team.rig.installation.config, &yaml)?;
        let config = team.rig.installation.config.to_string_lossy().into_owned();
        team.does(Ann, &["apply", "-f", &config])?;
        let status = team.rig.wait_resolved()?;
        ensure!(status.generation == 4, "{status:?}");
        let load = streams(&team.rig)?;
        let served = Served::by(&team.rig)?;
        Ok(Self {
            team,
            load,
            who,
            yaml,
            served,
            tried: BTreeSet::new(),
            codes: BTreeMap::new(),
            refused: 0,
        })
    }

    /// Whether all is served that was, after `what`.
    pub fn check(&mut self, what: &str, more: More) -> Result<()> {
        let now = Served::by(&self.team.rig).with_context(|| what.to_owned())?;
        now.ensure_not_less(&self.served, more)
            .with_context(|| format!("after {what}, by {:?}", self.who))?;
        if more == More::Adds {
            self.served = now;
        }
        Ok(())
    }

    pub const fn generation(&self) -> u64 {
        self.served.generation
    }

    pub fn interface(&self) -> String {
        self.team.rig.fleet.interfaces[0].name.clone()
    }

    pub fn socket(&self) -> &std::path::Path {
        &self.team.rig.installation.socket
    }

    fn note_refusal(&mut self, code: &str) {
        self.refused += 1;
        *self.codes.entry(code.to_owned()).or_default() += 1;
    }

    // By the API.

    /// Asks, and looks; what was sent is noted.
    pub fn asks(&mut self, path: &str, body: &Value, more: More) -> Result<Answer> {
        let keys = body.as_object().into_iter().flat_map(|body| body.keys().cloned());
        self.tried.extend(keys);
        let answer = api::ask_as(self.who.uid(), self.socket(), "POST", path, body)?;
        let said = answer.body["message"].as_str().unwrap_or_default();
        let short: String = body.to_string().chars().take(100).collect();
        println!("POST {path} {short} = {} {} {said}", answer.status, answer.body["code"]);
        self.check(&format!("POST {path} {body}"), more)?;
        if !answer.is_success() {
            self.note_refusal(answer.body["code"].as_str().unwrap_or("none"));
        }
        Ok(answer)
    }

    /// Asks for a plan, and hands in what comes; whether it was applied.
    pub fn hands_in(&mut self, path: &str, body: &Value, more: More) -> Result<bool> {
        let answer = self.asks(path, body, More::Nothing)?;
        if !answer.is_success() {
            return Ok(false);
        }
        let plan = plan_of(answer.body)?;
        let apply = json!({ "plan": plan, "digest": digest_of(&plan)? });
        let answer = self.asks("/v1/apply", &apply, more)?;
        Ok(answer.is_success() && answer.body["unchanged"] == false)
    }

    /// It must not be applied.
    pub fn is_kept_from(&mut self, path: &str, body: &Value) -> Result<()> {
        let applied = self.hands_in(path, body, More::Nothing)?;
        ensure!(!applied, "applied by {:?}: {path} {body}", self.who);
        Ok(())
    }

    /// A plan of a text, by the API.
    pub fn plan(&mut self, text: &str) -> Result<Value> {
        let answer = self.asks("/v1/plan", &plan_request(text), More::Nothing)?;
        ensure!(answer.is_success(), "{answer:?}");
        plan_of(answer.body)
    }

    /// The plan that takes a quiet VIP away, and waits for two approvals.
    pub fn removal(&mut self) -> Result<Value> {
        let yaml = self.yaml.clone();
        self.plan(&gone(&yaml, "raw4", "vip/raw4"))
    }

    // By the command line.

    /// Types, and looks; the options are noted.
    pub fn types(&mut self, words: &[&str], more: More) -> Result<Outcome> {
        self.enters(words, more, Ok)
    }

    /// The same where somebody made ready how.
    pub fn enters(
        &mut self,
        words: &[&str],
        more: More,
        ready: impl FnOnce(Command) -> Result<Command>,
    ) -> Result<Outcome> {
        let options = words.iter().filter(|word| word.starts_with("--"));
        self.tried
            .extend(options.map(|word| word.trim_start_matches('-').to_owned()));
        let command = ready(self.team.command(self.who))?;
        let outcome = enter(self.who, words, command)?;
        self.check(&format!("holdfast {}", words.join(" ")), more)?;
        if outcome.code != Some(0) {
            let said = outcome.said();
            let code = said.split_once("error[").and_then(|(_, after)| after.split_once(']'));
            self.note_refusal(code.map_or("none", |(code, _)| code));
        }
        Ok(outcome)
    }

    /// It must not go through.
    pub fn is_refused(&mut self, words: &[&str]) -> Result<()> {
        let outcome = self.types(words, More::Nothing)?;
        ensure!(matches!(outcome.code, Some(1 | 3 | 4 | 7)), "{words:?}: {outcome:?}");
        Ok(())
    }

    /// By the lock: there are approvals missing.
    pub fn is_locked(&mut self, words: &[&str]) -> Result<()> {
        let outcome = self.types(words, More::Nothing)?;
        ensure!(
            outcome.code == Some(3) && outcome.said().contains("error[HF2073]"),
            "{words:?}: {outcome:?}"
        );
        Ok(())
    }

    /// The same by the API.
    pub fn is_locked_by_api(&mut self, plan: &Value) -> Result<()> {
        let request = json!({ "plan": plan, "digest": digest_of(plan)? });
        let answer = self.asks("/v1/apply", &request, More::Nothing)?;
        ensure!(answer.body["code"] == "HF2073", "{answer:?}");
        Ok(())
    }

    /// A file on the desk.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.team.desk.join(name);
        fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The destructive files, on the desk.
    pub fn files(&self) -> Result<Vec<(&'static str, String)>> {
        let each = FILES.iter().enumerate().map(|(number, (what, edit))| {
            let text = edit(&self.yaml);
            ensure!(text != self.yaml, "{what}: the file is as it was");
            Ok((*what, self.file(&format!("bad-{number}.yaml"), &text)?))
        });
        each.collect()
    }

    pub fn key(&self) -> PathBuf {
        self.team.key(self.who)
    }

    /// Their own signature of a plan, as ssh-keygen makes it.
    pub fn signature(&self, plan: &Value) -> Result<String> {
        let path = self.file("own.plan", &exported(plan)?)?;
        let output = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
            .arg(self.key())
            .arg(&path)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let signature = format!("{path}.sig");
        let text = fs::read_to_string(&signature)?;
        fs::remove_file(signature)?;
        Ok(text)
    }
}

/// The file with a VIP more, at another port of a VIP that there is.
pub fn adding(yaml: &str, name: &str, port: u16) -> String {
    let line = yaml
        .lines()
        .find(|line| line.contains("name: raw4,"))
        .unwrap_or_default();
    let more = line
        .replace("name: raw4", &format!("name: {name}"))
        .replace("port: 9000", &format!("port: {port}"));
    yaml.replacen(line, &format!("{line}\n{more}"), 1)
}

pub fn plan_request(text: &str) -> Value {
    json!({ "file": "config.yaml", "text": text, "remove": [] })
}

/// The plan itself: of an answer of the API, or of a file.
pub fn plan_of(mut document: Value) -> Result<Value> {
    let body = document.as_object_mut().context("a plan")?;
    ensure!(body.remove("kind") == Some(json!("Plan")), "{body:?}");
    body.remove("apiVersion");
    Ok(document)
}

/// The text of its file, which is what is signed.
pub fn exported(plan: &Value) -> Result<String> {
    let mut document = plan.clone();
    document["apiVersion"] = json!("holdfast/v1");
    document["kind"] = json!("Plan");
    Ok(format!("{}\n", serde_json::to_string(&document)?))
}

/// What an apply is bound to, and contents are known by: SHA-256 of the canonical
/// JSON, whose keys are in order.
pub fn digest_of(value: &Value) -> Result<String> {
    let hash = Sha256::digest(serde_json::to_string(value)?.as_bytes());
    let mut digits = String::new();
    for byte in hash {
        write!(digits, "{byte:02x}")?;
    }
    Ok(digits)
}
