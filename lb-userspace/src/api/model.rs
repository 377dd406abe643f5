//! What the API says: the JSON of `-o json`, the same bytes over the socket.

mod bpf;
mod guard;
mod health;
mod interface;
mod journal;
mod live;
mod lock;
mod preview;
mod recover;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{API_VERSION, BackendState, ObjectName, Protocol, VipState},
    digest::Digest,
    health::standing::Reason,
    plan::{BackendOverride, BackendWish, Change, Content, Plan, PoolEffect, VipWish},
};

pub use self::{
    bpf::{BpfDump, BpfVerify, Check, ChunkSummary},
    guard::{GuardState, GuardStatus},
    health::{GuestStatus, HealthState, HealthStatus},
    interface::{InterfaceState, InterfaceStatus},
    journal::{ExportQuery, JournalDamaged, JournalKey, JournalVerify, VerifyQuery},
    live::{LiveStatus, TakenBack, TrialStatus},
    lock::{
        Approvals, ApproveRequest, BreakGlassRequest, BrokenRule, GlassStatus, HoldRequest, HoldStatus, LockStatus,
        RefusalStatus, RejectRequest, UndeleteRequest, Waiting, WhyRefused, WhyRefusedRequest, WipeRequest,
    },
    preview::{LONGEST_SAMPLE, PreviewRequest},
    recover::{KeyFile, RecoverRequest, Recovery},
};

/// `apiVersion` and `kind`, at the head of every document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Document", bound = "T: Kind + JsonSchema")]
pub struct Document<T> {
    #[serde(rename = "apiVersion")]
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    #[schemars(extend("const" = T::KIND))]
    pub kind: String,
    #[serde(flatten)]
    pub body: T,
}

/// A body that knows its `kind`.
pub trait Kind {
    const KIND: &'static str;
}

impl<T: Kind> Document<T> {
    pub fn new(body: T) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: T::KIND.to_owned(),
            body,
        }
    }
}

/// Packets and bytes since the counters were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    pub packets: u64,
    /// Bytes of frames as they came in, Ethernet header included.
    pub bytes: u64,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub environment: String,
    /// The approved configuration that is served; 0: none yet.
    pub generation: u64,
    /// What is published for it.
    pub revision: u64,
    /// Of the generation's canonical configuration.
    pub digest: Digest,
    /// The configuration file means what is served.
    pub in_sync: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_sync: Option<String>,
    /// What of the published content is missing in the kernel; absent: all of
    /// it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    pub mode: Mode,
    /// Why, unless it is normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// Why the program of another build than the daemon's goes on; absent: it is
    /// the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_problem: Option<String>,
    /// What is wrong with the journal or its signatures; absent: nothing known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_problem: Option<String>,
    /// The running generation is on trial; absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
    /// The approval lock is not as it is on quiet days.
    #[serde(default, skip_serializing_if = "LockStatus::is_quiet")]
    pub lock: LockStatus,
    /// What the running generation took back; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<TakenBack>,
    /// Whether the kernel refuses to others what is ours there; absent: nobody asks for it, and
    /// nothing was refused.
    #[serde(default, skip_serializing_if = "GuardStatus::is_quiet")]
    pub guard: GuardStatus,
    pub interfaces: Vec<InterfaceStatus>,
    /// By the name of the verdict; every verdict is there.
    pub verdicts: BTreeMap<String, Traffic>,
    pub vips: Vec<VipStatus>,
    pub pools: Vec<PoolStatus>,
    /// What happened in dirty slots, by name: packets.
    #[serde(default)]
    pub flow_events: BTreeMap<String, u64>,
    pub pins: Pins,
}

impl Kind for Status {
    const KIND: &'static str = "Status";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Normal,
    /// An operator froze changes.
    Hold,
    /// The daemon did, by itself.
    ReadOnly,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VipStatus {
    pub name: String,
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    pub pool: String,
    #[serde(default)]
    pub state: VipState,
    /// Set by command: what the file says instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_state: Option<VipState>,
    #[serde(flatten)]
    pub traffic: Traffic,
    #[serde(flatten)]
    pub live: LiveStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    pub name: String,
    /// Of the lookup table: SHA-256 over its slots.
    pub table_digest: Digest,
    /// Slots that may still have flows of earlier owners.
    #[serde(default)]
    pub dirty_slots: u32,
    pub backends: Vec<BackendStatus>,
    /// Backends that are not in the configuration any more, but still have
    /// flows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<LeavingStatus>,
    /// Why who serves is not just who is healthy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reasons: BTreeSet<Reason>,
    /// Backends of its fallback pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<GuestStatus>,
}

/// A backend that leaves slowly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeavingStatus {
    pub name: String,
    pub address: IpAddr,
    /// Slots in which flows may still be its own.
    pub dirty_slots: u32,
    #[serde(flatten)]
    pub traffic: Traffic,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    pub name: String,
    pub address: IpAddr,
    pub weight: u32,
    pub state: BackendState,
    /// Its next hop is known, and it is not down by its checks.
    pub up: bool,
    #[serde(default)]
    pub health: HealthStatus,
    /// What was set by command; weight and state above are in force.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<OverrideStatus>,
    /// Slots of the lookup table it owns, of 65,536.
    pub slots: u32,
    /// Slots of others in which flows may still be its own.
    #[serde(default)]
    pub dirty_slots: u32,
    /// `aa:bb:cc:dd:ee:ff via IFACE`, or why there is none.
    pub next_hop: String,
    pub path: PathStatus,
    #[serde(flatten)]
    pub traffic: Traffic,
    #[serde(flatten)]
    pub live: LiveStatus,
}

/// What an operator set by command, and what the file says instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideStatus {
    #[serde(flatten)]
    pub set: BackendOverride,
    pub file_weight: u32,
    pub file_state: BackendState,
}

/// What is known of the way to a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// The longest outer IP packet that is sent there, bytes; absent: there is
    /// no next hop.
    pub mtu: Option<u16>,
    /// What a router said of it less than ten minutes ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned_mtu: Option<u16>,
    /// ICMP messages that our packets were too big.
    pub too_big: u64,
    /// Other ICMP errors about our packets.
    pub errors: u64,
}

/// Where bpftool continues. Keys of the maps are paths below the directory,
/// such as `prog/balancer`; values are the kernel's ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pins {
    pub directory: String,
    pub programs: BTreeMap<String, u32>,
    pub maps: BTreeMap<String, u32>,
}

/// `GET /v1/why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// Name of the VIP; absent: not for a VIP.
    pub vip: Option<String>,
    pub pool: Option<String>,
    /// Slot of the pool's lookup table.
    pub slot: Option<u32>,
    /// Name of the backend the kernel sent it to.
    pub backend: Option<String>,
    /// Earlier owners of the slot.
    pub chain: Vec<String>,
    /// As the kernel's program decided.
    pub verdict: String,
    /// One sentence about that verdict.
    pub meaning: String,
    pub generation: u64,
    pub revision: u64,
}

impl Kind for Why {
    const KIND: &'static str = "Why";
}

/// What `GET /v1/why` asks: a packet, by its five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    pub src: IpAddr,
    pub sport: u16,
    pub dst: IpAddr,
    pub dport: u16,
    pub proto: Protocol,
}

/// A refusal or failure, of the API and of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `HF….`; stable.
    pub code: String,
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Exit code of the command line.
    pub exit: u8,
}

impl Kind for Failure {
    const KIND: &'static str = "Failure";
}

/// `POST /v1/plan`: asks for a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRequest {
    /// Where the text came from, for error messages.
    pub file: String,
    /// YAML.
    pub text: String,
    /// Objects that may go, beside those in the file's `removed`.
    #[serde(default)]
    pub remove: Vec<ObjectName>,
}

/// `POST /v1/apply`: applies a plan, whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyRequest {
    pub plan: Plan,
    /// Of the plan, as it was shown.
    pub digest: Digest,
    #[serde(default)]
    pub message: Option<String>,
    /// On trial: taken back unless it is confirmed within so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<u32>,
}

/// `POST /v1/rollback`: plans an earlier generation's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackRequest {
    /// Absent: the one before the running one.
    #[serde(default)]
    pub generation: Option<u64>,
}

/// `POST /v1/attach` and `POST /v1/detach`: plans it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InterfacesRequest {
    pub interfaces: Vec<String>,
}

/// `POST /v1/backend`: plans what somebody wishes of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRequest {
    /// `backend/POOL/NAME`.
    pub backend: ObjectName,
    pub wish: BackendWish,
}

/// `POST /v1/vip`: plans what somebody wishes of a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VipRequest {
    /// `vip/NAME`.
    pub vip: ObjectName,
    pub wish: VipWish,
}

/// The answer to an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    pub generation: u64,
    pub revision: u64,
    pub digest: Digest,
    /// There was nothing to change.
    pub unchanged: bool,
    /// Chunks written, and shared with the revision before.
    pub chunks_written: u32,
    pub chunks_shared: u32,
    /// From the first chunk to the switch, microseconds.
    pub publish_us: u64,
    pub effects: Vec<PoolEffect>,
    /// It is taken back unless it is confirmed until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_until: Option<Timestamp>,
    /// What packets for every VIP said before the switch, in a sentence; absent:
    /// nothing was switched to by a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// Things worth knowing, such as next hops not resolved yet.
    pub notes: Vec<String>,
}

impl Kind for Applied {
    const KIND: &'static str = "Applied";
}

/// `GET /v1/history`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    pub generations: Vec<GenerationSummary>,
}

impl Kind for History {
    const KIND: &'static str = "History";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationSummary {
    pub generation: u64,
    pub digest: Digest,
    pub author: String,
    pub applied: Timestamp,
    /// `apply`, `rollback`, `first start`, …
    pub cause: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub running: bool,
    /// Whether somebody confirmed it; absent: it was not on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
    pub vips: u32,
    pub backends: u32,
}

/// `GET /v1/generations/N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationDetail {
    pub summary: GenerationSummary,
    pub content: Content,
    pub changes: Vec<Change>,
}

impl Kind for GenerationDetail {
    const KIND: &'static str = "Generation";
}

/// `GET /v1/journal`, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// Objects, as the store keeps them.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub entries: Vec<serde_json::Value>,
}

impl Kind for Journal {
    const KIND: &'static str = "Journal";
}
