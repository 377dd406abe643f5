//! The approval lock as a model, every state of which is looked at.
//!
//! A second statement of what the lock promises, written from the design and not
//! from the code: nothing here calls the product. `guards` says what is taken,
//! `steps` what follows, `properties` what must hold in every state. Each
//! guard can be left out ([`Weakness`]); then a counterexample must be found, or
//! the guard, or the property, says nothing. Two walks lead the product through the
//! same model at random and compare every answer: `lb-userspace/src/lock/walks.rs`
//! what decides, with a kernel that is a field; `tests/netns/lock/walks` the daemon.
//!
//! **The world.** Two operators, Ann and Bob, who write plans; approvers Ann, Bob
//! and Cid, who has two keys; Eve, who is in the approvers' file and not in the
//! running generation. Three plans: one that breaks something, one that takes Cid
//! away as an approver, and one that needs nobody. Of the journal, what has an
//! order is a list (generations that were served, and the intent without an
//! outcome); the rest are facts that its entries add up to.
//!
//! **Time** passes by events: a plan expires, a trial is over, a glass is mended by
//! itself. So the two clocks (wall clock for plans, a boot's own for trials and
//! glass) go at any speed relative to each other and to everything else.
//!
//! **Crashes** come between any two steps of a change: intent, chunks, switch,
//! outcome. What was journaled stays, what the kernel serves stays; after a power
//! cut only the journal does.
//!
//! **What it leaves out.** A number of a generation that was discarded is used again
//! here (in the store it never is): plans are bound to served generations only.
//! Revisions, health and next hops make no generations. Approvals count at the
//! moment of the decision; who is revoked while chunks are written comes too late,
//! as who is revoked after.

#[cfg(test)]
mod checked;
mod guards;
mod properties;
mod steps;

use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Model, Property};

pub use self::{
    guards::{Opened, Refused, Weakness},
    properties::Wrongs,
};

/// Approvals that a risky plan needs.
pub const NEEDS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Person {
    Ann,
    Bob,
    Cid,
    Eve,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Ann,
    Bob,
    Cid,
    /// Cid's, too.
    Spare,
    /// In the file alone.
    Eve,
}

impl Key {
    pub const ALL: [Self; 5] = [Self::Ann, Self::Bob, Self::Cid, Self::Spare, Self::Eve];

    pub const fn owner(self) -> Person {
        match self {
            Self::Ann => Person::Ann,
            Self::Bob => Person::Bob,
            Self::Cid | Self::Spare => Person::Cid,
            Self::Eve => Person::Eve,
        }
    }
}

/// A set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keys(u8);

impl Keys {
    pub fn of(keys: &[Key]) -> Self {
        keys.iter().fold(Self(0), |set, key| set.with(*key))
    }

    #[must_use]
    pub const fn with(self, key: Key) -> Self {
        Self(self.0 | 1 << key as u8)
    }

    #[must_use]
    pub const fn without(self, key: Key) -> Self {
        Self(self.0 & !(1 << key as u8))
    }

    pub const fn has(self, key: Key) -> bool {
        self.0 & (1 << key as u8) != 0
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Key> {
        Key::ALL.into_iter().filter(move |key| self.has(*key))
    }
}

/// The plans there can be; each is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Ann's: it breaks something.
    Risky,
    /// Bob's: Cid is no approver any more.
    Signers,
    /// Ann's: it needs nobody's approval.
    Safe,
}

impl Name {
    pub const ALL: [Self; 3] = [Self::Risky, Self::Signers, Self::Safe];

    pub const fn author(self) -> Person {
        match self {
            Self::Risky | Self::Safe => Person::Ann,
            Self::Signers => Person::Bob,
        }
    }

    pub const fn is_risky(self) -> bool {
        match self {
            Self::Risky | Self::Signers => true,
            Self::Safe => false,
        }
    }
}

/// What a generation serves: the plans that led to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content(u8);

impl Content {
    /// What there can be.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..1 << Name::ALL.len()).map(Self)
    }

    #[must_use]
    pub const fn with(self, plan: Name) -> Self {
        Self(self.0 | 1 << plan as u8)
    }

    pub const fn has(self, plan: Name) -> bool {
        self.0 & (1 << plan as u8) != 0
    }

    /// Signers that are part of it.
    pub fn signers(self) -> Keys {
        if self.has(Name::Signers) {
            Keys::of(&[Key::Ann, Key::Bob])
        } else {
            Keys::of(&[Key::Ann, Key::Bob, Key::Cid, Key::Spare])
        }
    }
}

/// A plan that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Made {
    /// Place of its base in [`World::served`].
    pub base: u8,
    pub approvals: Keys,
    pub expired: bool,
    pub rejected: bool,
    /// It was begun once.
    pub spent: bool,
    /// How often its approvals opened the lock.
    pub uses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    pub content: Content,
    /// `None`: the first, or one that took another back.
    pub plan: Option<Name>,
    pub trial: Option<Trial>,
    pub confirmed: bool,
    /// What was wrong when it was begun; must be empty.
    pub wrong: Wrongs,
}

impl Generation {
    /// Nobody has to confirm it any more.
    pub const fn is_for_good(&self) -> bool {
        self.trial.is_none() || self.confirmed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// Place of the generation before in [`World::served`].
    pub back_to: u8,
    pub boot: u8,
    pub over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Glass {
    pub boot: u8,
    pub over: bool,
}

/// The daemon, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Daemon {
    /// It knows that what is served is on trial.
    pub on_trial: bool,
    pub step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Idle,
    /// The intent is in the journal.
    Intended,
    /// All chunks are in the kernel.
    Built,
    /// The kernel serves it.
    Switched,
    /// Nothing was served at the start: the last generation is published again.
    Again,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    // The journal.
    pub plans: [Option<Made>; 3],
    /// Generations that were served, in their order.
    pub served: Vec<Generation>,
    /// The intent without an outcome; its place will be `served.len()`.
    pub pending: Option<Generation>,
    pub hold: bool,
    pub glass: Option<Glass>,
    // The kernel.
    /// Place of the generation that ACTIVE leads to.
    pub active: Option<u8>,
    /// All of its chunks are there.
    pub whole: bool,
    pub boot: u8,
    // The approvers' file.
    pub on_disk: Keys,
    // Processes. Who is up has the writer's lock.
    pub daemon: Option<Daemon>,
    pub second: bool,
    /// Power cuts and lost pins so far.
    pub blackouts: u8,
}

impl World {
    pub fn first() -> Self {
        let first = Generation {
            content: Content::default(),
            plan: None,
            trial: None,
            confirmed: false,
            wrong: Wrongs::default(),
        };
        Self {
            plans: [None; 3],
            served: vec![first],
            pending: None,
            hold: false,
            glass: None,
            active: Some(0),
            whole: true,
            boot: 0,
            on_disk: Keys::of(&Key::ALL),
            daemon: Some(Daemon {
                on_trial: false,
                step: Step::Idle,
            }),
            second: false,
            blackouts: 0,
        }
    }

    pub const fn made(&self, plan: Name) -> Option<&Made> {
        self.plans[plan as usize].as_ref()
    }

    /// The last that was served, as the journal has it.
    ///
    /// # Panics
    /// Never: the first is always there.
    pub fn last(&self) -> &Generation {
        self.served.last().expect("the first is always there")
    }

    pub const fn end(&self) -> u8 {
        self.served.len() as u8
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Start,
    Crash,
    PowerCut,
    PinsLost,
    Make(Name),
    Approve(Name, Key),
    Reject(Name),
    Expire(Name),
    Revoke(Key),
    Restore(Key),
    Hold,
    Resume,
    BreakGlass,
    MendGlass,
    GlassOver,
    Apply(Name, OnTrial),
    Build,
    Fail,
    Switch,
    Conclude,
    Republish,
    Confirm,
    TakeBack,
    TrialOver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnTrial {
    No,
    Yes,
}

impl Action {
    /// One of a kind each.
    pub const KINDS: u32 = 24;

    pub const fn kind(self) -> u32 {
        match self {
            Self::Start => 0,
            Self::Crash => 1,
            Self::PowerCut => 2,
            Self::PinsLost => 3,
            Self::Make(_) => 4,
            Self::Approve(..) => 5,
            Self::Reject(_) => 6,
            Self::Expire(_) => 7,
            Self::Revoke(_) => 8,
            Self::Restore(_) => 9,
            Self::Hold => 10,
            Self::Resume => 11,
            Self::BreakGlass => 12,
            Self::MendGlass => 13,
            Self::GlassOver => 14,
            Self::Apply(..) => 15,
            Self::Build => 16,
            Self::Fail => 17,
            Self::Switch => 18,
            Self::Conclude => 19,
            Self::Republish => 20,
            Self::Confirm => 21,
            Self::TakeBack => 22,
            Self::TrialOver => 23,
        }
    }
}

/// How much of the world is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub plans: &'static [Name],
    pub keys: &'static [Key],
    /// Keys that somebody takes out of the file, and puts in again.
    pub revocable: &'static [Key],
    pub holds: bool,
    pub glass: bool,
    pub blackouts: u8,
}

pub struct LockModel {
    pub scope: Scope,
    pub weakness: Weakness,
    /// Kinds of actions that were taken, and classes of refusals, as bits.
    pub taken: AtomicU32,
    pub refused: AtomicU32,
}

impl LockModel {
    pub const fn new(scope: Scope, weakness: Weakness) -> Self {
        Self {
            scope,
            weakness,
            taken: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        }
    }

    /// Everything that somebody could try.
    pub fn tries(&self, mut put: impl FnMut(Action)) {
        let Scope {
            plans,
            keys,
            revocable,
            holds,
            glass,
            blackouts,
        } = self.scope;
        for plan in plans {
            put(Action::Make(*plan));
            put(Action::Expire(*plan));
            put(Action::Apply(*plan, OnTrial::No));
            put(Action::Apply(*plan, OnTrial::Yes));
            if plan.is_risky() {
                put(Action::Reject(*plan));
                for key in keys {
                    put(Action::Approve(*plan, *key));
                }
            }
        }
        for key in revocable {
            put(Action::Revoke(*key));
            put(Action::Restore(*key));
        }
        if holds {
            [Action::Hold, Action::Resume].into_iter().for_each(&mut put);
        }
        if glass {
            [Action::BreakGlass, Action::MendGlass, Action::GlassOver]
                .into_iter()
                .for_each(&mut put);
        }
        if blackouts > 0 {
            [Action::PowerCut, Action::PinsLost, Action::Republish]
                .into_iter()
                .for_each(&mut put);
        }
        [
            Action::Start,
            Action::Crash,
            Action::Build,
            Action::Fail,
            Action::Switch,
            Action::Conclude,
            Action::Confirm,
            Action::TakeBack,
            Action::TrialOver,
        ]
        .into_iter()
        .for_each(&mut put);
    }
}

impl Model for LockModel {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::first()]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Action>) {
        self.tries(|action| actions.push(action));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        match self.attempt(world, action) {
            Ok(next) => {
                self.taken.fetch_or(1 << action.kind(), Ordering::Relaxed);
                Some(next)
            }
            Err(refused) => {
                self.refused.fetch_or(1 << refused as u32, Ordering::Relaxed);
                None
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
