//! What takes more than one's own word: the `protection:` of a configuration.
//!
//! The *running* generation's protection judges a plan, so that no plan can
//! lift what stands against it (`plan::policy::lock`).

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Percent, Seconds};

/// The defaults hold where the file has no `protection:`. They lock nobody out:
/// no approvals, but budgets, a floor, drains first, and trials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protection {
    /// More than this share of the packets now is not broken within `window`
    /// by one's own word.
    pub max_traffic_affected: Percent,
    /// Over which plans count together.
    pub window: Seconds,
    /// Not both may be exceeded, in a pool and in all pools together.
    pub max_backends_removed: Removals,
    /// This much of a pool's capacity is always left.
    pub min_capacity_left: Percent,
    /// A backend that has connections is drained before it is removed or
    /// readdressed.
    pub require_drain: bool,
    /// A VIP that had packets as lately as this is not removed; 0s: it may be.
    pub live_vip_window: Seconds,
    pub approvals: Approvals,
    pub confirm: Confirm,
}

/// Backends that may be taken out within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Removals {
    pub percent: Percent,
    pub count: u32,
}

/// How many persons beside the author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ApprovalsAsked")]
pub struct Approvals {
    /// OpenSSH `allowed_signers`: who they are. The generation keeps a copy;
    /// later the file can only take signers away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvers: Option<PathBuf>,
    /// For what breaks connections, removes something, or weakens protection.
    pub remove: u32,
    /// For what takes capacity away and breaks nothing.
    pub drain: u32,
    /// Of a plan, and of every approval of it.
    pub ttl: Seconds,
}

/// Which changes are on trial unless somebody says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ConfirmAsked")]
pub struct Confirm {
    /// How long the trial of a change that needs one is; 0s: none does.
    pub default: Seconds,
    /// More than this share of the packets now is not broken without a trial.
    pub required_above: Percent,
}

const fn percent(percent: u32) -> Percent {
    match Percent::new(percent) {
        Some(percent) => percent,
        None => Percent::ZERO,
    }
}

impl Default for Protection {
    fn default() -> Self {
        Self {
            max_traffic_affected: percent(10),
            window: Seconds(3600),
            max_backends_removed: Removals::default(),
            min_capacity_left: percent(50),
            require_drain: true,
            live_vip_window: Seconds(600),
            approvals: Approvals::default(),
            confirm: Confirm::default(),
        }
    }
}

impl Default for Removals {
    fn default() -> Self {
        Self {
            percent: percent(25),
            count: 1,
        }
    }
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            approvers: None,
            remove: 0,
            drain: 0,
            ttl: Seconds(1800),
        }
    }
}

impl Default for Confirm {
    fn default() -> Self {
        Self {
            default: Seconds(300),
            required_above: percent(5),
        }
    }
}

impl Removals {
    /// `out` of `of` backends are more than both limits.
    #[must_use]
    pub const fn are_exceeded_by(self, out: u32, of: u32) -> bool {
        out > self.count && out as u64 * 100 > of as u64 * self.percent.get() as u64
    }
}

impl Protection {
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Approvals {
    /// Nobody is asked.
    #[must_use]
    pub const fn are_off(&self) -> bool {
        self.remove == 0 && self.drain == 0
    }
}
