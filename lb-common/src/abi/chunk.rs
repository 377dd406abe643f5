//! The one shape of published content: a chunk of 2,048 lines of 64 bytes.

use bytemuck::{Pod, Zeroable};

/// Index into the outer map CHUNKS; 0 is nobody.
pub type ChunkId = u16;

/// Slots of the outer map CHUNKS, 128 KiB of pointers: 1,024 pools, each table
/// and its chains in two slots, for a revision and the one after it. When none
/// is free, a publish is refused before anything is installed.
pub const CHUNK_SLOTS: u32 = 16_384;

/// Slot 0 is never read by the program, so that a zeroed field leads nowhere.
/// The daemon overwrites it to force an RCU grace period.
pub const GRACE_SLOT: u32 = 0;

/// Lines in a chunk.
pub const LINES: u32 = 2048;

/// Bytes in a line: one cache line, because chunks are page-aligned
/// (`BPF_F_MMAPABLE`).
pub const LINE_BYTES: usize = 64;

/// Bytes in a chunk: 128 KiB.
pub const CHUNK_BYTES: usize = LINES as usize * LINE_BYTES;

/// Eight words, so that every typed line in it is aligned.
pub type RawLine = [u64; 8];

/// A typed line. Sealed by construction: only the types of this module
/// implement it, each asserted to be 64 bytes.
pub trait Line: Pod {}

/// A line of bytes, for chunks that hold text (meta).
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct BytesLine(pub [u8; LINE_BYTES]);

impl Line for BytesLine {}

const _: () = assert!(size_of::<RawLine>() == LINE_BYTES);
const _: () = assert!(size_of::<BytesLine>() == LINE_BYTES);
