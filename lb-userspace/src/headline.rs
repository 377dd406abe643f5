//! The one line that says whether all is well: the first of `holdfast status`,
//! and what `systemctl status` shows.

use std::cmp::Reverse;

use crate::{
    api::model::{InterfaceState, InterfaceStatus, LockStatus, Mode, Status, TrialStatus},
    digest::Digest,
};

/// What it is made from.
#[derive(Clone, Debug)]
pub struct Headline<'a> {
    pub generation: u64,
    pub revision: u64,
    pub digest: Digest,
    pub mode: Mode,
    pub mode_reason: Option<&'a str>,
    pub damage: Option<&'a str>,
    pub interfaces: &'a [InterfaceStatus],
    pub out_of_sync: Option<&'a str>,
    pub trial: Option<&'a TrialStatus>,
    pub lock: &'a LockStatus,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    Caution,
    Bad,
}

impl<'a> From<&'a Status> for Headline<'a> {
    fn from(status: &'a Status) -> Self {
        Self {
            generation: status.generation,
            revision: status.revision,
            digest: status.digest,
            mode: status.mode,
            mode_reason: status.mode_reason.as_deref(),
            damage: status.damage.as_deref(),
            interfaces: &status.interfaces,
            out_of_sync: out_of_sync(status),
            trial: status.trial.as_ref(),
            lock: &status.lock,
        }
    }
}

/// Why the file means something else; `None`: it does not.
#[must_use]
pub fn out_of_sync(status: &Status) -> Option<&str> {
    let why = status.out_of_sync.as_deref();
    (!status.in_sync).then(|| why.unwrap_or("the configuration file means something else"))
}

/// Until when, and what comes then.
#[must_use]
pub fn on_trial(trial: &TrialStatus) -> String {
    format!(
        "▲ ON TRIAL generation {} of {} until {}, then generation {} again: holdfast confirm",
        trial.generation, trial.author, trial.until, trial.back_to
    )
}

impl Headline<'_> {
    #[must_use]
    pub fn text(&self) -> (Weather, String) {
        let interfaces = self
            .interfaces()
            .filter(|(weather, _)| self.is_about_interfaces(*weather));
        interfaces.unwrap_or_else(|| self.served())
    }

    /// What the headline would be, if another thing were not worse; `None`: there is nothing else.
    #[must_use]
    pub fn also(&self) -> Option<(Weather, String)> {
        let (weather, interfaces) = self.interfaces()?;
        let other = if self.is_about_interfaces(weather) {
            self.served()
        } else {
            (weather, interfaces)
        };
        Some(other).filter(|(weather, _)| *weather != Weather::Fair)
    }

    /// Nothing is worse than interfaces that are so.
    fn is_about_interfaces(&self, weather: Weather) -> bool {
        let open = self.lock.glass.is_some() || self.mode == Mode::ReadOnly;
        self.damage.is_none() && (weather == Weather::Bad || !open)
    }

    /// Of the interfaces that should bring packets the one that is worst off, if one is.
    fn interfaces(&self) -> Option<(Weather, String)> {
        let wanted = || {
            let interfaces = self.interfaces.iter();
            interfaces.filter(|interface| interface.state != InterfaceState::Detached)
        };
        let ill = || wanted().filter(|interface| interface.state != InterfaceState::Well);
        let worst = ill().min_by_key(|interface| Reverse(interface.state))?;
        let problem = worst.problem.as_deref().unwrap_or("the daemon does not say why");
        let text = match worst.state {
            InterfaceState::NotAttached => {
                let start = format!("{}: ", worst.name);
                let problem = problem.strip_prefix(&start).unwrap_or(problem);
                let why = problem.strip_prefix("the program is not attached: ").unwrap_or(problem);
                format!("▲ NOT ATTACHED {start}{}", sentence(why))
            }
            InterfaceState::Well | InterfaceState::Detached | InterfaceState::Renamed | InterfaceState::Down => {
                format!("▲ INTERFACE {}", sentence(problem))
            }
        };
        let more = match ill().count() {
            1 => String::new(),
            many => format!(" (and {} more)", many - 1),
        };
        let serving = self.serving();
        if wanted().any(|interface| interface.state.brings_packets()) {
            return Some((Weather::Caution, format!("{text}{more}. {serving}, verified.")));
        }
        Some((Weather::Bad, format!("{text}{more}. No packet comes in. {serving}.")))
    }

    fn serving(&self) -> String {
        match self.generation {
            0 => "Nothing is served yet".to_owned(),
            generation => format!("Serving generation {generation}"),
        }
    }

    /// All but the interfaces.
    fn served(&self) -> (Weather, String) {
        let serving = self.serving();
        let reason = sentence(self.mode_reason.unwrap_or("for a reason the daemon does not give"));
        if let Some(damage) = self.damage {
            return (Weather::Bad, format!("▲ DAMAGED {}. {serving}.", sentence(damage)));
        }
        if let Some(glass) = &self.lock.glass {
            let text = format!(
                "▲ GLASS BROKEN by {} until {}: {}. {serving}.",
                glass.who,
                glass.until,
                sentence(&glass.why)
            );
            return (Weather::Bad, text);
        }
        if let (Mode::Normal, Some(trial)) = (self.mode, self.trial) {
            return (Weather::Caution, on_trial(trial));
        }
        match self.mode {
            Mode::ReadOnly => (Weather::Bad, format!("▲ READ-ONLY {reason}. {serving}.")),
            Mode::Hold => (Weather::Caution, format!("▲ ON HOLD {reason}. {serving}, verified.")),
            Mode::Normal => match (self.out_of_sync, self.generation) {
                (_, 1..) if self.lock.refusal.is_some() => (Weather::Caution, self.refused(&serving)),
                (Some(why), 0) => (Weather::Caution, format!("▲ OUT OF SYNC {}. {serving}.", sentence(why))),
                (Some(why), _) => (
                    Weather::Caution,
                    format!("▲ OUT OF SYNC {}. {serving}, verified.", sentence(why)),
                ),
                (None, 0) => (Weather::Caution, format!("▲ NOT SERVING. {serving}.")),
                (None, generation) => (
                    Weather::Fair,
                    format!(
                        "● SERVING generation {generation} revision {}, verified, digest {}",
                        self.revision,
                        self.digest.short()
                    ),
                ),
            },
        }
    }
}

impl Headline<'_> {
    /// What was wanted last was refused, and by which rule.
    fn refused(&self, serving: &str) -> String {
        let Some(refusal) = &self.lock.refusal else {
            return String::new();
        };
        let uid = refusal.uid.map_or_else(String::new, |uid| format!(", uid {uid}"));
        let what = self
            .out_of_sync
            .map_or_else(String::new, |why| format!("; {}", sentence(why)));
        format!(
            "▲ REFUSED {} of {}{uid} at {}{what}. {serving}, verified.",
            refusal.codes.join(", "),
            refusal.author,
            refusal.at
        )
    }
}

/// Without the full stop, which the headline sets.
fn sentence(text: &str) -> &str {
    text.trim_end_matches('.')
}

#[cfg(test)]
mod tests;
