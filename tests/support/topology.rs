//! The two networks everything is tested in.
//!
//! ```text
//! one-arm    client ── router ── lb0 balancer        next hop: the router
//!                        └─ br0 ── backends
//! two-arm    client ── router ── lb0 balancer        next hop: the backend,
//!                        └─ br0 ── lb1 balancer      by ARP over lb1
//!                            └──── backends
//! ```
//!
//! Backends answer straight to the client (direct server return). Links to the
//! balancer and to backends have an MTU of 1,600, so that a full packet and its
//! outer header fit; the client's link has 1,500.

use std::{net::Ipv4Addr, ops::RangeInclusive};

use anyhow::Result;

use crate::{
    netns::{Namespace, ip_batch},
    offload,
    run::RunId,
};

/// The client has all of 198.51.100.2 to .30, to be many flows' sources.
pub const CLIENT_HOSTS: RangeInclusive<u8> = 2..=30;
/// The balancer's own address on `lb0`, and the router's beside it.
pub const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Outer sources; backends' agents trust it.
pub const ENCAP_SOURCE: &str = "10.255.0.0/16";
/// Addresses that backends carry on `lo`.
pub const VIPS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(203, 0, 113, 10),
    Ipv4Addr::new(203, 0, 113, 11),
    Ipv4Addr::new(203, 0, 113, 53),
];

/// How the balancer is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Packets leave by the interface they came in by (`XDP_TX`).
    OneArm,
    /// Packets are redirected from `lb0` to `lb1`.
    TwoArm,
}

impl Shape {
    /// The balancer's interfaces.
    #[must_use]
    pub const fn interfaces(self) -> &'static [&'static str] {
        match self {
            Self::OneArm => &["lb0"],
            Self::TwoArm => &["lb0", "lb1"],
        }
    }
}

/// One backend's namespace.
#[derive(Debug)]
pub struct BackendHost {
    pub namespace: Namespace,
    /// `be1`, `be2`, …
    pub name: String,
    pub address: Ipv4Addr,
}

/// The namespaces of one run.
#[derive(Debug)]
pub struct Topology {
    pub shape: Shape,
    pub client: Namespace,
    pub router: Namespace,
    pub balancer: Namespace,
    pub backends: Vec<BackendHost>,
}

impl Topology {
    /// Builds the network with backends `be1`…`beN` at 10.0.1.11 and up.
    pub fn build(id: &RunId, shape: Shape, backends: u8) -> Result<Self> {
        let topology = Self {
            shape,
            client: Namespace::create(id.namespace("client"))?,
            router: Namespace::create(id.namespace("router"))?,
            balancer: Namespace::create(id.namespace("lb"))?,
            backends: (1..=backends)
                .map(|nth| {
                    Ok(BackendHost {
                        namespace: Namespace::create(id.namespace(&format!("be{nth}")))?,
                        name: format!("be{nth}"),
                        address: Ipv4Addr::new(10, 0, 1, 10 + nth),
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

    /// The client's addresses.
    #[must_use]
    pub fn client_addresses() -> Vec<Ipv4Addr> {
        CLIENT_HOSTS.map(|host| Ipv4Addr::new(198, 51, 100, host)).collect()
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

    fn set_kernel_parameters(&self) -> Result<()> {
        self.router.sysctl("ipv4/ip_forward", "1")?;
        // The router must not tell the client of a shorter way.
        self.router.sysctl("ipv4/conf/all/send_redirects", "0")?;
        self.router.sysctl("ipv4/conf/default/send_redirects", "0")?;
        for backend in &self.backends {
            // VIP addresses on `lo` are neither answered for nor announced.
            backend.namespace.sysctl("ipv4/conf/all/arp_ignore", "1")?;
            backend.namespace.sysctl("ipv4/conf/all/arp_announce", "2")?;
            // A new hardware address is announced, as a replaced host does.
            backend.namespace.sysctl("ipv4/conf/all/arp_notify", "1")?;
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
        for name in self.shape.interfaces() {
            commands.push(link(name, &self.balancer, &format!("to-{name}"), 1600));
        }
        for backend in &self.backends {
            commands.push(link("eth0", &backend.namespace, &format!("to-{}", backend.name), 1600));
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
            .try_for_each(|(namespace, interface)| namespace.run(|| offload::turn_off(interface))?)
    }

    fn number_client(&self) -> Result<()> {
        let mut commands = Commands::of(&self.client);
        for address in Self::client_addresses() {
            commands.push(format!("addr add {address}/24 dev eth0"));
        }
        commands.push("link set eth0 up");
        commands.push("route add default via 198.51.100.1");
        commands.run()
    }

    fn number_router(&self) -> Result<()> {
        let mut commands = Commands::of(&self.router);
        commands.push("link add br0 mtu 1600 type bridge forward_delay 0 stp_state 0 mcast_snooping 0");
        commands.push("addr add 198.51.100.1/24 dev to-client");
        commands.push("addr add 10.0.0.1/24 dev to-lb0");
        commands.push("addr add 10.0.1.1/24 dev br0");
        let backends = self.backends.iter().map(|backend| format!("to-{}", backend.name));
        let second_arm = self.router_ends().into_iter().skip(1);
        for port in backends.chain(second_arm) {
            commands.push(format!("link set {port} master br0 up"));
        }
        for interface in ["br0", "to-client", "to-lb0"] {
            commands.push(format!("link set {interface} up"));
        }
        // After the far end is up: a route needs a carrier.
        commands.push(format!("route add 203.0.113.0/24 via {BALANCER} onlink dev to-lb0"));
        commands.run()
    }

    fn number_balancer(&self) -> Result<()> {
        let mut commands = Commands::of(&self.balancer);
        commands.push(format!("addr add {BALANCER}/24 dev lb0"));
        commands.push("link set lb0 up");
        commands.push(format!("route add default via {ROUTER}"));
        match self.shape {
            Shape::OneArm => {}
            Shape::TwoArm => {
                commands.push("addr add 10.0.1.2/24 dev lb1");
                commands.push("link set lb1 up");
            }
        }
        commands.run()
    }
}

fn number_backend(backend: &BackendHost) -> Result<()> {
    let mut commands = Commands::of(&backend.namespace);
    commands.push(format!("addr add {}/24 dev eth0", backend.address));
    for vip in VIPS {
        commands.push(format!("addr add {vip}/32 dev lo"));
    }
    commands.push("link set eth0 up");
    // The link carries 1,600 for outer headers; answers to clients do not.
    commands.push("route add default via 10.0.1.1 mtu 1500");
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

    fn run(self) -> Result<()> {
        crate::netns::ip_batch_in(self.namespace.name(), &self.lines)
    }
}
