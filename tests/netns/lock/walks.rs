//! The real daemon beside the model of the approval lock: in seeded random walks
//! two operators, their approvers, an admin and whoever kills daemons do what the
//! model can do, by the real command line; what is seen of the daemon and of the
//! tables in the kernel must be what the model says, after every step.
//!
//! A daemon that is killed in the middle of an apply leaves one of several worlds of
//! the model behind; what is seen after the next start says which.
//!
//! Left out are power cuts (level `vm`) and changes that fail (the anomaly tests).

mod house;
mod scripts;
mod seen;

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use lock_model::{Action, Key, LockModel, Name, OnTrial, Opened, Refused, Scope, Step, Weakness, World};

use self::house::{Answer, House};
use support::wait;

/// Ann's line stays in the file: one without lines is no file.
const SCOPE: Scope = Scope {
    plans: &Name::ALL,
    keys: &Key::ALL,
    revocable: &[Key::Bob, Key::Cid, Key::Spare, Key::Eve],
    holds: true,
    glass: true,
    blackouts: 1,
};

const STEPS: usize = 25;

/// What is applied is, within about this.
const LONGEST_APPLY_US: u64 = 60_000;

/// What is taken back is served again within this.
const BACK: Duration = Duration::from_secs(10);

/// Codes of a refusal. Who approves finds no plan that waits no more, or one whose
/// time is over; the model's rejected plans do not expire.
const fn codes(action: Action, refused: Refused) -> &'static [&'static str] {
    let approves = matches!(action, Action::Approve(..) | Action::Reject(_));
    match refused {
        Refused::OnTrial => &["HF2040"],
        Refused::OnHold => &["HF2076"],
        Refused::Stale => &["HF2003"],
        Refused::Expired => &["HF2070"],
        Refused::Rejected if approves => &["HF2075", "HF5004"],
        Refused::Rejected => &["HF2075", "HF2070"],
        Refused::NotWaiting if approves => &["HF2074", "HF2070", "HF5004"],
        Refused::NotWaiting => &["HF2074"],
        Refused::Unapproved => &["HF2073"],
        Refused::TooLate => &["HF2042"],
        Refused::NotASigner => &["HF2107"],
        Refused::OwnPlan => &["HF2117"],
        Refused::InUse => &[house::IN_USE],
        Refused::NotNow => &[],
    }
}

/// A step of a walk.
#[derive(Clone, Copy, Debug)]
enum Move {
    Of(Action),
    /// The daemon is killed while it applies a plan, so many microseconds in.
    Torn(Name, OnTrial, u64),
}

struct Walk<'h> {
    house: &'h mut House,
    model: LockModel,
    /// Where the daemon may be: one but for what a kill left open.
    worlds: Vec<World>,
    /// Numbers of the generations that were served.
    known: Vec<u64>,
    rng: Rng,
    /// Trials and glasses that begin now end soon, by themselves.
    short: bool,
    /// Plans may be waited for until they expire.
    patient: bool,
    taken: Vec<String>,
    met: BTreeMap<String, u32>,
}

impl<'h> Walk<'h> {
    fn begin(house: &'h mut House, seed: u64, patient: bool) -> Result<Self> {
        house.begin()?;
        house.write_signers(World::first().on_disk)?;
        Ok(Self {
            house,
            model: LockModel::new(SCOPE, Weakness::None),
            worlds: vec![World::first()],
            known: vec![1],
            rng: Rng::with_seed(seed),
            short: false,
            patient,
            taken: Vec::new(),
            met: BTreeMap::new(),
        })
    }

    fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    fn world(&self) -> &World {
        &self.worlds[0]
    }

    /// What somebody does next: mostly what is taken, sometimes what is refused.
    fn choose(&mut self) -> Move {
        let wants_refusal = self.rng.u8(..100) < 25;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        self.model.tries(|action| {
            if !self.is_somebodys(action) {
                return;
            }
            match self.model.attempt(self.world(), action) {
                Ok(_) => {
                    taken.extend(std::iter::repeat_n(Move::Of(action), weight(action)));
                    if let Action::Apply(plan, trial) = action {
                        taken.extend([Move::Torn(plan, trial, 0); 5]);
                    }
                }
                Err(Refused::NotNow) => {}
                Err(_) => {
                    let weight = if matches!(action, Action::Apply(..)) { 4 } else { 1 };
                    refused.extend(std::iter::repeat_n(Move::Of(action), weight));
                }
            }
        });
        let from = if wants_refusal && !refused.is_empty() {
            refused
        } else {
            taken
        };
        match self.rng.choice(from).expect("a daemon can always be killed or started") {
            Move::Torn(plan, trial, _) => Move::Torn(plan, trial, self.rng.u64(..LONGEST_APPLY_US)),
            chosen @ Move::Of(_) => chosen,
        }
    }

    /// What the daemon does by itself is not chosen, nor what cannot be waited for.
    const fn is_somebodys(&self, action: Action) -> bool {
        match action {
            Action::Build | Action::Fail | Action::Switch | Action::Conclude | Action::Republish | Action::PowerCut => {
                false
            }
            Action::Expire(_) => self.patient,
            Action::GlassOver => self.house.glass.is_some(),
            Action::TrialOver => self.house.trial.is_some() && self.house.is_up(),
            Action::Start
            | Action::Crash
            | Action::PinsLost
            | Action::Make(_)
            | Action::Approve(..)
            | Action::Reject(_)
            | Action::Revoke(_)
            | Action::Restore(_)
            | Action::Hold
            | Action::Resume
            | Action::BreakGlass
            | Action::MendGlass
            | Action::Apply(..)
            | Action::Confirm
            | Action::TakeBack => true,
        }
    }

    fn take(&mut self, chosen: Move) -> Result<()> {
        self.taken.push(format!("{chosen:?}"));
        match chosen {
            Move::Of(action) => {
                let answer = self.act(action)?;
                self.settle(action, &answer)?;
                if matches!(action, Action::Expire(_) | Action::GlassOver | Action::TrialOver) {
                    // What else ended while that was waited for.
                    self.end_what_is_due()?;
                }
            }
            Move::Torn(plan, trial, after) => self.tear(plan, trial, after)?,
        }
        self.end_trial_that_is_over()?;
        self.look()
    }

    /// Does it in the house.
    fn act(&mut self, action: Action) -> Result<Answer> {
        let short = self.short;
        let world = self.world().clone();
        let house = &mut *self.house;
        let next_on_disk = |key: Key, there: bool| {
            let keys = world.on_disk;
            if there { keys.with(key) } else { keys.without(key) }
        };
        match action {
            Action::Start if house.is_up() => return house.start_another(),
            Action::Start => house.start()?,
            Action::Crash => house.crash()?,
            Action::PinsLost => house.lose_pins()?,
            Action::Make(plan) => house.make(plan, world.last().content, world.on_disk)?,
            Action::Approve(plan, key) => return house.approve(plan, key),
            Action::Reject(plan) => return house.reject(plan),
            Action::Expire(plan) => house.made(plan)?.due.wait(),
            Action::Revoke(key) => house.write_signers(next_on_disk(key, false))?,
            Action::Restore(key) => house.write_signers(next_on_disk(key, true))?,
            Action::Hold => return house.types(super::people::Person::Ben, &["hold", "-m", "later"]),
            Action::Resume => return house.types(super::people::Person::Ann, &["resume"]),
            Action::BreakGlass => return house.break_glass(short),
            Action::MendGlass => return house.mend_glass(),
            Action::GlassOver => house.glass.take().context("a short glass")?.wait(),
            Action::TrialOver => house.trial.take().context("a short trial")?.wait(),
            Action::Apply(plan, trial) => return house.apply(plan, trial, short),
            Action::Confirm => return house.end_trial("confirm"),
            Action::TakeBack => return house.end_trial("abort"),
            Action::Build | Action::Fail | Action::Switch | Action::Conclude | Action::Republish | Action::PowerCut => {
                unreachable!("nobody's")
            }
        }
        Ok(Ok(()))
    }

    /// Keeps the worlds in which the answer is right, as they are after it.
    fn settle(&mut self, action: Action, answer: &Answer) -> Result<()> {
        let mut right = Vec::new();
        let mut expected = Vec::new();
        for world in &self.worlds {
            let attempt = self.model.attempt(world, action);
            expected.push(attempt.as_ref().map(|_| ()).map_err(|refused| *refused));
            match (attempt, answer) {
                (Ok(next), Ok(())) => right.push(self.by_itself(next)),
                (Err(refused), Err(code)) if codes(action, refused).contains(&code.as_str()) => {
                    right.push(world.clone());
                }
                (Ok(_), Err(_)) | (Err(_), Ok(()) | Err(_)) => {}
            }
        }
        ensure!(
            !right.is_empty(),
            "{action:?}: {expected:?} by the model, {answer:?} by the daemon"
        );
        if let (Action::Apply(plan, _), Ok(())) = (action, answer) {
            self.ensure_opened_rightly(plan)?;
        }
        match expected.iter().find_map(|expected| expected.err()) {
            Some(refused) if answer.is_err() => self.meet(&format!("{refused:?}")),
            Some(_) | None => self.meet(&format!("kind {}", action.kind())),
        }
        self.worlds = right;
        Ok(())
    }

    /// What the daemon goes on to do before it answers.
    fn by_itself(&self, mut world: World) -> World {
        loop {
            let action = match world.daemon.map(|daemon| daemon.step) {
                None | Some(Step::Idle) => return world,
                Some(Step::Intended) => Action::Build,
                Some(Step::Built) => Action::Switch,
                Some(Step::Switched) => Action::Conclude,
                Some(Step::Again) => Action::Republish,
            };
            world = self.model.attempt(&world, action).expect("what is under way goes on");
        }
    }

    /// By approvals, or by the glass, or neither, as the journal has it.
    fn ensure_opened_rightly(&mut self, plan: Name) -> Result<()> {
        let opened = self.house.opened()?;
        let worlds = self.worlds.iter();
        let expected: Vec<Opened> = worlds
            .filter_map(|world| self.model.may_apply(world, plan).ok())
            .collect();
        let by = match opened {
            (0, false) => Opened::NotLocked,
            (0, true) => Opened::ByGlass,
            (lock_model::NEEDS.., _) => Opened::ByApprovals,
            (1, _) => anyhow::bail!("one approval opened the lock"),
        };
        ensure!(expected.contains(&by), "{plan:?} was opened {by:?}, not {expected:?}");
        self.meet(&format!("{by:?}"));
        Ok(())
    }

    /// Kills it in the middle, starts it again, and sees what became of it.
    fn tear(&mut self, plan: Name, trial: OnTrial, after: u64) -> Result<()> {
        self.house.tear(plan, trial, Duration::from_micros(after))?;
        let mut worlds = Vec::new();
        for world in &self.worlds {
            let mut at = world.clone();
            let steps = [
                Action::Apply(plan, trial),
                Action::Build,
                Action::Switch,
                Action::Conclude,
            ];
            for step in std::iter::once(None).chain(steps.map(Some)) {
                if let Some(step) = step {
                    let Ok(next) = self.model.attempt(&at, step) else { break };
                    at = next;
                }
                let dead = self.model.attempt(&at, Action::Crash).expect("it is up");
                let again = self.model.attempt(&dead, Action::Start).expect("nobody is up");
                let again = self.by_itself(again);
                if !worlds.contains(&again) {
                    worlds.push(again);
                }
            }
        }
        let before = self.worlds[0].served.len();
        self.worlds = worlds;
        self.house.start()?;
        self.look()?;
        let switched = self.world().served.len() > before;
        self.meet(if switched {
            "torn and served"
        } else {
            "torn and not served"
        });
        let settled = self.house.settled()?;
        self.meet(&format!("a start after a tear finds: {settled}"));
        Ok(())
    }

    /// What would end in the middle of the next step ends first.
    fn end_what_is_due(&mut self) -> Result<bool> {
        let near = |due: Option<house::Due>| due.is_some_and(house::Due::is_near);
        let mut due = Vec::new();
        due.extend(near(self.house.glass).then_some(Action::GlassOver));
        due.extend(near(self.house.trial).then_some(Action::TrialOver));
        due.extend(Name::ALL.into_iter().filter_map(|plan| {
            let made = self.house.plans[plan as usize].as_ref();
            let over = self.world().made(plan).is_none_or(|made| made.expired || made.rejected);
            (!over && near(made.map(|made| made.due))).then_some(Action::Expire(plan))
        }));
        for action in &due {
            self.taken.push(format!("{action:?} by itself"));
            let answer = self.act(*action)?;
            self.settle(*action, &answer)?;
        }
        Ok(!due.is_empty())
    }

    /// The daemon takes it back without being asked.
    fn end_trial_that_is_over(&mut self) -> Result<()> {
        let over = |world: &World| {
            let daemon = world.daemon.is_some_and(|daemon| daemon.on_trial);
            daemon && world.last().trial.is_some_and(|trial| trial.over)
        };
        if !over(self.world()) {
            return Ok(());
        }
        let last = self.known.last().copied().unwrap_or_default();
        let (house, known) = (&*self.house, self.known.len());
        // It may have been seen before it was taken back, or after.
        let number = if self.world().served.len() > known {
            last + 1
        } else {
            last
        };
        wait::until(BACK, "the trial is taken back", || {
            let seen = house.see().ok()?;
            (!seen.on_trial && seen.generation > number).then_some(())
        })?;
        self.settle(Action::TakeBack, &Ok(()))
    }

    /// What is seen is one of the worlds; the others are not it.
    fn look(&mut self) -> Result<()> {
        if self.world().daemon.is_none() {
            let attached = self.house.is_attached()?;
            let active = self.world().active.is_some();
            ensure!(
                attached == active,
                "attached: {attached}, and the model serves: {active}"
            );
            return Ok(());
        }
        let seen = self.house.see()?;
        let differences: Vec<Option<String>> = self
            .worlds
            .iter()
            .map(|world| seen.differs(world, &self.known, self.house))
            .collect();
        let mut fits = differences.iter().map(Option::is_none);
        self.worlds.retain(|_| fits.next() == Some(true));
        ensure!(
            !self.worlds.is_empty(),
            "other than the model: {differences:?}: {seen:#?}"
        );
        let content = self.world().last().content;
        self.house.digests.insert(content, seen.digest.clone());
        while self.known.len() < self.world().served.len() {
            self.known.push(seen.generation);
        }
        Ok(())
    }

    fn go(&mut self) -> Result<()> {
        for _ in 0..STEPS {
            if self.end_what_is_due()? {
                self.end_trial_that_is_over()?;
                self.look()?;
            }
            self.short = self.rng.bool();
            let chosen = self.choose();
            self.take(chosen)?;
        }
        if self.world().daemon.is_none() {
            self.take(Move::Of(Action::Start))?;
        }
        self.house.ensure_sound()
    }
}

/// So that walks get somewhere.
const fn weight(action: Action) -> usize {
    match action {
        Action::Start => 12,
        Action::Apply(_, OnTrial::Yes) => 10,
        Action::Apply(_, OnTrial::No) => 5,
        Action::Approve(..) => 9,
        Action::Make(_) | Action::TrialOver => 6,
        Action::Confirm | Action::TakeBack => 4,
        Action::Resume | Action::Restore(_) | Action::Crash | Action::GlassOver => 2,
        Action::PowerCut
        | Action::PinsLost
        | Action::Reject(_)
        | Action::Expire(_)
        | Action::Revoke(_)
        | Action::Hold
        | Action::BreakGlass
        | Action::MendGlass
        | Action::Build
        | Action::Switch
        | Action::Conclude
        | Action::Republish
        | Action::Fail => 1,
    }
}

#[test]
fn daemon_does_what_the_model_does_through_random_walks_and_kills() -> Result<()> {
    let long = env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1");
    let walks = if long { 40 } else { 12 };
    let mut house = House::build(if long { house::SHORT_TTL } else { house::LONG_TTL })?;
    let mut met = BTreeMap::<String, u32>::new();
    for seed in 0..walks {
        let mut walk = Walk::begin(&mut house, seed, long)?;
        let went = walk.go();
        let taken = walk.taken.join(", ");
        println!("walk {seed}: {taken}");
        went.with_context(|| format!("walk {seed}: {taken}\n{:#?}", walk.worlds))?;
        for (what, count) in walk.met {
            *met.entry(what).or_default() += count;
        }
    }
    println!("{met:#?}");
    // Rare ones are in the scripts.
    for what in ["NotLocked", "Unapproved", "NotASigner"] {
        ensure!(met.contains_key(what), "no walk met {what}");
    }
    let torn = met
        .get("torn and served")
        .into_iter()
        .chain(met.get("torn and not served"));
    ensure!(torn.sum::<u32>() >= 3, "hardly an apply was torn");
    Ok(())
}
