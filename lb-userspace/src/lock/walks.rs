//! The product beside the model: in random walks of the model its store, lock and
//! decisions are asked the same, and must answer the same.
//!
//! Real are the store on a disk, which is closed and opened again by every crash,
//! the lock that follows it, plans, their signatures by keys of Ed25519, all that
//! [`Footing`](crate::serving::Footing) decides, and how a start settles what is
//! pending. The kernel is one field here: what it serves.

mod product;
mod site;

use std::collections::BTreeMap;

use fastrand::Rng;
use lock_model::{Action, Key, LockModel, Name, OnTrial, Opened, Refused, Scope, Step, Weakness, World};

use self::product::Product;
use crate::plan::code::Code;

/// More than can be looked at exhaustively.
const EVERYTHING: Scope = Scope {
    plans: &Name::ALL,
    keys: &Key::ALL,
    revocable: &Key::ALL,
    holds: true,
    glass: true,
    blackouts: 3,
};

const WALKS: u64 = 1000;
const STEPS: usize = 40;

/// The codes that a refusal may have. What expired or was used is forgotten at some
/// time, and then it is not known; the model's rejected plans do not expire.
fn codes(refused: Refused) -> Vec<&'static str> {
    let codes: &[Code] = match refused {
        Refused::OnTrial => &[Code::OnTrial],
        Refused::OnHold => &[Code::OnHold],
        Refused::Stale => &[Code::Stale],
        Refused::Expired => &[Code::Expired],
        Refused::Rejected => &[Code::Rejected, Code::Expired, Code::NotKept],
        Refused::NotWaiting => &[Code::NotKept, Code::Expired],
        Refused::Unapproved => &[Code::Unapproved],
        Refused::TooLate => &[Code::TrialOver],
        Refused::NotASigner => return vec!["HF2107"],
        Refused::OwnPlan => return vec!["HF2117"],
        Refused::InUse | Refused::NotNow => &[],
    };
    codes.iter().map(|code| code.as_str()).collect()
}

/// A walk, and what was met on it.
struct Walk {
    model: LockModel,
    world: World,
    product: Product,
    taken: Vec<Action>,
    met: BTreeMap<String, u32>,
}

impl Walk {
    fn new() -> Self {
        Self {
            model: LockModel::new(EVERYTHING, Weakness::None),
            world: World::first(),
            product: Product::new(),
            taken: Vec::new(),
            met: BTreeMap::new(),
        }
    }

    fn meet(&mut self, what: String) {
        *self.met.entry(what).or_default() += 1;
    }

    /// Answers that somebody could get now.
    fn compare(&mut self) {
        if self.world.daemon.is_none_or(|daemon| daemon.step != Step::Idle) {
            return;
        }
        for plan in Name::ALL {
            if self.world.made(plan).is_none() {
                continue;
            }
            let expected = self.model.may_apply(&self.world, plan);
            let answer = self.product.may_apply(plan);
            self.agree(&format!("apply {plan:?}"), expected, answer);
            if plan.is_risky() {
                // A key at a time: signatures are most of the work.
                let key = Key::ALL[self.taken.len() % Key::ALL.len()];
                let expected = self.model.may_approve(&self.world, plan, key);
                let answer = self.product.may_approve(plan, key);
                self.agree(&format!("approve {plan:?} by {key:?}"), expected, answer);
            }
        }
        let trial = self.world.last().trial;
        if let (Some(trial), true) = (trial, !self.world.last().is_for_good()) {
            let expected = self.model.may_confirm(trial, self.world.boot);
            let answer = self.product.may_confirm();
            self.agree("confirm", expected, answer);
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "both are made for this call")]
    fn agree<T: std::fmt::Debug + PartialEq>(
        &mut self,
        what: &str,
        expected: Result<T, Refused>,
        answer: Result<T, String>,
    ) {
        let agree = match (&expected, &answer) {
            (Ok(expected), Ok(answer)) => expected == answer,
            (Err(refused), Err(code)) => codes(*refused).contains(&code.as_str()),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        assert!(
            agree,
            "{what}: {expected:?} by the model, {answer:?} by the product, after {:?}\n{:#?}",
            self.taken, self.world
        );
        self.meet(format!("{expected:?}"));
    }

    /// One step of both.
    fn take(&mut self, action: Action) {
        let Ok(next) = self.model.attempt(&self.world, action) else {
            panic!("{action:?} is not for now");
        };
        self.taken.push(action);
        self.product.take(action, &self.world, &next);
        self.world = next;
        // What comes with the time that passed.
        for passed in self.product.passed() {
            if let Ok(next) = self.model.attempt(&self.world, passed) {
                self.taken.push(passed);
                self.world = next;
            }
        }
        self.product.agrees_with(&self.world, &self.taken);
        self.meet(format!("kind {}", action.kind()));
    }

    fn choose(&self, rng: &mut Rng) -> Option<Action> {
        let mut choices = Vec::new();
        self.model.tries(|action| {
            if self.model.attempt(&self.world, action).is_ok() {
                let weight = weight(action);
                choices.extend(std::iter::repeat_n(action, weight));
            }
        });
        rng.choice(choices)
    }
}

/// So that walks get somewhere.
const fn weight(action: Action) -> usize {
    match action {
        Action::Build | Action::Switch | Action::Conclude | Action::Republish | Action::Start => 12,
        Action::Apply(_, OnTrial::Yes | OnTrial::No) => 8,
        Action::Approve(..) | Action::Make(_) => 6,
        Action::Confirm | Action::TakeBack => 4,
        Action::Resume | Action::Restore(_) => 2,
        Action::Crash
        | Action::PowerCut
        | Action::PinsLost
        | Action::Reject(_)
        | Action::Expire(_)
        | Action::Revoke(_)
        | Action::Hold
        | Action::BreakGlass
        | Action::MendGlass
        | Action::GlassOver
        | Action::Fail
        | Action::TrialOver => 1,
    }
}

#[test]
fn product_decides_as_the_model_does() {
    let mut met = BTreeMap::<String, u32>::new();
    for seed in 0..WALKS {
        let mut rng = Rng::with_seed(seed);
        let mut walk = Walk::new();
        for _ in 0..STEPS {
            let Some(action) = walk.choose(&mut rng) else { break };
            walk.take(action);
            walk.compare();
        }
        walk.product.is_sound();
        for (what, count) in walk.met {
            *met.entry(what).or_default() += count;
        }
    }
    println!("{met:#?}");
    for kind in 0..Action::KINDS {
        assert!(met.contains_key(&format!("kind {kind}")), "no walk took kind {kind}");
    }
    let classes = [
        Refused::OnTrial,
        Refused::OnHold,
        Refused::Stale,
        Refused::Expired,
        Refused::Rejected,
        Refused::NotWaiting,
        Refused::Unapproved,
        Refused::NotASigner,
        Refused::OwnPlan,
        Refused::TooLate,
    ];
    for refused in classes {
        assert!(met.contains_key(&format!("Err({refused:?})")), "never {refused:?}");
    }
    for opened in [Opened::NotLocked, Opened::ByApprovals, Opened::ByGlass] {
        assert!(met.contains_key(&format!("Ok({opened:?})")), "never {opened:?}");
    }
}

/// After these actions.
fn after(actions: &[Action]) -> Walk {
    let mut walk = Walk::new();
    for action in actions {
        walk.take(*action);
        walk.compare();
    }
    walk
}

#[test]
fn rejected_plan_is_applied_by_no_glass_and_not_forgotten() {
    let rejected = [
        Action::Make(Name::Risky),
        Action::Reject(Name::Risky),
        Action::BreakGlass,
    ];
    let mut walk = after(&rejected);
    let refused = Err(Code::Rejected.as_str().to_owned());
    assert_eq!(walk.product.may_apply(Name::Risky), refused);
    // Another plan that is kept makes room for itself.
    walk.take(Action::Make(Name::Signers));
    assert_eq!(walk.product.may_apply(Name::Risky), refused);
    assert_eq!(walk.product.may_apply(Name::Signers), Ok(Opened::ByGlass));
}

#[test]
fn signature_of_a_used_plan_is_refused_as_used() {
    let mut walk = after(&[
        Action::Make(Name::Risky),
        Action::Approve(Name::Risky, Key::Bob),
        Action::Approve(Name::Risky, Key::Cid),
        Action::Apply(Name::Risky, OnTrial::No),
        Action::Fail,
    ]);
    let not_kept = Code::NotKept.as_str().to_owned();
    assert_eq!(walk.product.may_approve(Name::Risky, Key::Bob), Err(not_kept.clone()));
    assert_eq!(walk.product.may_apply(Name::Risky), Err(not_kept));
}
