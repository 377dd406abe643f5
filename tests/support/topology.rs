//! The three networks everything is tested in, each with IPv4 and IPv6.
//!
//! ```text
//! one-arm    client ── router ── lb0 balancer        next hop: the router
//!                        └─ br1 ── backends
//! two-arm    client ── router ── lb0 balancer        next hop: the backend,
//!                        └─ br1 ── lb1 balancer      by ARP or neighbour
//!                            └──── backends          discovery over lb1
//! three-arm  as two-arm, and be2, be4, … on a br2 of their own, behind lb2
//! ```
//!
//! Backends answer straight to the client (direct server return). Links to the
//! balancer and to backends are the underlay: with an MTU of 1,600 a full packet
//! and its outer header fit, with 1,500 clients have to be told that they do
//! not. The client's link has 1,500.

use std::net::IpAddr;

use anyhow::Result;

use crate::{
    addresses::{self, BALANCER, CLIENT_HOSTS, Dual, ENCAP_SOURCE, Family, GATEWAY, ROUTER, VIP_PREFIXES, VIPS},
    netns::{Namespace, ip_batch},
    offload,
    run::RunId,
};

/// How the balancer is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Packets leave by the interface they came in by (`XDP_TX`).
    OneArm,
    /// Packets are redirected from `lb0` to `lb1`.
    TwoArm,
    /// Packets are redirected from `lb0` to `lb1` or `lb2`.
    ThreeArm,
}

impl Shape {
    /// The balancer's interfaces.
    #[must_use]
    pub const fn interfaces(self) -> &'static [&'static str] {
        match self {
            Self::OneArm => &["lb0"],
            Self::TwoArm => &["lb0", "lb1"],
            Self::ThreeArm => &["lb0", "lb1", "lb2"],
        }
    }

    /// Numbers of the networks that backends are in.
    const fn networks(self) -> &'static [u8] {
        match self {
            Self::OneArm | Self::TwoArm => &[1],
            Self::ThreeArm => &[1, 2],
        }
    }

    /// Those of them that the balancer has a link to.
    const fn arms(self) -> &'static [u8] {
        match self {
            Self::OneArm => &[],
            Self::TwoArm | Self::ThreeArm => self.networks(),
        }
    }
}

/// MTU of an underlay in which everything fits.
pub const ROOMY: u16 = 1600;
/// MTU of an underlay in which full packets do not fit once encapsulated.
pub const TIGHT: u16 = 1500;

/// One backend's namespace.
#[derive(Debug)]
pub struct BackendHost {
    pub namespace: Namespace,
    /// `be1`, `be2`, …
    pub name: String,
    pub address: Dual,
    /// The network it is in.
    network: u8,
}

/// The namespaces of one run.
#[derive(Debug)]
pub struct Topology {
    pub shape: Shape,
    underlay_mtu: u16,
    pub client: Namespace,
    pub router: Namespace,
    pub balancer: Namespace,
    pub backends: Vec<BackendHost>,
}

impl Topology {
    /// Builds the network with backends `be1`…`beN`, hosts 11 and up.
    pub fn build(id: &RunId, shape: Shape, backends: u8, underlay_mtu: u16) -> Result<Self> {
        let networks = shape.networks();
        let topology = Self {
            shape,
            underlay_mtu,
            client: Namespace::create(id.namespace("client"))?,
            router: Namespace::create(id.namespace("router"))?,
            balancer: Namespace::create(id.namespace("lb"))?,
            backends: (1..=backends)
                .map(|nth| {
                    let network = networks[usize::from(nth - 1) % networks.len()];
                    Ok(BackendHost {
                        namespace: Namespace::create(id.namespace(&format!("be{nth}")))?,
                        name: format!("be{nth}"),
                        address: addresses::behind(network, 10 + nth),
                        network,
                    })
                })
                .collect::<Result<_>>()?,
        };
        topology.set_kernel_parameters()?;
        ip_batch(&topology.links())?;
        topology.turn_offloads_off()?;
        topology.number_client()?;
        topology.number_router()?;
        topology.number_balancer()?;
        topology.backends.iter().try_for_each(number_backend)?;
        Ok(topology)
    }

    /// The client's addresses of a family.
    #[must_use]
    pub fn client_addresses(family: Family) -> Vec<IpAddr> {
        CLIENT_HOSTS.map(|host| addresses::client(host).of(family)).collect()
    }

    /// The router's ends of the balancer's links. veth delivers what XDP sends
    /// only to a peer that runs a program of its own.
    #[must_use]
    pub fn router_ends(&self) -> Vec<String> {
        self.shape
            .interfaces()
            .iter()
            .map(|name| format!("to-{name}"))
            .collect()
    }

    /// From now on the router sends packets for these addresses only if they
    /// have at most so many bytes, and says so to who sent a longer one that
    /// must not be cut.
    pub fn narrow(&self, route: &str, mtu: u16) -> Result<()> {
        // Better than the link's own route, which IPv6 keeps beside it.
        let metric = u8::from(route.contains(':'));
        // A locked MTU is what the kernel goes by when it forwards.
        self.router
            .ip(&format!("route replace {route} metric {metric} mtu lock {mtu}"))
            .map(drop)
    }

    fn set_kernel_parameters(&self) -> Result<()> {
        let backends = self.backends.iter().map(|backend| &backend.namespace);
        for namespace in [&self.client, &self.router, &self.balancer].into_iter().chain(backends) {
            namespace.turn_ipv6_on()?;
        }
        self.router.sysctl("ipv4/ip_forward", "1")?;
        self.router.sysctl("ipv6/conf/all/forwarding", "1")?;
        // The router must not tell the client of a shorter way.
        self.router.sysctl("ipv4/conf/all/send_redirects", "0")?;
        self.router.sysctl("ipv4/conf/default/send_redirects", "0")?;
        for backend in &self.backends {
            // VIP addresses on `lo` are neither answered for nor announced; in
            // IPv6 they never are, as a link answers for its own only.
            backend.namespace.sysctl("ipv4/conf/all/arp_ignore", "1")?;
            backend.namespace.sysctl("ipv4/conf/all/arp_announce", "2")?;
            // A new hardware address is announced, as a replaced host does.
            backend.namespace.sysctl("ipv4/conf/all/arp_notify", "1")?;
            backend.namespace.sysctl("ipv6/conf/default/ndisc_notify", "1")?;
        }
        Ok(())
    }

    fn links(&self) -> Vec<String> {
        let router = self.router.name();
        let link = |near: &str, namespace: &Namespace, far: &str, mtu: u16| {
            format!(
                "link add {near} mtu {mtu} netns {} type veth peer name {far} mtu {mtu} netns {router}",
                namespace.name()
            )
        };
        let mut commands = vec![link("eth0", &self.client, "to-client", 1500)];
        let underlay = self.underlay_mtu;
        for name in self.shape.interfaces() {
            commands.push(link(name, &self.balancer, &format!("to-{name}"), underlay));
        }
        for backend in &self.backends {
            let far = format!("to-{}", backend.name);
            commands.push(link("eth0", &backend.namespace, &far, underlay));
        }
        commands
    }

    /// On both ends of every link, as there is no telling which end a program
    /// sends from.
    fn turn_offloads_off(&self) -> Result<()> {
        let backends = self.backends.iter();
        let mut ends = vec![
            (&self.client, "eth0".to_owned()),
            (&self.router, "to-client".to_owned()),
        ];
        for name in self.shape.interfaces() {
            ends.push((&self.balancer, (*name).to_owned()));
            ends.push((&self.router, format!("to-{name}")));
        }
        for backend in backends {
            ends.push((&backend.namespace, "eth0".to_owned()));
            ends.push((&self.router, format!("to-{}", backend.name)));
        }
        ends.iter()
            .try_for_each(|(namespace, interface)| Ok(namespace.run(|| offload::turn_off(interface))??))
    }

    fn number_client(&self) -> Result<()> {
        let mut commands = Commands::of(&self.client);
        for host in CLIENT_HOSTS {
            commands.number("eth0", addresses::client(host));
        }
        commands.push("link set eth0 up");
        commands.default_route(GATEWAY, "");
        commands.run()
    }

    fn number_router(&self) -> Result<()> {
        let mut commands = Commands::of(&self.router);
        for network in self.shape.networks() {
            commands.push(format!(
                "link add br{network} mtu {} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
                self.underlay_mtu
            ));
            commands.number(&format!("br{network}"), addresses::behind(*network, 1));
        }
        for backend in &self.backends {
            commands.push(format!("link set to-{} master br{} up", backend.name, backend.network));
        }
        for arm in self.shape.arms() {
            commands.push(format!("link set to-lb{arm} master br{arm} up"));
        }
        for network in self.shape.networks() {
            commands.push(format!("link set br{network} up"));
        }
        commands.number("to-client", GATEWAY);
        commands.number("to-lb0", ROUTER);
        commands.push("link set to-client up");
        commands.push("link set to-lb0 up");
        // VIPs, and the sources of outer headers, for errors about them.
        for prefixes in [VIP_PREFIXES, ENCAP_SOURCE] {
            for (prefix, via) in prefixes.iter().zip(BALANCER.both()) {
                // `onlink`: the far end is not up yet.
                commands.push(format!("route add {prefix} via {via} onlink dev to-lb0"));
            }
        }
        commands.run()
    }

    fn number_balancer(&self) -> Result<()> {
        let mut commands = Commands::of(&self.balancer);
        commands.number("lb0", BALANCER);
        commands.push("link set lb0 up");
        commands.default_route(ROUTER, "");
        for arm in self.shape.arms() {
            commands.number(&format!("lb{arm}"), addresses::behind(*arm, 2));
            commands.push(format!("link set lb{arm} up"));
        }
        commands.run()
    }
}

fn number_backend(backend: &BackendHost) -> Result<()> {
    let mut commands = Commands::of(&backend.namespace);
    commands.number("eth0", backend.address);
    for vip in VIPS {
        commands.push(format!("addr add {}/32 dev lo", vip.v4));
        commands.push(format!("addr add {}/128 dev lo nodad", vip.v6));
    }
    commands.push("link set eth0 up");
    // The link may carry more, for outer headers; answers to clients do not.
    commands.default_route(addresses::behind(backend.network, 1), "mtu 1500");
    commands.run()
}

/// Commands of `ip` for one namespace, collected to run in one process.
struct Commands<'a> {
    namespace: &'a Namespace,
    lines: Vec<String>,
}

impl<'a> Commands<'a> {
    const fn of(namespace: &'a Namespace) -> Self {
        Self {
            namespace,
            lines: Vec::new(),
        }
    }

    fn push(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn number(&mut self, interface: &str, address: Dual) {
        self.push(format!("addr add {}/24 dev {interface}", address.v4));
        self.push(format!("addr add {}/64 dev {interface} nodad", address.v6));
    }

    fn default_route(&mut self, via: Dual, how: &str) {
        self.push(format!("route add 0.0.0.0/0 via {} {how}", via.v4));
        self.push(format!("route add ::/0 via {} {how}", via.v6));
    }

    fn run(self) -> Result<()> {
        crate::netns::ip_batch_in(self.namespace.name(), &self.lines)
    }
}
