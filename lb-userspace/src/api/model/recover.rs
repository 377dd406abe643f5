//! What the API says of a recovery.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Mode, TrialStatus};
use crate::digest::Digest;

/// `POST /v1/recover`: ends read-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverRequest {
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a recovery did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The daemon takes changes again; false: nothing was to be done, it was asked
    /// for a dry run, or something else keeps it read-only.
    pub recovered: bool,
    /// What is served, before and after.
    pub generation: u64,
    pub revision: u64,
    pub digest: Digest,
    /// Why the daemon was read-only; absent: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The store is another: filled with what the kernel remembers.
    pub rebuilt: bool,
    /// Generations that the kernel remembers, if the store is rebuilt from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<u32>,
    /// Where the store before is now; absent: it was gone, or is in use again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
    /// The file of the hash key, as it was found.
    pub hash_key: KeyFile,
    /// The daemon's mode afterwards: changes may be on hold.
    pub mode: Mode,
    /// What is served is on trial, which nobody looks after while the daemon is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
    /// Its time is over: it is taken back at once when the daemon takes changes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial_is_over: bool,
}

impl Kind for Recovery {
    const KIND: &'static str = "Recovery";
}

/// The file of the hash key against the key in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFile {
    #[default]
    Same,
    /// There was none: it is written.
    Gone,
    /// It had another: that is kept beside it.
    Other,
}
