//! NODE: what the program has to know of its own host.

use bytemuck::{Pod, Zeroable};

use super::agent::{PrefixV4, PrefixV6};

/// Interfaces of one balancer; a configuration with more is refused.
pub const MAX_INTERFACES: usize = 16;

/// The only entry of NODE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Node {
    /// Our interfaces as the kernel numbers them, in the order of the
    /// configuration; 0 is nobody.
    pub ifindex: [u32; MAX_INTERFACES],
    /// Outer sources. A mask of zero with a network of zero: there are none.
    pub source_v4: PrefixV4,
    pub source_v6: PrefixV6,
    /// ICMP errors that each CPU may send in a second.
    pub answers_per_second: u32,
    pub reserved: u32,
}

impl Node {
    /// `address`, wire order, is one of our outer sources.
    #[must_use]
    #[inline(always)]
    pub const fn sends_from_v4(&self, address: u32) -> bool {
        self.source_v4.mask != 0 && self.source_v4.contains(address)
    }

    /// `address`, wire order, is one of our outer sources.
    #[must_use]
    #[inline(always)]
    pub const fn sends_from_v6(&self, address: &[u32; 4]) -> bool {
        self.source_v6.mask[0] != 0 && self.source_v6.contains(address)
    }
}

/// The only entry of ANSWERS, one for each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Answers {
    /// In [`super::flows::Seconds`].
    pub second: u32,
    /// Answers sent in it.
    pub sent: u32,
}

impl Answers {
    /// Takes one answer from this second's, if `limit` leaves one.
    #[must_use]
    #[inline(always)]
    pub const fn take(&mut self, now: u32, limit: u32) -> bool {
        if self.second != now {
            self.second = now;
            self.sent = 0;
        }
        if self.sent >= limit {
            return false;
        }
        self.sent += 1;
        true
    }
}

const _: () = assert!(size_of::<Answers>() == 8);
const _: () = assert!(size_of::<Node>() == 112);
