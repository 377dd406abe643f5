//! Next hops: the kernel resolves them, and we ask it, through netlink.
//!
//! For each backend: which way does the route go, and what is the MAC address
//! of the gateway, or of the backend itself? An entry that is missing or old is
//! *used* (`NTF_USE`), which makes the kernel resolve it, by ARP or neighbour
//! discovery. Links and neighbours are read anew for each look, in one dump
//! each; routes are asked for one by one, and their answers kept (`ways`).

mod netlink;
mod path_mtu;
mod targets;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use futures_util::StreamExt as _;
use rtnetlink::{MulticastGroup, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage};

use self::{
    netlink::{Neighbours, Netlink},
    targets::Target,
    ways::Ways,
};
use crate::{
    config::{MacAddr, XdpMode},
    revision::{BackendId, Hop, Hops},
};

pub use self::{path_mtu::believed, targets::Targets};

/// The kernel's network configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("no netlink socket")]
    Socket(#[from] std::io::Error),
    #[error("netlink refused")]
    Request(#[from] rtnetlink::Error),
}

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub ifindex: u32,
    pub mac: MacAddr,
    /// Bytes; more than 65,535 counts as that.
    pub mtu: u16,
    /// The XDP mode that is really in use, by whomever.
    pub xdp: Option<XdpMode>,
    /// The kernel's id of the XDP program on it, whosever. Absent: there is none, or the kernel
    /// did not say.
    pub xdp_program: Option<u32>,
    /// The kernel said that there is none.
    pub bare: bool,
    /// Set up, and the other end is there.
    pub up: bool,
}

/// What the kernel knows of the ways to the backends.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    pub hops: Hops,
    /// Why a backend has no hop.
    pub problems: BTreeMap<BackendId, Problem>,
    pub links: BTreeMap<String, Link>,
    /// The balancer's own addresses.
    pub local: BTreeSet<IpAddr>,
    /// What routers said of the ways to backends, bytes: `hops` respect it.
    pub path_mtus: BTreeMap<IpAddr, u16>,
}

/// Why a backend's next hop is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("there is no interface {0}")]
    NoInterface(String),
    #[error("there is no route to it")]
    NoRoute,
    #[error("the route to it leads back to this host")]
    Local,
    #[error("the route to it leads through {0}, which is not one of node.interfaces")]
    ForeignInterface(String),
    #[error("encap l2 needs it on link, and the route to it goes through the gateway {0}")]
    NotOnLink(IpAddr),
    #[error("{address} does not answer {} yet", asking(*.address))]
    Unresolved { address: IpAddr },
    #[error("the route to it was not looked up yet")]
    NotAsked,
}

const fn asking(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ARP",
        IpAddr::V6(_) => "neighbour discovery",
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    ifindex: u32,
    /// `None`: the address itself is on that link. An IPv4 route may have an
    /// IPv6 gateway.
    gateway: Option<IpAddr>,
}

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Some neighbour's address or state.
    Neighbour,
    /// Links, addresses, rules or routes: ways may lead elsewhere.
    Routes,
}

/// Routes asked for at once on one socket.
const QUESTIONS_AT_ONCE: usize = 32;

/// The links of this network namespace, by name.
///
/// # Errors
/// When the kernel does not answer.
pub async fn links() -> Result<BTreeMap<String, Link>, NetlinkError> {
    Netlink::open()?.links().await
}

/// The interface of this network namespace that has an address.
///
/// # Errors
/// When the kernel does not answer.
pub async fn carrying(address: IpAddr) -> Result<Option<String>, NetlinkError> {
    let netlink = Netlink::open()?;
    let Some(ifindex) = netlink.interface_of(address).await? else {
        return Ok(None);
    };
    let links = netlink.links().await?;
    let mut named = links.into_iter();
    Ok(named.find(|(_, link)| link.ifindex == ifindex).map(|(name, _)| name))
}

/// Tells what may have changed.
///
/// # Errors
/// When the kernel gives no socket.
pub fn changes() -> std::io::Result<impl futures_util::Stream<Item = Change> + Unpin> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Rule,
    ];
    let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    Ok(messages.map(|(message, _)| change(&message.payload)))
}

const fn change(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Change {
    if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(_) | RouteNetlinkMessage::DelNeighbour(_)) =
        payload
    {
        Change::Neighbour
    } else {
        Change::Routes
    }
}

/// Resolves next hops, look by look.
pub struct Resolver {
    /// Open from the first look on: while descriptors have run out, links and next hops are
    /// followed all the same.
    netlink: Option<Netlink>,
    ways: Ways,
    paths: BTreeMap<IpAddr, u16>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            netlink: None,
            ways: Ways::new(),
            paths: BTreeMap::new(),
        }
    }
}

impl Resolver {
    /// The socket that is open, or one that is. Whoever took it gives it back after a look
    /// that came to its end: behind another, answers may wait that nobody reads.
    fn take_netlink(&mut self) -> Result<Netlink, NetlinkError> {
        Ok(self.netlink.take().map_or_else(Netlink::open, Ok)?)
    }

    /// The links of this network namespace, by name.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn links(&mut self) -> Result<BTreeMap<String, Link>, NetlinkError> {
        let netlink = self.take_netlink()?;
        let links = netlink.links().await?;
        self.netlink = Some(netlink);
        Ok(links)
    }

    /// Routes may lead elsewhere: they are asked for again.
    pub fn doubt(&mut self) {
        self.ways.doubt();
    }

    /// Path MTUs that hold from now on, instead of those before.
    pub fn believe(&mut self, paths: BTreeMap<IpAddr, u16>) {
        self.paths = paths;
    }

    /// Resolves the next hop of every backend, as far as is known now.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn look(&mut self, targets: &Targets, now: Instant) -> Result<Resolution, NetlinkError> {
        let netlink = self.take_netlink()?;
        let links = netlink.links().await?;
        let neighbours = netlink.neighbours().await?;
        let local = netlink.addresses().await?;
        let asked = targets.backends.iter().filter(|target| target.given.is_none());
        let due = self.ways.due(asked.map(|target| target.address), now);
        let ask = |address| {
            let netlink = &netlink;
            async move { (address, netlink.way(address).await) }
        };
        let mut answers = futures_util::stream::iter(due)
            .map(ask)
            .buffer_unordered(QUESTIONS_AT_ONCE);
        while let Some((address, answer)) = answers.next().await {
            self.ways.learn(address, answer, now);
        }
        drop(answers);
        let seen = Seen {
            links: &links,
            by_index: by_index(&links),
            neighbours: &neighbours,
            ways: &self.ways,
            paths: &self.paths,
            targets,
        };
        let (hops, problems, doubtful) = seen.hops();
        for (ifindex, address) in self.ways.use_now(doubtful, now) {
            netlink.use_neighbour(ifindex, address).await;
        }
        self.netlink = Some(netlink);
        Ok(Resolution {
            hops,
            problems,
            links,
            local,
            path_mtus: self.paths.clone(),
        })
    }
}

/// All that one look saw. Decides without asking.
struct Seen<'a> {
    links: &'a BTreeMap<String, Link>,
    by_index: BTreeMap<u32, (&'a str, &'a Link)>,
    neighbours: &'a Neighbours,
    ways: &'a Ways,
    paths: &'a BTreeMap<IpAddr, u16>,
    targets: &'a Targets,
}

fn by_index(links: &BTreeMap<String, Link>) -> BTreeMap<u32, (&str, &Link)> {
    let indexed = links.iter().map(|(name, link)| (link.ifindex, (name.as_str(), link)));
    indexed.collect()
}

impl Seen<'_> {
    /// Hops, why there are none, and neighbours that the kernel has doubts
    /// about.
    fn hops(&self) -> (Hops, BTreeMap<BackendId, Problem>, BTreeSet<(u32, IpAddr)>) {
        let (mut hops, mut problems, mut doubtful) = (Hops::new(), BTreeMap::new(), BTreeSet::new());
        for target in &self.targets.backends {
            match self.hop(target, &mut doubtful) {
                Ok(hop) => drop(hops.insert(target.id.clone(), hop)),
                Err(problem) => drop(problems.insert(target.id.clone(), problem)),
            }
        }
        (hops, problems, doubtful)
    }

    fn hop(&self, target: &Target, doubtful: &mut BTreeSet<(u32, IpAddr)>) -> Result<Hop, Problem> {
        if let Some(given) = &target.given {
            let link = self
                .links
                .get(&given.interface)
                .ok_or_else(|| Problem::NoInterface(given.interface.clone()))?;
            return Ok(self.through(target, &given.interface, link, given.mac));
        }
        let way = self.ways.of(target.address)?;
        let (name, link) = *self.by_index.get(&way.ifindex).ok_or(Problem::NoRoute)?;
        if !self.targets.interfaces.contains(name) {
            return Err(Problem::ForeignInterface(name.to_owned()));
        }
        if let Some(gateway) = way.gateway.filter(|_| target.on_link) {
            return Err(Problem::NotOnLink(gateway));
        }
        let neighbour = (way.ifindex, way.gateway.unwrap_or(target.address));
        let known = self.neighbours.get(&neighbour);
        if known.is_none_or(|known| !known.fresh) {
            doubtful.insert(neighbour);
        }
        match known.and_then(|known| known.mac) {
            Some(mac) => Ok(self.through(target, name, link, mac)),
            None => Err(Problem::Unresolved { address: neighbour.1 }),
        }
    }

    fn through(&self, target: &Target, interface: &str, link: &Link, mac: MacAddr) -> Hop {
        let learned = self.paths.get(&target.address).filter(|_| !target.on_link);
        Hop {
            mac,
            interface: interface.to_owned(),
            interface_mac: link.mac,
            ifindex: link.ifindex,
            mtu: learned.map_or(link.mtu, |learned| link.mtu.min(*learned)),
        }
    }
}

#[cfg(test)]
mod tests;
