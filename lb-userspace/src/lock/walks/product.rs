//! The product, as far as it needs no kernel.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use lb_common::abi::flows::Seconds as Coarse;
use lock_model::{Action, Content as Names, Key, NEEDS, Name, OnTrial, Opened, Person, Step, World};
use tempfile::TempDir;

use super::site;
use crate::{
    activity::Activity,
    api::model::{Failure, Mode},
    approval::Signers,
    arrivals::Arrivals,
    clock::Now,
    confirm::{self, Term},
    layout::RootFacts,
    lock::{GlassTerm, Lock},
    plan::{Content, Plan, file},
    serving::{Asked, Footing, Opened as Spends, Permit, Served, Wish},
    startup::{again::content_before_trial, settle_pending},
    store::{self, Entry, Host, Intent, Outcome, Store, StoreError},
};

/// Seconds. Plans wait for half an hour.
const TRIAL: u32 = 600;
const GLASS: u32 = 900;

pub struct Product {
    dir: TempDir,
    /// There while the daemon is up, as are the next two.
    store: Option<Store>,
    served: Option<Served>,
    on_trial: Option<confirm::OnTrial>,
    /// What the lock knew when the daemon ended.
    remembered: Option<Lock>,
    /// What the kernel serves: of its root, what a start reads.
    kernel: Option<RootFacts>,
    boot: String,
    now: Now,
    on_disk: Signers,
    plans: [Option<Plan>; 3],
    signatures: BTreeMap<(usize, usize), String>,
    /// Under way: what is served next, under which numbers, on which terms.
    next: Option<(Names, u64, u64, Option<Term>)>,
    /// Of the trial, and of the glass.
    deadline: Option<Coarse>,
    mended_at: Option<Coarse>,
}

const fn name(person: Person) -> &'static str {
    match person {
        Person::Ann => "ann",
        Person::Bob => "bob",
        Person::Cid => "cid",
        Person::Eve => "eve",
    }
}

impl Product {
    /// Generation 1 is served.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        let mut product = Self {
            dir: dir.expect("a directory"),
            store: None,
            served: None,
            on_trial: None,
            remembered: None,
            kernel: None,
            boot: "boot 0".to_owned(),
            now: Now {
                time: Timestamp::from_second(1_767_000_000).expect("a time"),
                coarse: 1000,
            },
            on_disk: site::signers(World::first().on_disk),
            plans: [const { None }; 3],
            signatures: BTreeMap::new(),
            next: None,
            deadline: None,
            mended_at: None,
        };
        product.store = Some(product.open().expect("a new store"));
        product.intend(Names::default(), None, Spends::default(), OnTrial::No);
        product.switch();
        product.conclude();
        product
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open_on(self.dir.path(), Host::named("here"))
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("a daemon is up")
    }

    fn append(&mut self, entry: &Entry, author: &str) {
        let time = self.now.time;
        self.store()
            .append(entry, author, time)
            .expect("an entry that can come now");
    }

    fn footing(&self) -> Footing<'_> {
        static NOTHING_SEEN: LazyLock<(Activity, Arrivals)> = LazyLock::new(Default::default);
        Footing {
            mode: Mode::Normal,
            mode_reason: None,
            store: self.store.as_ref(),
            served: self.served.as_ref(),
            on_trial: self.on_trial.as_ref(),
            activity: &NOTHING_SEEN.0,
            arrivals: &NOTHING_SEEN.1,
            environment: "lab",
            host: "lb1",
            boot: &self.boot,
        }
    }

    fn asked(&self, author: &'static str) -> Asked<'static> {
        Asked {
            author,
            by: None,
            cause: "apply",
            on_disk: Ok(self.on_disk.clone()),
        }
    }

    fn plan(&self, plan: Name) -> &Plan {
        self.plans[plan as usize].as_ref().expect("a plan that was made")
    }

    // What is asked.

    pub fn may_apply(&self, plan: Name) -> Result<Opened, String> {
        let permit = self.permit(plan).map_err(|failure| failure.code)?;
        let Spends { glass, approved_by, .. } = permit.opened;
        Ok(match (glass, approved_by.as_slice()) {
            (true, []) => Opened::ByGlass,
            (false, []) => Opened::NotLocked,
            (_, [..]) => Opened::ByApprovals,
        })
    }

    fn permit(&self, plan: Name) -> Result<Permit, Failure> {
        let asked = self.asked(name(plan.author()));
        let plan = self.plan(plan);
        self.footing()
            .may_apply(plan, plan.digest(), None, &asked, site::resolution(), self.now)
    }

    pub fn may_approve(&mut self, plan: Name, key: Key) -> Result<(), String> {
        self.given(plan, key).map(drop).map_err(|failure| failure.code)
    }

    fn given(&mut self, plan: Name, key: Key) -> Result<crate::lock::Given, Failure> {
        let at = (plan as usize, key as usize);
        let exported = || site::signature(key, &file::export(self.plan(plan)));
        let signature = self.signatures.get(&at).cloned().unwrap_or_else(exported);
        self.signatures.insert(at, signature.clone());
        let asked = self.asked(name(key.owner()));
        let digest = self.plan(plan).digest();
        self.footing()
            .check_approval(digest, signature, false, &asked, self.now)
    }

    pub fn may_confirm(&self) -> Result<(), String> {
        self.footing()
            .may_confirm(self.now)
            .map(drop)
            .map_err(|failure| failure.code)
    }

    // What is done.

    pub fn take(&mut self, action: Action, before: &World, after: &World) {
        match action {
            Action::Start => self.start(after),
            Action::Crash => self.end(),
            Action::PowerCut | Action::PinsLost => self.black_out(action),
            Action::Make(plan) => self.make(plan, before.last().content),
            Action::Approve(plan, key) => {
                let given = self.given(plan, key).expect("an approval that the model takes");
                let plan = self.plan(plan).digest();
                self.append(&Entry::Approved { plan, given, by: None }, name(key.owner()));
            }
            Action::Reject(plan) => {
                let plan = self.plan(plan).digest();
                let why = None;
                self.append(&Entry::Rejected { plan, why, by: None }, "cid");
            }
            Action::Expire(plan) => self.now.time = self.now.time.max(self.plan(plan).expires),
            Action::Revoke(_) | Action::Restore(_) => self.on_disk = site::signers(after.on_disk),
            Action::Hold => self.append(&Entry::Held { why: None, by: None }, "bob"),
            Action::Resume => self.append(&Entry::Resumed { by: None }, "bob"),
            Action::BreakGlass => {
                let term = GlassTerm::from(self.now.coarse, GLASS, &self.boot);
                self.mended_at = Some(term.deadline);
                let why = "fire".to_owned();
                self.append(&Entry::GlassBroken { why, term, by: None }, "ann");
            }
            Action::MendGlass => {
                self.mended_at = None;
                self.append(&Entry::GlassMended { by: None }, "ann");
            }
            Action::GlassOver => self.wait_until(self.mended_at),
            Action::TrialOver => self.wait_until(self.deadline),
            Action::Apply(plan, trial) => {
                let opened = self.permit(plan).expect("a plan that the model takes").opened;
                let content = after.pending.expect("an intent").content;
                self.intend(content, Some(plan), opened, trial);
            }
            Action::Build => {}
            Action::Fail => self.fail(after),
            Action::Switch => self.switch(),
            Action::Conclude => self.conclude(),
            Action::Republish => self.republish(),
            Action::Confirm => {
                let generation = self.footing().may_confirm(self.now).expect("a trial").0;
                self.append(&Entry::Confirmed { generation }, "ann");
                self.on_trial = None;
                self.deadline = None;
            }
            Action::TakeBack => self.take_back(after),
        }
    }

    fn wait_until(&mut self, time: Option<Coarse>) {
        self.now.coarse = self.now.coarse.max(time.unwrap_or(0));
    }

    /// What the time has brought that nobody asked for.
    pub fn passed(&self) -> Vec<Action> {
        let expired = Name::ALL.into_iter().filter(|plan| {
            let plan = self.plans[*plan as usize].as_ref();
            plan.is_some_and(|plan| plan.expires <= self.now.time)
        });
        let mut passed: Vec<Action> = expired.map(Action::Expire).collect();
        let over = |time: Option<Coarse>| time.is_some_and(|time| time <= self.now.coarse);
        passed.extend(over(self.mended_at).then_some(Action::GlassOver));
        passed.extend(over(self.deadline).then_some(Action::TrialOver));
        passed
    }

    fn make(&mut self, plan: Name, base: Names) {
        // So that plans do not expire together.
        self.now.time += SignedDuration::from_secs(10);
        let target = Content::clone(&site::content(base.with(plan)).0);
        let wish = Wish::of(target, std::collections::BTreeSet::new());
        let author = name(plan.author());
        let made = self.footing().plan(wish, site::resolution(), author, self.now);
        let needs = if plan.is_risky() { NEEDS as u32 } else { 0 };
        assert!(!made.is_refused() && made.needs == needs, "{:?}", made.findings);
        if needs > 0 {
            let now = self.now.time;
            self.store().keep_plan(&made, now).expect("room on the disk");
        }
        self.plans[plan as usize] = Some(made);
    }

    fn intend(&mut self, content: Names, plan: Option<Name>, opened: Spends, trial: OnTrial) {
        let plan_digest = plan.map(|plan| self.plan(plan).digest());
        let (part, state) = site::content(content);
        let confirm = (trial == OnTrial::Yes).then(|| {
            let back_to = self.served.as_ref().expect("a generation").generation;
            Term::from(self.now.coarse, TRIAL, &self.boot, back_to)
        });
        let store = self.store();
        let generation = store.next_generation().expect("a sound store");
        let revision = store.next_revision().expect("a sound store");
        let intent = Entry::Intent(Intent {
            generation,
            revision,
            content: part.clone(),
            state: state.clone(),
            plan_digest,
            cause: "apply".to_owned(),
            message: None,
            confirm: confirm.clone(),
            by: None,
            expense: opened.expense,
            approved_by: opened.approved_by,
            glass: opened.glass,
        });
        self.append(&intent, "ann");
        self.next = Some((content, generation, revision, confirm));
    }

    fn take_back(&mut self, after: &World) {
        let back_to = self.on_trial.as_ref().expect("a trial").term.back_to;
        let found = self.store().generation(back_to).expect("a sound store");
        let content = after.pending.expect("an intent").content;
        let (_, earlier) = found.expect("a generation that was served");
        assert_eq!(
            earlier.digest(),
            site::content(content).0.digest(),
            "what is taken back to"
        );
        self.intend(content, None, Spends::default(), OnTrial::No);
    }

    fn fail(&mut self, after: &World) {
        let (_, generation, revision, _) = self.next.take().expect("something under way");
        let (code, message) = ("HF3001".to_owned(), "no".to_owned());
        let failed = Outcome::Failed {
            generation,
            revision,
            code,
            message,
        };
        self.append(&Entry::Outcome(failed), "ann");
        if after.daemon.is_none() {
            self.end();
        }
    }

    fn switch(&mut self) {
        let (content, generation, revision, _) = self.next.as_ref().expect("something under way");
        self.kernel = Some(facts(*content, *generation, *revision));
    }

    fn conclude(&mut self) {
        let (content, generation, revision, term) = self.next.take().expect("something under way");
        self.append(&Entry::Outcome(Outcome::Switched { generation, revision }), "ann");
        let before = self.served.take().map(|served| served.state.state.content);
        self.deadline = term.as_ref().map(|term| term.deadline);
        self.on_trial = term.map(|term| confirm::OnTrial::new(generation, "ann".to_owned(), term, before));
        self.served = Some(served(content, generation, revision));
    }

    /// As `startup`: settles, then adopts or publishes again.
    fn start(&mut self, after: &World) {
        let mut store = self.open().expect("a sound store");
        assert_eq!(
            Some(store.lock()),
            self.remembered.as_ref(),
            "a restart forgets nothing"
        );
        settle_pending(
            &mut store,
            self.kernel
                .as_ref()
                .map(|facts| (facts.generation, facts.revision, facts.digest)),
            self.now,
        )
        .expect("room on the disk");
        let last = store.last_switched().expect("a sound store").expect("a generation");
        if let Some((_, generation, _, term)) = self.next.take()
            && generation == last.generation
        {
            self.deadline = term.map(|term| term.deadline);
        }
        self.on_trial = store.on_trial().expect("a sound store");
        let before = content_before_trial(&store).expect("a sound store");
        self.store = Some(store);
        self.served = Some(served(after.last().content, last.generation, last.revision));
        let boot = self.boot.clone();
        let (generation, revision) = (last.generation, last.revision);
        if let Some(facts) = &self.kernel {
            assert_eq!((facts.generation, facts.digest), (generation, last.content.digest()));
            let boot = Some(boot);
            self.append(
                &Entry::Adopted {
                    generation,
                    revision,
                    boot,
                },
                "holdfastd",
            );
            return;
        }
        let rebooted = false;
        let again = Entry::ServedAgain {
            generation,
            revision,
            boot,
            rebooted,
        };
        self.append(&again, "holdfastd");
        if before.is_some() {
            self.take_back(after);
        }
    }

    fn republish(&mut self) {
        let served = self.served.as_ref().expect("a generation");
        let (generation, state) = (served.generation, served.state.clone());
        let revision = self.store().next_revision().expect("a sound store");
        let cause = "nothing was served any more".to_owned();
        let entry = Entry::Revision(store::Revision {
            generation,
            revision,
            state,
            cause,
        });
        self.append(&entry, "holdfastd");
        self.append(&Entry::Outcome(Outcome::Switched { generation, revision }), "holdfastd");
        let served = self.served.as_mut().expect("a generation");
        served.revision = revision;
        self.kernel = Some(RootFacts {
            generation,
            revision,
            digest: served.digest,
            state: served.state.state.digest(),
        });
    }

    /// However it ends.
    fn end(&mut self) {
        self.remembered = self
            .store
            .take()
            .map(|store| store.lock().clone())
            .or(self.remembered.take());
        self.served = None;
        self.on_trial = None;
    }

    fn black_out(&mut self, action: Action) {
        self.end();
        self.kernel = None;
        if action == Action::PowerCut {
            self.boot = format!("{} and another", self.boot);
            self.now.coarse = 10;
            self.mended_at = None;
            self.deadline = None;
        }
    }

    // What must be the same.

    pub fn agrees_with(&self, world: &World, taken: &[Action]) {
        let digest = |names: Names| site::content(names).0.digest();
        assert_eq!(self.store.is_some(), world.daemon.is_some(), "{taken:?}");
        let active = world.active.map(|at| {
            let generation = world.served.get(usize::from(at)).or(world.pending.as_ref());
            digest(generation.expect("a generation").content)
        });
        assert_eq!(self.kernel.as_ref().map(|facts| facts.digest), active, "{taken:?}");
        let (Some(store), Some(daemon)) = (&self.store, &world.daemon) else {
            return;
        };
        let last = store.last_switched().expect("a sound store").expect("a generation");
        assert_eq!(last.content.digest(), digest(world.last().content), "{taken:?}");
        let pending = store.pending_intent().expect("a sound store");
        let pending = pending.map(|pending| pending.served.content.digest());
        assert_eq!(
            pending,
            world.pending.map(|pending| digest(pending.content)),
            "{taken:?}"
        );
        if daemon.step == Step::Idle {
            assert_eq!(self.on_trial.is_some(), daemon.on_trial, "{taken:?}");
        }
        assert_eq!(store.lock().hold().is_some(), world.hold, "{taken:?}");
        let broken = world.glass.is_some_and(|glass| !glass.over && glass.boot == world.boot);
        assert_eq!(self.footing().glass_is_broken(self.now), broken, "{taken:?}");
    }

    /// At the end of a walk.
    pub fn is_sound(&mut self) {
        match &self.store {
            Some(store) => {
                store.verify().expect("a sound journal");
                assert!(matches!(self.open(), Err(StoreError::InUse { .. })), "a second writer");
            }
            None => drop(self.open().expect("a sound store").verify().expect("a sound journal")),
        }
    }
}

fn facts(content: Names, generation: u64, revision: u64) -> RootFacts {
    let (part, state) = site::content(content);
    RootFacts {
        generation,
        revision,
        digest: part.digest(),
        state: state.state.digest(),
    }
}

fn served(content: Names, generation: u64, revision: u64) -> Served {
    let (part, state) = site::content(content);
    Served {
        generation,
        revision,
        digest: part.digest(),
        state: state.clone(),
        layout: None,
    }
}
