//! The maps as the packet path sees them: [`lb_common::view::View`].

use lb_common::{
    abi::{
        active::Active,
        chunk::{ChunkId, Line},
        hash_key::HashKey,
        interfaces::Interfaces,
    },
    view::View,
};

use crate::maps::{ACTIVE, CHUNKS, COUNTERS, HASH_KEY, INTERFACES};

pub struct KernelView;

impl View for KernelView {
    #[inline(always)]
    fn active(&self) -> Active {
        let Some(active) = ACTIVE.get_ptr(0) else {
            return Active(0);
        };
        // SAFETY: the entry lives as long as the map, and is eight aligned
        // bytes. Volatile: read exactly once, whole, for each packet.
        Active(unsafe { active.read_volatile() })
    }

    #[inline(always)]
    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L> {
        CHUNKS.get_value(u32::from(chunk), &line).map(bytemuck::must_cast_ref)
    }

    #[inline(always)]
    fn hash_key(&self) -> Option<&HashKey> {
        HASH_KEY.get(0)
    }

    #[inline(always)]
    fn interfaces(&self) -> Option<&Interfaces> {
        INTERFACES.get(0)
    }

    #[inline(always)]
    fn count(&self, index: u32, bytes: u64) {
        if let Some(counter) = COUNTERS.get_ptr_mut(index) {
            // SAFETY: a per-CPU entry; XDP runs with softirqs off, so nobody
            // else writes this CPU's copy meanwhile.
            unsafe {
                (*counter).packets += 1;
                (*counter).bytes += bytes;
            }
        }
    }
}
