//! ICMP echo (RFC 792, RFC 4443) from the calling thread's namespace.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::netns::Namespace;

const PATIENCE: Duration = Duration::from_secs(2);
const PAYLOAD: &[u8] = b"is anybody there?";

/// Pings an address; true when the same payload comes back. The kernel matches
/// replies to the socket and computes checksums (ping sockets, `icmp(7)`).
pub fn ping(from: &Namespace, target: IpAddr) -> Result<bool> {
    from.sysctl("ipv4/ping_group_range", "0 0")?;
    from.run(|| echo(target))?.with_context(|| format!("pinging {target}"))
}

fn echo(target: IpAddr) -> io::Result<bool> {
    let (family, protocol, request, reply) = match target {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 8, 0),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 128, 129),
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(protocol))?;
    connect(&socket, &SocketAddr::new(target, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    // Type, code, checksum (the kernel's), identifier (the kernel's), sequence.
    let request = [&[request, 0, 0, 0, 0, 0, 0, 1], PAYLOAD].concat();
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0; 256];
    match recv(&socket, &mut answer, RecvFlags::empty()) {
        Ok((received, _)) => Ok(answer[0] == reply && answer[..received].ends_with(PAYLOAD)),
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        Err(err) => Err(err.into()),
    }
}
