//! What `sampled`, the balancer's program that copies headers for a while, and
//! the daemon agree on. Its maps are loaded with it and are gone with it; none
//! of them is pinned.

use bytemuck::{Pod, Zeroable};

/// As much of a frame is copied, at most: Ethernet, the longest IPv6 header with
/// an ICMP error, and the headers that it quotes, take 110.
pub const SAMPLE_BYTES: usize = 128;

/// Bytes of the ring buffer SAMPLES. When it is full, further packets are
/// forwarded as ever, and not sampled.
pub const SAMPLES_RING: u32 = 1 << 19;

/// What a sample takes in the ring, with the kernel's own header.
pub const SAMPLE_IN_RING: u32 = size_of::<Sample>() as u32 + 8;

/// The only entry of SAMPLING. Zeroed, nothing is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    /// Nothing is copied from then on, whoever hangs: nanoseconds of
    /// `CLOCK_MONOTONIC_COARSE`.
    pub until_ns: u64,
    /// One packet in so many, by chance; 0 is none.
    pub one_in: u32,
    pub reserved: u32,
}

/// One packet as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sample {
    /// Of the whole frame, bytes.
    pub frame_len: u32,
    /// Bytes of it that are here.
    pub copied: u32,
    pub bytes: [u8; SAMPLE_BYTES],
}

const _: () = assert!(size_of::<Sampling>() == 16);
const _: () = assert!(size_of::<Sample>() == 136);
const _: () = assert!(SAMPLES_RING / SAMPLE_IN_RING == 3640);
