//! What a decision rests on, so that it can be made, and tested, without a
//! kernel: nothing here can write.

use super::{Served, Serving};
use crate::{
    activity::Activity,
    api::model::{Failure, Mode},
    arrivals::Arrivals,
    clock::Now,
    confirm::OnTrial,
    failure,
    plan::{Plan, policy},
    store::Store,
};

/// Handles of what [`Serving`] knows. `on_trial` is of `served`.
#[derive(Clone, Copy)]
pub struct Footing<'a> {
    pub mode: Mode,
    pub mode_reason: Option<&'a str>,
    pub store: Option<&'a Store>,
    pub served: Option<&'a Served>,
    pub on_trial: Option<&'a OnTrial>,
    pub activity: &'a Activity,
    pub arrivals: &'a Arrivals,
    pub environment: &'a str,
    /// This host's name.
    pub host: &'a str,
    /// The kernel's boot id.
    pub boot: &'a str,
}

impl Serving {
    pub(crate) fn footing(&self) -> Footing<'_> {
        Footing {
            mode: self.mode,
            mode_reason: self.mode_reason.as_deref(),
            store: self.store.as_ref(),
            served: self.served.as_ref(),
            on_trial: self.on_trial.as_ref(),
            activity: &self.activity,
            arrivals: &self.arrivals,
            environment: &self.environment,
            host: &self.host,
            boot: &self.boot,
        }
    }
}

impl Footing<'_> {
    pub(super) fn check_writable(&self) -> Result<(), Failure> {
        match self.mode {
            Mode::Normal => Ok(()),
            Mode::Hold | Mode::ReadOnly => Err(failure::read_only(self.mode_reason.unwrap_or("changes are frozen"))),
        }
    }

    /// A plan that says it goes back goes where it says.
    pub(super) fn check_rollback(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(number) = plan.rollback_to else {
            return Ok(());
        };
        let earlier = match self.store {
            Some(store) => store.generation(number)?,
            None => None,
        };
        match earlier {
            Some((_, content)) if *content == plan.target => Ok(()),
            Some(_) | None => Err(policy::Altered::Rollback(number).into()),
        }
    }

    pub(crate) fn glass_is_broken(&self, now: Now) -> bool {
        let store = self.store;
        store.is_some_and(|store| store.lock().glass(now.coarse, self.boot).is_some())
    }

    /// While changes are on hold, none is made; a broken glass is for that, too.
    pub(super) fn check_hold(&self, now: Now) -> Result<(), Failure> {
        match self.store.and_then(|store| store.lock().hold()) {
            Some(hold) if !self.glass_is_broken(now) => Err(failure::on_hold(hold)),
            Some(_) | None => Ok(()),
        }
    }
}
