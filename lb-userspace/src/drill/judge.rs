//! What was seen of an accident, judged. Pure.

use std::time::Duration;

use super::accident::{Accident, Expected, Window};

#[cfg(test)]
mod tests;

/// How a command that had to be refused ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was typed.
    pub command: String,
    /// Exit code; absent: a signal ended it.
    pub exit: Option<i32>,
    /// `HF….`, or `usage` where the command line itself made no sense.
    pub code: Option<String>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Of commands that had to be refused.
    pub answers: Vec<Answer>,
    /// How long they took.
    pub answered_in: Duration,
    /// From the accident until everything was whole; absent: it never was.
    pub whole_after: Option<Duration>,
    /// From the accident until the daemon said that it is read-only; absent: it
    /// never did.
    pub read_only_after: Option<Duration>,
    /// From `recover` until everything was whole; absent: it never was.
    pub recovered_in: Option<Duration>,
    /// What is not as it was, at the end.
    pub amiss: Vec<String>,
    /// Packets lost.
    pub lost: u64,
    /// Those of them that were sent after it was healed.
    pub lost_later: u64,
    /// Connections that broke.
    pub broken: u64,
    /// VIPs, backends and weights that were served before and are not, and
    /// nobody approved that.
    pub removed: Vec<String>,
    /// VIPs from which not every backend of before answers.
    pub unanswered: Vec<String>,
    /// Another content is served than before.
    pub moved: bool,
    /// The daemon does not answer any more.
    pub silent: bool,
    /// Why the accident could not be made as it should be.
    pub failed: Option<String>,
}

impl Observed {
    /// When the accident was over: the time of the table.
    #[must_use]
    pub const fn took(&self, expected: Expected) -> Option<Duration> {
        match expected {
            Expected::Refused(_) => Some(self.answered_in),
            Expected::Healed(_) => self.whole_after,
            Expected::ReadOnly(_) => self.read_only_after,
        }
    }
}

/// Everything that is not as it has to be; nothing: the accident was survived.
#[must_use]
pub fn judge(accident: &Accident, seen: &Observed) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    wrong.extend(seen.failed.clone());
    match accident.expected {
        Expected::Refused(codes) => {
            wrong.extend(refusals(codes, &seen.answers));
            if seen.whole_after.is_none() {
                wrong.push(format!("refused, and not as before: {}", seen.amiss.join("; ")));
            }
        }
        Expected::Healed(within) => match seen.whole_after {
            Some(after) if after <= within => {}
            Some(_) => wrong.push("healed too late".to_owned()),
            None => wrong.push(format!("not healed: {}", seen.amiss.join("; "))),
        },
        Expected::ReadOnly(_) => {
            if seen.read_only_after.is_none() {
                wrong.push(format!("not read-only: {}", seen.amiss.join("; ")));
            }
            wrong.extend(refusals(&["HF2019"], &seen.answers));
            if seen.recovered_in.is_none() {
                wrong.push(format!("not recovered: {}", seen.amiss.join("; ")));
            }
        }
    }
    if seen.silent {
        wrong.push("the daemon does not answer".to_owned());
    }
    wrong.extend(
        seen.removed
            .iter()
            .map(|object| format!("removed unapproved: {object}")),
    );
    wrong.extend(
        seen.unanswered
            .iter()
            .map(|vip| format!("not every backend answers: {vip}")),
    );
    if seen.moved && !accident.may_move {
        wrong.push("another content is served, and nobody approved it".to_owned());
    }
    let (lost, broken) = match accident.window {
        Window::None => (seen.lost, seen.broken),
        Window::UntilHealed => (seen.lost_later, seen.broken),
        Window::NotOurs => (seen.lost_later, 0),
    };
    if lost > 0 {
        wrong.push(format!("{lost} packets lost"));
    }
    if broken > 0 {
        wrong.push(format!("{broken} connections broken"));
    }
    wrong
}

fn refusals(codes: &[&str], answers: &[Answer]) -> Vec<String> {
    if answers.is_empty() {
        return vec!["nothing was refused".to_owned()];
    }
    let wrong = answers.iter().filter(|answer| {
        let is_one = |code: &String| codes.iter().any(|of| code.starts_with(of));
        answer.exit == Some(0) || !answer.code.as_ref().is_some_and(is_one)
    });
    wrong
        .map(|answer| {
            let code = answer.code.as_deref().unwrap_or("no code");
            let exit = answer.exit.map_or("a signal".to_owned(), |exit| format!("exit {exit}"));
            format!("`{}`: {exit}, {code}", answer.command)
        })
        .collect()
}
