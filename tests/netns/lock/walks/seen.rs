//! What is seen of a daemon from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::{Context as _, Result, ensure};
use lock_model::{Content, Key, Name, World};
use serde_json::Value;
use support::{addresses::Family, api, config::RAW, rig::Rig, topology::Topology};

use super::house::{House, name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub generation: u64,
    pub digest: String,
    pub on_trial: bool,
    pub hold: bool,
    pub glass: bool,
    /// Plans that wait, by their digests, and whose signatures they have.
    pub waiting: BTreeMap<String, BTreeSet<String>>,
    /// By name of the VIP: the program in the kernel forwards it.
    pub forwarded: BTreeMap<&'static str, bool>,
    /// The generation that the kernel says it decides by.
    pub in_kernel: BTreeSet<u64>,
}

impl Seen {
    /// VIPs by their names and ports, of the address of `raw4`.
    pub fn by(rig: &Rig, vips: &[(&'static str, u16)]) -> Result<Self> {
        let get = |path: &str| -> Result<Value> {
            let answer = api::ask(&rig.installation.socket, "GET", path, &Value::Null)?;
            ensure!(answer.is_success(), "{path}: {answer:?}");
            Ok(answer.body)
        };
        let status = get("/v1/status")?;
        let approvals = get("/v1/approvals")?;
        let mut waiting = BTreeMap::new();
        for plan in approvals["plans"].as_array().context("plans")? {
            let by = plan["approvedBy"].as_array().context("names")?;
            let by = by.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            waiting.insert(plan["plan"].as_str().context("a digest")?.to_owned(), by);
        }
        let mut forwarded = BTreeMap::new();
        let mut in_kernel = BTreeSet::new();
        let client = *Topology::client_addresses(Family::V4).first().context("a client")?;
        for (vip, port) in vips {
            let mut answers = BTreeSet::new();
            for source in 40_000..40_003 {
                let to = SocketAddr::new(RAW.v4().ip(), *port);
                let why = rig.installation.why_tcp_by_api(SocketAddr::new(client, source), to)?;
                in_kernel.insert(why.generation);
                answers.insert(why.verdict.starts_with("Forward") && why.vip.as_deref() == Some(*vip));
            }
            ensure!(answers.len() == 1, "{vip}: some flows are forwarded");
            forwarded.insert(*vip, answers.contains(&true));
        }
        Ok(Self {
            generation: status["generation"].as_u64().context("a generation")?,
            digest: status["digest"].as_str().context("a digest")?.to_owned(),
            on_trial: !status["trial"].is_null(),
            hold: !status["lock"]["hold"].is_null(),
            glass: !status["lock"]["glass"].is_null(),
            waiting,
            forwarded,
            in_kernel,
        })
    }

    /// Why this is not what the model's world would look like; `known` are numbers
    /// of generations that were seen to be served, in their order.
    pub fn differs(&self, world: &World, known: &[u64], house: &House) -> Option<String> {
        let served = usize::from(world.end());
        let last = known.last().copied().unwrap_or_default();
        let is_number = if served == known.len() {
            self.generation == last
        } else {
            served > known.len() && self.generation > last
        };
        let content = world.last().content;
        let daemon = world.daemon.as_ref();
        let glass = world.glass.is_some_and(|glass| !glass.over && glass.boot == world.boot);
        let checks = [
            ("generation", is_number),
            (
                "the kernel's generation",
                self.in_kernel == BTreeSet::from([self.generation]),
            ),
            ("digest", is_digest(&house.digests, content, &self.digest)),
            ("trial", daemon.is_some_and(|daemon| daemon.on_trial) == self.on_trial),
            ("hold", world.hold == self.hold),
            ("glass", glass == self.glass),
            ("raw4", self.forwarded["raw4"] != content.has(Name::Risky)),
            ("extra4", self.forwarded["extra4"] == content.has(Name::Safe)),
            ("plans that wait", self.waiting == waiting(world, house)),
        ];
        let wrong: Vec<&str> = checks.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect();
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }
}

/// The content's own, and no other's.
fn is_digest(known: &std::collections::HashMap<Content, String>, content: Content, digest: &str) -> bool {
    match known.get(&content) {
        Some(own) => own == digest,
        None => known.values().all(|other| other != digest),
    }
}

fn waiting(world: &World, house: &House) -> BTreeMap<String, BTreeSet<String>> {
    let risky = Name::ALL.into_iter().filter(|plan| plan.is_risky());
    let waiting = risky.filter_map(|plan| {
        let made = world.made(plan)?;
        let digest = house.plans[plan as usize].as_ref()?.digest.clone();
        let by = made.approvals.iter().map(Key::owner).map(name).map(str::to_owned);
        (!made.spent && !made.expired && !made.rejected).then(|| (digest, by.collect()))
    });
    waiting.collect()
}
