//! ACTIVE: the one switch.
//!
//! Eight bytes in a memory-mapped array of one entry, written by one atomic
//! store, read once for each packet. They name the first VIP chunk beside each
//! root so that the fast path need not read the root at all.

use super::chunk::ChunkId;

/// Four chunk numbers of 16 bits, from the least significant: active root, its
/// first VIP chunk, fallback root, its first VIP chunk. Zero is "nothing
/// published".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active(pub u64);

impl Active {
    #[must_use]
    pub const fn new(root: ChunkId, vips: ChunkId, fallback_root: ChunkId, fallback_vips: ChunkId) -> Self {
        Self((root as u64) | (vips as u64) << 16 | (fallback_root as u64) << 32 | (fallback_vips as u64) << 48)
    }

    #[must_use]
    #[inline(always)]
    pub const fn root(self) -> ChunkId {
        self.0 as ChunkId
    }

    #[must_use]
    #[inline(always)]
    pub const fn vips(self) -> ChunkId {
        (self.0 >> 16) as ChunkId
    }

    #[must_use]
    #[inline(always)]
    pub const fn fallback_root(self) -> ChunkId {
        (self.0 >> 32) as ChunkId
    }

    #[must_use]
    #[inline(always)]
    pub const fn fallback_vips(self) -> ChunkId {
        (self.0 >> 48) as ChunkId
    }

    /// Nothing has ever been published here.
    #[must_use]
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
