//! What the API says of the approval lock.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::{
    approval::Signers,
    config::ObjectName,
    digest::Digest,
    plan::{Finding, Plan},
};

/// `GET /v1/approvals`: plans that wait for approvals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    pub plans: Vec<Waiting>,
    /// Who may approve now.
    pub signers: Signers,
}

impl Kind for Approvals {
    const KIND: &'static str = "Approvals";
}

/// A plan that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    pub plan: Digest,
    pub author: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Approvals by persons other than the author.
    pub needs: u32,
    /// Whose signatures it has; whether they count is judged at the apply.
    pub approved_by: Vec<String>,
    pub expires: Timestamp,
}

/// `POST /v1/approve`: hands a signature in. Who does it does not matter: the
/// signature says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveRequest {
    pub plan: Digest,
    /// Armored SSHSIG over the exported plan, namespace `holdfast-plan-v1`.
    pub signature: String,
    /// It is the author's: it says who wants the plan, and approves nothing.
    #[serde(default)]
    pub author: bool,
}

/// `POST /v1/reject`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RejectRequest {
    pub plan: Digest,
    #[serde(default)]
    pub message: Option<String>,
}

/// `POST /v1/hold`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldRequest {
    #[serde(default)]
    pub message: Option<String>,
}

/// `POST /v1/break-glass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BreakGlassRequest {
    /// Why.
    pub reason: String,
    /// Seconds; 1 to four hours.
    pub within: u32,
}

/// `POST /v1/undelete`: plans to serve again what was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UndeleteRequest {
    pub objects: Vec<ObjectName>,
}

/// `POST /v1/wipe`: plans to serve nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WipeRequest {
    /// The running generation's, typed by somebody who means it.
    pub environment: String,
}

/// `POST /v1/why-refused`: what stands against a plan now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhyRefusedRequest {
    pub plan: Plan,
}

/// What stands against a plan now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyRefused {
    pub plan: Digest,
    /// It would be applied.
    pub applicable: bool,
    /// The first thing that stands against it, as an apply would say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<super::Failure>,
    /// All rules that it breaks, as they are measured now.
    pub rules: Vec<BrokenRule>,
    /// Approvals it needs, and who gave some that count now.
    pub needs: u32,
    pub approved_by: Vec<String>,
}

impl Kind for WhyRefused {
    const KIND: &'static str = "WhyRefused";
}

/// A rule, and who may lift it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenRule {
    #[serde(flatten)]
    pub finding: Finding,
    /// For people: `nobody`, `2 approvals by others`, `break-glass`.
    pub overridden_by: String,
}

/// The lock is not as it is on quiet days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockStatus {
    /// Somebody froze changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
    /// The lock is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<GlassStatus>,
    /// The last change that was refused, within an hour and since the last one
    /// that was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalStatus>,
    /// Plans that wait for approvals.
    #[serde(default)]
    pub waiting: u32,
}

impl LockStatus {
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldStatus {
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    pub since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GlassStatus {
    pub who: String,
    pub why: String,
    pub since: Timestamp,
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalStatus {
    pub codes: Vec<String>,
    pub author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
}
