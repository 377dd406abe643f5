//! The maps as the packet path sees them.

use crate::abi::{
    active::Active,
    chunk::{ChunkId, Line},
    flows::{FlowEntry, Seconds},
    hash_key::HashKey,
    node::Node,
    path_mtu::PathMtuKey,
};

/// Implemented by lb-ebpf over the real maps, and by lb-userspace and the tests
/// over copies of their content.
pub trait View {
    type Flows<'v>: FlowLine
    where
        Self: 'v;

    /// The switch. Read once for each packet: all later reads start from it.
    fn active(&self) -> Active;

    /// Line `line` of chunk `chunk`; `None` when the slot is empty.
    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L>;

    fn hash_key(&self) -> Option<&HashKey>;

    fn node(&self) -> Option<&Node>;

    /// Line `line` of FLOWS.
    fn flows(&self, line: u32) -> Option<Self::Flows<'_>>;

    /// The coarse monotonic clock. For dirty slots and answers only.
    fn now(&self) -> Seconds;

    /// One more answer may be sent in this second, if `limit` is not reached.
    fn may_answer(&self, limit: u32) -> bool;

    /// Notes an ICMP error about a packet we sent to a backend; `mtu` 0: it was
    /// not a too-big.
    fn note_path(&self, backend: &PathMtuKey, mtu: u16);

    /// Adds one packet of `bytes` to entry `index` of COUNTERS.
    fn count(&self, index: u32, bytes: u64);
}

/// One line of FLOWS. Places are 0..8.
pub trait FlowLine {
    fn load(&self, place: usize) -> FlowEntry;

    /// Replaces an entry, unless it changed since it was loaded.
    fn exchange(&self, place: usize, old: FlowEntry, new: FlowEntry) -> bool;
}
