//! What is taken, and what is refused.

use std::collections::BTreeSet;

use super::{Glass, Key, Keys, LockModel, Made, NEEDS, Name, Trial, World};

/// A guard that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    None,
    /// A second daemon starts beside the first.
    TwoWriters,
    /// Plans are taken while a generation is on trial.
    AppliesOnTrial,
    IgnoresHold,
    /// Plans are taken on any base.
    IgnoresBase,
    /// What was served before counts as the same base when it comes back.
    ComparesContents,
    IgnoresExpiry,
    IgnoresRejection,
    /// Rejection is looked at only where approvals are counted.
    RejectionYieldsToGlass,
    /// Approvals are good for more than one attempt.
    IgnoresSpent,
    OneIsEnough,
    CountsKeys,
    CountsAuthor,
    /// Who was taken out of the file still approves.
    IgnoresFile,
    /// Who was put into the file approves.
    FileAdds,
    EndlessGlass,
    GlassOutlivesBoot,
    ConfirmsLate,
    /// A start does not know of the trial any more.
    StartForgetsTrial,
    /// After a blackout a trial is served again.
    TrialAgain,
    /// A start discards what was pending without asking the kernel.
    AlwaysDiscards,
    /// A start takes what was pending for served.
    AlwaysForwards,
    /// The intent is not on the disk when the kernel is touched.
    LateIntent,
    /// The switch does not wait for the chunks.
    SwitchesUnbuilt,
    /// What is taken back is followed by nothing of before.
    TakesBackToTrial,
}

impl Weakness {
    pub const ALL: [Self; 24] = [
        Self::TwoWriters,
        Self::AppliesOnTrial,
        Self::IgnoresHold,
        Self::IgnoresBase,
        Self::ComparesContents,
        Self::IgnoresExpiry,
        Self::IgnoresRejection,
        Self::RejectionYieldsToGlass,
        Self::IgnoresSpent,
        Self::OneIsEnough,
        Self::CountsKeys,
        Self::CountsAuthor,
        Self::IgnoresFile,
        Self::FileAdds,
        Self::EndlessGlass,
        Self::GlassOutlivesBoot,
        Self::ConfirmsLate,
        Self::StartForgetsTrial,
        Self::TrialAgain,
        Self::AlwaysDiscards,
        Self::AlwaysForwards,
        Self::LateIntent,
        Self::SwitchesUnbuilt,
        Self::TakesBackToTrial,
    ];
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It cannot happen in this state at all.
    NotNow,
    /// Another daemon has the lock.
    InUse,
    OnTrial,
    OnHold,
    Stale,
    Expired,
    Rejected,
    NotWaiting,
    Unapproved,
    NotASigner,
    OwnPlan,
    TooLate,
}

impl Refused {
    pub const KINDS: u32 = 12;
}

/// How the lock was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    NotLocked,
    ByApprovals,
    ByGlass,
}

impl LockModel {
    pub fn is(&self, weakness: Weakness) -> bool {
        self.weakness == weakness
    }

    /// Whether a plan may be applied, and by what.
    pub fn may_apply(&self, world: &World, plan: Name) -> Result<Opened, Refused> {
        let daemon = world.daemon.ok_or(Refused::NotNow)?;
        let made = world.made(plan).ok_or(Refused::NotNow)?;
        let glass = self.is_broken(world.glass, world.boot);
        if daemon.on_trial && !self.is(Weakness::AppliesOnTrial) {
            return Err(Refused::OnTrial);
        }
        if world.hold && !glass && !self.is(Weakness::IgnoresHold) {
            return Err(Refused::OnHold);
        }
        if !self.is_base(world, *made) {
            return Err(Refused::Stale);
        }
        if made.expired && !self.is(Weakness::IgnoresExpiry) {
            return Err(Refused::Expired);
        }
        let yields = self.is(Weakness::RejectionYieldsToGlass) && glass;
        if made.rejected && !yields && !self.is(Weakness::IgnoresRejection) {
            return Err(Refused::Rejected);
        }
        if !plan.is_risky() {
            return Ok(Opened::NotLocked);
        }
        if glass {
            return Ok(Opened::ByGlass);
        }
        if made.spent && !self.is(Weakness::IgnoresSpent) {
            return Err(Refused::NotWaiting);
        }
        let needs = if self.is(Weakness::OneIsEnough) { 1 } else { NEEDS };
        if self.approvals(world, plan, *made) < needs {
            return Err(Refused::Unapproved);
        }
        Ok(Opened::ByApprovals)
    }

    fn is_base(&self, world: &World, made: Made) -> bool {
        if self.is(Weakness::IgnoresBase) {
            true
        } else if self.is(Weakness::ComparesContents) {
            let base = world.served.get(usize::from(made.base));
            base.is_some_and(|base| base.content == world.last().content)
        } else {
            made.base + 1 == world.end()
        }
    }

    fn approvals(&self, world: &World, plan: Name, made: Made) -> usize {
        let valid = made.approvals.and(self.signers(world));
        let others = valid
            .iter()
            .filter(|key| key.owner() != plan.author() || self.is(Weakness::CountsAuthor));
        if self.is(Weakness::CountsKeys) {
            others.count()
        } else {
            others.map(Key::owner).collect::<BTreeSet<_>>().len()
        }
    }

    /// Whose approval counts: of the running generation's, who is in the file.
    pub fn signers(&self, world: &World) -> Keys {
        let embedded = world.last().content.signers();
        if self.is(Weakness::IgnoresFile) {
            embedded
        } else if self.is(Weakness::FileAdds) {
            world.on_disk
        } else {
            embedded.and(world.on_disk)
        }
    }

    pub fn may_approve(&self, world: &World, plan: Name, key: Key) -> Result<(), Refused> {
        let made = world.made(plan).ok_or(Refused::NotNow)?;
        if made.rejected {
            return Err(Refused::Rejected);
        }
        if made.spent || made.expired {
            return Err(Refused::NotWaiting);
        }
        if !self.signers(world).has(key) {
            return Err(Refused::NotASigner);
        }
        if key.owner() == plan.author() && !self.is(Weakness::CountsAuthor) {
            return Err(Refused::OwnPlan);
        }
        Ok(())
    }

    pub fn is_broken(&self, glass: Option<Glass>, boot: u8) -> bool {
        glass.is_some_and(|glass| {
            let in_time = !glass.over || self.is(Weakness::EndlessGlass);
            let this_boot = glass.boot == boot || self.is(Weakness::GlassOutlivesBoot);
            in_time && this_boot
        })
    }

    pub fn may_confirm(&self, trial: Trial, boot: u8) -> Result<(), Refused> {
        let late = trial.over || trial.boot != boot;
        if late && !self.is(Weakness::ConfirmsLate) {
            return Err(Refused::TooLate);
        }
        Ok(())
    }
}
