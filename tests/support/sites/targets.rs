//! Where packets of the tests go, in both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::{CHOICES, MIXES};
use crate::packet::{CLIENT, CLIENT6};

/// TCP; the same address has a UDP VIP too.
pub const WEB: SocketAddrV4 = v4(10, 443);
/// UDP, beside [`WEB`].
pub const QUIC: SocketAddrV4 = WEB;
/// TCP, on an address without UDP.
pub const RAW: SocketAddrV4 = v4(11, 9000);
/// UDP, on an address without TCP.
pub const DNS: SocketAddrV4 = v4(53, 53);
/// TCP, to a pool that cannot be reached.
pub const LOST: SocketAddrV4 = v4(12, 80);
/// Nobody's VIP.
pub const HOST: SocketAddrV4 = v4(200, 22);

/// [`WEB`] over IPv6.
pub const WEB6: SocketAddrV6 = v6(0x10, 443);
/// [`QUIC`] over IPv6.
pub const QUIC6: SocketAddrV6 = WEB6;
/// [`RAW`] over IPv6.
pub const RAW6: SocketAddrV6 = v6(0x11, 9000);
/// [`DNS`] over IPv6.
pub const DNS6: SocketAddrV6 = v6(0x53, 53);
/// [`LOST`] over IPv6.
pub const LOST6: SocketAddrV6 = v6(0x12, 80);
/// [`HOST`] over IPv6.
pub const HOST6: SocketAddrV6 = v6(0x200, 22);

/// All of them in one family.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Whoever sends.
    pub client: SocketAddr,
    pub web: SocketAddr,
    pub quic: SocketAddr,
    pub raw: SocketAddr,
    pub dns: SocketAddr,
    pub lost: SocketAddr,
    pub host: SocketAddr,
}

pub const V4: Targets = Targets {
    client: SocketAddr::V4(CLIENT),
    web: SocketAddr::V4(WEB),
    quic: SocketAddr::V4(QUIC),
    raw: SocketAddr::V4(RAW),
    dns: SocketAddr::V4(DNS),
    lost: SocketAddr::V4(LOST),
    host: SocketAddr::V4(HOST),
};

pub const V6: Targets = Targets {
    client: SocketAddr::V6(CLIENT6),
    web: SocketAddr::V6(WEB6),
    quic: SocketAddr::V6(QUIC6),
    raw: SocketAddr::V6(RAW6),
    dns: SocketAddr::V6(DNS6),
    lost: SocketAddr::V6(LOST6),
    host: SocketAddr::V6(HOST6),
};

/// The VIP of one of [`MIXES`], in the family of `to`; it is TCP and UDP.
///
/// # Panics
/// If there is no such pool.
#[must_use]
pub fn mix(to: &Targets, pool: &str) -> SocketAddr {
    beside(to, 0x20, 8000, MIXES.iter().position(|name| *name == pool))
}

/// The TCP VIP of one of [`CHOICES`], in the family of `to`.
///
/// # Panics
/// If there is no such choice.
#[must_use]
pub fn choice(to: &Targets, name: &str) -> SocketAddr {
    beside(to, 0x30, 8443, CHOICES.iter().position(|(choice, ..)| *choice == name))
}

/// The n-th address from `first` on.
fn beside(to: &Targets, first: u8, port: u16, nth: Option<usize>) -> SocketAddr {
    let nth = nth.expect("one of ours") as u8;
    match to.web.ip() {
        IpAddr::V4(_) => v4(first + nth, port).into(),
        IpAddr::V6(_) => v6(u16::from(first + nth), port).into(),
    }
}

const fn v4(host: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, host), port)
}

const fn v6(host: u16, port: u16) -> SocketAddrV6 {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0xcb00, 0x7100, 0, 0, 0, host);
    SocketAddrV6::new(address, port, 0, 0)
}
