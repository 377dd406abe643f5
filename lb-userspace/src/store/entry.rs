//! What the journal says, entry by entry.

use serde::{Deserialize, Serialize};

use super::states;
use jiff::Timestamp;

use crate::{
    confirm::Term,
    digest::Digest,
    lock::{Given, GlassTerm},
    part::Part,
    past::{Earlier, Locked},
    plan::{Content, blast::Expense},
    revision,
};

/// An entry of the journal. `C` and `S` are a generation's content and a
/// revision's state: themselves when they are handed in, their digests in the
/// journal ([`Filed`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "payload",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Entry<C = Part<Content>, S = revision::Revision> {
    /// The store is new.
    FirstStart {
        environment: String,
        /// The kernel's boot id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
    },
    /// A generation is about to be published. One change is in flight at a
    /// time: until its outcome no other intent is taken.
    Intent(Intent<C, S>),
    /// So is a revision of the running generation.
    Revision(Revision<S>),
    /// A generation that was served before this store was rebuilt.
    Remembered(Earlier<C>),
    /// This store was rebuilt from what the kernel serves and remembers.
    Recovered(Recovered<S>),
    /// Somebody else changed what is ours.
    Drift {
        /// `pin`, `link`, …: as in the metrics.
        what: String,
        /// One sentence.
        found: String,
        /// It is as it was before.
        healed: bool,
    },
    /// What became of the pending intent.
    Outcome(Outcome),
    /// A daemon that started found this in the kernel and goes on with it.
    Adopted {
        generation: u64,
        revision: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
    },
    /// A daemon that started found nothing in the kernel and publishes this again:
    /// after a reboot, or because the pins were removed.
    ServedAgain {
        generation: u64,
        revision: u64,
        boot: String,
        rebooted: bool,
    },
    /// A generation that was applied on trial stays.
    Confirmed { generation: u64 },
    /// A plan was refused.
    Refused {
        codes: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan_digest: Option<Digest>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// The daemon makes no generations until somebody settles this.
    ReadOnly { reason: String },
    /// Something else to remember.
    Note { text: String },
    /// The journal's heads are signed with this key.
    KeyMade { public_key: String, fingerprint: String },
    /// From here on they are signed with this one.
    KeyRotated {
        public_key: String,
        fingerprint: String,
        /// Fingerprint of the key before.
        previous: String,
        /// The key before signed the head of this very entry.
        handed_over: bool,
    },
    /// A plan waits for approvals; its exported JSON is kept beside the journal.
    Kept {
        plan: Digest,
        about: String,
        /// Approvals by persons other than its author.
        needs: u32,
        expires: Timestamp,
    },
    /// Somebody signed a plan; the author of the entry handed the signature in.
    Approved {
        plan: Digest,
        given: Given,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Somebody will not have a plan applied.
    Rejected {
        plan: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// No generation is made until somebody resumes.
    Held {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    Resumed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// For a while the lock is open.
    GlassBroken {
        why: String,
        term: GlassTerm,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    GlassMended {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
}

/// An entry as the journal keeps it.
pub type Filed = Entry<Digest, Digest>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent<C = Part<Content>, S = revision::Revision> {
    /// `Store::next_generation`.
    pub generation: u64,
    /// `Store::next_revision`.
    pub revision: u64,
    pub content: C,
    /// What publishing it again takes: members, tables, next hops.
    pub state: S,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Digest>,
    /// `apply`, `rollback to N`, `first start`.
    pub cause: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// It is on trial, on these terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Term>,
    /// Whose request it was; absent: the daemon's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// What it breaks and takes away; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expense: Option<Expense>,
    /// Whose approvals opened the lock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The glass was broken, and had to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub glass: bool,
}

/// Who asked, as the kernel said when the connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct By {
    pub uid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision<S = revision::Revision> {
    /// The running one.
    pub generation: u64,
    /// `Store::next_revision`.
    pub revision: u64,
    pub state: S,
    /// `next hop of web/be1`.
    pub cause: String,
}

/// The end of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// It is served.
    Switched { generation: u64, revision: u64 },
    /// It is not; what was served before still is.
    Failed {
        generation: u64,
        revision: u64,
        code: String,
        message: String,
    },
    /// A start found it served: the daemon had ended after the switch.
    RolledForward { generation: u64, revision: u64 },
    /// A start found it not served: the daemon had ended before the switch.
    Discarded { generation: u64, revision: u64 },
}

/// What a rebuilt store goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered<S = revision::Revision> {
    /// The one that runs: remembered just before.
    pub generation: u64,
    pub revision: u64,
    pub state: S,
    /// What was wrong with the store before.
    pub why: String,
    /// Where that is now; absent: it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
    pub locked: Locked,
    /// The kernel's boot id.
    pub boot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

impl Outcome {
    /// The generation and revision it is about.
    #[must_use]
    pub const fn numbers(&self) -> (u64, u64) {
        match *self {
            Self::Switched { generation, revision }
            | Self::Failed {
                generation, revision, ..
            }
            | Self::RolledForward { generation, revision }
            | Self::Discarded { generation, revision } => (generation, revision),
        }
    }

    /// From then on it was served.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        match self {
            Self::Switched { .. } | Self::RolledForward { .. } => true,
            Self::Failed { .. } | Self::Discarded { .. } => false,
        }
    }
}

impl Filed {
    #[must_use]
    pub fn into_intent(self) -> Option<Intent<Digest, Digest>> {
        if let Self::Intent(intent) = self {
            return Some(intent);
        }
        None
    }

    /// The content that an entry brings into the store.
    #[must_use]
    pub const fn content(&self) -> Option<Digest> {
        if let Self::Intent(intent) = self {
            return Some(intent.content);
        }
        if let Self::Remembered(earlier) = self {
            return Some(earlier.intent.content);
        }
        None
    }
}

impl Entry {
    /// What the journal keeps of it.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "an arm for each kind of entry")]
    pub fn filed(&self) -> Filed {
        match self {
            Self::FirstStart { environment, boot } => Entry::FirstStart {
                environment: environment.clone(),
                boot: boot.clone(),
            },
            Self::Intent(intent) => Entry::Intent(Intent {
                generation: intent.generation,
                revision: intent.revision,
                content: intent.content.digest(),
                state: states::Index::of(&intent.state).digest(),
                plan_digest: intent.plan_digest,
                cause: intent.cause.clone(),
                message: intent.message.clone(),
                confirm: intent.confirm.clone(),
                by: intent.by,
                expense: intent.expense.clone(),
                approved_by: intent.approved_by.clone(),
                glass: intent.glass,
            }),
            Self::Revision(revision) => Entry::Revision(Revision {
                generation: revision.generation,
                revision: revision.revision,
                state: states::Index::of(&revision.state).digest(),
                cause: revision.cause.clone(),
            }),
            Self::Remembered(earlier) => {
                let content = earlier.intent.content.digest();
                Entry::Remembered(earlier.clone().with_content(content))
            }
            Self::Recovered(recovered) => Entry::Recovered(Recovered {
                generation: recovered.generation,
                revision: recovered.revision,
                state: states::Index::of(&recovered.state).digest(),
                why: recovered.why.clone(),
                aside: recovered.aside.clone(),
                locked: recovered.locked.clone(),
                boot: recovered.boot.clone(),
                by: recovered.by,
            }),
            Self::Drift { what, found, healed } => Entry::Drift {
                what: what.clone(),
                found: found.clone(),
                healed: *healed,
            },
            Self::Outcome(outcome) => Entry::Outcome(outcome.clone()),
            Self::Adopted {
                generation,
                revision,
                boot,
            } => Entry::Adopted {
                generation: *generation,
                revision: *revision,
                boot: boot.clone(),
            },
            Self::ServedAgain {
                generation,
                revision,
                boot,
                rebooted,
            } => Entry::ServedAgain {
                generation: *generation,
                revision: *revision,
                boot: boot.clone(),
                rebooted: *rebooted,
            },
            Self::Confirmed { generation } => Entry::Confirmed {
                generation: *generation,
            },
            Self::Refused { codes, plan_digest, by } => Entry::Refused {
                codes: codes.clone(),
                plan_digest: *plan_digest,
                by: *by,
            },
            Self::ReadOnly { reason } => Entry::ReadOnly { reason: reason.clone() },
            Self::Note { text } => Entry::Note { text: text.clone() },
            Self::KeyMade {
                public_key,
                fingerprint,
            } => Entry::KeyMade {
                public_key: public_key.clone(),
                fingerprint: fingerprint.clone(),
            },
            Self::KeyRotated {
                public_key,
                fingerprint,
                previous,
                handed_over,
            } => Entry::KeyRotated {
                public_key: public_key.clone(),
                fingerprint: fingerprint.clone(),
                previous: previous.clone(),
                handed_over: *handed_over,
            },
            Self::Kept {
                plan,
                about,
                needs,
                expires,
            } => Entry::Kept {
                plan: *plan,
                about: about.clone(),
                needs: *needs,
                expires: *expires,
            },
            Self::Approved { plan, given, by } => Entry::Approved {
                plan: *plan,
                given: given.clone(),
                by: *by,
            },
            Self::Rejected { plan, why, by } => Entry::Rejected {
                plan: *plan,
                why: why.clone(),
                by: *by,
            },
            Self::Held { why, by } => Entry::Held {
                why: why.clone(),
                by: *by,
            },
            Self::Resumed { by } => Entry::Resumed { by: *by },
            Self::GlassBroken { why, term, by } => Entry::GlassBroken {
                why: why.clone(),
                term: term.clone(),
                by: *by,
            },
            Self::GlassMended { by } => Entry::GlassMended { by: *by },
        }
    }
}
