//! A TUN device, and sockets that send whole frames: no library in use makes
//! either without raw calls.
#![expect(
    unsafe_code,
    reason = "TUNSETIFF and sockaddr_ll are raw calls; every block says why it is sound"
)]

use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// A TUN device of this name: what is routed to it can be read, one IP packet
/// at a time. It goes with its descriptor, and its routes with it.
///
/// # Errors
/// EBUSY: somebody has one of this name. ENOENT: the host has no TUN devices.
/// EPERM: CAP_NET_ADMIN is missing.
pub fn tun(name: &str) -> io::Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: a struct of plain integers and a union of such, for which
    // all-zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero: names end with one.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and the kernel reads and writes one
    // `ifreq`, which outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(device.into())
    }
}

/// A socket that sends frames, Ethernet header first, by this interface, and
/// receives nothing.
///
/// # Errors
/// EPERM: CAP_NET_RAW is missing. ENODEV: there is no such interface.
pub fn frames_by(ifindex: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    // SAFETY: a struct of plain integers, for which all-zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_ifindex = ifindex.cast_signed();
    // SAFETY: the descriptor is open, and the kernel reads one `sockaddr_ll`,
    // whose size is given.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(socket)
    }
}
