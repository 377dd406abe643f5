//! The root chunk: names the chunks of a revision. The fast path never reads
//! it; a daemon that starts adopts from it, and people verify with it.

use bytemuck::{Pod, Zeroable};

use super::chunk::{ChunkId, LINE_BYTES, LINES, Line};

/// `magic`: the bytes `holdfast`.
pub const MAGIC: [u8; 8] = *b"holdfast";

/// Line 0 of a root chunk.
///
/// Every version, older or newer, can find out what serves, so these never
/// change: ACTIVE is one entry of eight bytes, whose low 16 bits are a slot of
/// CHUNKS; the map in that slot can be mapped; in its first 40 bytes are `magic`,
/// `abi`, `entries`, `generation`, `revision` and `formats` as they are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RootHeader {
    pub magic: [u8; 8],
    /// [`super::ABI_VERSION`].
    pub abi: u32,
    /// Entries that follow from line 2 on.
    pub entries: u32,
    pub generation: u64,
    pub revision: u64,
    /// [`FORMATS`].
    pub formats: Formats,
    pub reserved: [u64; 3],
}

/// Numbers of formats: at 0 that of the root itself, from line 1 on, and at
/// `KIND_*` that of chunks of that kind.
pub type Formats = [u8; 8];

/// The formats of this version. Who changes the meaning of a line takes the next
/// number, so that other versions know what they can still read.
pub const FORMATS: Formats = [0; 8];

/// Line 1 of a root chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RootDigests {
    /// SHA-256 of the generation's canonical configuration.
    pub generation: [u8; 32],
    /// SHA-256 of the revision's state: of the digests of its lines in the meta
    /// chunks.
    pub state: [u8; 32],
}

/// `kind` of an entry: a VIP chunk, the first one first.
pub const KIND_VIPS: u16 = 1;
/// `kind` of an entry: a lookup table.
pub const KIND_TABLE: u16 = 2;
/// `kind` of an entry: members.
pub const KIND_MEMBERS: u16 = 3;
/// `kind` of an entry: a piece of the revision's state.
pub const KIND_META: u16 = 4;
/// `kind` of an entry: the chains of the pool with this place in the state.
pub const KIND_CHAINS: u16 = 5;

/// `kind` of an entry: a piece of what was before the revision. A daemon that does
/// not know it serves the same, and publishes without it.
pub const KIND_PAST: u16 = 6;

/// One chunk of the revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RootEntry {
    /// `KIND_*`.
    pub kind: u16,
    pub chunk: ChunkId,
    /// Which one of its kind: for tables the pool's place in the state.
    pub ordinal: u32,
}

/// Entries in a line.
pub const ENTRIES_PER_LINE: usize = 8;

/// Entries a root can hold: more than a revision can have, each in two slots.
pub const MAX_ENTRIES: usize = (LINES as usize - 2) * ENTRIES_PER_LINE;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct RootEntries {
    pub entries: [RootEntry; ENTRIES_PER_LINE],
}

impl Line for RootHeader {}
impl Line for RootDigests {}
impl Line for RootEntries {}

const _: () = assert!(size_of::<RootHeader>() == LINE_BYTES);
const _: () = assert!(size_of::<RootDigests>() == LINE_BYTES);
const _: () = assert!(size_of::<RootEntry>() == 8);
const _: () = assert!(size_of::<RootEntries>() == LINE_BYTES);
const _: () = assert!(MAX_ENTRIES > super::chunk::CHUNK_SLOTS as usize / 2);
