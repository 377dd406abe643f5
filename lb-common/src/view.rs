//! The maps as the packet path sees them.

use crate::abi::{
    active::Active,
    chunk::{ChunkId, Line},
    hash_key::HashKey,
    interfaces::Interfaces,
};

/// Implemented by lb-ebpf over the real maps, and by lb-userspace and the tests
/// over copies of their content.
pub trait View {
    /// The switch. Read once for each packet: all later reads start from it.
    fn active(&self) -> Active;

    /// Line `line` of chunk `chunk`; `None` when the slot is empty.
    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L>;

    fn hash_key(&self) -> Option<&HashKey>;

    fn interfaces(&self) -> Option<&Interfaces>;

    /// Adds one packet of `bytes` to entry `index` of COUNTERS.
    fn count(&self, index: u32, bytes: u64);
}
