//! The numbers of the rig's networks, each in both families.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

/// The client has all of 198.51.100.2 to .30, and as many of fd00:c::/64, to be
/// many flows' sources.
pub const CLIENT_HOSTS: RangeInclusive<u8> = 2..=30;
/// The balancer's own addresses on `lb0`, and the router's beside them.
pub const BALANCER: Dual = Dual::new(Ipv4Addr::new(10, 0, 0, 2), net(0xa, 0, 2));
pub const ROUTER: Dual = Dual::new(Ipv4Addr::new(10, 0, 0, 1), net(0xa, 0, 1));
/// The router's addresses on the client's link.
pub const GATEWAY: Dual = Dual::new(Ipv4Addr::new(198, 51, 100, 1), net(0xc, 0, 1));
/// Outer sources; backends' agents trust them.
pub const ENCAP_SOURCE: [&str; 2] = ["10.255.0.0/16", "fd00:ff::/64"];
/// Addresses that backends carry on `lo`.
pub const VIPS: [Dual; 3] = [vip(10), vip(11), vip(53)];
/// Nobody's address, and routed to the balancer like VIPs.
pub const NOT_A_VIP: Dual = vip(99);
/// All of them, as the router routes them to the balancer.
pub const VIP_PREFIXES: [&str; 2] = ["203.0.113.0/24", "fd00:f::/64"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Bytes of an IP header without options.
    #[must_use]
    pub const fn header_len(self) -> u16 {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A place in both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Dual {
    #[must_use]
    pub const fn new(v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self { v4, v6 }
    }

    #[must_use]
    pub const fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.v4),
            Family::V6 => IpAddr::V6(self.v6),
        }
    }

    #[must_use]
    pub fn both(self) -> [IpAddr; 2] {
        Family::BOTH.map(|family| self.of(family))
    }
}

/// A port of a place in both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    pub at: Dual,
    pub port: u16,
}

impl Port {
    #[must_use]
    pub const fn of(self, family: Family) -> SocketAddr {
        SocketAddr::new(self.at.of(family), self.port)
    }

    #[must_use]
    pub const fn v4(self) -> SocketAddr {
        self.of(Family::V4)
    }

    #[must_use]
    pub const fn v6(self) -> SocketAddr {
        self.of(Family::V6)
    }

    #[must_use]
    pub fn both(self) -> [SocketAddr; 2] {
        Family::BOTH.map(|family| self.of(family))
    }
}

/// One of the client's addresses.
#[must_use]
pub const fn client(host: u8) -> Dual {
    Dual::new(Ipv4Addr::new(198, 51, 100, host), net(0xc, 0, host))
}

/// A host on the network behind `lb<number>`; the router is host 1 there, and
/// the balancer, if it has a link there, host 2.
#[must_use]
pub const fn behind(number: u8, host: u8) -> Dual {
    Dual::new(Ipv4Addr::new(10, 0, number, host), net(0xb, number, host))
}

const fn vip(host: u8) -> Dual {
    Dual::new(Ipv4Addr::new(203, 0, 113, host), net(0xf, 0, host))
}

const fn net(network: u16, number: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, network, number as u16, 0, 0, 0, 0, host as u16)
}
