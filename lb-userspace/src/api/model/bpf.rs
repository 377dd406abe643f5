//! What the API says of programs and maps in the kernel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Pins};
use crate::digest::Digest;

/// `GET /v1/bpf/dump`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BpfDump {
    pub pins: Pins,
    /// The eight bytes of ACTIVE, hexadecimal.
    pub active: String,
    pub chunks: Vec<ChunkSummary>,
    /// Slots of CHUNKS in all.
    pub chunk_slots: u32,
}

impl Kind for BpfDump {
    const KIND: &'static str = "BpfDump";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChunkSummary {
    pub slot: u16,
    /// Of the map in the slot.
    pub map_id: u32,
    /// `root`, `vips`, `table`, `members`, `meta`.
    pub kind: String,
    /// The pool, for tables; otherwise what is known of it.
    pub of: String,
    pub frozen: bool,
    /// `active`, `fallback` or both.
    pub named_by: String,
    pub digest: Digest,
}

/// `GET /v1/bpf/verify`: what the kernel serves against what the journal says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BpfVerify {
    pub ok: bool,
    pub generation: u64,
    pub revision: u64,
    pub checks: Vec<Check>,
}

impl Kind for BpfVerify {
    const KIND: &'static str = "BpfVerify";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "VerifyCheck")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
}
