//! What the approval lock remembers: plans that wait for approvals, holds, a
//! broken glass, and what earlier plans spent.
//!
//! A projection of the journal: [`Lock::follow`] takes every entry, at the
//! start and when it is written, so a restart forgets nothing. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lb_common::abi::flows::Seconds as Coarse;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    past::Locked,
    plan::blast::Expense,
    store::{By, Entry, Outcome, Record},
};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walks;

/// Plans that wait at once.
pub const MAX_KEPT: usize = 64;

/// Of one author: nobody takes all the places.
pub const MAX_KEPT_OF_AUTHOR: usize = 8;

/// Signatures of one plan.
pub const MAX_APPROVALS_KEPT: usize = 32;

/// The longest time a glass stays broken, seconds.
pub const LONGEST_BREAK: u32 = 4 * 60 * 60;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    kept: BTreeMap<Digest, Kept>,
    hold: Option<Hold>,
    glass: Option<Glass>,
    expenses: Vec<Expense>,
    /// Of the intent that has no outcome yet: what it spends, and its plan.
    pending: Option<(Option<Expense>, Option<Digest>)>,
    refusal: Option<Refusal>,
}

/// A plan that waits for approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub author: String,
    pub needs: u32,
    pub about: String,
    pub kept: Timestamp,
    pub expires: Timestamp,
    pub approvals: Vec<Given>,
    pub rejected: Option<Rejection>,
    /// It was applied; it is never applied again.
    pub spent: bool,
}

/// An approval, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Given {
    /// Names of the signer.
    pub principals: Vec<String>,
    pub fingerprint: String,
    /// Armored SSHSIG over the plan's exported bytes.
    pub signature: String,
    /// It says who wants the plan, and approves nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub author: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub who: String,
    pub why: Option<String>,
    pub at: Timestamp,
}

/// Somebody froze changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    pub who: String,
    pub why: Option<String>,
    pub since: Timestamp,
}

/// The lock is open, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Glass {
    pub who: String,
    pub why: String,
    pub since: Timestamp,
    pub term: GlassTerm,
}

/// How long, by the monotonic clock of a boot: setting the wall clock neither
/// ends it nor makes it longer, and a reboot ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlassTerm {
    /// As it was asked for, seconds.
    pub within: u32,
    /// By the clock of `boot`.
    pub deadline: Coarse,
    pub boot: String,
}

/// A change that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub codes: Vec<String>,
    pub plan: Option<Digest>,
    pub author: String,
    pub by: Option<By>,
    pub at: Timestamp,
}

impl Lock {
    /// Takes an entry of the journal. Entries come in their order.
    pub fn follow(&mut self, record: &Record) {
        let (who, at) = (&record.author, record.time);
        match &record.entry {
            Entry::Kept {
                plan,
                about,
                needs,
                expires,
            } => {
                self.forget_old(at);
                let kept = Kept {
                    author: who.clone(),
                    needs: *needs,
                    about: about.clone(),
                    kept: at,
                    expires: *expires,
                    approvals: Vec::new(),
                    rejected: None,
                    spent: false,
                };
                self.kept.entry(*plan).or_insert(kept);
                self.make_room(who, at);
            }
            Entry::Approved { plan, given, .. } => {
                if let Some(kept) = self.kept.get_mut(plan) {
                    kept.approvals
                        .retain(|other| (&other.fingerprint, other.author) != (&given.fingerprint, given.author));
                    kept.approvals.push(given.clone());
                }
            }
            Entry::Rejected { plan, why, .. } => {
                if let Some(kept) = self.kept.get_mut(plan) {
                    kept.rejected = Some(Rejection {
                        who: who.clone(),
                        why: why.clone(),
                        at,
                    });
                }
            }
            Entry::Held { why, .. } => {
                self.hold = Some(Hold {
                    who: who.clone(),
                    why: why.clone(),
                    since: at,
                });
            }
            Entry::Resumed { .. } => self.hold = None,
            Entry::GlassBroken { why, term, .. } => {
                self.glass = Some(Glass {
                    who: who.clone(),
                    why: why.clone(),
                    since: at,
                    term: term.clone(),
                });
            }
            Entry::GlassMended { .. } => self.glass = None,
            Entry::Intent(intent) => {
                // A plan is spent when it is begun: what became of it is another question.
                if let Some(kept) = intent.plan_digest.and_then(|plan| self.kept.get_mut(&plan)) {
                    kept.spent = true;
                }
                self.pending = Some((intent.expense.clone(), intent.plan_digest));
            }
            Entry::Revision(_) => self.pending = None,
            Entry::Outcome(outcome) => self.settle(outcome),
            Entry::Refused { codes, plan_digest, by } => {
                self.refusal = Some(Refusal {
                    codes: codes.clone(),
                    plan: *plan_digest,
                    author: who.clone(),
                    by: *by,
                    at,
                });
            }
            Entry::Recovered(recovered) => {
                let Locked { hold, glass, expenses } = recovered.locked.clone();
                (self.hold, self.glass, self.expenses) = (hold, glass, expenses);
            }
            Entry::FirstStart { .. }
            | Entry::Remembered(_)
            | Entry::Drift { .. }
            | Entry::Adopted { .. }
            | Entry::ServedAgain { .. }
            | Entry::Confirmed { .. }
            | Entry::ReadOnly { .. }
            | Entry::KeyMade { .. }
            | Entry::KeyRotated { .. }
            | Entry::Note { .. } => {}
        }
    }

    /// What failed spent nothing; its plan is spent all the same: it was used.
    fn settle(&mut self, outcome: &Outcome) {
        let Some((expense, _)) = self.pending.take() else {
            return;
        };
        if outcome.is_served() {
            self.refusal = None;
            if let Some(expense) = expense {
                self.forget_expenses(expense.at);
                self.expenses.push(expense);
            }
        }
    }

    /// Of more than the longest window before `now`.
    fn forget_expenses(&mut self, now: Timestamp) {
        let window = i64::from(crate::config::limits::MAX_PROTECTION_WINDOW.0);
        let begin = now
            .checked_sub(jiff::SignedDuration::from_secs(window))
            .unwrap_or(Timestamp::MIN);
        self.expenses.retain(|expense| expense.at > begin);
    }

    /// Drops plans that nobody can apply any more. A rejection is remembered until
    /// its plan expires: a plan that needs no approvals by now is refused by
    /// nothing else.
    fn forget_old(&mut self, now: Timestamp) {
        self.kept.retain(|_, kept| !kept.spent && kept.expires > now);
    }

    /// An author who plans again and again means the last plans: the oldest that
    /// nobody approved gives way.
    fn make_room(&mut self, author: &str, now: Timestamp) {
        let own = |(_, kept): &(&Digest, &Kept)| kept.author == author;
        while self.waiting(now).filter(own).count() > MAX_KEPT_OF_AUTHOR {
            let unapproved = self
                .waiting(now)
                .filter(own)
                .filter(|(_, kept)| kept.approvals.is_empty());
            let Some(oldest) = unapproved.min_by_key(|(_, kept)| kept.kept).map(|(plan, _)| *plan) else {
                return;
            };
            self.kept.remove(&oldest);
        }
    }

    #[must_use]
    pub fn kept(&self, plan: &Digest) -> Option<&Kept> {
        self.kept.get(plan)
    }

    /// Plans that can still be approved and applied, by their digests.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (&Digest, &Kept)> {
        self.kept.iter().filter(move |(_, kept)| kept.is_waiting(now))
    }

    /// There is room for another plan of this author.
    #[must_use]
    pub fn has_room(&self, author: &str, now: Timestamp) -> bool {
        let approved = |(_, kept): &(&Digest, &Kept)| kept.author == author && !kept.approvals.is_empty();
        let own = self.waiting(now).filter(approved);
        own.count() < MAX_KEPT_OF_AUTHOR && self.waiting(now).count() < MAX_KEPT
    }

    #[must_use]
    pub const fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The glass, while it is broken.
    #[must_use]
    pub fn glass(&self, now: Coarse, boot: &str) -> Option<&Glass> {
        let glass = self.glass.as_ref()?;
        (glass.term.boot == boot && now < glass.term.deadline).then_some(glass)
    }

    /// The glass as somebody broke it, whatever time it is.
    #[must_use]
    pub const fn broken_glass(&self) -> Option<&Glass> {
        self.glass.as_ref()
    }

    #[must_use]
    pub fn expenses(&self) -> &[Expense] {
        &self.expenses
    }

    /// The last change that was refused, if none was made since.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}

impl Kept {
    #[must_use]
    pub fn is_waiting(&self, now: Timestamp) -> bool {
        !self.spent && self.rejected.is_none() && now < self.expires && now >= self.kept
    }
}

impl GlassTerm {
    /// From `now` for `within` seconds.
    #[must_use]
    pub fn from(now: Coarse, within: u32, boot: &str) -> Self {
        let ticks = (u64::from(within) * 1_000_000_000).div_ceil(1 << 30);
        Self {
            within,
            deadline: now.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)),
            boot: boot.to_owned(),
        }
    }
}
