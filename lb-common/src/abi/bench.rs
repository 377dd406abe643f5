//! What the benchmark's programs and its runner agree on. Never loaded on a
//! balancer.

use bytemuck::{Pod, Zeroable};

/// Bytes of headers that are written anew into every frame: two blocks of 64.
/// A frame is at least as long as the blocks it has.
pub const TEMPLATE_LEN: usize = 128;

/// `shape`: IPv4 without options, then ports.
pub const SHAPE_V4: u32 = 4;
/// `shape`: IPv6 without extension headers, then ports.
pub const SHAPE_V6: u32 = 6;
/// `shape`: nothing is varied, all frames are the template.
pub const SHAPE_FIXED: u32 = 0;

/// The only entry of SETTING: what frames the wrapper makes.
///
/// Frame number *n* belongs to flow *f*(*n*): a random one of `flows`, or *n*
/// itself where `flows` is 0. The flow decides source address, source port and
/// which of the `destinations` it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Setting {
    /// Ethernet and everything after it.
    pub template: [u64; TEMPLATE_LEN / 8],
    /// Bytes of a frame before the program under test: what it added or took
    /// off is undone by comparing with this.
    pub frame_len: u32,
    /// `SHAPE_*`.
    pub shape: u32,
    /// Distinct flows; 0: every frame is a flow of its own.
    pub flows: u32,
    /// Distinct destination addresses, one after the other from the one in the
    /// template on; at least 1.
    pub destinations: u32,
    /// The last 32 bits of the first destination, as a number.
    pub first_destination: u32,
    /// The last 32 bits of the first source, as a number; its low 17 bits are
    /// filled by the flow.
    pub first_source: u32,
    /// State of the generator (xorshift64); never 0.
    pub state: u64,
    /// The flow of the next frame.
    pub next: u32,
    pub reserved: u32,
    /// Frames handed to the program under test.
    pub made: u64,
}

/// Bits of the source address that the flow fills; 15 bits of the source port
/// take the rest, above [`FIRST_PORT`].
pub const SOURCE_BITS: u32 = 17;

/// Lowest source port.
pub const FIRST_PORT: u32 = 1024;

/// A flow's number as 32 bits that look random, one to one.
#[must_use]
#[inline(always)]
pub const fn scattered(flow: u32) -> u32 {
    let mixed = flow.wrapping_mul(0x9E37_79B1);
    mixed ^ mixed >> 15
}

/// Which of `count` things a scattered flow belongs to.
#[must_use]
#[inline(always)]
pub const fn one_of(scattered: u32, count: u32) -> u32 {
    let again = scattered.wrapping_mul(0x85EB_CA6B);
    ((again as u64 * count as u64) >> 32) as u32
}

const _: () = assert!(size_of::<Setting>() == 176);
