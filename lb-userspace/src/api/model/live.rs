//! What is live now, and how trials end.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Traffic of late, as of the daemon's last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveStatus {
    /// Packets a second over the last 10 to 15 seconds; 0: none.
    #[serde(default)]
    pub pps: u64,
    /// Seconds since a packet was last seen, as far as the daemon looked: after
    /// a start it begins at 0. Absent: none ever came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<u64>,
}

/// A generation that is taken back unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrialStatus {
    pub generation: u64,
    /// Who applied it.
    pub author: String,
    pub until: Timestamp,
    /// The generation whose content is served again then.
    pub back_to: u64,
}

/// A generation that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenBack {
    pub generation: u64,
    /// `not confirmed in time`, `aborted`, `taken back: …`.
    pub cause: String,
}
