//! From a key to a VIP, and from a flow to a member.
//!
//! A lookup that finds a chunk missing is repeated, whole, from the fallback
//! root: a packet never sees half of two revisions.

use crate::{
    abi::{
        active::Active,
        chunk::{ChunkId, LINES},
        member::Member,
        table::{SLOTS_PER_LINE, TableLine, member_of},
        vip::{VipKey, VipLine, VipRecord},
    },
    hash::FlowHash,
    view::View,
};

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// There is no such key.
    Absent,
    /// The slot names nobody.
    Nobody,
    /// A chunk could not be read.
    Unreadable,
}

/// Which of the two roots is looked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// First VIP chunk to look in.
    pub vips: ChunkId,
    /// First VIP chunk of the fallback; 0: there is none, or it is in use.
    pub fallback: ChunkId,
}

impl Roots {
    #[inline(always)]
    #[must_use]
    pub const fn of(active: Active) -> Self {
        Self {
            vips: active.vips(),
            fallback: active.fallback_vips(),
        }
    }
}

/// Two probes at most, one line each.
///
/// # Errors
/// [`Miss::Absent`] or [`Miss::Unreadable`].
#[inline(always)]
pub fn vip<V: View>(view: &V, vips: ChunkId, key: &VipKey) -> Result<VipRecord, Miss> {
    let Some(home) = view.line::<VipLine>(vips, key.home_line()) else {
        return Err(Miss::Unreadable);
    };
    if let Some(record) = home.find(key) {
        return Ok(record);
    }
    if home.child == 0 {
        return Err(Miss::Absent);
    }
    let Some(child) = view.line::<VipLine>(home.child, key.child_line(home.child_seed)) else {
        return Err(Miss::Unreadable);
    };
    child.find(key).ok_or(Miss::Absent)
}

/// The member a flow belongs to.
///
/// # Errors
/// [`Miss::Nobody`] or [`Miss::Unreadable`].
#[inline(always)]
pub fn member<'v, V: View>(view: &'v V, vip: &VipRecord, hash: FlowHash) -> Result<&'v Member, Miss> {
    let slot = hash.slot();
    let Some(line) = view.line::<TableLine>(vip.table, slot / SLOTS_PER_LINE as u32) else {
        return Err(Miss::Unreadable);
    };
    let index = member_of(line.slots[slot as usize % SLOTS_PER_LINE]);
    if index == 0 {
        return Err(Miss::Nobody);
    }
    let at = u32::from(vip.member_base) + u32::from(index);
    view.line::<Member>(vip.members, at & (LINES - 1))
        .ok_or(Miss::Unreadable)
}
