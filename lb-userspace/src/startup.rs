//! From nothing, or from what an earlier daemon left, to serving.
//!
//! For forwarding the kernel is the truth: what serves, serves, and nothing is
//! cleared. For legitimacy the journal is: what it does not know is served all
//! the same, and the daemon is read-only until somebody settles it.

pub(crate) mod again;
mod first;
pub(crate) mod hash_key;

use std::{io, path::Path, sync::Arc};

use lb_common::abi::hash_key::HashKey;

use crate::{
    activity::Activity,
    api::model::{Failure, KeyFile, Mode},
    arrivals::Arrivals,
    attachments::Looked,
    clock::Now,
    config::{self, Config},
    digest::Digest,
    drain::Blind,
    event,
    events::Event,
    kernel::{KernelError, bpffs, upgrade::Object, what_serves},
    metrics::Tally,
    neighbours::Resolution,
    part::Part,
    past::Past,
    publish::{AdoptError, Adopted, Publisher},
    relayout::{self, Obstacle, Reach},
    reports::FileJudged,
    revision::{MemberHealth, PoolState, Revision},
    serving::{Purpose, Sentinel, Served, Serving, Signing},
    store::{self, Entry, Outcome, Store, StoreError},
    takeover,
};

/// Where a daemon keeps its things.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    pub config: &'a Path,
    pub state_dir: &'a Path,
    pub pin_dir: &'a Path,
    /// The kernel's boot id.
    pub boot: &'a str,
    /// This host's name.
    pub host: &'a str,
    /// Instead of the program that is built in.
    pub program: Option<&'a Path>,
    /// How far maps of another layout are taken over from.
    pub reach: Reach,
}

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Config(Arc<config::ConfigErrors>),
    #[error("{}: the store cannot be used, and nothing is served that could be kept", .0.code())]
    Store(#[from] StoreError),
    /// It serves on, and nothing was looked at.
    #[error(
        "{}: {}. It goes on, and nothing was touched: give this daemon a --state-dir, --pin-dir and --socket of its own, or \
         stop the other one first", .0.code(), .0
    )]
    AnotherDaemon(StoreError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// It is served by another version, which alone may touch it.
    #[error(
        "HF3013: {}, with maps of another layout than this build's ({misfit}), which cannot take over: {why}. It goes on \
         serving, and nothing was touched: start the holdfastd that serves, or see docs/failures.md",
        what_serves(*.serving)
    )]
    Layout {
        misfit: String,
        /// Version of the layout, and generation.
        serving: Option<(u32, u64)>,
        why: Box<Obstacle>,
    },
    #[error("stopped on the way to another layout, as it was told to")]
    Stopped,
    #[error(
        "HF3023: the hash key file {path} cannot be used, and there is no copy of it in the state directory. Nothing is \
         served, because with another key every connection would go elsewhere: put the file back from a backup, or from a \
         balancer with the same key. Without either, `head -c 32 /dev/urandom > {path}` makes a new one"
    )]
    HashKey {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: {}", .0.code, .0.message)]
    First(Failure),
}

/// What is found at a start, before the network is looked at.
pub struct Found {
    serving: Serving,
    adopted: Result<Option<Adopted>, AdoptError>,
    store_problem: Option<StoreError>,
    file: Result<config::Loaded, Arc<config::ConfigErrors>>,
}

impl Found {
    /// Opens the kernel's side and the store.
    ///
    /// # Errors
    /// When the programs cannot be loaded, or nothing at all is known.
    pub fn look(places: &Places<'_>) -> Result<Self, StartError> {
        let file = config::load(places.config).map_err(Arc::new);
        let (store, store_problem) = match Store::open(places.state_dir) {
            Ok(store) => (Some(store), None),
            // Another daemon is at work: nothing is touched.
            Err(problem @ StoreError::InUse { .. }) => return Err(StartError::AnotherDaemon(problem)),
            Err(problem) => (None, Some(problem)),
        };
        // Nothing is loaded for a file with errors, unless something else is
        // known to serve.
        let known = match &store {
            Some(store) => store.last_switched()?.is_some(),
            None => true,
        };
        if let (Err(errors), false, false) = (&file, known, places.pin_dir.join("prog/balancer").exists()) {
            return Err(StartError::Config(Arc::clone(errors)));
        }
        let pins = bpffs::prepare(places.pin_dir)?;
        let object = match places.program {
            Some(path) => Object::read(path).map_err(KernelError::call("reading the program"))?,
            None => Object::built_in(),
        };
        let kernel = relayout::open(&pins, &object, store.as_ref(), places.reach)?;
        let mut publisher = Publisher::new(kernel.ok_or(StartError::Stopped)?);
        let adopted = publisher.adopt();
        let program_problem = takeover::take_over(&mut publisher, &adopted);
        if matches!(adopted, Ok(None))
            && let Some(problem) = store_problem
        {
            return Err(problem.into());
        }
        let serving = Serving {
            publisher,
            store,
            served: None,
            mode: Mode::Normal,
            mode_reason: None,
            environment: file
                .as_ref()
                .map(|file| file.parsed.config.environment.clone())
                .unwrap_or_default(),
            config_file: places.config.to_owned(),
            pin_dir: places.pin_dir.to_owned(),
            problems: std::collections::BTreeMap::new(),
            blind: Blind::default(),
            swept: true,
            file_judged: None,
            tally: Tally::default(),
            program_problem,
            on_trial: None,
            boot: places.boot.to_owned(),
            host: places.host.to_owned(),
            signing: Signing::default(),
            activity: Activity::default(),
            arrivals: Arrivals::default(),
            taken_back: None,
            state_dir: places.state_dir.to_owned(),
            past: Past::default(),
            past_is_new: false,
            sentinel: Sentinel::default(),
        };
        Ok(Self {
            serving,
            adopted,
            store_problem,
            file,
        })
    }

    /// The configuration whose backends must be resolved before anything can
    /// be served; `None`: what is served already has its next hops.
    ///
    /// # Errors
    /// When the file has errors and nothing else is known.
    pub fn unresolved(&self) -> Result<Option<Config>, StartError> {
        if !matches!(self.adopted, Ok(None)) {
            return Ok(None);
        }
        if let Some(store) = &self.serving.store
            && let Some(last) = store.last_switched()?
        {
            let back = again::content_before_trial(store)?;
            return Ok(Some(back.unwrap_or(last.content).config.clone()));
        }
        match &self.file {
            Ok(file) => Ok(Some(file.parsed.config.clone())),
            Err(errors) => Err(StartError::Config(Arc::clone(errors))),
        }
    }

    /// Serves: adopts, or publishes the last generation again, or the file as
    /// the first one.
    ///
    /// # Errors
    /// Only when nothing was served before.
    pub fn serve(mut self, resolution: &Resolution, now: Now) -> Result<Serving, StartError> {
        match std::mem::replace(&mut self.adopted, Ok(None)) {
            Ok(Some(adopted)) => {
                let damaged = adopted.damaged;
                let past = adopted.past.clone();
                // The journal has to know all of it.
                self.serving.past = past.clone();
                if let Err(problem) = self.adopt(adopted, now) {
                    self.serving.store = None;
                    self.serving
                        .become_read_only(format!("the store cannot be used ({problem})"));
                }
                self.serving.begin_past(past);
                if damaged {
                    self.mend(resolution, now);
                }
            }
            Ok(None) => {
                self.serving.begin_past(Past::default());
                self.begin(resolution, now)?;
            }
            Err(error) => {
                let reason = format!("what the kernel serves cannot be read back ({error})");
                self.serving.become_read_only(reason);
            }
        }
        if let Some(problem) = self.store_problem {
            self.serving
                .become_read_only(format!("the store cannot be used ({problem})"));
        }
        if let Some(refusal) = self.serving.publisher.kernel().refusal() {
            let reason = takeover::refused(refusal);
            self.serving.become_read_only(reason);
        }
        if self.serving.mode == Mode::ReadOnly && self.serving.on_trial.is_none() {
            self.serving.on_trial = self.serving.trial_remembered();
        }
        self.serving.keep_hash_key();
        if let (Ok(file), Some(served)) = (&self.file, &self.serving.served) {
            let name = file.path.display().to_string();
            let judged = FileJudged::of(&name, &file.text, Ok(&file.parsed), served);
            self.serving.file_judged = Some(judged);
        }
        self.serving.tend_interfaces(resolution, Looked::Before);
        self.serving.begin_signing(now);
        Ok(self.serving)
    }

    /// Publishes what was adopted once more: a part of it could not be read.
    fn mend(&mut self, resolution: &Resolution, now: Now) {
        let Some(served) = &self.serving.served else {
            return;
        };
        let content = served.state.state.content.clone();
        let purpose = Purpose::Revision {
            cause: "a chunk could not be read".to_owned(),
        };
        event!(
            error,
            ChunkLost,
            "a part of what is served could not be read; publishing it anew"
        );
        if let Err(failure) = self.serving.change(&content, &purpose, resolution, AUTHOR, now) {
            self.serving.become_read_only(failure.message);
        }
    }

    fn adopt(&mut self, adopted: Adopted, now: Now) -> Result<(), StoreError> {
        let facts = adopted.facts;
        let (generation, revision) = (facts.generation, facts.revision);
        let serving = &mut self.serving;
        serving.environment.clone_from(&adopted.revision.config().environment);
        serving.served = Some(Served {
            generation,
            revision,
            digest: facts.digest,
            state: adopted.revision,
            layout: None,
        });
        event!(info, Adopted, generation, revision, "adopted what the kernel serves");
        let Err(reason) = serving.settle(AUTHOR, now)? else {
            return Ok(());
        };
        if let Some(store) = &mut serving.store {
            store.append(&Entry::ReadOnly { reason: reason.clone() }, AUTHOR, now.time)?;
        }
        serving.become_read_only(reason);
        Ok(())
    }

    fn begin(&mut self, resolution: &Resolution, now: Now) -> Result<(), StartError> {
        let last = match &mut self.serving.store {
            Some(store) => {
                settle_pending(store, None, now)?;
                match store.last_switched()? {
                    Some(last) => {
                        let state = store.state(&last);
                        let state = state.map_err(|error| StartError::First(unreadable(last.generation, &error)))?;
                        Some((last, state))
                    }
                    None => None,
                }
            }
            None => None,
        };
        match last {
            Some((last, state)) => self.again(&last, state, resolution, now),
            None => self.first(resolution, now),
        }
    }

    /// The kernel has nothing, the store has: after a reboot, or when the pins
    /// were removed while no daemon ran.
    fn again(
        &mut self,
        last: &store::Served,
        state: Revision,
        resolution: &Resolution,
        now: Now,
    ) -> Result<(), StartError> {
        let (generation, revision) = (last.generation, last.revision);
        let state = forget_hops(state);
        let content = state.state.content.clone();
        self.serving.environment.clone_from(&content.config.environment);
        self.serving.activity = Activity::of_owners_before();
        let key = self.hash_key_of_before(&content.config.node.hash_key_file, now)?;
        self.serving.publisher.kernel().set_hash_key(&key)?;
        self.serving.served = Some(Served {
            generation,
            revision,
            digest: content.digest(),
            state,
            layout: None,
        });
        let rebooted = self.note_served_again(generation, revision, now)?;
        self.serving.taken_back = self.taken_back()?;
        let why = if rebooted { "reboot" } else { "the pins are gone" };
        if let Some(before) = self.not_confirmed()? {
            let cause = format!("not confirmed before the {why}");
            let taken_back = self.serving.take_back(&before, &cause, resolution, AUTHOR, now);
            return taken_back.map(drop).map_err(StartError::First);
        }
        let purpose = Purpose::Revision {
            cause: format!("nothing was served any more: {why}"),
        };
        self.serving
            .change(&content, &purpose, resolution, AUTHOR, now)
            .map_err(StartError::First)?;
        event!(
            info,
            ServedAgain,
            generation,
            why,
            "the last generation is served again"
        );
        Ok(())
    }

    fn install_hash_key(&self, config: &Config) -> Result<(), StartError> {
        let path = &config.node.hash_key_file;
        let key = hash_key::read(path).map_err(|source| unusable(path, source))?;
        self.serving.publisher.kernel().set_hash_key(&key)?;
        Ok(())
    }

    /// What was served was served with the key that was kept: another would move every flow, and
    /// its file may be gone since, or have another.
    fn hash_key_of_before(&mut self, path: &Path, now: Now) -> Result<HashKey, StartError> {
        let Ok(key) = hash_key::of_file(&hash_key::copy(&self.serving.state_dir)) else {
            return hash_key::of_file(path).map_err(|source| unusable(path, source));
        };
        if matches!(hash_key::compare(path, &key), Ok(KeyFile::Same)) {
            return Ok(key);
        }
        // What cannot be put right is tried again, and said, by the sentinel.
        let restored = hash_key::restore(path, &key, now.time).is_ok();
        let path = path.display().to_string();
        event!(
            error,
            HashKeyTaken,
            path,
            restored,
            "the file of the hash key was gone, or had another key than the one that was served with"
        );
        let found = format!("{path} was not as it was when something was served last");
        self.serving.sentinel.note(Event::HashKeyTaken, found, restored);
        Ok(key)
    }
}

fn unusable(path: &Path, source: io::Error) -> StartError {
    StartError::HashKey {
        path: path.to_owned(),
        source,
    }
}

/// Who did what nobody asked for.
const AUTHOR: &str = "holdfastd";

/// Settles an intent without an outcome: the kernel knows what became of it.
/// `served`: generation, revision, and digest of the content.
pub(crate) fn settle_pending(
    store: &mut Store,
    served: Option<(u64, u64, Digest)>,
    now: Now,
) -> Result<(), StoreError> {
    let Some(pending) = store.pending_intent()? else {
        return Ok(());
    };
    let is_new = pending.new_generation;
    let pending = pending.served;
    let (generation, revision) = (pending.generation, pending.revision);
    // A later revision of the same generation may have been published without the
    // journal: of the generation that says that it was switched to, of a revision
    // nothing.
    let switched = served.is_some_and(|(served, at, digest)| {
        let reached = if is_new { at >= revision } else { at == revision };
        served == generation && reached && digest == pending.content.digest()
    });
    let outcome = if switched {
        event!(
            warn,
            RolledForward,
            generation,
            revision,
            "the daemon ended after this switch: rolled forward"
        );
        Outcome::RolledForward { generation, revision }
    } else {
        event!(
            warn,
            Discarded,
            generation,
            revision,
            "the daemon ended before this switch: discarded"
        );
        Outcome::Discarded { generation, revision }
    };
    store.append(&Entry::Outcome(outcome), AUTHOR, now.time).map(drop)
}

/// Interfaces and neighbours of before a reboot are not those of now.
fn forget_hops(mut revision: Revision) -> Revision {
    for pool in revision.state.pools.values_mut() {
        let mut state = PoolState::clone(pool);
        // Flows are of before the reboot, too: nobody has to leave slowly.
        state.members.retain(|_, member| member.leaving.is_none());
        for member in state.members.values_mut() {
            member.hop = None;
            // Nor is health: all serve until they are checked, but guests.
            if member.guest.is_none() {
                member.health = MemberHealth::default();
            }
        }
        *pool = Part::new(state);
    }
    revision
}

fn unreadable(generation: u64, error: &StoreError) -> Failure {
    Failure {
        code: error.code().to_owned(),
        message: format!("the store's state of generation {generation} cannot be read: {error}"),
        fix: Some("restore the state directory from a backup".to_owned()),
        exit: 1,
    }
}
