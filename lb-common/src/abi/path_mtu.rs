//! PATH_MTU: what routers say of the ways to backends.

use bytemuck::{Pod, Zeroable};

/// Backends of which something is known; the least recently heard of goes
/// first.
pub const PATH_MTU_ENTRIES: u32 = 4096;

/// No path is believed to carry less (RFC 791 §3.2 asks for 68, but 552 is what
/// Linux takes as its `min_pmtu`).
pub const LEAST_PATH_MTU_V4: u16 = 552;
/// RFC 8200 §5.
pub const LEAST_PATH_MTU_V6: u16 = 1280;

/// A backend's address, wire order; IPv4 mapped into IPv6. Aligned: it is built
/// on the stack, whose accesses must be, unlike those to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct PathMtuKey {
    pub address: [u32; 4],
}

/// What ICMP errors about our outer headers said of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PathMtu {
    /// The MTU that the last too-big named, bytes; 0: there was none.
    pub mtu: u32,
    /// When, in [`super::flows::Seconds`].
    pub seen: u32,
    /// Too-big messages.
    pub too_big: u64,
    /// All other errors: unreachable, time exceeded and so on.
    pub errors: u64,
}

const _: () = assert!(size_of::<PathMtuKey>() == 16);
const _: () = assert!(size_of::<PathMtu>() == 24);
