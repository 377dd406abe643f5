//! What the test rig's programs and the tests agree on. Never loaded on a
//! balancer.

use bytemuck::{Pod, Zeroable};

/// Bytes of Ethernet, IPv4 and UDP, written anew into every generated frame.
pub const TEMPLATE_LEN: usize = 42;

/// Flows a sink tells apart, by inner source port modulo this.
pub const SINK_FLOWS: u32 = 4096;

/// Backends a sink tells apart, by the low bits of the outer destination.
pub const SINK_BACKENDS: u32 = 16;

/// The only entry of GENERATOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Generator {
    /// Headers of each frame, but for the UDP source port.
    pub template: [u8; TEMPLATE_LEN],
    pub reserved: [u8; 2],
    /// Source ports are `first_port..first_port + flows`, one after the other.
    pub flows: u32,
    pub first_port: u32,
    pub reserved2: u32,
    /// Frames made so far.
    pub sent: u64,
}

/// Entries of SINK_TOTALS.
pub const SINK_TAKEN: u32 = 0;
/// The outer headers of one frame do not belong together: the last byte of the
/// destination MAC is not that of the outer destination.
pub const SINK_MIXED: u32 = 1;
/// Frames that are not IP-in-IP.
pub const SINK_OTHER: u32 = 2;
pub const SINK_TOTALS: u32 = 3;

const _: () = assert!(size_of::<Generator>() == 64);
