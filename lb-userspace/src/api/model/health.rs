//! Health, and whom a pool falls back on.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Traffic;
use crate::config::Percent;

/// What checks say of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    pub state: HealthState,
    /// When it became that, as far as the daemon knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why its last check failed; absent: it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long its last check took, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_us: Option<u64>,
    /// What health leaves it of its weight; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// Its pool has no checks, or it is in `maint`.
    #[default]
    Unchecked,
    /// Not checked yet.
    Unknown,
    Up,
    Down,
    /// Its checks pass, but it went up and down too often.
    Held,
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchecked => "unchecked",
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Held => "held",
        })
    }
}

/// A backend of a pool's fallback pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuestStatus {
    /// `POOL/BACKEND`.
    pub name: String,
    pub address: IpAddr,
    /// Slots of the pool that it owns; 0: it is not needed.
    pub slots: u32,
    /// Slots of others in which flows may still be its own.
    pub dirty_slots: u32,
    /// For this pool.
    #[serde(flatten)]
    pub traffic: Traffic,
}
