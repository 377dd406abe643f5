//! One backend: up or down, by the checks that it passes and fails. Knows no
//! clock: time is an argument, and only goes forward.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    config::{Damping, Health, Percent},
    revision::MemberHealth,
};

#[cfg(test)]
mod tests;

/// What checks say of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// No check has ended yet, or there are none: it serves.
    #[default]
    Unknown,
    Up,
    Down,
}

/// A change that others must know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Up,
    Down,
    /// Its checks pass, and it is held down: it came and went too often.
    Held,
    /// It is held no longer.
    Released,
    /// Its weight grew.
    Grew,
}

/// A flap's penalty (RFC 2439 §4.2: "a figure of merit").
pub const PENALTY: f64 = 1000.0;

/// Steps of a slow start: percent of the weight.
pub const RAMP: [u8; 8] = [10, 22, 35, 48, 61, 74, 87, 100];

/// What is remembered of how often a backend went down, as of the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flaps {
    /// When it went down last.
    pub at: Moment,
    /// Then; it halves in each half-life since.
    pub penalty: u32,
    /// It was held down from then on, if it was not before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// A backend and its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    rise: u32,
    fall: u32,
    slow_start: Duration,
    damping: Damping,
    condition: Condition,
    /// Since when it has that condition.
    since: Moment,
    /// Checks in a row that say the opposite.
    against: u32,
    flaps: Option<Flaps>,
    /// Since its last flap, or still from before that.
    held: bool,
    /// Since when its weight grows; `None`: it has all of it.
    ramp: Option<Moment>,
    step: usize,
}

impl Machine {
    /// As it was published: up stays up, down stays down until checks passed, and
    /// it has its share of the weight already. What it is to be blamed for is not
    /// forgotten either.
    #[must_use]
    pub fn resumed(health: &Health, published: &MemberHealth, now: Moment) -> Self {
        let MemberHealth { condition, share, .. } = *published;
        let slow_start = health.slow_start.duration();
        let step = RAMP
            .iter()
            .position(|percent| *percent >= share.get())
            .unwrap_or(RAMP.len() - 1);
        let ramps = condition == Condition::Up && step + 1 < RAMP.len() && !slow_start.is_zero() && share.get() > 0;
        let mut resumed = Self {
            rise: health.rise,
            fall: health.fall,
            slow_start,
            damping: health.damping,
            condition,
            since: published.down_since.unwrap_or(now),
            against: 0,
            flaps: published.flaps,
            held: false,
            // A beginning so long ago that this step is reached just now.
            ramp: ramps.then(|| now.saturating_sub(slow_start * step as u32 / RAMP.len() as u32)),
            step: if ramps { step } else { RAMP.len() - 1 },
        };
        // Long released, perhaps; or its time came while no daemon ran, and it is
        // released now.
        let holds = resumed.penalty_at(now) >= f64::from(health.damping.reuse);
        let waits = condition == Condition::Up && share.is_zero();
        resumed.held = published.flaps.is_some_and(|flaps| flaps.held) && (holds || waits);
        resumed
    }

    /// Other settings; the history stays.
    pub const fn set(&mut self, health: &Health) {
        self.rise = health.rise;
        self.fall = health.fall;
        self.slow_start = health.slow_start.duration();
        self.damping = health.damping;
    }

    /// A check has ended.
    pub fn observe(&mut self, passed: bool, now: Moment) -> Option<Transition> {
        let (needed, next) = match (self.condition, passed) {
            (Condition::Unknown, true) => (1, Condition::Up),
            (Condition::Unknown, false) => (1, Condition::Down),
            (Condition::Down, true) => (self.rise, Condition::Up),
            (Condition::Up, false) => (self.fall, Condition::Down),
            (Condition::Up, true) | (Condition::Down, false) => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        let before = std::mem::replace(&mut self.condition, next);
        self.against = 0;
        self.since = now;
        if next == Condition::Down {
            if before == Condition::Up {
                self.charge(now);
            }
            self.ramp = None;
            return Some(Transition::Down);
        }
        if self.held {
            return Some(Transition::Held);
        }
        if before == Condition::Down {
            self.begin_ramp(now);
        }
        Some(Transition::Up)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) -> Option<Transition> {
        if self.held && self.penalty_at(now) < f64::from(self.damping.reuse) {
            self.held = false;
            if self.condition == Condition::Up {
                self.begin_ramp(now);
                return Some(Transition::Released);
            }
        }
        let begun = self.ramp?;
        let step = steps_of(self.slow_start, now.saturating_duration_since(begun));
        let grew = step > self.step;
        self.step = self.step.max(step);
        if self.step + 1 == RAMP.len() {
            self.ramp = None;
        }
        grew.then_some(Transition::Grew)
    }

    /// When [`Self::tick`] is wanted next.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        let step = || Some(self.ramp? + self.slow_start * (self.step as u32 + 1) / RAMP.len() as u32);
        if self.held { Some(self.release()) } else { step() }
    }

    /// When its penalty is low enough, if it does not grow again.
    fn release(&self) -> Moment {
        let Flaps { at, penalty, .. } = self.flaps.unwrap_or_default();
        let half_lives = (f64::from(penalty) / f64::from(self.damping.reuse)).log2().max(0.0);
        let wait = self.damping.half_life.duration().mul_f64(half_lives);
        at + wait + Duration::from_millis(1)
    }

    /// It may serve.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        match self.condition {
            Condition::Up => !self.held,
            Condition::Unknown => true,
            Condition::Down => false,
        }
    }

    /// By its checks alone.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Held down though its checks pass.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held
    }

    #[must_use]
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// For the next daemon: nothing, once it counts for less than a thousandth of
    /// a flap.
    #[must_use]
    pub fn flaps(&self, now: Moment) -> Option<Flaps> {
        self.flaps.filter(|_| self.penalty_at(now) >= PENALTY / 1000.0)
    }

    /// What it may have of its weight.
    #[must_use]
    pub fn share(&self) -> Percent {
        Percent::new(u32::from(RAMP[self.step])).unwrap_or_default()
    }

    fn charge(&mut self, now: Moment) {
        let most = 2.0 * f64::from(self.damping.suppress);
        // A whole number, so that the next daemon has the same.
        #[expect(clippy::cast_sign_loss, reason = "a penalty is never below zero")]
        let penalty = (self.penalty_at(now) + PENALTY).min(most.max(PENALTY)).round() as u32;
        self.held |= self.damping.suppress > 0 && penalty >= self.damping.suppress;
        self.flaps = Some(Flaps {
            at: now,
            penalty,
            held: self.held,
        });
    }

    fn penalty_at(&self, now: Moment) -> f64 {
        let Flaps { at, penalty, .. } = self.flaps.unwrap_or_default();
        let passed = now.saturating_duration_since(at).as_secs_f64();
        let half_lives = passed / self.damping.half_life.duration().as_secs_f64();
        f64::from(penalty) * (-half_lives).exp2()
    }

    fn begin_ramp(&mut self, now: Moment) {
        let grows = !self.slow_start.is_zero();
        self.ramp = grows.then_some(now);
        self.step = if grows { 0 } else { RAMP.len() - 1 };
    }
}

/// The step that is reached after a time; the first eighth of the time has the
/// first one.
fn steps_of(slow_start: Duration, passed: Duration) -> usize {
    if slow_start.is_zero() {
        return RAMP.len() - 1;
    }
    let eighths = passed.as_nanos() * RAMP.len() as u128 / slow_start.as_nanos();
    (eighths as usize).min(RAMP.len() - 1)
}
