//! What must hold in every state, and what must be reachable at all.
//!
//! Written without the guards: from what the journal says, counted anew.

use stateright::Property;

use super::{Generation, Key, LockModel, NEEDS, Name, Person, Step, World};

/// What was wrong at the moment of a decision.
#[expect(clippy::struct_excessive_bools, reason = "each is a wrong of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrongs {
    pub unapproved: bool,
    pub expired: bool,
    pub rejected: bool,
    pub held: bool,
}

/// By the world as it is; whoever decides has to have seen the same.
pub fn wrongs(world: &World, plan: Name) -> Wrongs {
    let open = world.glass.is_some_and(|glass| glass.boot == world.boot && !glass.over);
    let Some(made) = world.made(plan) else {
        return Wrongs::default();
    };
    let approved_by = |person: Person| {
        let mut keys = Key::ALL.into_iter().filter(|key| key.owner() == person);
        keys.any(|key| made.approvals.has(key) && world.on_disk.has(key) && world.last().content.signers().has(key))
    };
    let others = [Person::Ann, Person::Bob, Person::Cid, Person::Eve]
        .into_iter()
        .filter(|person| *person != plan.author() && approved_by(*person))
        .count();
    Wrongs {
        unapproved: plan.is_risky() && others < NEEDS && !open,
        expired: made.expired,
        rejected: made.rejected,
        held: world.hold && !open,
    }
}

/// Begun or served.
fn begun(world: &World) -> impl Iterator<Item = &Generation> {
    world.served.iter().chain(&world.pending)
}

fn at_rest(world: &World) -> bool {
    world.daemon.is_some_and(|daemon| daemon.step == Step::Idle)
}

pub fn all() -> Vec<Property<LockModel>> {
    [always(), sometimes()].concat()
}

fn always() -> Vec<Property<LockModel>> {
    vec![
        Property::<LockModel>::always("there is one writer", |_, world| !world.second),
        Property::<LockModel>::always("a risky plan has two approvals or a broken glass", |_, world| {
            begun(world).all(|generation| !generation.wrong.unapproved)
        }),
        Property::<LockModel>::always("an expired plan is never applied", |_, world| {
            begun(world).all(|generation| !generation.wrong.expired)
        }),
        Property::<LockModel>::always("a rejected plan is never applied", |_, world| {
            begun(world).all(|generation| !generation.wrong.rejected)
        }),
        Property::<LockModel>::always("nothing is applied on hold, but by a broken glass", |_, world| {
            begun(world).all(|generation| !generation.wrong.held)
        }),
        Property::<LockModel>::always("a plan is served once at most", |_, world| {
            Name::ALL.iter().all(|plan| {
                let of = world.served.iter().filter(|served| served.plan == Some(*plan));
                of.count() <= 1
            })
        }),
        Property::<LockModel>::always("approvals open the lock once", |_, world| {
            world.plans.iter().flatten().all(|made| made.uses <= 1)
        }),
        Property::<LockModel>::always("a plan is applied on its base alone", |_, world| {
            begun(world).enumerate().all(|(at, generation)| {
                let made = generation.plan.and_then(|plan| world.made(plan));
                made.is_none_or(|made| usize::from(made.base) + 1 == at)
            })
        }),
        Property::<LockModel>::always("a trial stands on a generation that was for good", |_, world| {
            begun(world).all(|generation| {
                generation.trial.is_none_or(|trial| {
                    let before = world.served.get(usize::from(trial.back_to));
                    before.is_some_and(Generation::is_for_good)
                })
            })
        }),
        Property::<LockModel>::always("what takes a trial back is what was for good", |_, world| {
            let mut good = world.served[0].content;
            begun(world).skip(1).all(|generation| {
                let right = generation.plan.is_some() || generation.content == good;
                if generation.is_for_good() {
                    good = generation.content;
                }
                right
            })
        }),
        Property::<LockModel>::always("nothing is confirmed too late", |_, world| {
            world.served.iter().all(|generation| {
                let over = generation.trial.is_some_and(|trial| trial.over);
                !(generation.confirmed && over)
            })
        }),
        Property::<LockModel>::always("a trial does not outlive its boot", |_, world| {
            let last = world.served.get(world.active.map_or(usize::MAX, usize::from));
            let other = last
                .and_then(|last| last.trial)
                .filter(|trial| trial.boot != world.boot);
            other.is_none() || last.is_some_and(|last| last.confirmed)
        }),
        Property::<LockModel>::always("a daemon knows of a trial", |_, world| {
            world
                .daemon
                .is_none_or(|daemon| daemon.step != Step::Idle || daemon.on_trial != world.last().is_for_good())
        }),
        Property::<LockModel>::always("the kernel serves what the journal says", |_, world| {
            let last = world.end() - 1;
            let known = world
                .active
                .is_none_or(|active| active == last || (active == last + 1 && world.pending.is_some()));
            known && (!at_rest(world) || world.active == Some(last))
        }),
        Property::<LockModel>::always("one whole generation is served", |_, world| {
            world.whole == world.active.is_some() && (!at_rest(world) || world.active.is_some())
        }),
    ]
}

fn sometimes() -> Vec<Property<LockModel>> {
    vec![
        Property::<LockModel>::sometimes("two approvals open the lock", |_, world| {
            let made = world.made(Name::Risky);
            served(world, Name::Risky) && made.is_some_and(|made| made.uses == 1)
        }),
        Property::<LockModel>::sometimes("a broken glass opens the lock", |_, world| {
            let made = world.made(Name::Risky);
            served(world, Name::Risky) && made.is_some_and(|made| made.uses == 0)
        }),
        Property::<LockModel>::sometimes("all plans are served one after the other", |_, world| {
            world.served.len() == 1 + world.plans.len() && world.plans.iter().flatten().all(|made| made.spent)
        }),
        Property::<LockModel>::sometimes("a trial is confirmed", |_, world| {
            world.served.iter().any(|generation| generation.confirmed)
        }),
        Property::<LockModel>::sometimes("a trial is taken back", |_, world| {
            world.served.iter().skip(1).any(|generation| generation.plan.is_none())
        }),
        Property::<LockModel>::sometimes("the base of an approved plan has moved", |_, world| {
            let moved = |made: &super::Made| made.approvals != super::Keys::default() && made.base + 1 < world.end();
            world.plans.iter().flatten().any(moved)
        }),
        Property::<LockModel>::sometimes("a switch waits for its outcome while no daemon is up", |_, world| {
            world.daemon.is_none() && world.pending.is_some() && world.active == Some(world.end())
        }),
        Property::<LockModel>::sometimes("an intent waits without a switch while no daemon is up", |_, world| {
            world.daemon.is_none() && world.pending.is_some() && world.active.is_some_and(|at| at < world.end())
        }),
        Property::<LockModel>::sometimes("a plan is begun and not served", |_, world| {
            at_rest(world) && world.made(Name::Risky).is_some_and(|made| made.spent) && !served(world, Name::Risky)
        }),
    ]
}

fn served(world: &World, plan: Name) -> bool {
    world.served.iter().any(|served| served.plan == Some(plan))
}
