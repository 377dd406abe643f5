//! A lookup table: 65,536 slots of 16 bits, exactly one chunk.

use bytemuck::{Pod, Zeroable};

use super::{
    chain::ChainIndex,
    chunk::{CHUNK_BYTES, LINE_BYTES, Line},
    member::MemberIndex,
};

/// Slots of a lookup table.
pub const SLOTS: usize = 65_536;

/// Slots in one line.
pub const SLOTS_PER_LINE: usize = 32;

/// Bit 15 of a slot: it changed owner and is still *dirty*. The other bits name
/// a chain then, not a member.
pub const DIRTY: u16 = 1 << 15;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct TableLine {
    pub slots: [u16; SLOTS_PER_LINE],
}

impl Line for TableLine {}

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Its owner; 0 is nobody.
    Clean(MemberIndex),
    /// The chain that names its owners.
    Dirty(ChainIndex),
}

impl Slot {
    #[must_use]
    #[inline(always)]
    pub const fn of(raw: u16) -> Self {
        if raw & DIRTY == 0 {
            Self::Clean(raw)
        } else {
            Self::Dirty(raw & !DIRTY)
        }
    }
}

const _: () = assert!(size_of::<TableLine>() == LINE_BYTES);
const _: () = assert!(SLOTS * 2 == CHUNK_BYTES);
