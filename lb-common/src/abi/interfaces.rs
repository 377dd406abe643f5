//! INTERFACES: which interfaces are ours, in the order of the configuration.

use bytemuck::{Pod, Zeroable};

/// Interfaces of one balancer; a configuration with more is refused.
pub const MAX_INTERFACES: usize = 16;

/// Interface indices as the kernel numbers them; 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Interfaces {
    pub ifindex: [u32; MAX_INTERFACES],
}

const _: () = assert!(size_of::<Interfaces>() == 64);
