//! A balancer's configuration, as the test that wrote the file knows it.

use std::net::IpAddr;

use super::hash::{Affinity, Function};

#[derive(Clone, Debug)]
pub struct Site {
    pub interfaces: Vec<Interface>,
    pub encap_source: Sources,
    pub pools: Vec<Pool>,
    pub vips: Vec<Vip>,
}

#[derive(Clone, Debug)]
pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    pub mac: [u8; 6],
    /// Bytes: the longest IP packet.
    pub mtu: u16,
}

/// Where outer packets come from, by family; pools without encapsulation need
/// none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources {
    pub v4: Option<Prefix>,
    pub v6: Option<Prefix>,
}

/// A prefix; host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub network: IpAddr,
    /// Bits, 1 to 32 or 128.
    pub length: u8,
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: String,
    pub encap: Encap,
    pub backends: Vec<Backend>,
}

/// How packets get to the backends of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encap {
    IpIp,
    Gue,
    /// As they are, with other MAC addresses.
    L2,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub name: String,
    pub address: IpAddr,
    pub weight: u32,
    /// Absent: there is no way to this backend.
    pub next_hop: Option<NextHop>,
}

#[derive(Clone, Debug)]
pub struct NextHop {
    pub mac: [u8; 6],
    /// Name of an interface of the site.
    pub interface: String,
}

#[derive(Clone, Debug)]
pub struct Vip {
    pub name: String,
    pub address: IpAddr,
    pub port: u16,
    /// As in an IP header.
    pub protocol: u8,
    /// Name of a pool of the site.
    pub pool: String,
    pub affinity: Affinity,
    pub hash: Function,
    /// An operator took it out of service.
    pub maint: bool,
}

impl Site {
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// # Panics
    /// If the site has no such interface: the test wrote a wrong site.
    #[must_use]
    pub fn interface(&self, name: &str) -> &Interface {
        let found = self.interfaces.iter().find(|interface| interface.name == name);
        found.unwrap_or_else(|| panic!("no interface {name}"))
    }

    /// The VIP with exactly this address, port and protocol.
    #[must_use]
    pub fn vip(&self, address: IpAddr, port: u16, protocol: u8) -> Option<&Vip> {
        let mut vips = self.vips.iter();
        vips.find(|vip| (vip.address, vip.port, vip.protocol) == (address, port, protocol))
    }

    /// Whether any VIP has this address, and this protocol if one is given.
    #[must_use]
    pub fn has_vip_on(&self, address: IpAddr, protocol: Option<u8>) -> bool {
        let mut vips = self.vips.iter();
        vips.any(|vip| vip.address == address && protocol.is_none_or(|protocol| protocol == vip.protocol))
    }
}

impl Sources {
    /// Outer packets to this backend come from here.
    #[must_use]
    pub const fn towards(&self, backend: IpAddr) -> Option<Prefix> {
        match backend {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }

    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.towards(address).is_some_and(|prefix| prefix.contains(address))
    }
}

impl Prefix {
    /// The bits that the prefix leaves to hosts, on the right.
    #[must_use]
    pub fn host_bits(self) -> u128 {
        let width: u32 = if self.network.is_ipv4() { 32 } else { 128 };
        let hosts = width - u32::from(self.length);
        1_u128.checked_shl(hosts).map_or(u128::MAX, |beyond| beyond - 1)
    }

    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4() && number(address) & !self.host_bits() == number(self.network)
    }

    /// An outer header may come from there: of the bits left to hosts, the flow
    /// fills the last 32, and all others stay zero.
    #[must_use]
    pub fn sends_from(self, address: IpAddr) -> bool {
        self.contains(address) && self.address(number(address) & u128::from(u32::MAX)) == address
    }

    /// An address of the prefix: its host bits are those of `bits`.
    #[must_use]
    pub fn address(self, bits: u128) -> IpAddr {
        let number = number(self.network) | bits & self.host_bits();
        match self.network {
            IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        }
    }
}

/// An address as a number, the last bit the least.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}
