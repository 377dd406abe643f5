//! The maps of the balancer. All of them are pinned by the daemon and outlive
//! it, but for those of `sampled`; only CHUNKS changes its content with a
//! revision.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
    macros::btf_map,
};
use lb_common::abi::{
    chunk::{CHUNK_SLOTS, LINES, RawLine},
    counters::{COUNTERS as COUNTER_ENTRIES, Counter},
    flows::{FLOW_LINES, RawFlows},
    hash_key::HashKey,
    node::{Answers, Node},
    path_mtu::{PATH_MTU_ENTRIES, PathMtu, PathMtuKey},
    programs::PROGRAMS as PROGRAM_ENTRIES,
    sample::{SAMPLES_RING, Sampling},
};

/// Page-aligned values: a line is one cache line, and user space fills and
/// reads chunks through a mapping (`BPF_F_MMAPABLE`).
const MMAPABLE: usize = aya_ebpf::bindings::BPF_F_MMAPABLE as usize;

/// The one shape of published content.
pub type Chunk = Array<RawLine, { LINES as usize }, MMAPABLE>;

#[btf_map]
pub static CHUNKS: ArrayOfMaps<Chunk, { CHUNK_SLOTS as usize }> = ArrayOfMaps::new();

/// One entry: the eight bytes of [`lb_common::abi::active::Active`]. Mapped by
/// the daemon, which switches with one atomic store: an update by system call
/// is a `memcpy`, which the kernel does not promise to be whole.
#[btf_map]
pub static ACTIVE: Array<u64, 1, MMAPABLE> = Array::new();

/// Another number in a build for tests of upgrades: a layout that does not fit.
const COUNTERS_HELD: usize = if cfg!(feature = "relaid") {
    2 * COUNTER_ENTRIES as usize
} else {
    COUNTER_ENTRIES as usize
};

#[btf_map]
pub static COUNTERS: PerCpuArray<Counter, COUNTERS_HELD> = PerCpuArray::new();

#[btf_map]
pub static HASH_KEY: Array<HashKey, 1> = Array::new();

#[btf_map]
pub static NODE: Array<Node, 1> = Array::new();

/// Flows of dirty slots, swept by the daemon through a mapping.
#[btf_map]
pub static FLOWS: Array<RawFlows, { FLOW_LINES as usize }, MMAPABLE> = Array::new();

/// What may still be answered in this second, for each CPU.
#[btf_map]
pub static ANSWERS: PerCpuArray<Answers, 1> = PerCpuArray::new();

/// What routers said of the ways to backends.
#[btf_map]
pub static PATH_MTU: LruHashMap<PathMtuKey, PathMtu, { PATH_MTU_ENTRIES as usize }> = LruHashMap::new();

/// The programs that are called from the first one.
#[btf_map]
pub static PROGRAMS: ProgramArray<{ PROGRAM_ENTRIES as usize }> = ProgramArray::new();

/// How long is sampled, and how much. Of `sampled` alone.
#[btf_map]
pub static SAMPLING: Array<Sampling, 1> = Array::new();

/// Headers that were sampled: each a `Sample`. Untyped, because libbpf wants a
/// ring's values to have no size.
#[btf_map]
pub static SAMPLES: RingBuf<(), { SAMPLES_RING as usize }> = RingBuf::new();
