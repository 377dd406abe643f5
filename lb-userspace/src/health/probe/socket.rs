//! Sockets of checks: to a backend's own address, or through the tunnel.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use lb_common::abi::member::{Member, NEXT_HOP_KNOWN};
use socket2::{Domain, Protocol, Socket, Type};

use super::ProbeError;
use crate::health::tunnel::{Tunnel, Wayfarer};

/// Where a check goes, and how.
pub struct Path<'t> {
    /// The address that is asked.
    pub to: IpAddr,
    pub tunnelled: Option<Tunnelled<'t>>,
}

/// What a check through the tunnel needs.
pub struct Tunnelled<'t> {
    pub tunnel: &'t Tunnel,
    /// Where the backend answers to: straight, not through the tunnel.
    pub source: IpAddr,
    pub member: Member,
}

impl<'t> Path<'t> {
    pub const fn direct(to: IpAddr) -> Self {
        Self { to, tunnelled: None }
    }

    /// To a VIP on the backend, whose record this is.
    pub fn through(tunnel: &'t Tunnel, backend: IpAddr, vip: IpAddr, member: Member) -> Result<Self, ProbeError> {
        if member.flags & NEXT_HOP_KNOWN == 0 {
            return Err(ProbeError::NoNextHop);
        }
        let source = source_towards(backend, vip)?;
        Ok(Self {
            to: vip,
            tunnelled: Some(Tunnelled { tunnel, source, member }),
        })
    }

    pub const fn domain(&self) -> Domain {
        match self.to {
            IpAddr::V4(_) => Domain::IPV4,
            IpAddr::V6(_) => Domain::IPV6,
        }
    }

    /// A socket that does not block; in the tunnel it has its port already, by
    /// which the tunnel knows for which backend its packets are.
    pub fn socket(&self, kind: Type, protocol: Protocol) -> Result<Socket, ProbeError> {
        let socket = Socket::new(self.domain(), kind.nonblocking().cloexec(), Some(protocol))?;
        if let Some(tunnelled) = &self.tunnelled {
            socket.set_mark(tunnelled.tunnel.mark())?;
            socket.bind(&SocketAddr::new(tunnelled.source, 0).into())?;
            let port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
            let protocol = if kind == Type::STREAM { TCP } else { UDP };
            tunnelled.register(protocol, port);
        }
        Ok(socket)
    }
}

/// As IP numbers them.
const TCP: u8 = 6;
const UDP: u8 = 17;

impl Tunnelled<'_> {
    /// Packets from this port, or with this id, are for the member.
    pub fn register(&self, protocol: u8, port: u16) {
        let wayfarer = Wayfarer {
            source: self.source,
            protocol,
            port,
        };
        self.tunnel.register(wayfarer, self.member);
    }
}

/// The address that this host itself would use towards a backend; of the VIP's
/// family, if the backend has an address of the other one, that of the route
/// towards the VIP. Nothing is sent.
fn source_towards(backend: IpAddr, vip: IpAddr) -> Result<IpAddr, ProbeError> {
    let towards = if backend.is_ipv4() == vip.is_ipv4() {
        backend
    } else {
        vip
    };
    let any: IpAddr = if towards.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    // Any port will do: connecting a datagram socket only asks for the route.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((towards, 9)).map_err(|_| ProbeError::NoSource)?;
    Ok(socket.local_addr()?.ip())
}
