//! `protection:` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Number, Text, written};
use crate::config::{
    limits::{MAX_APPROVALS, MAX_BACKENDS, PERCENT_PATTERN, SECONDS_PATTERN},
    protection::{Approvals, Confirm, Protection, Removals},
};

/// What takes more than one's own word. The running generation's counts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Protection")]
pub struct FileProtection {
    /// More than this share of the packets now is not broken within `window` by
    /// one's own word.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = Protection::default().max_traffic_affected))]
    pub max_traffic_affected: Option<Text>,
    /// Over which plans count together: 1m to 7 days (168h).
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = Protection::default().window))]
    pub window: Option<Text>,
    /// Backends that may be taken out within `window`; refused when both are
    /// exceeded, in a pool or in all pools together.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileRemovals")]
    pub max_backends_removed: Option<FileRemovals>,
    /// This much of a pool's capacity is always left.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = Protection::default().min_capacity_left))]
    pub min_capacity_left: Option<Text>,
    /// A backend that has connections is drained before it is removed.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "bool", extend("default" = true))]
    pub require_drain: Option<bool>,
    /// A VIP that had packets as lately as this is not removed: 0s to 24h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = Protection::default().live_vip_window))]
    pub live_vip_window: Option<Text>,
    /// How many persons beside the author, and who they are.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileApprovals")]
    pub approvals: Option<Spanned<FileApprovals>>,
    /// Which changes are on trial.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "FileConfirm")]
    pub confirm: Option<FileConfirm>,
}

/// Refused when both are exceeded, so that small pools can be worked on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Removals")]
pub struct FileRemovals {
    /// Of the backends that served when the window began.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = Removals::default().percent))]
    pub percent: Option<Text>,
    /// Backends.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_BACKENDS), extend("default" = Removals::default().count))]
    pub count: Option<Spanned<Number>>,
}

/// Approvals by persons other than the author, as signatures of the plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Approvals")]
pub struct FileApprovals {
    /// Absolute path of an OpenSSH `allowed_signers` file (ssh-keygen(1)), each
    /// line with `namespaces="holdfast-plan-v1"`.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = "^/"))]
    pub approvers: Option<Text>,
    /// For what breaks connections, removes something or weakens protection.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_APPROVALS), extend("default" = Approvals::default().remove))]
    pub remove: Option<Spanned<Number>>,
    /// For what takes capacity away and breaks nothing; not more than `remove`.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "u32", range(min = 0, max = MAX_APPROVALS), extend("default" = Approvals::default().drain))]
    pub drain: Option<Spanned<Number>>,
    /// How long a plan and its approvals hold: 1m to 7 days (168h).
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = Approvals::default().ttl))]
    pub ttl: Option<Text>,
}

/// A change on trial is taken back unless it is confirmed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Confirm")]
pub struct FileConfirm {
    /// How long the trial of a change that needs one is: 0s (none) to 24h.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = SECONDS_PATTERN), extend("default" = Confirm::default().default))]
    pub default: Option<Text>,
    /// More than this share of the packets now is not broken without a trial.
    #[serde(default, deserialize_with = "written")]
    #[schemars(with = "String", regex(pattern = PERCENT_PATTERN), extend("default" = Confirm::default().required_above))]
    pub required_above: Option<Text>,
}
