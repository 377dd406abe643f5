//! The bytes that cross the boundary between user space and the kernel.
//!
//! Every type is `repr(C)`, derives [`bytemuck::Pod`] (so padding cannot hide)
//! and is followed by an assertion of its size. Fields named "wire order" hold
//! the bytes as they stand in a packet; all others are in the byte order of
//! the host, which is the byte order of its kernel.

pub mod active;
pub mod agent;
pub mod bench;
pub mod chain;
pub mod chunk;
pub mod counters;
pub mod flows;
pub mod hash_key;
pub mod member;
pub mod node;
pub mod path_mtu;
pub mod programs;
pub mod rig;
pub mod root;
pub mod table;
pub mod vip;

/// Version of everything in this module. A root chunk of another version is
/// neither adopted nor overwritten.
pub const ABI_VERSION: u32 = 2;
