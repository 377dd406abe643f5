//! Chains: who owned a dirty slot before.
//!
//! A dirty slot names a chain instead of a member. Slots that went the same way
//! at the same time share a chain, so a pool's chains fit one chunk: four to a
//! line, number 0 is nobody.

use bytemuck::{Pod, Zeroable};

use super::{
    chunk::{LINE_BYTES, LINES, Line},
    member::MemberIndex,
};

/// Number of a chain in its pool: 1..=[`MAX_CHAINS`].
pub type ChainIndex = u16;

/// Earlier owners that a chain remembers.
pub const CHAIN_LENGTH: usize = 4;

/// Chains in a line.
pub const CHAINS_PER_LINE: usize = 4;

/// Chains of one pool, all in one chunk.
pub const MAX_CHAINS: usize = LINES as usize * CHAINS_PER_LINE - 1;

/// The owners of a dirty slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Chain {
    /// Who owns the slot now: new flows are theirs.
    pub owner: MemberIndex,
    /// Who owned it before, the latest first; 0 fills the rest. When there were
    /// more, those in the middle are left out.
    pub earlier: [MemberIndex; CHAIN_LENGTH],
    pub reserved: u16,
    /// When the slot became dirty, in [`super::flows::Seconds`].
    pub since: u32,
}

impl Chain {
    /// Who owned the slot when it was clean: flows that are not in FLOWS are
    /// theirs. 0: nobody did.
    #[must_use]
    #[inline(always)]
    pub const fn oldest(&self) -> MemberIndex {
        let mut oldest = 0;
        let mut at = 0;
        while at < CHAIN_LENGTH {
            if self.earlier[at] != 0 {
                oldest = self.earlier[at];
            }
            at += 1;
        }
        oldest
    }

    /// `member` owns the slot, or did.
    #[must_use]
    #[inline(always)]
    pub const fn names(&self, member: MemberIndex) -> bool {
        // No early exit: the compiler makes compares of it.
        let mut named = self.owner == member;
        let mut at = 0;
        while at < CHAIN_LENGTH {
            named |= self.earlier[at] == member;
            at += 1;
        }
        named
    }
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ChainLine {
    pub chains: [Chain; CHAINS_PER_LINE],
}

impl Line for ChainLine {}

const _: () = assert!(size_of::<Chain>() == 16);
const _: () = assert!(size_of::<ChainLine>() == LINE_BYTES);
const _: () = assert!(MAX_CHAINS < super::table::DIRTY as usize);
