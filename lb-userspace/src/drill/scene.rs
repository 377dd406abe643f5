//! Where accidents happen: everything at hand, how it was before, and what was
//! seen since.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

use super::{
    adapt::{SPARE, yaml},
    backends::Backend,
    error::{DrillError, Result},
    judge::Answer,
    network::Network,
    people::{self, Person},
    site::{Ran, Site},
    traffic::{PATIENCE, Traffic},
    vandal::Pins,
    whole::{self, Before},
};
use crate::{
    api::model::{BpfDump, Mode, Status},
    config::{Config, ObjectName},
};

/// A start from nothing has all backends up within this.
const UP: Duration = Duration::from_secs(20);
/// So often it is asked at most who answers when all is well.
pub const ROUNDS: usize = 6;
/// What is not whole by itself after this is made anew.
const BY_ITSELF: Duration = Duration::from_secs(3);

/// Everything at hand.
#[derive(Debug)]
pub struct Scene {
    /// First, so that it is dropped first: nobody sends where nothing is left.
    pub traffic: Traffic,
    pub site: Site,
    pub backends: Vec<Backend>,
    pub network: Network,
    /// What is served when nothing has happened.
    pub config: Config,
    /// Who answers for each VIP then.
    pub usual: BTreeMap<usize, BTreeSet<String>>,
    /// As it was after the last start from nothing.
    fresh: Option<Before>,
    /// As it was just before the accident.
    before: Option<Before>,
    /// What happened cannot be mended: the next accident needs a start from
    /// nothing.
    spoiled: bool,
    began: Instant,
    struck: Instant,
    answers: Vec<Answer>,
    answered_in: Duration,
}

impl Scene {
    #[must_use]
    pub fn new(site: Site, network: Network, backends: Vec<Backend>, traffic: Traffic, config: Config) -> Self {
        Self {
            traffic,
            site,
            backends,
            network,
            config,
            usual: BTreeMap::new(),
            fresh: None,
            before: None,
            spoiled: false,
            began: Instant::now(),
            struck: Instant::now(),
            answers: Vec::new(),
            answered_in: Duration::ZERO,
        }
    }

    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins(self.site.pins())
    }

    /// The accident begins: what is lost from here on counts, and this is how it
    /// was before.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn begin(&mut self) -> Result<()> {
        self.settle_on_this()?;
        self.began = self.struck;
        Ok(())
    }

    /// Part of the accident is over, as a change that was asked for: this is how it was
    /// before the rest. What was lost until here counts all the same.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn settle_on_this(&mut self) -> Result<()> {
        self.before = Some(Before::look(self)?);
        self.answers.clear();
        self.answered_in = Duration::ZERO;
        self.struck = Instant::now();
        Ok(())
    }

    /// The blow itself, or its end: time until it is healed counts from here.
    pub fn strike(&mut self) {
        self.struck = Instant::now();
    }

    /// Afterwards nothing can be believed any more.
    pub const fn spoil(&mut self) {
        self.spoiled = true;
    }

    #[must_use]
    pub const fn began(&self) -> Instant {
        self.began
    }

    #[must_use]
    pub const fn struck(&self) -> Instant {
        self.struck
    }

    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    #[must_use]
    pub const fn answered_in(&self) -> Duration {
        self.answered_in
    }

    #[must_use]
    pub const fn before(&self) -> Option<&Before> {
        self.before.as_ref()
    }

    /// Types what has to be refused.
    ///
    /// # Errors
    /// When it cannot be typed; that it was not refused is the judge's business.
    pub fn refused(&mut self, person: Person, line: &[&str]) -> Result<()> {
        let started = Instant::now();
        let ran = self.site.types(person, line)?;
        self.answered_in += started.elapsed();
        self.answers.push(ran.answer());
        Ok(())
    }

    /// Types what has to work.
    ///
    /// # Errors
    /// When it does not.
    pub fn does(&self, person: Person, line: &[&str]) -> Result<Ran> {
        self.site.types(person, line)?.done()
    }

    /// Waits a little.
    ///
    /// # Errors
    /// When the drill shall end.
    pub fn pause(&self, milliseconds: u64) -> Result<()> {
        self.site.pause(Duration::from_millis(milliseconds))
    }

    /// What is not as it was before the accident.
    #[must_use]
    pub fn amiss(&self) -> Vec<String> {
        self.before
            .as_ref()
            .map_or_else(Vec::new, |before| whole::amiss(self, before))
    }

    /// Objects that are served less than before; the daemon has to answer.
    ///
    /// # Errors
    /// When it does not.
    pub fn removed(&self) -> Result<(Vec<String>, bool)> {
        let now = self.site.status()?;
        let before = self.before.as_ref();
        Ok(before.map_or_else(
            || (Vec::new(), false),
            |before| (whole::less(&before.status, &now), before.status.digest != now.digest),
        ))
    }

    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.site.status().is_ok_and(|status| status.mode == Mode::ReadOnly)
    }

    /// Chunks in the kernel, as the daemon knows them.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn chunks(&self) -> Result<BpfDump> {
        self.site.ask(&["bpf", "dump"])
    }

    /// The configuration as a file of that name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn good_file(&self) -> Result<String> {
        self.site.file("good.yaml", &yaml(&self.config))
    }

    /// A backend that there are others beside, in the pool with most of them.
    ///
    /// # Errors
    /// When there is none.
    pub fn one_of_many(&self) -> Result<(String, String, u32)> {
        let pools = self.config.pools.iter();
        let most = pools.max_by_key(|pool| pool.backends.len());
        let backend = most.and_then(|pool| {
            let ready = pool
                .backends
                .iter()
                .find(|backend| backend.weight > 0 && backend.weight < 60_000)?;
            Some((pool.name.clone(), ready.name.clone(), ready.weight))
        });
        backend.ok_or_else(|| DrillError::Answer("a pool with a backend to change".to_owned()))
    }

    /// A change that takes nothing away: `POOL/BACKEND` and its new weight.
    ///
    /// # Errors
    /// When there is no backend.
    pub fn harmless(&self, nth: u32) -> Result<(String, String)> {
        let (pool, backend, weight) = self.one_of_many()?;
        let heavier = weight + (weight / 20).max(1) * nth;
        Ok((format!("{pool}/{backend}"), heavier.to_string()))
    }

    /// The same as a file.
    ///
    /// # Errors
    /// When there is no backend.
    pub fn heavier(&self, nth: u32) -> Result<Config> {
        let (pool, backend, _) = self.one_of_many()?;
        let (_, weight) = self.harmless(nth)?;
        let mut config = self.config.clone();
        let backends = config.pools.iter_mut().filter(|of| of.name == pool);
        for of in backends
            .flat_map(|pool| &mut pool.backends)
            .filter(|of| of.name == backend)
        {
            of.weight = weight.parse().unwrap_or(of.weight);
        }
        Ok(config)
    }

    /// A file that removes the VIP without traffic, and says so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn removal_file(&self) -> Result<String> {
        let mut config = self.config.clone();
        config.vips.retain(|vip| vip.name != SPARE);
        let name = ObjectName::Vip(SPARE.to_owned());
        self.site
            .file("removal.yaml", &format!("{}removed: [{name}]\n", yaml(&config)))
    }

    /// Ann plans to remove the VIP without traffic: the plan's file.
    ///
    /// # Errors
    /// When the daemon makes no such plan.
    pub fn removal(&self, name: &str) -> Result<String> {
        let file = self.removal_file()?;
        let out = self.site.stage.path("desk").join(name).display().to_string();
        fs::remove_file(&out).ok();
        self.does(Person::Ann, &["plan", "-f", &file, "--out", &out])?;
        Ok(out)
    }

    /// Everything as if nothing had happened.
    ///
    /// # Errors
    /// When that cannot be had.
    pub fn restore(&mut self) -> Result<()> {
        for backend in &self.backends {
            backend.serve(true);
            backend.pass_checks(true);
        }
        people::write_approvers(&self.site.stage, &[Person::Ann, Person::Ben, Person::Cy])?;
        fs::write(self.site.config(), yaml(&self.config)).map_err(DrillError::io("writing the configuration"))?;
        self.network.number_balancer()?;
        let is_good = !self.spoiled && self.site.is_up() && self.is_as_fresh();
        if !is_good {
            self.start_anew()?;
        }
        self.spoiled = false;
        // All of them, and none that does not know yet that it broke.
        let (wanted, since) = (self.traffic.connections(), Instant::now());
        let ledger = &self.traffic.ledger;
        self.site.until("connections to all VIPs", UP, || {
            ledger.connected_since(since) >= wanted
        })?;
        if self.usual.is_empty() {
            self.usual = self.learn()?;
        }
        Ok(())
    }

    /// Who answers for each VIP: asked again until a round knows nobody new, because who
    /// has little weight is easily missed, and would not be missed later.
    fn learn(&self) -> Result<BTreeMap<usize, BTreeSet<String>>> {
        let mut known = self.survey(1)?;
        for _ in 1..ROUNDS {
            let before = known.clone();
            for (vip, seen) in self.survey(1)? {
                known.entry(vip).or_default().extend(seen);
            }
            if known == before {
                break;
            }
        }
        Ok(known)
    }

    /// Waits until something came back on every connection since then, or it is known
    /// to be broken. Says how many are neither.
    ///
    /// # Errors
    /// When the drill shall end.
    pub fn wait_connections(&self, since: Instant) -> Result<u64> {
        let wanted = self.traffic.connections();
        let connected = || self.traffic.ledger.connected_since(since);
        let patience = PATIENCE + UP;
        match self.site.until("every connection", patience, || connected() >= wanted) {
            Err(DrillError::Stopped) => Err(DrillError::Stopped),
            Ok(()) | Err(_) => Ok(wanted.saturating_sub(connected()) as u64),
        }
    }

    fn is_as_fresh(&self) -> bool {
        let Some(fresh) = &self.fresh else { return false };
        let good = || {
            let is_same = self
                .site
                .status()
                .is_ok_and(|now| now.digest == fresh.status.digest && now.trial.is_none());
            is_same && whole::amiss(self, fresh).is_empty()
        };
        self.site.until("everything as it was", BY_ITSELF, good).is_ok()
    }

    /// A daemon with an empty state directory and no pins.
    fn start_anew(&mut self) -> Result<()> {
        self.site.kill();
        self.site.stage.empty_pins()?;
        match fs::remove_dir_all(self.site.state()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DrillError::io("removing the state")(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.site.start(&[])?;
        let site = &self.site;
        let all_up = |status: &Status| {
            status.mode == Mode::Normal
                && status.damage.is_none()
                && status
                    .pools
                    .iter()
                    .flat_map(|pool| &pool.backends)
                    .all(|backend| backend.up)
        };
        site.until("all backends up", UP, || {
            site.status().is_ok_and(|status| all_up(&status))
        })?;
        self.fresh = Some(Before::look(self)?);
        Ok(())
    }

    /// Asks every VIP by many new flows, up to `rounds` times or until everybody
    /// who usually answers has: who did.
    ///
    /// # Errors
    /// When the drill shall end.
    pub fn survey(&self, rounds: usize) -> Result<BTreeMap<usize, BTreeSet<String>>> {
        let mut all: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for _ in 0..rounds {
            self.traffic.begin_survey();
            // As long as everything is lost.
            let longest = Duration::from_mins(1);
            self.site.until("a survey", longest, || self.traffic.is_surveyed())?;
            for (vip, seen) in self.traffic.ledger.seen() {
                all.entry(vip).or_default().extend(seen);
            }
            if self.missing(&all).is_empty() {
                break;
            }
        }
        Ok(all)
    }

    /// VIPs for which not everybody answered who usually does.
    #[must_use]
    pub fn missing(&self, seen: &BTreeMap<usize, BTreeSet<String>>) -> Vec<String> {
        let nobody = BTreeSet::new();
        let mut missing = Vec::new();
        for (vip, target) in self.traffic.targets.iter().enumerate() {
            let seen = seen.get(&vip).unwrap_or(&nobody);
            let usual = self.usual.get(&vip).unwrap_or(&nobody);
            let gone: Vec<&str> = usual.difference(seen).map(String::as_str).collect();
            if !gone.is_empty() || seen.is_empty() {
                missing.push(format!("{} ({})", target.name, gone.join(", ")));
            }
        }
        missing
    }
}
