//! `holdfast drill`: the accident corpus against a real daemon, in namespaces,
//! under traffic.
//!
//! `stage` is where nothing of the host's own can be reached, `network` and
//! `backends` are built there, `traffic` runs all the while and writes a `ledger`.
//! `corpus` has the accidents as values; `scene` is what they have at hand. What
//! was seen of one is an [`judge::Observed`], which `judge` judges, and
//! `report` tells. Nothing here is the daemon's: a drill talks to it as people do,
//! by the command line, and looks into the kernel with its own eyes.

pub mod accident;
pub mod adapt;
mod backends;
mod corpus;
pub mod error;
pub mod judge;
mod ledger;
mod network;
pub mod offload;
mod people;
pub mod report;
mod scene;
mod site;
pub mod stage;
mod traffic;
mod vandal;
mod whole;

use std::{
    path::PathBuf,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use self::{
    accident::{Accident, Expected, MENDED_MS},
    adapt::{Adapted, Places, adapt, yaml},
    backends::Backend,
    error::{DrillError, Result},
    judge::Observed,
    network::Network,
    people::Person,
    report::{Drill, Row},
    scene::Scene,
    site::Site,
    stage::{Stage, Stop},
    traffic::Traffic,
};
use crate::config::{self, ConfigErrors, Parsed};

pub use self::corpus::ACCIDENTS;

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(100);

/// The configuration of which a copy is drilled with.
#[derive(Clone, Debug)]
pub enum Source {
    BuiltIn,
    File(PathBuf),
    /// What came by stdin.
    Text(String),
}

impl Source {
    /// Absent: it is nobody's.
    fn name(&self) -> Option<String> {
        match self {
            Self::BuiltIn => None,
            Self::File(path) => Some(path.display().to_string()),
            Self::Text(_) => Some("stdin".to_owned()),
        }
    }

    fn parse(&self) -> std::result::Result<Parsed, ConfigErrors> {
        match self {
            Self::BuiltIn => config::parse("the configuration that is built in", adapt::BUILT_IN),
            Self::File(path) => config::load(path).map(|loaded| loaded.parsed),
            Self::Text(text) => config::parse("stdin", text),
        }
    }
}

/// What to drill with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub source: Source,
    /// Names of accidents; empty: all.
    pub only: Vec<String>,
    pub holdfastd: PathBuf,
}

/// What a drill says while it runs.
#[derive(Clone, Debug)]
pub enum News {
    /// The stage is being set.
    Setting,
    /// An accident happens: its place, of how many.
    Happens(&'static str, usize, usize),
    /// What became of it.
    Became(Box<Row>),
}

/// The accidents of these names, in the order of the corpus.
///
/// # Errors
/// When there is none of a name.
pub fn chosen(only: &[String]) -> Result<Vec<&'static Accident>> {
    let is_known = |name: &&String| ACCIDENTS.iter().any(|accident| accident.name == name.as_str());
    if let Some(unknown) = only.iter().find(|name| !is_known(name)) {
        return Err(DrillError::Unknown(unknown.clone()));
    }
    let is_chosen = |accident: &&Accident| only.is_empty() || only.iter().any(|name| name == accident.name);
    Ok(ACCIDENTS.iter().filter(is_chosen).collect())
}

/// Holds a drill, on a stage. Returns when all accidents have happened, or when
/// it was told to stop: what there was until then.
///
/// # Errors
/// When it cannot be held at all.
pub fn hold(settings: &Settings, stop: &Stop, news: &mut dyn FnMut(News)) -> Result<Drill> {
    let accidents = chosen(&settings.only)?;
    news(News::Setting);
    let started = Instant::now();
    // Before the host's own directories are covered.
    let name = settings.source.name();
    let parsed = settings.source.parse().map_err(|errors| DrillError::Config {
        file: name.clone().unwrap_or_default(),
        errors: Box::new(errors),
    })?;
    let stage = Stage::set()?;
    let places = Places {
        hash_key: stage.path("hash.key"),
        approvers: stage.path("approvers"),
    };
    let Adapted { config, changes } = adapt(&parsed.config, &places);
    // What is wrong with the copy is said before anything is built for it.
    config::parse("the copy", &yaml(&config)).map_err(|errors| DrillError::Config {
        file: "the copy".to_owned(),
        errors: Box::new(errors),
    })?;
    people::make(&stage)?;
    let network = Network::build(&config, &stage.path("bpf"))?;
    let backends = network.hosts.iter().map(|host| Backend::start(host, &config));
    let backends = backends.collect::<Result<Vec<_>>>()?;
    let traffic = Traffic::start(traffic::targets(&config, &network))?;
    let site = Site::new(stage, Stop::clone(stop), settings.holdfastd.clone())?;
    let mut scene = Scene::new(site, network, backends, traffic, config);
    let mut drill = Drill {
        adapted: name.as_ref().map_or_else(Vec::new, |_| changes),
        file: name,
        ..Drill::default()
    };
    for (nth, accident) in accidents.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        news(News::Happens(accident.name, nth + 1, accidents.len()));
        match observe(&mut scene, accident) {
            Ok(seen) => {
                drill.add(accident, &seen);
                if let Some(row) = drill.rows.last() {
                    news(News::Became(Box::new(row.clone())));
                }
            }
            Err(DrillError::Stopped) => break,
            Err(error) => return Err(error),
        }
    }
    drill.summary.packets_sent = scene.traffic.ledger.sent();
    drill.summary.seconds = started.elapsed().as_secs();
    Ok(drill)
}

/// Lets an accident happen, and looks what becomes of it.
fn observe(scene: &mut Scene, accident: &Accident) -> Result<Observed> {
    match scene.restore().and_then(|()| scene.begin()) {
        Ok(()) => {}
        Err(DrillError::Stopped) => return Err(DrillError::Stopped),
        // The next one begins from nothing.
        Err(error) => {
            scene.spoil();
            return Ok(Observed {
                failed: Some(crate::failure::chain(&error)),
                silent: true,
                ..Observed::default()
            });
        }
    }
    let failed = match (accident.happen)(scene) {
        Err(DrillError::Stopped) => return Err(DrillError::Stopped),
        Err(error) => Some(crate::failure::chain(&error)),
        Ok(()) => None,
    };
    let mut seen = Observed {
        failed,
        answers: scene.answers().to_vec(),
        answered_in: scene.answered_in(),
        ..Observed::default()
    };
    match accident.expected {
        Expected::Refused(_) | Expected::Healed(_) => {
            let whole = wait_whole(scene, &mut seen, accident.expected.patience())?;
            seen.whole_after = whole.map(|whole| whole - scene.struck());
        }
        Expected::ReadOnly(within) => recover(scene, &mut seen, within)?,
    }
    let healed = Instant::now();
    // Once is enough where it is known already that something is amiss; else more often than
    // it was asked at first, so that nobody with little weight is missed by chance.
    let answered = scene.survey(if seen.amiss.is_empty() { 5 * scene::ROUNDS } else { 1 })?;
    seen.unanswered = scene.missing(&answered);
    let ended = Instant::now();
    let ledger = &scene.traffic.ledger;
    let patience = 3 * ledger::ANSWERED_WITHIN;
    match scene.site.until("all packets are answered or lost", patience, || {
        ledger.is_settled(ended)
    }) {
        Ok(()) => {}
        Err(DrillError::Stopped) => return Err(DrillError::Stopped),
        // Nothing can be said of what is lost, so the row does not hold.
        Err(error) => seen.failed = seen.failed.or_else(|| Some(error.to_string())),
    }
    seen.lost = ledger.lost_between(scene.began(), ended);
    seen.lost_later = ledger.lost_between(healed, ended);
    // One that hangs is not broken yet: it has to say something after all of that.
    let silent = scene.wait_connections(ended)?;
    let ledger = &scene.traffic.ledger;
    seen.broken = ledger.broken_between(scene.began(), Instant::now()).max(silent);
    match scene.removed() {
        Ok((removed, moved)) => (seen.removed, seen.moved) = (removed, moved),
        Err(_) => seen.silent = true,
    }
    Ok(seen)
}

/// Waits until nothing is amiss; absent: something still is, and will not be judged
/// kinder later.
fn wait_whole(scene: &Scene, seen: &mut Observed, within: Duration) -> Result<Option<Instant>> {
    let deadline = Instant::now() + within;
    loop {
        seen.amiss = scene.amiss();
        let now = Instant::now();
        if seen.amiss.is_empty() {
            return Ok(Some(now));
        }
        if now >= deadline {
            return Ok(None);
        }
        scene.site.pause(GLANCE)?;
    }
}

/// A daemon that is read-only is well again by what an operator types.
fn recover(scene: &mut Scene, seen: &mut Observed, within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    while !scene.is_read_only() {
        if Instant::now() >= deadline {
            seen.amiss = scene.amiss();
            return Ok(());
        }
        scene.site.pause(GLANCE)?;
    }
    seen.read_only_after = Some(scene.struck().elapsed());
    let typed = Instant::now();
    if let Err(error) = scene.does(Person::Root, &["recover"]) {
        seen.amiss = vec![crate::failure::chain(&error)];
        return Ok(());
    }
    let whole = wait_whole(scene, seen, Duration::from_millis(MENDED_MS))?;
    seen.recovered_in = whole.map(|whole| whole - typed);
    Ok(())
}
