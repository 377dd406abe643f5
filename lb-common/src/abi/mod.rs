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
pub mod guard;
pub mod hash_key;
pub mod member;
pub mod node;
pub mod path_mtu;
pub mod programs;
pub mod rig;
pub mod root;
pub mod sample;
pub mod table;
pub mod vip;

/// Version of everything in this module. A root chunk of another version is
/// neither adopted nor overwritten: a daemon of another version makes maps of its
/// own beside, and takes over from them what both can read.
///
/// So that versions that do not know each other can: in all of them, entries of
/// maps with the same name, key size and value size mean the same. Who changes what an entry
/// means changes the map's name or the size of its values; the number of entries may
/// change. What a root names has format numbers in the root ([`root::FORMATS`]).
pub const ABI_VERSION: u32 = if cfg!(feature = "relaid") { 1_002 } else { 2 };
