//! The drill's network: a client, a switch that routes, the balancer and its
//! backends, each in a network namespace.
//!
//! ```text
//! client ── net (router and switch) ── the balancer's interfaces, by their names
//!                                  └── be0, be1, …: an address of a backend each
//! ```
//!
//! Every address of the configuration is on the one link, whatever network it is
//! of, so that all next hops resolve and `encap: l2` works. No namespace has a way
//! out.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use ipnet::IpNet;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{
    error::{DrillError, Result},
    offload,
};
use crate::{agent, config::Config};

/// More backends than this share namespaces.
const MAX_HOSTS: usize = 24;
/// Addresses of the client, of each family.
const CLIENTS: u8 = 40;
/// Room for outer headers.
const UNDERLAY_MTU: u16 = 1600;

/// Where a backend's packets arrive.
#[derive(Clone, Debug)]
pub struct Host {
    /// Of its namespace.
    pub name: String,
    /// Of backends.
    pub addresses: Vec<IpAddr>,
}

/// The namespaces. They go with the stage.
#[derive(Debug)]
pub struct Network {
    pub hosts: Vec<Host>,
    pub interfaces: Vec<String>,
    ours: Ours,
    backends: Vec<IpAddr>,
}

/// Addresses that are the drill's own.
#[derive(Clone, Copy, Debug)]
struct Ours {
    /// Second-to-last octet, and last but one group, of the link.
    link: u8,
}

impl Ours {
    /// Of carrier-grade NAT (RFC 6598) and unique local (RFC 4193): whatever the
    /// configuration has nothing of.
    fn beside(config: &Config) -> Self {
        let taken: BTreeSet<IpAddr> = addresses(config).collect();
        let free = |link: &u8| {
            let ours = Self { link: *link };
            let is_ours = |address: &IpAddr| match address {
                IpAddr::V4(address) => ours.v4(1).octets()[..3] == address.octets()[..3],
                IpAddr::V6(address) => ours.v6(1).segments()[..4] == address.segments()[..4],
            };
            !taken.iter().any(is_ours)
        };
        // There are more of them than a configuration can take by accident.
        let link = (0..125).map(|nth| 2 * nth).find(free).unwrap_or(250);
        Self { link }
    }

    const fn v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(100, 127, self.link, host)
    }

    const fn v6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd48, 0x0fd1, 0x1a57, self.link as u16, 0, 0, 0, host as u16)
    }

    /// Of the client's link.
    const fn client_v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(100, 127, self.link + 1, host)
    }

    const fn client_v6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd48, 0x0fd1, 0x1a57, self.link as u16 + 1, 0, 0, 0, host as u16)
    }
}

fn addresses(config: &Config) -> impl Iterator<Item = IpAddr> {
    let backends = config.pools.iter().flat_map(|pool| &pool.backends);
    let vips = config.vips.iter().map(|vip| vip.address);
    backends.map(|backend| backend.address).chain(vips)
}

/// An address for a VIP that nobody sends anything to.
#[must_use]
pub fn spare_address(config: &Config) -> IpAddr {
    Ours::beside(config).v4(254).into()
}

impl Network {
    /// # Errors
    /// When `ip` or the kernel refuses something.
    pub fn build(config: &Config, bpf: &std::path::Path) -> Result<Self> {
        let ours = Ours::beside(config);
        let backends: BTreeSet<IpAddr> = config
            .pools
            .iter()
            .flat_map(|pool| &pool.backends)
            .map(|backend| backend.address)
            .collect();
        let backends: Vec<IpAddr> = backends.into_iter().collect();
        let count = backends.len().clamp(1, MAX_HOSTS);
        let mut hosts: Vec<Host> = (0..count)
            .map(|nth| Host {
                name: format!("be{nth}"),
                addresses: Vec::new(),
            })
            .collect();
        for (nth, address) in backends.iter().enumerate() {
            hosts[nth % count].addresses.push(*address);
        }
        let network = Self {
            hosts,
            interfaces: config.node.interfaces.iter().map(|of| of.name.clone()).collect(),
            ours,
            backends,
        };
        for name in ["client", "net", "lb"]
            .into_iter()
            .chain(network.hosts.iter().map(|host| host.name.as_str()))
        {
            create(name)?;
        }
        network.wire()?;
        network.number(config)?;
        network.trust(config, bpf)?;
        Ok(network)
    }

    /// Addresses that the client sends from, of this family.
    #[must_use]
    pub fn clients(&self, like: IpAddr) -> Vec<IpAddr> {
        (2..2 + CLIENTS)
            .map(|host| match like {
                IpAddr::V4(_) => IpAddr::V4(self.ours.client_v4(host)),
                IpAddr::V6(_) => IpAddr::V6(self.ours.client_v6(host)),
            })
            .collect()
    }

    /// The balancer's own, where checks are answered to.
    #[must_use]
    pub fn balancer(&self) -> [IpAddr; 2] {
        [self.ours.v4(2).into(), self.ours.v6(2).into()]
    }

    fn switch_end(nth: usize) -> String {
        format!("lb{nth}")
    }

    fn wire(&self) -> Result<()> {
        let link = |near: &str, namespace: &str, far: &str, mtu: u16| {
            format!("link add {near} mtu {mtu} netns {namespace} type veth peer name {far} mtu {mtu} netns net")
        };
        let mut commands = vec![link("eth0", "client", "client", 1500)];
        for (nth, name) in self.interfaces.iter().enumerate() {
            commands.push(link(name, "lb", &Self::switch_end(nth), UNDERLAY_MTU));
        }
        for host in &self.hosts {
            commands.push(link("eth0", &host.name, &host.name, UNDERLAY_MTU));
        }
        batch(None, &commands)?;
        // What a program sends on has whole checksums then.
        let mut ends = vec![("client", "eth0".to_owned()), ("net", "client".to_owned())];
        for (nth, name) in self.interfaces.iter().enumerate() {
            ends.extend([("lb", name.clone()), ("net", Self::switch_end(nth))]);
        }
        for host in &self.hosts {
            ends.extend([(host.name.as_str(), "eth0".to_owned()), ("net", host.name.clone())]);
        }
        for (namespace, interface) in ends {
            turn_offloads_off(namespace, &interface)?;
        }
        Ok(())
    }

    fn number(&self, config: &Config) -> Result<()> {
        let ours = self.ours;
        let vips: BTreeSet<IpAddr> = config.vips.iter().map(|vip| vip.address).collect();
        let mut client: Vec<String> = Vec::new();
        for host in 2..2 + CLIENTS {
            client.push(format!("addr add {}/24 dev eth0", ours.client_v4(host)));
            client.push(format!("addr add {}/64 dev eth0 nodad", ours.client_v6(host)));
        }
        client.push("link set eth0 up".to_owned());
        client.push(format!("route add default via {}", ours.client_v4(1)));
        client.push(format!("route add default via {}", ours.client_v6(1)));
        batch(Some("client"), &client)?;

        let mut net = vec![
            format!("link add br0 mtu {UNDERLAY_MTU} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"),
            format!("addr add {}/24 dev br0", ours.v4(1)),
            format!("addr add {}/64 dev br0 nodad", ours.v6(1)),
            format!("addr add {}/24 dev client", ours.client_v4(1)),
            format!("addr add {}/64 dev client nodad", ours.client_v6(1)),
            "link set client up".to_owned(),
        ];
        let ports = (0..self.interfaces.len()).map(Self::switch_end);
        for port in ports.chain(self.hosts.iter().map(|host| host.name.clone())) {
            net.push(format!("link set {port} master br0 up"));
        }
        net.push("link set br0 up".to_owned());
        for vip in &vips {
            net.push(format!(
                "route add {vip} via {} onlink dev br0",
                self.way_to_balancer(*vip)
            ));
        }
        batch(Some("net"), &net)?;
        within("net", || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv4/conf/all/send_redirects", "0")?;
            fs::write("/proc/sys/net/ipv4/conf/br0/send_redirects", "0")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        })?
        .map_err(DrillError::io("making a router"))?;
        self.number_balancer()?;
        for (nth, host) in (10..).zip(&self.hosts) {
            let mut commands = vec![
                format!("addr add {}/24 dev eth0", ours.v4(nth)),
                format!("addr add {}/64 dev eth0 nodad", ours.v6(nth)),
            ];
            commands.extend(
                host.addresses
                    .iter()
                    .map(|address| format!("addr add {} dev eth0{}", whole(*address), nodad(*address))),
            );
            commands.extend(
                vips.iter()
                    .map(|vip| format!("addr add {} dev lo{}", whole(*vip), nodad(*vip))),
            );
            commands.push("link set eth0 up".to_owned());
            commands.push(format!("route add default via {} mtu 1500", ours.v4(1)));
            commands.push(format!("route add default via {} mtu 1500", ours.v6(1)));
            batch(Some(&host.name), &commands)?;
        }
        Ok(())
    }

    const fn way_to_balancer(&self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => IpAddr::V4(self.ours.v4(2)),
            IpAddr::V6(_) => IpAddr::V6(self.ours.v6(2)),
        }
    }

    /// As the host's own network configuration does: addresses, links, routes. Can
    /// be done again.
    ///
    /// # Errors
    /// When `ip` refuses something.
    pub fn number_balancer(&self) -> Result<()> {
        let ours = self.ours;
        let Some(first) = self.interfaces.first() else {
            return Ok(());
        };
        let mut commands = vec![
            format!("addr replace {}/24 dev {first}", ours.v4(2)),
            format!("addr replace {}/64 dev {first} nodad", ours.v6(2)),
        ];
        commands.extend(self.interfaces.iter().map(|name| format!("link set {name} up")));
        commands.push(format!("route replace default via {} dev {first}", ours.v4(1)));
        commands.push(format!("route replace default via {} dev {first}", ours.v6(1)));
        commands.extend(
            self.backends
                .iter()
                .map(|address| format!("route replace {} dev {first}", whole(*address))),
        );
        batch(Some("lb"), &commands)
    }

    /// Agents on backends; and on the switch's ends of the balancer's links, one
    /// that trusts nobody: a veth delivers what XDP sends only to a peer that runs
    /// a program of its own.
    fn trust(&self, config: &Config, bpf: &std::path::Path) -> Result<()> {
        let sources: Vec<IpNet> = config.node.encap_source.prefixes().collect();
        let nobody: Vec<IpNet> = vec![IpNet::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 255)))];
        let mut agents: Vec<(&str, String, Vec<IpNet>)> = Vec::new();
        for nth in 0..self.interfaces.len() {
            agents.push(("net", Self::switch_end(nth), nobody.clone()));
        }
        if !sources.is_empty() {
            let backends = self.hosts.iter();
            agents.extend(backends.map(|host| (host.name.as_str(), "eth0".to_owned(), sources.clone())));
        }
        for (nth, (namespace, interface, from)) in agents.into_iter().enumerate() {
            let pins = bpf.join(format!("agent{nth}"));
            within(namespace, || {
                agent::run(&interface, &from, &pins, crate::config::XdpMode::Native)
            })?
            .map_err(|error| {
                DrillError::Answer(format!("the agent of {namespace}: {}", crate::failure::chain(&error)))
            })?;
            // A veth turns GRO on with its first program.
            turn_offloads_off(namespace, &interface)?;
        }
        Ok(())
    }
}

fn turn_offloads_off(namespace: &str, interface: &str) -> Result<()> {
    within(namespace, || offload::turn_off(interface))?
        .map_err(DrillError::io(format!("turning offloads of {interface} off")))
}

fn whole(address: IpAddr) -> String {
    IpNet::from(address).to_string()
}

const fn nodad(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "",
        IpAddr::V6(_) => " nodad",
    }
}

fn create(name: &str) -> Result<()> {
    batch(None, &[format!("netns add {name}")])?;
    batch(Some(name), &["link set lo up".to_owned()])?;
    within(name, || {
        let set = |key: &str, value: &str| fs::write(format!("/proc/sys/net/{key}"), value);
        for scope in ["all", "default"] {
            set(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
            set(&format!("ipv6/conf/{scope}/accept_ra"), "0")?;
        }
        set("ipv6/conf/default/accept_dad", "0")?;
        set("ipv6/conf/default/router_solicitations", "0")?;
        // VIPs on `lo` are neither answered for nor announced.
        set("ipv4/conf/all/arp_ignore", "1")?;
        set("ipv4/conf/all/arp_announce", "2")
    })?
    .map_err(DrillError::io(format!("making the namespace {name}")))
}

/// Runs a closure in a namespace and waits for it. Only the network is another
/// there.
///
/// # Errors
/// When there is no such namespace.
pub fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(namespace)?;
            Ok(work())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves this thread into a namespace, for good.
///
/// # Errors
/// When there is no such namespace.
pub fn enter(namespace: &str) -> Result<()> {
    let path = PathBuf::from("/run/netns").join(namespace);
    let entered = File::open(&path).and_then(|file| {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(std::io::Error::from)
    });
    entered.map_err(DrillError::io(format!("entering the namespace {namespace}")))
}

/// Runs `ip` with these words in a namespace.
///
/// # Errors
/// When it refuses them.
pub fn ip(namespace: &str, words: &str) -> Result<()> {
    batch(Some(namespace), &[words.to_owned()])
}

/// Runs commands of `ip` in one process, in order; stops at the first error.
fn batch(namespace: Option<&str>, commands: &[String]) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    let started = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let talk = || -> std::io::Result<std::process::Output> {
        let mut child = started?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(commands.join("\n").as_bytes())?;
            input.write_all(b"\n")?;
        }
        child.wait_with_output()
    };
    let output = talk().map_err(DrillError::io("running `ip` (Debian package iproute2)"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(DrillError::Command {
        command: format!("ip {}", commands.first().map_or("", String::as_str)),
        code: super::site::ending(output.status),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
