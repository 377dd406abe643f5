//! What happened in dirty slots, from the program's pinned counters: the command
//! line does not say it yet.

use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use lb_common::{abi::counters::FIRST_EVENT, verdict::FlowEvent};

/// How often each happened since the program was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEvents {
    pub noted_new: u64,
    pub noted_old: u64,
    pub refused_new: u64,
    pub refused_old: u64,
}

impl FlowEvents {
    /// Reads them below a daemon's directory of pins.
    pub fn read(pins: &Path) -> Result<Self> {
        let path = pins.join("maps/COUNTERS");
        let map = MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
        // Packets and bytes.
        let counters: PerCpuArray<_, [u64; 2]> = PerCpuArray::try_from(Map::PerCpuArray(map))?;
        let count = |event: FlowEvent| -> Result<u64> {
            let by_cpu = counters.get(&(FIRST_EVENT + event as u32), 0)?;
            Ok(by_cpu.iter().map(|[packets, _]| packets).sum())
        };
        Ok(Self {
            noted_new: count(FlowEvent::NotedNew)?,
            noted_old: count(FlowEvent::NotedOld)?,
            refused_new: count(FlowEvent::RefusedNew)?,
            refused_old: count(FlowEvent::RefusedOld)?,
        })
    }
}
