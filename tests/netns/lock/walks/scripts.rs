//! Walks that are led, so that every kind of step and refusal is met for sure.

use anyhow::{Context as _, Result};
use lock_model::{Action, Key, Name, OnTrial};

use super::{
    Move, Walk,
    house::{House, LONG_TTL, SHORT_TTL},
};

/// A step; whether what begins with it ends soon, by itself.
type Led = (Action, bool);

fn lead(walk: &mut Walk<'_>, steps: &[Led]) -> Result<()> {
    for (action, short) in steps {
        walk.short = *short;
        let went = walk.take(Move::Of(*action));
        went.with_context(|| format!("{:?}\n{:#?}", walk.taken, walk.worlds))?;
    }
    Ok(())
}

const fn of(action: Action) -> Led {
    (action, false)
}

/// All of these were met.
fn ensure_met(walk: &Walk<'_>, what: &[&str]) {
    for what in what {
        assert!(walk.met.contains_key(*what), "no {what}: {:?}", walk.met);
    }
}

#[test]
fn approved_plan_goes_on_trial_once_and_each_way_back_is_that_of_the_model() -> Result<()> {
    let mut house = House::build(LONG_TTL)?;
    let mut walk = Walk::begin(&mut house, 0, false)?;
    let risky = |trial| Action::Apply(Name::Risky, trial);
    lead(
        &mut walk,
        &[
            of(Action::Make(Name::Risky)),
            of(Action::Make(Name::Signers)),
            of(risky(OnTrial::No)),
            of(Action::Approve(Name::Risky, Key::Eve)),
            of(Action::Approve(Name::Risky, Key::Ann)),
            of(Action::Approve(Name::Risky, Key::Bob)),
            of(Action::Revoke(Key::Bob)),
            of(Action::Approve(Name::Risky, Key::Cid)),
            of(Action::Approve(Name::Risky, Key::Spare)),
            of(risky(OnTrial::No)),
            of(Action::Restore(Key::Bob)),
            of(Action::Hold),
            of(risky(OnTrial::No)),
            of(Action::Crash),
            of(Action::Start),
            of(Action::Resume),
            of(risky(OnTrial::Yes)),
            of(Action::Apply(Name::Signers, OnTrial::No)),
            of(Action::Start),
            of(Action::Crash),
            of(Action::Start),
            of(Action::TakeBack),
            of(Action::Apply(Name::Signers, OnTrial::No)),
            of(risky(OnTrial::No)),
            of(Action::Approve(Name::Risky, Key::Bob)),
            of(Action::Make(Name::Safe)),
            (Action::Apply(Name::Safe, OnTrial::Yes), true),
            of(Action::TrialOver),
        ],
    )?;
    let kinds = [
        "kind 0", "kind 1", "kind 4", "kind 5", "kind 8", "kind 9", "kind 10", "kind 11", "kind 15",
    ];
    ensure_met(&walk, &kinds);
    ensure_met(&walk, &["kind 22", "kind 23", "ByApprovals", "NotLocked"]);
    let refused = [
        "Unapproved",
        "NotASigner",
        "OwnPlan",
        "OnHold",
        "OnTrial",
        "InUse",
        "Stale",
        "NotWaiting",
    ];
    ensure_met(&walk, &refused);
    walk.house.ensure_sound()
}

#[test]
fn glass_opens_no_rejected_plan_and_a_trial_is_confirmed_or_gone_with_the_pins() -> Result<()> {
    let mut house = House::build(LONG_TTL)?;
    let mut walk = Walk::begin(&mut house, 0, false)?;
    lead(
        &mut walk,
        &[
            of(Action::Make(Name::Risky)),
            of(Action::Reject(Name::Risky)),
            (Action::BreakGlass, true),
            of(Action::Apply(Name::Risky, OnTrial::No)),
            of(Action::GlassOver),
            of(Action::Make(Name::Signers)),
            of(Action::Apply(Name::Signers, OnTrial::Yes)),
            of(Action::BreakGlass),
            of(Action::Apply(Name::Signers, OnTrial::Yes)),
            of(Action::Confirm),
            of(Action::MendGlass),
            of(Action::Make(Name::Safe)),
            of(Action::Apply(Name::Safe, OnTrial::Yes)),
            of(Action::Crash),
            of(Action::PinsLost),
            of(Action::Start),
        ],
    )?;
    ensure_met(&walk, &["kind 3", "kind 6", "kind 12", "kind 13", "kind 14", "kind 21"]);
    ensure_met(&walk, &["ByGlass", "Rejected", "Unapproved"]);
    walk.house.ensure_sound()
}

/// They wait for a minute, the shortest time there is.
#[test]
fn plan_is_void_when_its_time_is_over_whoever_approved_it_and_whatever_opens_the_lock() -> Result<()> {
    let mut house = House::build(SHORT_TTL)?;
    let mut walk = Walk::begin(&mut house, 0, true)?;
    lead(
        &mut walk,
        &[
            of(Action::Make(Name::Risky)),
            of(Action::Make(Name::Signers)),
            of(Action::Make(Name::Safe)),
            of(Action::Approve(Name::Risky, Key::Bob)),
            of(Action::Approve(Name::Risky, Key::Cid)),
            of(Action::Approve(Name::Signers, Key::Ann)),
            of(Action::Crash),
            of(Action::Start),
        ],
    )?;
    for plan in Name::ALL {
        if walk.world().made(plan).is_some_and(|made| !made.expired) {
            lead(&mut walk, &[of(Action::Expire(plan))])?;
        }
    }
    let risky = of(Action::Apply(Name::Risky, OnTrial::No));
    lead(
        &mut walk,
        &[
            risky,
            of(Action::Approve(Name::Risky, Key::Spare)),
            of(Action::Crash),
            of(Action::Start),
            risky,
            of(Action::BreakGlass),
            of(Action::Apply(Name::Signers, OnTrial::Yes)),
            risky,
            of(Action::Apply(Name::Safe, OnTrial::No)),
        ],
    )?;
    assert_eq!(walk.met["Expired"], 5, "{:?}", walk.met);
    assert_eq!(walk.met["NotWaiting"], 1, "{:?}", walk.met);
    walk.house.ensure_sound()
}
