//! The balancers that packets are tried on. They differ in their arms, in the
//! room the outer source has for entropy, and in the number of VIPs.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
};

use etherparse::IpNumber;

use crate::oracle::{Backend, Interface, NextHop, Pool, Prefix, Site, Vip};

/// TCP; the same address has a UDP VIP too.
pub const WEB: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 443);
/// UDP, beside [`WEB`].
pub const QUIC: SocketAddrV4 = WEB;
/// TCP, on an address without UDP.
pub const RAW: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 11), 9000);
/// UDP, on an address without TCP.
pub const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 53), 53);
/// TCP, to a pool that cannot be reached.
pub const LOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 12), 80);
/// Nobody's VIP.
pub const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 200), 22);

/// VIPs of the site with many.
const MANY: u16 = 800;

/// One interface; the outer source has 16 bits of entropy.
#[must_use]
pub fn one_arm() -> Site {
    site(&[arm(0, 1500)], (Ipv4Addr::new(10, 255, 0, 0), 16))
}

/// Packets are redirected to `lb1`, but for one backend behind `lb0`; 12 bits
/// of entropy, and so many VIPs that their table has child chunks.
#[must_use]
pub fn two_arm() -> Site {
    let mut site = site(&[arm(0, 1500), arm(1, 9000)], (Ipv4Addr::new(10, 255, 0, 0), 20));
    site.vips.extend((0..MANY).map(|nth| Vip {
        name: format!("many{nth}"),
        address: many(nth).ip().to_owned(),
        port: many(nth).port(),
        protocol: IpNumber::TCP.0,
        pool: "web".to_owned(),
    }));
    site
}

/// One interface; the outer source is one address.
#[must_use]
pub fn single_source() -> Site {
    site(&[arm(0, 1500)], (Ipv4Addr::new(10, 255, 0, 7), 32))
}

/// All of them, with a name for messages.
#[must_use]
pub fn all() -> [(&'static str, Site); 3] {
    [
        ("one-arm", one_arm()),
        ("two-arm", two_arm()),
        ("single source", single_source()),
    ]
}

const fn many(nth: u16) -> SocketAddrV4 {
    let [high, low] = nth.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(198, 18, high, low), 1000 + nth)
}

fn arm(nth: u8, mtu: u16) -> Interface {
    Interface {
        name: format!("lb{nth}"),
        ifindex: 2 + u32::from(nth),
        mac: [0x02, 0, 0, 0, 0xaa, nth],
        mtu,
    }
}

fn site(arms: &[Interface], source: (Ipv4Addr, u8)) -> Site {
    let last = &arms[arms.len() - 1].name;
    let backend = |nth: u8, weight, interface: &String| Backend {
        name: format!("be{nth}"),
        address: Ipv4Addr::new(10, 0, 1, 10 + nth),
        weight,
        next_hop: Some(NextHop {
            mac: [0x02, 0, 0, 0, 0xbe, nth],
            interface: interface.clone(),
        }),
    };
    let unreachable = Backend {
        name: "be9".to_owned(),
        address: Ipv4Addr::new(192, 0, 2, 77),
        weight: 100,
        next_hop: None,
    };
    let pool = |name: &str, backends| Pool {
        name: name.to_owned(),
        backends,
    };
    let vip = |name: &str, socket: SocketAddrV4, protocol: IpNumber, pool: &str| Vip {
        name: name.to_owned(),
        address: *socket.ip(),
        port: socket.port(),
        protocol: protocol.0,
        pool: pool.to_owned(),
    };
    Site {
        interfaces: arms.to_vec(),
        encap_source: Prefix {
            network: source.0,
            length: source.1,
        },
        pools: vec![
            pool(
                "web",
                vec![backend(1, 100, last), backend(2, 50, last), backend(3, 150, last)],
            ),
            pool("dns", vec![backend(2, 100, last), backend(4, 100, &arms[0].name)]),
            pool("lost", vec![unreachable]),
        ],
        vips: vec![
            vip("web4", WEB, IpNumber::TCP, "web"),
            vip("quic4", QUIC, IpNumber::UDP, "dns"),
            vip("raw4", RAW, IpNumber::TCP, "web"),
            vip("dns4", DNS, IpNumber::UDP, "dns"),
            vip("lost4", LOST, IpNumber::TCP, "lost"),
        ],
    }
}

/// The configuration file of a site.
#[must_use]
pub fn yaml(site: &Site, hash_key_file: &Path) -> String {
    let mut text = "apiVersion: holdfast/v1\nenvironment: lab\nnode:\n  interfaces:\n".to_owned();
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all that is written");
    for interface in &site.interfaces {
        line(format!("    - {{ name: {} }}", interface.name));
    }
    let Prefix { network, length } = site.encap_source;
    line(format!("  encapSource: {{ v4: {network}/{length} }}"));
    line(format!("  hashKeyFile: {}\npools:", hash_key_file.display()));
    for pool in &site.pools {
        line(format!("  - name: {}\n    backends:", pool.name));
        for Backend {
            name,
            address,
            weight,
            next_hop,
        } in &pool.backends
        {
            let next_hop = next_hop.as_ref().map_or_else(String::new, |hop| {
                let mac = hop.mac.map(|byte| format!("{byte:02x}")).join(":");
                format!(", nextHop: {{ mac: \"{mac}\", interface: {} }}", hop.interface)
            });
            line(format!(
                "      - {{ name: {name}, address: {address}, weight: {weight}{next_hop} }}"
            ));
        }
    }
    line("vips:".to_owned());
    for Vip {
        name,
        address,
        port,
        protocol,
        pool,
    } in &site.vips
    {
        let protocol = if *protocol == IpNumber::TCP.0 { "tcp" } else { "udp" };
        line(format!(
            "  - {{ name: {name}, address: {address}, port: {port}, protocol: {protocol}, pool: {pool} }}"
        ));
    }
    text
}
