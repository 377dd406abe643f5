//! The JSON of the command line, as far as its contract goes.
//!
//! Written anew and not taken from the product, so that a field renamed there
//! fails here.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `holdfast status -o json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub api_version: String,
    pub kind: String,
    pub environment: String,
    pub generation: u64,
    pub revision: u64,
    pub digest: String,
    pub in_sync: bool,
    pub mode: String,
    pub mode_reason: Option<String>,
    pub program_problem: Option<String>,
    pub journal_problem: Option<String>,
    /// The running generation is on trial.
    #[serde(default)]
    pub trial: Option<Value>,
    pub interfaces: Vec<Interface>,
    pub verdicts: BTreeMap<String, Traffic>,
    pub vips: Vec<Vip>,
    pub pools: Vec<Pool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    pub mode: Option<String>,
    pub prog_id: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Vip {
    pub name: String,
    pub address: IpAddr,
    pub port: u16,
    pub protocol: String,
    pub pool: String,
    #[serde(flatten)]
    pub traffic: Traffic,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    pub name: String,
    pub table_digest: String,
    pub backends: Vec<Backend>,
    /// Why who serves is not just who is healthy.
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default)]
    pub fallback: Vec<Guest>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Backend {
    pub name: String,
    pub address: IpAddr,
    pub weight: u32,
    pub state: String,
    pub up: bool,
    /// Of the lookup table's 65,536.
    pub slots: u32,
    /// What was set by command.
    #[serde(default, rename = "override")]
    pub overridden: Option<Value>,
    /// Slots in which it may still have flows.
    #[serde(default, rename = "dirtySlots")]
    pub dirty_slots: u32,
    pub path: Path,
    #[serde(flatten)]
    pub traffic: Traffic,
    #[serde(default)]
    pub health: Health,
}

/// What is known of the way to a backend.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// The longest outer packet that is sent there, bytes.
    pub mtu: Option<u16>,
    /// What a router said of it.
    pub learned_mtu: Option<u16>,
    /// ICMP messages that ours were too big.
    pub too_big: u64,
}

/// `holdfast apply … -o json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    pub generation: u64,
    pub revision: u64,
    /// Chunks that were made, and that the revision before has, too.
    pub chunks_written: u32,
    pub chunks_shared: u32,
    /// From the first chunk to the switch, microseconds.
    pub publish_us: u64,
    pub effects: Vec<Effect>,
}

/// What a change does to a pool's lookup table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    pub pool: String,
    pub slots_moved: u32,
    pub slots_unavoidable: u32,
}

/// `holdfast why … -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    pub kind: String,
    pub vip: Option<String>,
    pub pool: Option<String>,
    pub slot: Option<u32>,
    pub backend: Option<String>,
    pub chain: Vec<String>,
    pub verdict: String,
    pub generation: u64,
    pub revision: u64,
}

/// Slots of every lookup table.
pub const SLOTS: u32 = 65_536;

impl Status {
    /// Packets of every verdict: all the program has seen.
    #[must_use]
    pub fn received(&self) -> Traffic {
        self.verdicts.values().copied().sum()
    }

    /// Packets sent to a backend.
    #[must_use]
    pub fn forwarded(&self) -> Traffic {
        let verdicts = self.verdicts.iter();
        verdicts
            .filter(|(name, _)| name.starts_with("Forward"))
            .map(|(_, &traffic)| traffic)
            .sum()
    }

    /// Packets dropped, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> Traffic {
        let verdicts = self.verdicts.iter();
        verdicts
            .filter(|(name, _)| name.starts_with("Drop"))
            .map(|(_, &traffic)| traffic)
            .sum()
    }

    /// Packets with this verdict.
    ///
    /// # Panics
    /// If there is no such verdict.
    #[must_use]
    pub fn packets(&self, verdict: &str) -> u64 {
        self.verdicts[verdict].packets
    }

    #[must_use]
    pub fn of_vips(&self) -> Traffic {
        self.vips.iter().map(|vip| vip.traffic).sum()
    }

    #[must_use]
    pub fn of_backends(&self) -> Traffic {
        self.backends().map(|(_, backend)| backend.traffic).sum()
    }

    /// Every backend with its pool.
    pub fn backends(&self) -> impl Iterator<Item = (&Pool, &Backend)> {
        self.pools
            .iter()
            .flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)))
    }

    #[must_use]
    pub fn backend(&self, pool: &str, name: &str) -> Option<&Backend> {
        let mut all = self.backends();
        all.find(|(of, backend)| of.name == pool && backend.name == name)
            .map(|(_, backend)| backend)
    }
}

impl std::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(traffic: I) -> Self {
        traffic.fold(Self::default(), |sum, one| Self {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        })
    }
}

impl std::ops::Sub for Traffic {
    type Output = Self;

    /// What came since; counters never run backwards.
    fn sub(self, before: Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// What checks say of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub state: String,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub share: Option<String>,
}

/// A backend of a pool's fallback pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guest {
    pub name: String,
    pub slots: u32,
}
