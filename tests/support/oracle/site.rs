//! A balancer's configuration, as the test that wrote the file knows it.

use std::net::Ipv4Addr;

#[derive(Clone, Debug)]
pub struct Site {
    /// The first one stands for interfaces that are not ours.
    pub interfaces: Vec<Interface>,
    pub encap_source: Prefix,
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

/// An IPv4 prefix; host bits are zero.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    pub network: Ipv4Addr,
    /// Bits, 1 to 32.
    pub length: u8,
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: String,
    pub backends: Vec<Backend>,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub name: String,
    pub address: Ipv4Addr,
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
    pub address: Ipv4Addr,
    pub port: u16,
    /// As in an IPv4 header.
    pub protocol: u8,
    /// Name of a pool of the site.
    pub pool: String,
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
    pub fn vip(&self, address: Ipv4Addr, port: u16, protocol: u8) -> Option<&Vip> {
        let mut vips = self.vips.iter();
        vips.find(|vip| (vip.address, vip.port, vip.protocol) == (address, port, protocol))
    }

    /// Whether any VIP has this address, and this protocol if one is given.
    #[must_use]
    pub fn has_vip_on(&self, address: Ipv4Addr, protocol: Option<u8>) -> bool {
        let mut vips = self.vips.iter();
        vips.any(|vip| vip.address == address && protocol.is_none_or(|protocol| protocol == vip.protocol))
    }
}

impl Prefix {
    /// The bits that the prefix leaves to hosts.
    #[must_use]
    pub fn host_bits(self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0)
    }

    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & !self.host_bits() == u32::from(self.network)
    }
}
