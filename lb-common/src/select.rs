//! From a key to a VIP, and from a slot to a member.
//!
//! A lookup that finds a chunk missing is repeated, whole, from the fallback
//! root: a packet never sees half of two revisions.

use crate::{
    abi::{
        chain::{CHAINS_PER_LINE, Chain, ChainIndex, ChainLine},
        chunk::{ChunkId, LINES},
        member::{Member, MemberIndex},
        table::{SLOTS_PER_LINE, Slot, TableLine},
        vip::{VipKey, VipLine, VipRecord},
    },
    view::View,
};

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// There is no such key.
    Absent,
    /// A chunk could not be read.
    Unreadable,
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

/// What slot `slot` of a VIP's pool says; `None`: its table is unreadable.
#[inline(always)]
pub fn slot<V: View>(view: &V, vip: &VipRecord, slot: u32) -> Option<Slot> {
    let line = view.line::<TableLine>(vip.table, slot / SLOTS_PER_LINE as u32)?;
    Some(Slot::of(line.slots[slot as usize % SLOTS_PER_LINE]))
}

/// A chain of a VIP's pool; `None`: it is unreadable.
#[inline(always)]
pub fn chain<'v, V: View>(view: &'v V, vip: &VipRecord, chain: ChainIndex) -> Option<&'v Chain> {
    if vip.chains == 0 {
        return None;
    }
    let line = view.line::<ChainLine>(vip.chains, u32::from(chain) / CHAINS_PER_LINE as u32)?;
    Some(&line.chains[usize::from(chain) % CHAINS_PER_LINE])
}

/// Member `member` of a VIP's pool; `None`: it is unreadable.
#[inline(always)]
pub fn member<'v, V: View>(view: &'v V, vip: &VipRecord, member: MemberIndex) -> Option<&'v Member> {
    let at = u32::from(vip.member_base) + u32::from(member);
    view.line::<Member>(vip.members, at & (LINES - 1))
}
