//! COUNTERS: one per-CPU array for verdicts, VIPs and members.

use bytemuck::{Pod, Zeroable};

use crate::verdict::{FlowEvent, Verdict};

/// Entries of COUNTERS: 1 MiB for each possible CPU. A configuration that
/// needs more VIP and member counters is refused by the daemon.
pub const COUNTERS: u32 = 65_536;

/// The first entries count verdicts, by their number, and the next ones events
/// in dirty slots.
pub const FIRST_EVENT: u32 = 56;

/// VIPs and members are given indices from here on by the daemon. So 0 in a
/// record is "not counted".
pub const FIRST_FREE: u32 = 64;

/// What was counted on one CPU since the map was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as they came in, Ethernet header included, frame
    /// check sequence not.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Counter>() == 16);
const _: () = assert!(Verdict::ALL.len() as u32 <= FIRST_EVENT);
const _: () = assert!(FIRST_EVENT + FlowEvent::ALL.len() as u32 <= FIRST_FREE);
