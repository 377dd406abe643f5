//! ICMP echo (RFC 792) from the calling thread's namespace.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::netns::Namespace;

const PATIENCE: Duration = Duration::from_secs(2);
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const PAYLOAD: &[u8] = b"is anybody there?";

/// Pings an address; true when the same payload comes back. The kernel matches
/// replies to the socket and computes checksums (ping sockets, `icmp(7)`).
pub fn ping(from: &Namespace, target: Ipv4Addr) -> Result<bool> {
    from.sysctl("ipv4/ping_group_range", "0 0")?;
    from.run(|| echo(target))?.with_context(|| format!("pinging {target}"))
}

fn echo(target: Ipv4Addr) -> io::Result<bool> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(ipproto::ICMP),
    )?;
    connect(&socket, &SocketAddrV4::new(target, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    // Type, code, checksum (the kernel's), identifier (the kernel's), sequence.
    let request = [&[ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 1], PAYLOAD].concat();
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0; 256];
    match recv(&socket, &mut answer, RecvFlags::empty()) {
        Ok((received, _)) => Ok(answer[0] == ECHO_REPLY && answer[..received].ends_with(PAYLOAD)),
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        Err(err) => Err(err.into()),
    }
}
