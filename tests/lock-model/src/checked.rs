//! Every state of the model, and every guard missed.

use std::{sync::atomic::Ordering, time::Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::{Action, Key, LockModel, Name, Refused, Scope, Weakness};

/// All that can happen around one risky plan: who approves, who is revoked.
const APPROVALS: Scope = Scope {
    plans: &[Name::Risky, Name::Safe],
    keys: &Key::ALL,
    revocable: &[Key::Bob, Key::Cid],
    holds: true,
    glass: true,
    blackouts: 0,
};

/// Three plans that overtake each other, one of which takes an approver away.
const PLANS: Scope = Scope {
    plans: &Name::ALL,
    keys: &[Key::Ann, Key::Bob, Key::Cid],
    revocable: &[Key::Cid],
    holds: false,
    glass: false,
    blackouts: 0,
};

/// Power cuts and lost pins, twice, at any step of two plans.
const BLACKOUTS: Scope = Scope {
    plans: &[Name::Risky, Name::Safe],
    keys: &[Key::Bob, Key::Cid],
    revocable: &[],
    holds: false,
    glass: true,
    blackouts: 2,
};

/// Two operators, each with a risky plan, and everything else once.
const OPERATORS: Scope = Scope {
    plans: &[Name::Risky, Name::Signers],
    keys: &[Key::Ann, Key::Bob, Key::Cid],
    revocable: &[Key::Cid],
    holds: false,
    glass: true,
    blackouts: 1,
};

const SCOPES: [(&str, Scope); 4] = [
    ("approvals", APPROVALS),
    ("plans", PLANS),
    ("blackouts", BLACKOUTS),
    ("operators", OPERATORS),
];

/// One core, so that the figure means something; a state is some 100 bytes.
#[test]
fn lock_holds_in_every_state() {
    let mut found = std::collections::BTreeSet::new();
    let (mut taken, mut refused) = (0, 0);
    for (name, scope) in SCOPES {
        let began = Instant::now();
        let checker = LockModel::new(scope, Weakness::None).checker().spawn_bfs().join();
        println!(
            "{name}: {} states, {} steps between them, {} deep, {:.1?}",
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            began.elapsed()
        );
        for property in checker.model().properties() {
            match (property.expectation, checker.discovery(property.name)) {
                (Expectation::Always, Some(path)) => {
                    panic!("{name}: not true that {}: {:?}", property.name, path.into_actions())
                }
                (Expectation::Sometimes, Some(_)) => {
                    found.insert(property.name);
                }
                (Expectation::Always | Expectation::Eventually | Expectation::Sometimes, None)
                | (Expectation::Eventually, Some(_)) => {}
            }
        }
        taken |= checker.model().taken.load(Ordering::Relaxed);
        refused |= checker.model().refused.load(Ordering::Relaxed);
    }
    // A model in which nothing happens holds, too.
    let reachable = LockModel::new(APPROVALS, Weakness::None).properties();
    for property in reachable {
        if property.expectation == Expectation::Sometimes {
            assert!(found.contains(property.name), "never: {}", property.name);
        }
    }
    assert_eq!(
        taken,
        (1 << Action::KINDS) - 1,
        "kinds of actions that were taken: {taken:b}"
    );
    assert_eq!(refused, (1 << Refused::KINDS) - 1, "classes of refusals: {refused:b}");
}

/// Where a weakness shows.
const fn where_it_shows(weakness: Weakness) -> (&'static str, Scope) {
    match weakness {
        Weakness::GlassOutlivesBoot | Weakness::TrialAgain => ("blackouts", BLACKOUTS),
        Weakness::None
        | Weakness::TwoWriters
        | Weakness::AppliesOnTrial
        | Weakness::IgnoresHold
        | Weakness::IgnoresBase
        | Weakness::ComparesContents
        | Weakness::IgnoresExpiry
        | Weakness::IgnoresRejection
        | Weakness::RejectionYieldsToGlass
        | Weakness::IgnoresSpent
        | Weakness::OneIsEnough
        | Weakness::CountsKeys
        | Weakness::CountsAuthor
        | Weakness::IgnoresFile
        | Weakness::FileAdds
        | Weakness::EndlessGlass
        | Weakness::ConfirmsLate
        | Weakness::StartForgetsTrial
        | Weakness::AlwaysDiscards
        | Weakness::AlwaysForwards
        | Weakness::LateIntent
        | Weakness::SwitchesUnbuilt
        | Weakness::TakesBackToTrial => ("approvals", APPROVALS),
    }
}

/// An example of what is not true then, if there is one.
fn counterexample(weakness: Weakness) -> Option<(&'static str, Vec<Action>)> {
    let (_, scope) = where_it_shows(weakness);
    let checker = LockModel::new(scope, weakness)
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let properties = checker.model().properties();
    let mut broken = properties
        .iter()
        .filter(|property| property.expectation == Expectation::Always);
    broken.find_map(|property| Some((property.name, checker.discovery(property.name)?.into_actions())))
}

#[test]
fn every_guard_that_is_left_out_shows() {
    for weakness in Weakness::ALL {
        let Some((property, actions)) = counterexample(weakness) else {
            panic!("{weakness:?} goes unseen");
        };
        println!("{weakness:?}: not true that {property}, by {actions:?}");
    }
}
