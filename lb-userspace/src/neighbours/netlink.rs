//! Questions to the kernel, through netlink, and what its answers mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use futures_util::{TryStreamExt as _, future};
use rtnetlink::{
    Handle, RouteMessageBuilder,
    packet_route::{
        address::AddressAttribute,
        link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp, XdpAttached},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState as State},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
    },
};

use super::{Link, NetlinkError, Problem, Way};
use crate::config::{MacAddr, XdpMode};

/// A netlink socket, for one look at a time: the kernel runs one dump a socket at a
/// time (a second one is EBUSY), and one that nobody reads to its end goes away only
/// with its socket.
pub(super) struct Netlink {
    handle: Handle,
}

/// By interface and address.
pub(super) type Neighbours = BTreeMap<(u32, IpAddr), Neighbour>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// Never all zero.
    pub mac: Option<MacAddr>,
    /// The kernel has no doubt about it now, or is asking.
    pub fresh: bool,
}

impl Netlink {
    pub fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        // Ends with the last handle.
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub async fn links(&self) -> Result<BTreeMap<String, Link>, NetlinkError> {
        let links = self.handle.link().get().execute();
        Ok(links
            .try_filter_map(|message| future::ready(Ok(link(&message))))
            .try_collect()
            .await?)
    }

    /// Of both families, in one dump.
    pub async fn neighbours(&self) -> Result<Neighbours, NetlinkError> {
        let all = self.handle.neighbours().get().execute();
        let known = all.try_filter_map(|message| future::ready(Ok(neighbour(&message))));
        Ok(known.try_collect().await?)
    }

    /// Of this host.
    pub async fn addresses(&self) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        let all = self.handle.address().get().execute();
        let messages: Vec<_> = all.try_collect().await?;
        Ok(messages.iter().filter_map(|message| own(&message.attributes)).collect())
    }

    /// Index of the interface that has an address of this host.
    pub async fn interface_of(&self, address: IpAddr) -> Result<Option<u32>, NetlinkError> {
        let all = self.handle.address().get().execute();
        let messages: Vec<_> = all.try_collect().await?;
        let mut having = messages.iter();
        let found = having.find(|message| own(&message.attributes) == Some(address));
        Ok(found.map(|message| message.header.index))
    }

    /// The interface towards `address`, and whom to ask for there.
    pub async fn way(&self, address: IpAddr) -> Result<Way, Problem> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let query = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(address, length)
            .map_err(|_| Problem::NoRoute)?
            .build();
        let answer = self.handle.route().get(query).execute().try_next().await;
        let Ok(Some(route)) = answer else {
            return Err(Problem::NoRoute);
        };
        way(&route)
    }

    /// Makes the kernel resolve an address, or look whether it still holds. A
    /// refusal shows as a hop that stays unresolved.
    pub async fn use_neighbour(&self, ifindex: u32, address: IpAddr) {
        let request = self.handle.neighbours().add(ifindex, address);
        let request = request.state(State::None).flags(NeighbourFlags::Use).replace();
        if let Err(error) = request.execute().await {
            tracing::debug!(%address, %error, "NTF_USE was refused");
        }
    }
}

/// IPv4 names the peer of a point-to-point link in ADDRESS and its own address
/// in LOCAL; IPv6 has LOCAL only there.
fn own(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let mut own = None;
    for attribute in attributes {
        if let AddressAttribute::Local(address) = attribute {
            return Some(*address);
        }
        if let AddressAttribute::Address(address) = attribute {
            own = Some(*address);
        }
    }
    own
}

fn neighbour(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::Destination(destination) = attribute {
            address = ip(destination);
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

const fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    if let NeighbourAddress::Inet(address) = address {
        Some(IpAddr::V4(*address))
    } else if let NeighbourAddress::Inet6(address) = address {
        Some(IpAddr::V6(*address))
    } else {
        None
    }
}

fn way(route: &RouteMessage) -> Result<Way, Problem> {
    let kind = route.header.kind;
    if kind == RouteType::Local || kind == RouteType::Anycast {
        return Err(Problem::Local);
    }
    if kind != RouteType::Unicast {
        return Err(Problem::NoRoute);
    }
    let mut ifindex = None;
    let mut gateway = None;
    for attribute in &route.attributes {
        if let RouteAttribute::Oif(oif) = attribute {
            ifindex = Some(*oif);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute {
            gateway = Some(IpAddr::V4(*address));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(address)) = attribute {
            gateway = Some(IpAddr::V6(*address));
        } else if let RouteAttribute::Via(RouteVia::Inet6(address)) = attribute {
            // IPv4 over an IPv6 next hop (RFC 5549).
            gateway = Some(IpAddr::V6(*address));
        }
    }
    // The kernel writes `::` where an IPv6 route has no gateway.
    let gateway = gateway.filter(|gateway| *gateway != IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let ifindex = ifindex.ok_or(Problem::NoRoute)?;
    Ok(Way { ifindex, gateway })
}

fn link(message: &LinkMessage) -> Option<(String, Link)> {
    let mut name = None;
    let mut mac = [0; 6];
    let mut mtu = 0;
    let mut xdp = None;
    let mut xdp_program = None;
    let mut bare = false;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).unwrap_or_default();
        } else if let LinkAttribute::Mtu(bytes) = attribute {
            mtu = u16::try_from(*bytes).unwrap_or(u16::MAX);
        } else if let LinkAttribute::Xdp(parts) = attribute {
            xdp = parts.iter().find_map(mode);
            xdp_program = program(parts);
            bare = parts.contains(&LinkXdp::Attached(XdpAttached::None));
        }
    }
    Some((
        name?,
        Link {
            ifindex: message.header.index,
            mac: MacAddr(mac),
            mtu,
            xdp,
            xdp_program,
            bare,
            up: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
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

/// Where there is one in the device too, the kernel names none as *the* program (`rtnl_xdp_fill`);
/// ours is never in the device.
fn program(parts: &[LinkXdp]) -> Option<u32> {
    let mut found = None;
    for part in parts {
        if let LinkXdp::ProgId(id) = part {
            return Some(*id);
        }
        if let LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) = part {
            found = Some(*id);
        }
    }
    found
}
