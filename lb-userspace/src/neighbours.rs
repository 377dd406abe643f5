//! Next hops: the kernel resolves them, and we ask it, through netlink.
//!
//! For each backend: which way does the route go, and what is the MAC address
//! of the gateway, or of the backend itself? An entry that is missing or old is
//! *used* (`NTF_USE`), which makes the kernel resolve it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use futures_util::{StreamExt as _, TryStreamExt as _, future};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        address::AddressAttribute,
        link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState as State},
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
};

use crate::{
    config::{Backend, Config, MacAddr, XdpMode},
    revision::{BackendId, Hop, Hops},
};

/// A netlink socket of its own for each question: the kernel runs one dump a
/// socket at a time (a second one is EBUSY), and one that nobody reads to its
/// end goes away only with its socket.
struct Netlink {
    handle: Handle,
}

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
}

/// What the kernel knows of the ways to the backends.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    pub hops: Hops,
    /// Why a backend has no hop.
    pub problems: BTreeMap<BackendId, Problem>,
    pub links: BTreeMap<String, Link>,
    /// The balancer's own addresses.
    pub local: BTreeSet<Ipv4Addr>,
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
    #[error("{0} does not answer ARP yet")]
    Unresolved(Ipv4Addr),
}

/// The links of this network namespace, by name.
///
/// # Errors
/// When the kernel does not answer.
pub async fn links() -> Result<BTreeMap<String, Link>, NetlinkError> {
    Netlink::open()?.links().await
}

/// Resolves the next hop of every backend.
///
/// # Errors
/// When the kernel does not answer.
pub async fn resolve(config: &Config) -> Result<Resolution, NetlinkError> {
    let netlink = Netlink::open()?;
    let links = netlink.links().await?;
    let neighbours = netlink.neighbours().await?;
    let local = netlink.addresses().await?;
    let mut resolution = Resolution {
        links,
        local,
        ..Resolution::default()
    };
    for pool in &config.pools {
        for backend in &pool.backends {
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            match netlink.hop(config, backend, &resolution.links, &neighbours).await {
                Ok(hop) => drop(resolution.hops.insert(id, hop)),
                Err(problem) => drop(resolution.problems.insert(id, problem)),
            }
        }
    }
    Ok(resolution)
}

/// Tells when a link, a neighbour or a route may have changed.
///
/// # Errors
/// When the kernel gives no socket.
pub fn changes() -> std::io::Result<impl futures_util::Stream<Item = ()> + Unpin> {
    let groups = [MulticastGroup::Link, MulticastGroup::Neigh, MulticastGroup::Ipv4Route];
    let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    Ok(messages.map(|_| ()))
}

impl Netlink {
    fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        // Ends with the last handle.
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    async fn links(&self) -> Result<BTreeMap<String, Link>, NetlinkError> {
        let links = self.handle.link().get().execute();
        Ok(links
            .try_filter_map(|message| future::ready(Ok(link(&message))))
            .try_collect()
            .await?)
    }

    async fn hop(
        &self,
        config: &Config,
        backend: &Backend,
        links: &BTreeMap<String, Link>,
        neighbours: &Neighbours,
    ) -> Result<Hop, Problem> {
        if let Some(given) = &backend.next_hop {
            let link = links
                .get(&given.interface)
                .ok_or_else(|| Problem::NoInterface(given.interface.clone()))?;
            return Ok(hop_through(&given.interface, link, given.mac));
        }
        let (ifindex, neighbour) = self.route(backend.address).await?;
        let Some((name, link)) = links.iter().find(|(_, link)| link.ifindex == ifindex) else {
            return Err(Problem::NoRoute);
        };
        if !config.node.interfaces.iter().any(|interface| interface.name == *name) {
            return Err(Problem::ForeignInterface(name.clone()));
        }
        let known = neighbours.get(&(ifindex, neighbour));
        if known.is_none_or(|known| !known.fresh) {
            self.use_neighbour(ifindex, neighbour).await;
        }
        match known.and_then(|known| known.mac) {
            Some(mac) => Ok(hop_through(name, link, mac)),
            None => Err(Problem::Unresolved(neighbour)),
        }
    }

    /// The interface towards `address`, and whom to ask for there.
    async fn route(&self, address: Ipv4Addr) -> Result<(u32, Ipv4Addr), Problem> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .build();
        let answer = self.handle.route().get(query).execute().try_next().await;
        let Ok(Some(route)) = answer else {
            return Err(Problem::NoRoute);
        };
        if route.header.kind == rtnetlink::packet_route::route::RouteType::Local {
            return Err(Problem::Local);
        }
        way(&route)
            .map(|(ifindex, gateway)| (ifindex, gateway.unwrap_or(address)))
            .ok_or(Problem::NoRoute)
    }

    async fn neighbours(&self) -> Result<Neighbours, NetlinkError> {
        let all = self
            .handle
            .neighbours()
            .get()
            .set_address_family(AddressFamily::Inet)
            .execute();
        let known = all.try_filter_map(|message| future::ready(Ok(neighbour(&message))));
        Ok(known.try_collect().await?)
    }

    async fn addresses(&self) -> Result<BTreeSet<Ipv4Addr>, NetlinkError> {
        let all = self.handle.address().get().execute();
        let messages: Vec<_> = all.try_collect().await?;
        let attributes = messages.into_iter().flat_map(|message| message.attributes);
        Ok(attributes
            .filter_map(|attribute| {
                if let AddressAttribute::Local(IpAddr::V4(address)) = attribute {
                    Some(address)
                } else {
                    None
                }
            })
            .collect())
    }

    /// Makes the kernel resolve an address, or look whether it still holds. A
    /// refusal shows as a hop that stays unresolved.
    async fn use_neighbour(&self, ifindex: u32, address: Ipv4Addr) {
        let request = self.handle.neighbours().add(ifindex, IpAddr::V4(address));
        let request = request.state(State::None).flags(NeighbourFlags::Use).replace();
        if let Err(error) = request.execute().await {
            tracing::debug!(%address, %error, "NTF_USE was refused");
        }
    }
}

/// By interface and address.
type Neighbours = BTreeMap<(u32, Ipv4Addr), Neighbour>;

struct Neighbour {
    /// Never all zero.
    mac: Option<MacAddr>,
    /// The kernel has no doubt about it now.
    fresh: bool,
}

fn neighbour(message: &NeighbourMessage) -> Option<((u32, Ipv4Addr), Neighbour)> {
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(destination)) = attribute {
            address = Some(*destination);
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice())
                .ok()
                .filter(|mac| *mac != [0; 6])
                .map(MacAddr);
        }
    }
    let state = message.header.state;
    let valid = matches!(
        state,
        State::Reachable | State::Stale | State::Delay | State::Probe | State::Permanent | State::Noarp
    );
    let fresh = matches!(
        state,
        State::Reachable | State::Permanent | State::Noarp | State::Delay | State::Probe | State::Incomplete
    );
    Some((
        (message.header.ifindex, address?),
        Neighbour {
            mac: mac.filter(|_| valid),
            fresh,
        },
    ))
}

fn way(route: &RouteMessage) -> Option<(u32, Option<Ipv4Addr>)> {
    let mut ifindex = None;
    let mut gateway = None;
    for attribute in &route.attributes {
        if let RouteAttribute::Oif(oif) = attribute {
            ifindex = Some(*oif);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute {
            gateway = Some(*address);
        }
    }
    Some((ifindex?, gateway))
}

fn link(message: &LinkMessage) -> Option<(String, Link)> {
    let mut name = None;
    let mut mac = [0; 6];
    let mut mtu = 0;
    let mut xdp = None;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).unwrap_or_default();
        } else if let LinkAttribute::Mtu(bytes) = attribute {
            mtu = u16::try_from(*bytes).unwrap_or(u16::MAX);
        } else if let LinkAttribute::Xdp(parts) = attribute {
            xdp = parts.iter().find_map(mode);
        }
    }
    Some((
        name?,
        Link {
            ifindex: message.header.index,
            mac: MacAddr(mac),
            mtu,
            xdp,
        },
    ))
}

fn mode(part: &LinkXdp) -> Option<XdpMode> {
    let LinkXdp::Attached(attached) = part else {
        return None;
    };
    if *attached == XdpAttached::Driver {
        Some(XdpMode::Native)
    } else if *attached == XdpAttached::SocketBuffer {
        Some(XdpMode::Generic)
    } else {
        None
    }
}

fn hop_through(interface: &str, link: &Link, mac: MacAddr) -> Hop {
    Hop {
        mac,
        interface: interface.to_owned(),
        interface_mac: link.mac,
        ifindex: link.ifindex,
        mtu: link.mtu,
    }
}
