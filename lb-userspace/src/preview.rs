//! What a plan would do to packets, before anybody says yes: the candidate is
//! put into the kernel where nothing leads to it, packets are run through what
//! is served and through the candidate by the private instance, and both are
//! compared. `synthetic` makes packets for every VIP, `live` has headers that were
//! sampled, `tables` counts slots, `text` says it in a sentence.
//!
//! Nothing of a preview is in the plan: a plan is signed as it was made, and what
//! was measured of packets is another thing a minute later. It is an answer of
//! its own, about a plan; and an apply makes one of its own, under the writer's
//! lock, and refuses by that alone.

mod live;
mod synthetic;
mod tables;
#[cfg(test)]
mod tests;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lb_common::{
    abi::{active::Active, hash_key::HashKey},
    verdict::Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{live::LivePreview, tables::PoolPreview};

use crate::{
    api::model::{Failure, Kind},
    digest::Digest,
    failure,
    kernel::{
        KernelError,
        aya::{KernelBalancer, Runs},
        sampler::Sampled,
    },
    rehearsal::Objection,
    revision::Revision,
};

/// Packets that are made for all VIPs together, at most, as long as each gets
/// one.
pub const FLOWS: usize = 8192;

/// Flows of one VIP, at most.
pub const FLOWS_OF_A_VIP: usize = 8;

/// `POST /v1/preview`: what a plan would do to packets, before it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Digest of the plan.
    pub plan: Digest,
    /// What it was compared with; 0: nothing is served.
    pub generation: u64,
    pub revision: u64,
    /// All of it in a sentence.
    pub summary: String,
    /// VIPs that packets were made for, of either side.
    pub vips: u32,
    /// Packets that were made, each run through both sides.
    pub flows: u32,
    /// Of them, those that go to another backend.
    pub other_backend: u32,
    /// Slots of the pools that both sides have, and those that change their
    /// owner.
    pub slots: u64,
    pub slots_moved: u64,
    /// Of those that do, the ones whose established flows stay where they are.
    pub slots_kept: u64,
    /// Pools in which something changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolPreview>,
    /// VIPs that are new, or were not served, and forward.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub starts: BTreeSet<String>,
    /// VIPs that are new and forward nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub silent: BTreeSet<String>,
    /// VIPs whose packets end because the plan says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, Ends>,
    /// VIPs that stay, and whose packets were forwarded and are not any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_drops: Vec<NewDrop>,
    /// Where the kernel's program does otherwise than the candidate says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
    /// The same for packets that really came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<LivePreview>,
    /// Why there is none, if somebody might miss it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_sampled: Option<String>,
    /// How long the writer was kept busy, microseconds; sampling is not in it.
    pub took_us: u64,
    /// An apply would be refused with this; absent: not by the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
}

impl Kind for Preview {
    const KIND: &'static str = "Preview";
}

/// Why packets of a VIP end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ends {
    /// Its address, port and protocol are served no more.
    Removed,
    /// It goes to `maint`.
    Maint,
}

/// Instead of a VIP's name, for sampled packets that are no flow to one.
pub const OTHER_PACKETS: &str = "(other packets)";

/// Packets of a VIP that were forwarded and are not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewDrop {
    /// Its name; `(other packets)`: of none, as ICMP errors.
    pub vip: String,
    pub packets: u32,
    /// The candidate's, of the first of them.
    pub verdict: String,
    /// No plan is refused for it: the blast radius says that nothing of its pool is
    /// left, so that approvals are about it, or these are packets of no VIP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub measured: bool,
}

/// The kernel's program does otherwise than the candidate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contradiction {
    pub vip: String,
    /// For people.
    pub what: String,
}

/// A published revision, or one that could be.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub active: Active,
    pub revision: &'a Revision,
}

/// What is compared.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// `None`: nothing is served.
    pub served: Option<Side<'a>>,
    pub candidate: Side<'a>,
    pub key: &'a HashKey,
    /// Pools of which nothing is left, as was measured.
    pub emptied: &'a BTreeSet<String>,
}

/// The private instance, as a preview needs it.
pub trait Instance {
    /// Its flows of dirty slots are those of what is served, as of now.
    ///
    /// # Errors
    /// When the kernel does not let it.
    fn know_flows(&self) -> Result<(), KernelError>;

    /// The action, and the packet after it.
    ///
    /// # Errors
    /// When the kernel does not run it.
    fn run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError>;

    /// What it counted for the packet.
    ///
    /// # Errors
    /// When the kernel does not run it.
    fn verdict(&self, active: Active, packet: &[u8]) -> Result<Verdict, KernelError>;
}

impl Instance for Runs<'_> {
    fn know_flows(&self) -> Result<(), KernelError> {
        Runs::know_flows(self)
    }

    fn run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        Runs::run(self, active, packet)
    }

    fn verdict(&self, active: Active, packet: &[u8]) -> Result<Verdict, KernelError> {
        Ok(self.explain(active, packet)?.0)
    }
}

/// Compares both sides; the names of plan and generation, and how long it took,
/// are for whoever asks.
///
/// # Errors
/// When the kernel does not run a packet.
pub fn compare(
    instance: &dyn Instance,
    sides: Sides<'_>,
    sampled: Option<(&[Sampled], Duration)>,
) -> Result<Preview, KernelError> {
    let made = synthetic::compare(instance, sides)?;
    let counted = tables::compare(sides);
    let mut preview = Preview {
        plan: Digest::of(&[]),
        generation: 0,
        revision: 0,
        summary: String::new(),
        vips: made.vips,
        flows: made.flows,
        other_backend: made.other_backend,
        slots: counted.slots,
        slots_moved: counted.moved,
        slots_kept: counted.kept,
        pools: counted.pools,
        starts: made.starts,
        silent: made.silent,
        ends: made.ends,
        new_drops: made.new_drops.into_values().collect(),
        contradictions: made.contradictions,
        sampled: None,
        not_sampled: None,
        took_us: 0,
        refusal: None,
    };
    if let Some((sampled, within)) = sampled {
        preview.sampled = Some(live::compare(instance, sides, sampled, within)?);
    }
    preview.summary = text::summary(&preview, sides.served.is_none());
    preview.refusal = objection(&preview).map(failure::of_preview);
    let live = preview.sampled.as_ref().and_then(LivePreview::objection);
    preview.refusal = preview.refusal.or_else(|| live.map(failure::of_preview));
    Ok(preview)
}

/// What refuses a publish: the program contradicts the candidate, or a VIP that
/// stays drops and nobody measured that.
fn objection(preview: &Preview) -> Option<Objection> {
    if let Some(first) = preview.contradictions.first() {
        return Some(Objection::Contradicted(text::contradicted(
            first,
            preview.contradictions.len(),
        )));
    }
    let surprises: Vec<&NewDrop> = preview.new_drops.iter().filter(|drop| !drop.measured).collect();
    (!surprises.is_empty()).then(|| Objection::Drops(text::dropped(&surprises)))
}

/// The same for an apply: the summary, unless something stands against the
/// switch.
///
/// # Errors
/// What does.
pub fn ensure(kernel: &KernelBalancer, sides: Sides<'_>) -> Result<String, Objection> {
    let preview = compare(&kernel.runs()?, sides, None)?;
    objection(&preview).map_or(Ok(preview.summary), Err)
}
