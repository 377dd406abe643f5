//! The maps as the packet path sees them: [`lb_common::view::View`].

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::{
    abi::{
        active::Active,
        chunk::{ChunkId, Line},
        flows::{FLOWS_PER_LINE, FlowEntry, Seconds, seconds},
        hash_key::HashKey,
        node::Node,
        path_mtu::{PathMtu, PathMtuKey},
    },
    view::{FlowLine, View},
};

use crate::maps::{ACTIVE, ANSWERS, CHUNKS, COUNTERS, FLOWS, HASH_KEY, NODE, PATH_MTU};

pub struct KernelView;

/// A line of FLOWS in the kernel, alive as long as the map.
pub struct KernelFlows(*mut u64);

impl View for KernelView {
    type Flows<'v> = KernelFlows;

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
    fn node(&self) -> Option<&Node> {
        NODE.get(0)
    }

    #[inline(always)]
    fn flows(&self, line: u32) -> Option<KernelFlows> {
        FLOWS.get_ptr_mut(line).map(|line| KernelFlows(line.cast()))
    }

    #[inline(always)]
    fn now(&self) -> Seconds {
        // SAFETY: a helper without arguments. Coarse: it reads no counter.
        seconds(unsafe { bpf_ktime_get_coarse_ns() })
    }

    #[inline(always)]
    fn may_answer(&self, limit: u32) -> bool {
        let Some(answers) = ANSWERS.get_ptr_mut(0) else {
            return false;
        };
        // SAFETY: a per-CPU entry; XDP runs with softirqs off, so nobody else
        // writes this CPU's copy meanwhile.
        unsafe { (*answers).take(self.now(), limit) }
    }

    #[inline(always)]
    fn note_path(&self, backend: &PathMtuKey, mtu: u16) {
        let known = PATH_MTU.get_ptr_mut(backend);
        let first = PathMtu::default();
        // SAFETY: the entry is not freed before this program ends; other CPUs
        // may write it too, whole words each, and a count may be lost.
        let mut path = known.map_or(first, |known| unsafe { *known });
        if mtu == 0 {
            path.errors += 1;
        } else {
            path.mtu = u32::from(mtu);
            path.seen = self.now();
            path.too_big += 1;
        }
        match known {
            // SAFETY: as above.
            Some(known) => unsafe { *known = path },
            // Only fails when no memory is left; it was only news.
            None => drop(PATH_MTU.insert(backend, &path, 0)),
        }
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

impl KernelFlows {
    #[inline(always)]
    const fn at(&self, place: usize) -> *mut u64 {
        // SAFETY: the mask keeps it within the line, for the verifier too.
        unsafe { self.0.add(place & (FLOWS_PER_LINE - 1)) }
    }
}

impl FlowLine for KernelFlows {
    #[inline(always)]
    fn load(&self, place: usize) -> FlowEntry {
        // SAFETY: the map outlives the program. Volatile: other CPUs and the
        // daemon write entries, whole.
        FlowEntry(unsafe { self.at(place).read_volatile() })
    }

    #[inline(always)]
    fn exchange(&self, place: usize, old: FlowEntry, new: FlowEntry) -> bool {
        let at = self.at(place);
        let found: u64;
        // SAFETY: `at` is eight aligned bytes in the map. As an instruction,
        // because core's atomics are not there for this target's default CPU.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({at} + 0, r0, {new})",
                at = in(reg) at,
                new = in(reg) new.0,
                inlateout("r0") old.0 => found,
            );
        }
        found == old.0
    }
}
