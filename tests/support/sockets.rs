//! Client sockets from a chosen source address.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketFlags, SocketType, bind, connect, socket_with,
        sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery},
    },
};

use crate::addresses::Family;

/// Starts to connect from `source` and a port the kernel chooses, in the
/// calling thread's namespace; the socket does not block.
pub fn start_connecting(source: IpAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = match source {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(err) => return Err(err.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A socket that sends datagrams from `source` to `target`, never in fragments,
/// and does not block.
pub fn datagrams(source: IpAddr, target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
    match source {
        IpAddr::V4(_) => sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?,
        IpAddr::V6(_) => sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DO)?,
    }
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The MTU of the path to a connected socket's peer, as far as its kernel knows
/// it (`IP_MTU`, `IPV6_MTU`).
pub fn path_mtu(socket: impl std::os::fd::AsFd, target: SocketAddr) -> io::Result<u32> {
    Ok(match Family::of(target.ip()) {
        Family::V4 => sockopt::ip_mtu(socket)?,
        Family::V6 => sockopt::ipv6_mtu(socket)?,
    })
}
