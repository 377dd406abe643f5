//! What follows from what is done.

use super::{
    Action, Daemon, Generation, Glass, LockModel, Made, Name, OnTrial, Opened, Refused, Step, Trial, Weakness, World,
    Wrongs, properties,
};

impl LockModel {
    /// The world after `action`, or why it is refused.
    pub fn attempt(&self, world: &World, action: Action) -> Result<World, Refused> {
        let next = match action {
            Action::Start => self.start(world)?,
            Action::Crash | Action::PowerCut | Action::PinsLost => self.breaks(world, action)?,
            Action::Make(plan) => made(idle(world)?, plan)?,
            Action::Approve(plan, key) => {
                let mut next = idle(world)?;
                self.may_approve(world, plan, key)?;
                let made = made_of(&mut next, plan)?;
                made.approvals = made.approvals.with(key);
                next
            }
            Action::Reject(plan) => {
                let mut next = idle(world)?;
                let made = made_of(&mut next, plan)?;
                if made.spent || made.expired || made.rejected {
                    return Err(Refused::NotWaiting);
                }
                made.rejected = true;
                next
            }
            Action::Hold | Action::Resume | Action::BreakGlass | Action::MendGlass => self.switches(world, action)?,
            Action::Expire(_) | Action::GlassOver | Action::TrialOver | Action::Revoke(_) | Action::Restore(_) => {
                happens(world.clone(), action)?
            }
            Action::Apply(plan, trial) => self.begin(world, plan, trial)?,
            Action::Build | Action::Fail | Action::Switch | Action::Conclude | Action::Republish => {
                self.goes_on(world.clone(), action)?
            }
            Action::Confirm => {
                let mut next = idle(world)?;
                let trial = trial(&next).ok_or(Refused::NotNow)?;
                self.may_confirm(trial, world.boot)?;
                last_of(&mut next).confirmed = true;
                daemon_of(&mut next)?.on_trial = false;
                next
            }
            Action::TakeBack => {
                let mut next = idle(world)?;
                let trial = trial(&next).ok_or(Refused::NotNow)?;
                next.pending = Some(self.earlier(&next, trial));
                daemon_of(&mut next)?.step = Step::Intended;
                next
            }
        };
        if next == *world { Err(Refused::NotNow) } else { Ok(next) }
    }

    /// Who starts settles what is pending, by what the kernel serves, and adopts
    /// or publishes again.
    fn start(&self, world: &World) -> Result<World, Refused> {
        let mut next = world.clone();
        if world.daemon.is_some() {
            if world.second || !self.is(Weakness::TwoWriters) {
                return Err(Refused::InUse);
            }
            next.second = true;
            return Ok(next);
        }
        let served = next.active == Some(next.end());
        let forward = self.is(Weakness::AlwaysForwards) || (served && !self.is(Weakness::AlwaysDiscards));
        if let Some(pending) = next.pending.take().filter(|_| forward) {
            next.served.push(pending);
        }
        let trial = last_of(&mut next).trial.filter(|_| !world_is_for_good(&next));
        let mut daemon = Daemon {
            on_trial: trial.is_some() && !self.is(Weakness::StartForgetsTrial),
            step: Step::Idle,
        };
        match (next.active, trial) {
            (Some(_), _) => {}
            // Nothing is left of it that somebody could confirm.
            (None, Some(trial)) if !self.is(Weakness::TrialAgain) => {
                next.pending = Some(self.earlier(&next, trial));
                daemon.step = Step::Intended;
            }
            (None, Some(_) | None) => daemon.step = Step::Again,
        }
        next.daemon = Some(daemon);
        Ok(next)
    }

    fn breaks(&self, world: &World, action: Action) -> Result<World, Refused> {
        let mut next = world.clone();
        let blackout = action != Action::Crash;
        if blackout && world.blackouts >= self.scope.blackouts {
            return Err(Refused::NotNow);
        }
        if action == Action::PinsLost && (world.daemon.is_some() || world.active.is_none()) {
            return Err(Refused::NotNow);
        }
        if action == Action::Crash && world.daemon.is_none() {
            return Err(Refused::NotNow);
        }
        next.daemon = None;
        next.second = false;
        if blackout {
            next.blackouts += 1;
            next.active = None;
            next.whole = false;
        }
        if action == Action::PowerCut {
            next.boot += 1;
        }
        if self.is(Weakness::LateIntent) {
            next.pending = None;
        }
        Ok(next)
    }

    fn switches(&self, world: &World, action: Action) -> Result<World, Refused> {
        let mut next = idle(world)?;
        if action == Action::Hold {
            next.hold = true;
        } else if action == Action::Resume {
            next.hold = false;
        } else if action == Action::BreakGlass {
            let boot = next.boot;
            next.glass = Some(Glass { boot, over: false });
        } else if self.is_broken(next.glass, next.boot) {
            next.glass = None;
        }
        Ok(next)
    }

    /// The decision and the intent.
    fn begin(&self, world: &World, plan: Name, on_trial: OnTrial) -> Result<World, Refused> {
        let mut next = idle(world)?;
        let opened = self.may_apply(world, plan)?;
        let wrong = properties::wrongs(world, plan);
        let boot = world.boot;
        let back_to = world.end() - 1;
        let made = made_of(&mut next, plan)?;
        made.spent = true;
        made.uses = (made.uses + u8::from(opened == Opened::ByApprovals)).min(2);
        let base = usize::from(made.base);
        let content = next.served.get(base).ok_or(Refused::NotNow)?.content.with(plan);
        next.pending = Some(Generation {
            content,
            plan: Some(plan),
            trial: (on_trial == OnTrial::Yes).then_some(Trial {
                back_to,
                boot,
                over: false,
            }),
            confirmed: false,
            wrong,
        });
        daemon_of(&mut next)?.step = Step::Intended;
        Ok(next)
    }

    /// From the intent to the outcome.
    fn goes_on(&self, mut next: World, action: Action) -> Result<World, Refused> {
        let step = next.daemon.ok_or(Refused::NotNow)?.step;
        let end = next.end();
        match (action, step) {
            (Action::Build, Step::Intended) => daemon_of(&mut next)?.step = Step::Built,
            (Action::Fail, Step::Intended | Step::Built) => {
                next.pending = None;
                // Without anything to serve it ends, and is started again.
                next.daemon = next.active.and(next.daemon);
                if let Some(daemon) = &mut next.daemon {
                    daemon.step = Step::Idle;
                }
            }
            (Action::Switch, Step::Built) => self.switch(&mut next, end, true)?,
            (Action::Switch, Step::Intended) if self.is(Weakness::SwitchesUnbuilt) => {
                self.switch(&mut next, end, false)?;
            }
            (Action::Conclude, Step::Switched) => {
                let served = next.pending.take().ok_or(Refused::NotNow)?;
                next.served.push(served);
                *daemon_of(&mut next)? = Daemon {
                    on_trial: served.trial.is_some(),
                    step: Step::Idle,
                };
            }
            (Action::Republish, Step::Again) => {
                next.active = Some(end - 1);
                next.whole = true;
                daemon_of(&mut next)?.step = Step::Idle;
            }
            (_, Step::Idle | Step::Intended | Step::Built | Step::Switched | Step::Again) => {
                return Err(Refused::NotNow);
            }
        }
        Ok(next)
    }

    fn switch(&self, next: &mut World, to: u8, whole: bool) -> Result<(), Refused> {
        debug_assert!(whole || self.is(Weakness::SwitchesUnbuilt));
        next.active = Some(to);
        next.whole = whole;
        daemon_of(next)?.step = Step::Switched;
        Ok(())
    }

    /// The generation that takes a trial back.
    fn earlier(&self, world: &World, trial: Trial) -> Generation {
        let back_to = world.served.get(usize::from(trial.back_to));
        let content = back_to.unwrap_or_else(|| world.last()).content;
        let content = if self.is(Weakness::TakesBackToTrial) {
            world.last().content
        } else {
            content
        };
        Generation {
            content,
            plan: None,
            trial: None,
            confirmed: false,
            wrong: Wrongs::default(),
        }
    }
}

/// What comes by itself, and what is done to the file.
fn happens(mut next: World, action: Action) -> Result<World, Refused> {
    if let Action::Expire(plan) = action {
        // Nothing can become of a rejected one anyway.
        let made = made_of(&mut next, plan)?;
        made.expired = !made.rejected;
    } else if let Action::Revoke(key) = action {
        next.on_disk = next.on_disk.without(key);
    } else if let Action::Restore(key) = action {
        next.on_disk = next.on_disk.with(key);
    } else if action == Action::GlassOver {
        next.glass.as_mut().ok_or(Refused::NotNow)?.over = true;
    } else {
        let last = last_of(&mut next);
        if last.confirmed {
            return Err(Refused::NotNow);
        }
        last.trial.as_mut().ok_or(Refused::NotNow)?.over = true;
    }
    Ok(next)
}

fn made(mut next: World, plan: Name) -> Result<World, Refused> {
    if next.made(plan).is_some() || next.last().content.has(plan) {
        return Err(Refused::NotNow);
    }
    next.plans[plan as usize] = Some(Made {
        base: next.end() - 1,
        approvals: super::Keys::default(),
        expired: false,
        rejected: false,
        spent: false,
        uses: 0,
    });
    Ok(next)
}

/// A daemon that has nothing under way: requests wait for it.
fn idle(world: &World) -> Result<World, Refused> {
    let idle = world.daemon.is_some_and(|daemon| daemon.step == Step::Idle);
    idle.then(|| world.clone()).ok_or(Refused::NotNow)
}

/// On which terms what is served is on trial, as the daemon knows it.
fn trial(world: &World) -> Option<Trial> {
    let knows = world.daemon.is_some_and(|daemon| daemon.on_trial);
    world.last().trial.filter(|_| knows && !world_is_for_good(world))
}

fn world_is_for_good(world: &World) -> bool {
    world.last().is_for_good()
}

fn made_of(world: &mut World, plan: Name) -> Result<&mut Made, Refused> {
    world.plans[plan as usize].as_mut().ok_or(Refused::NotNow)
}

fn last_of(world: &mut World) -> &mut Generation {
    world.served.last_mut().expect("the first is always there")
}

fn daemon_of(world: &mut World) -> Result<&mut Daemon, Refused> {
    world.daemon.as_mut().ok_or(Refused::NotNow)
}
