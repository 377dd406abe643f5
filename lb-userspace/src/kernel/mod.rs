//! The kernel as `publish` sees it.
//!
//! Of the real one, `aya` is the balancer, `private` its instance for test
//! runs, `agent` the program for backends; `pins` loads, pins and attaches,
//! `upgrade` puts other programs in their place, `beside` other maps, which `found` reads and
//! `carry` takes over from; `held` holds what is pinned, `counts` has the counters, `received` the
//! kernel's own of interfaces. `guard` refuses to others what is ours, at places in the
//! kernel's structs that `btf` finds. `bpffs` finds or makes the place for
//! pins, `holders` says whose a program is, `sys` and `mapped` have the few calls of bpf(2)
//! that aya has not, `sampler` copies
//! headers of live packets for a while, and `trace` shows the log of programs built with one. Nothing outside this folder names aya.

pub mod agent;
pub mod aya;
pub mod beside;
pub mod bpffs;
mod btf;
pub mod carry;
mod chunks;
mod counts;
pub mod devices;
pub mod found;
pub mod guard;
mod held;
pub mod holders;
mod mapped;
mod orphans;
mod pins;
mod private;
pub mod received;
pub mod sampler;
pub mod sys;
pub mod trace;
pub mod upgrade;

use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_BYTES, ChunkId, LINES, Line, RawLine},
};

use std::collections::BTreeSet;

use crate::digest::Digest;

/// The content of a chunk in ordinary memory.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkImage(Box<[RawLine]>);

impl ChunkImage {
    #[must_use]
    pub fn zeroed() -> Self {
        Self(vec![RawLine::default(); LINES as usize].into_boxed_slice())
    }

    /// From at most [`CHUNK_BYTES`] bytes; the rest is zero.
    ///
    /// # Panics
    /// If there are more bytes than a chunk holds.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self::zeroed();
        image.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        image
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// Line `line` (of 2,048) as what it is.
    ///
    /// # Panics
    /// If there is no such line.
    #[must_use]
    pub fn line<L: Line>(&self, line: usize) -> &L {
        bytemuck::must_cast_ref(&self.0[line])
    }

    /// # Panics
    /// If there is no such line.
    pub fn line_mut<L: Line>(&mut self, line: usize) -> &mut L {
        bytemuck::must_cast_mut(&mut self.0[line])
    }

    /// SHA-256 over its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.bytes())
    }
}

impl std::fmt::Debug for ChunkImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChunkImage({})", self.digest().short())
    }
}

const _: () = assert!(CHUNK_BYTES == size_of::<RawLine>() * LINES as usize);

/// What publishing asks of the kernel. All of it fails closed: an error leaves
/// what is served as it was.
pub trait Kernel {
    /// A chunk that exists, whether installed or not.
    type Chunk;

    /// Creates a chunk, fills it, reads it back, compares, and freezes it:
    /// from then on nobody, root included, can alter it.
    fn create_chunk(&self, image: &ChunkImage) -> Result<Self::Chunk, KernelError>;

    /// Puts chunks into slots of CHUNKS with one batched update. When it
    /// returns, an RCU grace period has passed.
    fn install(&self, chunks: &[(ChunkId, &Self::Chunk)]) -> Result<(), KernelError>;

    /// Empties slots; the kernel frees what nothing names any more. Returns
    /// after a grace period.
    fn clear(&self, slots: &[ChunkId]) -> Result<(), KernelError>;

    /// Waits until no packet holds what it looked up before this call.
    fn grace_period(&self) -> Result<(), KernelError>;

    /// The chunk in a slot and its content; `None`: the slot is empty.
    fn read_chunk(&self, slot: ChunkId) -> Result<Option<(Self::Chunk, ChunkImage)>, KernelError>;

    /// What tells the chunk in a slot from all others; `None`: it is empty.
    fn chunk_id(&self, slot: ChunkId) -> Result<Option<u32>, KernelError>;

    /// Lets go of chunks that are in none of these slots: a publish was cut short.
    /// Where the kernel does not say at once which slots hold them, these are left to
    /// the next publish, which overwrites them.
    fn keep_only(&self, slots: &BTreeSet<ChunkId>) -> Result<(), KernelError>;

    /// The slots of CHUNKS that are not empty. Where a look at a slot waits for a grace
    /// period (as in 6.1) that takes minutes.
    fn occupied(&self) -> Result<Vec<ChunkId>, KernelError>;

    fn active(&self) -> Active;

    /// The switch: one atomic store of eight bytes.
    fn switch(&self, active: Active);

    /// Sets entries of COUNTERS to zero, before they get a new owner.
    fn zero_counters(&self, indices: &[u16]) -> Result<(), KernelError>;
}

/// What the kernel would not do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("{call} failed")]
    Call {
        call: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("a chunk read back differs from what was written")]
    ReadBack,
    #[error("loading the BPF object failed")]
    Load(#[source] Box<::aya::EbpfError>),
    #[error("the BPF program was refused")]
    Program(#[source] Box<::aya::programs::ProgramError>),
    #[error("a BPF map could not be used")]
    Map(#[source] Box<::aya::maps::MapError>),
    #[error("pinning failed at {path}")]
    Pin {
        path: std::path::PathBuf,
        #[source]
        source: Box<::aya::pin::PinError>,
    },
    #[error("the object holds no {0}")]
    Missing(&'static str),
    #[error("the kernel refuses this build's program, so that nothing can be rehearsed")]
    NoRehearsal,
    #[error("the program on the interfaces is of another build, and only this build's can be sampled")]
    NotOurs,
    /// It is served by another version, which alone may touch it.
    #[error(
        "HF3013: {}, with maps of another layout than this build's ({misfit}). It goes on serving, and nothing was \
         touched: start the holdfastd that serves, or see docs/failures.md",
        what_serves(*.serving)
    )]
    Layout {
        /// The first map that differs.
        misfit: String,
        /// Version of the layout, and generation.
        serving: Option<(u32, u64)>,
    },
    #[error("the kernel has no bpf_link for XDP on this interface")]
    NoLink,
    /// An empty one in its place would be taken for what serves.
    #[error(
        "HF3024: the pin {path} is gone, and its map is in use: only root (CAP_SYS_ADMIN) finds it; start holdfastd once with \
         that, or pin the map again with `bpftool map pin id ID {path}`"
    )]
    Orphan { path: std::path::PathBuf },
    #[error("another daemon has the pins in {path}")]
    InUse { path: std::path::PathBuf },
    #[error("the link pinned at {path} is of another program, of id {program}")]
    OtherProgram { path: std::path::PathBuf, program: u32 },
    #[error("{path} could not be made a bpffs directory")]
    Bpffs {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// For messages.
pub(crate) fn what_serves(serving: Option<(u32, u64)>) -> String {
    serving.map_or_else(
        || "another version has its maps pinned here".to_owned(),
        |(abi, generation)| format!("a version with layout {abi} serves generation {generation}"),
    )
}

impl KernelError {
    pub(crate) fn call(call: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Call { call, source }
    }
}
