//! Interfaces, backends and VIPs.

use std::net::IpAddr;

use lb_common::abi::member::{ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_IPIP_V4, ENCAP_IPIP_V6, ENCAP_L2, encap_overhead};

use super::{bad, ok};
use crate::{
    config::{Encap, Interface, XdpMode},
    doctor::{Finding, Level, facts::Network},
    revision::{BackendId, Hop},
};

/// The longest packet that clients send, bytes: Ethernet without jumbo frames.
const CLIENT_MTU: u16 = 1500;

pub fn interface(network: &Network, interface: &Interface) -> Vec<Finding> {
    let name = &interface.name;
    let Some(link) = network.resolution.links.get(name) else {
        let why = "node.interfaces names it: packets for VIPs cannot come in by it";
        let fix = Some("ip link".to_owned());
        return vec![bad(
            Level::Fail,
            "interface",
            name,
            "there is no such interface",
            why,
            fix,
        )];
    };
    let driver = network.drivers.get(name).map_or("driver not known", String::as_str);
    let wanted = interface.mode.name();
    let mut findings = vec![match (link.xdp, network.ours.contains_key(name)) {
        (Some(mode), true) if mode == interface.mode => ok("xdp", name, format!("ours, {wanted} mode, {driver}")),
        (Some(mode), true) => bad(
            Level::Warn,
            "xdp",
            name,
            format!("ours, in {} mode; {wanted} is wanted", mode.name()),
            "generic mode costs several times as much for each packet",
            Some(format!("holdfast attach {name}")),
        ),
        (Some(mode), false) => {
            let flag = match mode {
                XdpMode::Native => "xdpdrv",
                XdpMode::Generic => "xdpgeneric",
            };
            bad(
                Level::Fail,
                "xdp",
                name,
                format!(
                    "not ours, in {} mode: {}",
                    mode.name(),
                    network.foreign.get(name).map_or("somebody else's", String::as_str)
                ),
                "an interface takes one program, and somebody else's is never replaced",
                Some(format!("ip link set dev {name} {flag} off")),
            )
        }
        (None, _) => bad(
            Level::Unknown,
            "xdp",
            name,
            format!("no program, {driver}"),
            "whether the driver can do it only an attach shows",
            Some(format!("holdfast attach {name}")),
        ),
    }];
    if let Some(strictness) = network.rp_filter.get(name) {
        let why = "the kernel drops what comes in by another way than it would go out, such as answers to checks";
        findings.push(if *strictness == 1 {
            let fix = format!("sysctl -w net/ipv4/conf/{name}/rp_filter=2");
            bad(Level::Warn, "rp-filter", name, "strict", why, Some(fix))
        } else {
            ok("rp-filter", name, if *strictness == 0 { "off" } else { "loose" })
        });
    }
    findings
}

pub fn backends(network: &Network) -> Vec<Finding> {
    let pools = network.config.pools.iter();
    let all = pools.flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    all.flat_map(|(pool, backend)| {
        let id = BackendId {
            pool: pool.name.clone(),
            backend: backend.name.clone(),
        };
        let object = format!("{}/{}", pool.name, backend.name);
        let hop = network.resolution.hops.get(&id);
        if let Some(problem) = network.resolution.problems.get(&id) {
            let why = "it gets no traffic until its next hop is known";
            let fix = format!("ip route get {0}; ping -c 3 {0}", backend.address);
            return vec![bad(
                Level::Fail,
                "neighbour",
                &object,
                problem.to_string(),
                why,
                Some(fix),
            )];
        }
        let Some(hop) = hop else {
            let why = "its next hop was not looked up";
            return vec![bad(Level::Unknown, "neighbour", &object, "not known", why, None)];
        };
        vec![
            ok("neighbour", &object, format!("{} via {}", hop.mac, hop.interface)),
            mtu(network, pool.encap, backend.address, &object, hop),
        ]
    })
    .collect()
}

fn mtu(network: &Network, encap: Encap, address: IpAddr, object: &str, hop: &Hop) -> Finding {
    let overhead = encap_overhead(encap_code(encap, address)).unwrap_or(0);
    let room = hop.mtu.saturating_sub(u16::from(overhead));
    let measured = format!("{} bytes, {room} for the client's packet", hop.mtu);
    if room >= CLIENT_MTU {
        return ok("mtu", object, measured);
    }
    let why = "longer packets from clients are answered with too-big, and lost where that is filtered";
    let needed = u32::from(CLIENT_MTU) + u32::from(overhead);
    let fix = match network.resolution.path_mtus.get(&address) {
        Some(said) => format!("raise the MTU to {needed} on the way to {address}: a router said {said}"),
        None => format!("ip link set dev {} mtu {needed}", hop.interface),
    };
    bad(Level::Warn, "mtu", object, measured, why, Some(fix))
}

const fn encap_code(encap: Encap, address: IpAddr) -> u8 {
    match (encap, address) {
        (Encap::L2, _) => ENCAP_L2,
        (Encap::Ipip, IpAddr::V4(_)) => ENCAP_IPIP_V4,
        (Encap::Ipip, IpAddr::V6(_)) => ENCAP_IPIP_V6,
        (Encap::Gue, IpAddr::V4(_)) => ENCAP_GUE_V4,
        (Encap::Gue, IpAddr::V6(_)) => ENCAP_GUE_V6,
    }
}

pub fn vips(network: &Network) -> Vec<Finding> {
    let local = &network.resolution.local;
    let vips = network.config.vips.iter();
    vips.map(|vip| {
        let object = format!("{} {}", vip.name, vip.address);
        if local.contains(&vip.address) {
            let fix = format!(
                "ip addr del $(ip -o addr show to {} | awk '{{print $4, \"dev\", $2; exit}}')",
                vip.address
            );
            let why = "this host has the address itself: it answers what the program passes, and ARP for it";
            return bad(
                Level::Fail,
                "vip",
                &object,
                "is an address of this host",
                why,
                Some(fix),
            );
        }
        match network.packets.get(&vip.name) {
            Some(0) => bad(
                Level::Unknown,
                "vip",
                &object,
                "no packet has come for it",
                "whether the network's routes lead here cannot be seen from here",
                None,
            ),
            Some(packets) => ok("vip", &object, format!("{packets} packets came for it")),
            None => bad(
                Level::Unknown,
                "vip",
                &object,
                "not an address of this host",
                "whether the network's routes lead here cannot be seen from here",
                None,
            ),
        }
    })
    .collect()
}
