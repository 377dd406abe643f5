//! The one line that says whether all is well: the first of `holdfast status`,
//! and what `systemctl status` shows.

use crate::{
    api::model::{LockStatus, Mode, Status, TrialStatus},
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
        let serving = match self.generation {
            0 => "Nothing is served yet".to_owned(),
            generation => format!("Serving generation {generation}"),
        };
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
