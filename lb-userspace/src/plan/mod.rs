//! A plan: what a change would do, as data. It can be shown, hashed, stored and
//! replayed; only the daemon executes one.
//!
//! `diff` finds the changes, `policy` judges them (each finding under a `code`),
//! `render` shows them, `file` keeps a plan as exact bytes.

pub mod blast;
pub mod code;
pub mod diff;
pub mod file;
mod overrides;
pub mod policy;
pub mod render;
#[cfg(test)]
pub(crate) mod samples;
pub mod statement;
mod undelete;

use std::collections::BTreeSet;

pub use self::overrides::{BackendOverride, BackendWish, Overrides, VipWish, WishError, vip_of};
pub use self::statement::Bounds;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    api::model::Kind,
    approval::Signers,
    config::{Access, Approvals, Backend, Config, Node, ObjectName, Pool, Protection, Seconds, Vip, VipState},
    digest::Digest,
};

/// What a generation serves: the file's content plus operator overrides. What
/// both mean together is [`Content::in_force`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Content {
    pub config: Config,
    #[serde(default)]
    pub overrides: Overrides,
    /// Who may approve, as the file of `protection.approvals.approvers` said when
    /// the plan was made.
    #[serde(default, skip_serializing_if = "Signers::is_empty")]
    pub signers: Signers,
    #[serde(skip)]
    derived: overrides::Derived,
}

impl Content {
    /// The digest of a generation.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(self)
    }
}

/// The generation a plan starts from; generation 0 is "nothing served yet".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    pub generation: u64,
    pub digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// What it is, in a sentence: the first that whoever signs it reads.
    pub about: String,
    /// Of the running generation; a plan for another one is refused.
    pub environment: String,
    /// Where it may be applied.
    pub hosts: BTreeSet<String>,
    pub base: Base,
    pub target: Content,
    /// The earlier generation whose content `target` is, if going back was what
    /// somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// Everything goes, and somebody said so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wipe: bool,
    /// Objects that were named for removal, by the file or by the command: with
    /// them the plan can be judged again at the switch, from itself alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<ObjectName>,
    /// Sorted as they are shown.
    pub changes: Vec<Change>,
    pub effects: Vec<PoolEffect>,
    /// What it breaks and takes away, as it was measured.
    pub blast: blast::Blast,
    /// What it may at most.
    pub bounds: Bounds,
    /// Approvals by persons other than the author.
    pub needs: u32,
    /// It is taken back unless it is confirmed within as long as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Seconds>,
    pub findings: Vec<Finding>,
    /// Who asked for it, as the socket's peer credentials say.
    pub author: String,
    pub issued: Timestamp,
    /// It is void after.
    pub expires: Timestamp,
    /// No two plans are the same.
    pub nonce: String,
}

impl Kind for Plan {
    const KIND: &'static str = "Plan";
}

impl Plan {
    /// What an approval and an `apply` are bound to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(self)
    }

    /// Some finding refuses it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Refuse)
    }

    /// It changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// One difference between base and target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    AddVip {
        vip: Vip,
    },
    ChangeVip {
        from: Vip,
        to: Vip,
    },
    RemoveVip {
        vip: Vip,
    },
    AddPool {
        pool: Pool,
    },
    /// Other fields than its backends.
    ChangePool {
        from: Pool,
        to: Pool,
    },
    RemovePool {
        pool: Pool,
    },
    AddBackend {
        pool: String,
        backend: Backend,
    },
    ChangeBackend {
        pool: String,
        from: Backend,
        to: Backend,
    },
    RemoveBackend {
        pool: String,
        backend: Backend,
    },
    ChangeNode {
        from: Node,
        to: Node,
    },
    /// What takes more than one's own word.
    ChangeProtection {
        from: Protection,
        to: Protection,
    },
    /// Who may approve.
    ChangeSigners {
        from: Signers,
        to: Signers,
    },
    /// Who may do what: of an admin alone.
    ChangeAccess {
        from: Option<Access>,
        to: Option<Access>,
    },
    Detach {
        interface: String,
    },
    Attach {
        interface: String,
    },
    /// What operators decided about a backend by command.
    Override {
        pool: String,
        /// As the file has it; as it had it, if it goes.
        file: Backend,
        from: BackendOverride,
        to: BackendOverride,
    },
    /// What operators decided about a VIP by command.
    OverrideVip {
        /// As the file has it; as it had it, if it goes.
        file: Vip,
        from: Option<VipState>,
        to: Option<VipState>,
    },
}

/// What a plan does to a pool's lookup table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolEffect {
    pub pool: String,
    /// Slots that change their owner, of 65,536.
    pub slots_moved: u32,
    /// The fewest any table could move for these weights.
    pub slots_unavoidable: u32,
}

/// Something to know about a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `HF….`; stable.
    pub code: String,
    pub severity: Severity,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// As it was measured, and what the running protection allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Whose approvals open it, of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Note,
    Warn,
    /// Nothing is changed without approvals, if the running generation asks for any.
    Lock,
    /// Nothing is changed.
    Refuse,
}

/// How many persons a lock takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// Takes capacity away.
    Drain,
    /// Breaks connections, or removes something.
    Remove,
    /// Changes the rules by which plans are judged.
    Rules,
}

impl Tier {
    #[must_use]
    pub const fn needs(self, approvals: &Approvals) -> u32 {
        match self {
            Self::Drain => approvals.drain,
            Self::Remove | Self::Rules => approvals.remove,
        }
    }

    /// What it changes shows in traffic, so a trial says something about it.
    #[must_use]
    pub const fn is_tried(self) -> bool {
        match self {
            Self::Drain | Self::Remove => true,
            Self::Rules => false,
        }
    }
}
