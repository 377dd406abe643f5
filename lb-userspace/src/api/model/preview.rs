//! What is asked for a preview.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Seconds that can be sampled at once.
pub const LONGEST_SAMPLE: u32 = 20;

/// `POST /v1/preview`: asks what a plan would do to packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewRequest {
    pub plan: Plan,
    /// For how many seconds live packets are sampled, too: an operator's, at most
    /// 20; 0 is not at all. Absent: for half a second if the plan is risky, there is
    /// traffic, and whoever asks may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
}
