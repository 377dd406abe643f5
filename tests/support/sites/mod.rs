//! The balancers that packets are tried on. They differ in their arms, in the
//! room the outer sources have for entropy, and in the number of VIPs; each
//! has a pool for every way to a backend, and VIPs of both families for every
//! pool.

mod hundred;
mod targets;
mod yaml;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use etherparse::IpNumber;

use crate::oracle::{Affinity, Backend, Encap, Function, Interface, NextHop, Pool, Prefix, Site, Sources, Vip};

pub use self::{
    hundred::{check_moved, check_shares, hundred_backends},
    targets::{DNS, DNS6, HOST, HOST6, LOST, LOST6, QUIC, QUIC6, RAW, RAW6, Targets, V4, V6, WEB, WEB6, choice, mix},
    yaml::yaml,
};

/// Pools that packets reach in a way of their own: their encapsulation, and
/// the family of their backends.
pub const MIXES: [&str; 6] = ["web", "web6", "gue4", "gue6", "direct", "mixed"];

/// VIPs of the pool `mixed` that choose a slot in another way.
pub const CHOICES: [(&str, Affinity, Function); 3] = [
    ("sticky", Affinity::Source, Function::Fast),
    ("sip", Affinity::Tuple, Function::SipHash),
    ("stickysip", Affinity::Source, Function::SipHash),
];

/// Further VIPs of the site with many, of each family.
const MANY: u16 = 400;

/// One interface; the outer sources have 16 and 64 bits for hosts.
#[must_use]
pub fn one_arm() -> Site {
    site(&[arm(0, 1500)], sources((Ipv4Addr::new(10, 255, 0, 0), 16), 64))
}

/// Packets are redirected to `lb1`, but for some backends behind `lb0`; 12 and
/// 16 bits of entropy, and so many VIPs that their table has child chunks.
#[must_use]
pub fn two_arm() -> Site {
    let mut site = site(
        &[arm(0, 1500), arm(1, 9000)],
        sources((Ipv4Addr::new(10, 255, 0, 0), 20), 112),
    );
    let many = (0..MANY).flat_map(|nth| {
        [many(nth).into(), many6(nth).into()].map(|socket: SocketAddr| {
            let family = if socket.is_ipv4() { 4 } else { 6 };
            vip(&format!("many{nth}-{family}"), socket, IpNumber::TCP, "web")
        })
    });
    site.vips.extend(many);
    site
}

/// Backends of one pool behind three interfaces, each with another MTU.
#[must_use]
pub fn three_arm() -> Site {
    site(
        &[arm(0, 1500), arm(1, 4000), arm(2, 9000)],
        sources((Ipv4Addr::new(10, 255, 0, 0), 24), 32),
    )
}

/// One interface; each outer source is one address.
#[must_use]
pub fn single_source() -> Site {
    site(&[arm(0, 1500)], sources((Ipv4Addr::new(10, 255, 0, 7), 32), 128))
}

/// All of them, with a name for messages.
#[must_use]
pub fn all() -> [(&'static str, Site); 4] {
    [
        ("one-arm", one_arm()),
        ("two-arm", two_arm()),
        ("three-arm", three_arm()),
        ("single source", single_source()),
    ]
}

const fn many(nth: u16) -> SocketAddrV4 {
    let [high, low] = nth.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(198, 18, high, low), 1000 + nth)
}

const fn many6(nth: u16) -> SocketAddrV6 {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0x18, nth, 0, 0, 0, 1);
    SocketAddrV6::new(address, 1000 + nth, 0, 0)
}

fn arm(nth: u8, mtu: u16) -> Interface {
    Interface {
        name: format!("lb{nth}"),
        ifindex: 2 + u32::from(nth),
        mac: [0x02, 0, 0, 0, 0xaa, nth],
        mtu,
    }
}

/// Outer sources with prefixes of these lengths.
const fn sources(v4: (Ipv4Addr, u8), v6: u8) -> Sources {
    let host = if v6 == 128 { 7 } else { 0 };
    Sources {
        v4: Some(Prefix {
            network: IpAddr::V4(v4.0),
            length: v4.1,
        }),
        v6: Some(Prefix {
            network: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xff, 0, 0, 0, 0, 0, host)),
            length: v6,
        }),
    }
}

fn site(arms: &[Interface], encap_source: Sources) -> Site {
    let last = arms.len() - 1;
    let v4 = |nth: u8, weight, arm: usize| {
        let address = Ipv4Addr::new(10, 0, 1, 10 + nth).into();
        backend(nth, address, weight, &arms[arm])
    };
    let v6 = |nth: u8, weight, arm: usize| {
        let address = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x10 + u16::from(nth)).into();
        backend(nth, address, weight, &arms[arm])
    };
    let unreachable = Backend {
        name: "be9".to_owned(),
        address: Ipv4Addr::new(192, 0, 2, 77).into(),
        weight: 100,
        next_hop: None,
    };
    let pool = |name: &str, encap, backends| Pool {
        name: name.to_owned(),
        encap,
        backends,
    };
    Site {
        interfaces: arms.to_vec(),
        encap_source,
        pools: vec![
            pool(
                "web",
                Encap::IpIp,
                vec![v4(1, 100, last), v4(2, 50, last), v4(3, 150, last)],
            ),
            pool("dns", Encap::IpIp, vec![v4(2, 100, last), v4(4, 100, 0)]),
            pool("lost", Encap::IpIp, vec![unreachable]),
            pool("web6", Encap::IpIp, vec![v6(5, 100, 0), v6(6, 100, last)]),
            pool("gue4", Encap::Gue, vec![v4(1, 100, 0), v4(4, 100, last)]),
            pool("gue6", Encap::Gue, vec![v6(5, 100, last), v6(7, 100, 0)]),
            pool("direct", Encap::L2, vec![v4(11, 100, 0), v6(12, 100, last)]),
            pool(
                "mixed",
                Encap::Gue,
                vec![v4(1, 70, 0), v6(5, 30, last / 2), v4(2, 55, last), v6(6, 45, last)],
            ),
        ],
        vips: vips(),
    }
}

fn backend(nth: u8, address: IpAddr, weight: u32, arm: &Interface) -> Backend {
    Backend {
        name: format!("be{nth}"),
        address,
        weight,
        next_hop: Some(NextHop {
            mac: [0x02, 0, 0, 0, 0xbe, nth],
            interface: arm.name.clone(),
        }),
    }
}

fn vips() -> Vec<Vip> {
    let mut vips = Vec::new();
    for (family, to) in [("4", V4), ("6", V6)] {
        let named = |name: &str, socket, protocol, pool: &str| vip(&format!("{name}{family}"), socket, protocol, pool);
        vips.extend([
            named("web", to.web, IpNumber::TCP, "web"),
            named("quic", to.quic, IpNumber::UDP, "dns"),
            named("raw", to.raw, IpNumber::TCP, "web"),
            named("dns", to.dns, IpNumber::UDP, "dns"),
            named("lost", to.lost, IpNumber::TCP, "lost"),
        ]);
        for pool in MIXES {
            let socket = mix(&to, pool);
            vips.push(named(&format!("{pool}-tcp"), socket, IpNumber::TCP, pool));
            vips.push(named(&format!("{pool}-udp"), socket, IpNumber::UDP, pool));
        }
        vips.extend(CHOICES.iter().map(|&(name, affinity, hash)| Vip {
            affinity,
            hash,
            ..named(name, choice(&to, name), IpNumber::TCP, "mixed")
        }));
    }
    vips
}

fn vip(name: &str, socket: SocketAddr, protocol: IpNumber, pool: &str) -> Vip {
    Vip {
        name: name.to_owned(),
        address: socket.ip(),
        port: socket.port(),
        protocol: protocol.0,
        pool: pool.to_owned(),
        affinity: Affinity::Tuple,
        hash: Function::Fast,
        maint: false,
    }
}
