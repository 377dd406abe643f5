//! Takes checks the way their backend's traffic goes: a question to a VIP is
//! routed into a TUN device, read, put into the outer headers that the packet
//! path would give it, and sent as a frame to the backend's next hop. The
//! answer comes straight back, as clients get it.
//!
//! ```text
//! socket, SO_MARK ── rule: fwmark ── table: default dev hf-check-… ── TUN
//!      ↑                                                              │ read
//!      │                                           encapsulate (lb-common), by
//!      └── kernel ←── balancer: not for a VIP ←── backend ←── frame ──┘ its port
//! ```
//!
//! The mark is also the number of the table. The mark does not come out of the
//! TUN device; so each socket is bound first, and its port says whose it is.

mod carry;
mod routes;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use lb_common::abi::member::Member;
use rustix::{io::Errno, net::SendFlags};
use tokio::{net::unix::pipe, task::AbortHandle};

use self::routes::Routes;
use crate::{kernel::devices, neighbours::NetlinkError};

/// Marks and tables are numbered from here: one for each daemon of a host. The
/// bits are none that kube-proxy, Cilium or Tailscale look at.
pub const FIRST_MARK: u32 = 0x4846_0000;

/// So many daemons of one host can check through tunnels.
const MARKS: u32 = 64;

/// Bytes. The least that IPv6 may have (RFC 8200 §5), so that a check fits
/// whatever is put around it, on every path to a backend that carries traffic.
const MTU: u16 = 1280;

/// There is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// ENOENT: no TUN devices here; EPERM: CAP_NET_ADMIN is missing.
    #[error("no TUN device: {0}")]
    Device(#[source] io::Error),
    /// Nobody said for which daemon.
    #[error("no tunnel is wanted here")]
    Unwanted,
    #[error("all {MARKS} names of TUN devices for checks are taken")]
    Taken,
    #[error("the TUN device was not set up")]
    Netlink(#[from] NetlinkError),
}

/// Whose packets these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wayfarer {
    pub source: IpAddr,
    /// As IP numbers it.
    pub protocol: u8,
    /// The source port; the id of an echo request.
    pub port: u16,
}

/// Open until it is dropped; [`Tunnel::close`] leaves nothing behind.
pub struct Tunnel {
    mark: u32,
    members: Arc<Members>,
    carrier: AbortHandle,
}

/// Where the packets of a wayfarer go. An entry stays until its port is used
/// again, because the last packet of a check, a reset, comes after its end: so
/// there are at most as many as ports, for each source and protocol.
type Members = Mutex<HashMap<Wayfarer, Member>>;

impl Tunnel {
    /// Makes the device, a rule and a table, of a number that follows from the
    /// daemon's pin directory, so that the next one finds what was left.
    ///
    /// # Errors
    /// When there is no tunnel to be had.
    pub async fn open(pin_dir: &Path) -> Result<Self, TunnelError> {
        let (mark, name, device) = device(pin_dir)?;
        Routes::set(mark, &name, MTU).await?;
        routes::warn_of_filters();
        // Tokio has no type for a TUN device; this one reads any descriptor, as
        // long as it does not block.
        let device = pipe::Receiver::from_owned_fd_unchecked(device).map_err(TunnelError::Device)?;
        let members = Arc::new(Members::default());
        let carrier = tokio::spawn(carry_all(device, Arc::clone(&members)));
        tracing::info!(
            device = name,
            mark = format!("{mark:#x}"),
            "checks can go through tunnels"
        );
        Ok(Self {
            mark,
            members,
            carrier: carrier.abort_handle(),
        })
    }

    /// Of the sockets whose packets go through it.
    #[must_use]
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    /// From now on packets of this wayfarer go to this member.
    pub fn register(&self, wayfarer: Wayfarer, member: Member) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(wayfarer, member);
    }

    /// Takes the rules away, too. The device and its routes go in any case.
    pub async fn close(&self) {
        self.carrier.abort();
        if let Err(error) = Routes::remove(self.mark).await {
            crate::event!(warn, TunnelProblem, %error, "rules for checks were left; the next start removes them");
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

/// The first number whose device nobody has.
fn device(pin_dir: &Path) -> Result<(u32, String, OwnedFd), TunnelError> {
    let mut hasher = DefaultHasher::new();
    pin_dir.hash(&mut hasher);
    let first = hasher.finish() as u32;
    for nth in 0..MARKS {
        let number = first.wrapping_add(nth) % MARKS;
        let name = format!("hf-check-{number}");
        match devices::tun(&name) {
            Ok(device) => return Ok((FIRST_MARK + number, name, device)),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
            Err(error) => return Err(TunnelError::Device(error)),
        }
    }
    Err(TunnelError::Taken)
}

/// Reads what is routed into the device, and sends it on.
#[expect(clippy::infinite_loop, reason = "its task is aborted with the tunnel")]
async fn carry_all(device: pipe::Receiver, members: Arc<Members>) {
    let mut carriage = Carriage::default();
    let mut packet = [0; MTU as usize];
    loop {
        // Not by `AsyncRead`: it takes a read of less than the buffer for the
        // end of what is there, as it is with a stream, and waits for more.
        let read = match device.readable().await {
            Ok(()) => device.try_read(&mut packet),
            Err(error) => Err(error),
        };
        match read {
            Ok(length) => carriage.carry(&packet[..length], &members),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // EIO: the device is down; somebody may set it up again.
            Err(error) => {
                tracing::debug!(%error, "the TUN device of checks");
                tokio::time::sleep(DOWN).await;
            }
        }
    }
}

/// Between two looks at a device that is down.
const DOWN: std::time::Duration = std::time::Duration::from_millis(100);

/// Sockets by interface, made when first needed.
#[derive(Default)]
struct Carriage {
    sockets: HashMap<u32, OwnedFd>,
}

impl Carriage {
    fn carry(&mut self, packet: &[u8], members: &Members) {
        let Some(wayfarer) = carry::wayfarer(packet) else {
            return;
        };
        let found = members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&wayfarer)
            .copied();
        // The kernel speaks on each link for itself: router solicitations.
        let Some(member) = found else {
            return;
        };
        let Some(frame) = carry::frame(packet, &wayfarer, &member) else {
            return;
        };
        if let Err(error) = self.send(member.ifindex, &frame) {
            tracing::debug!(%error, ifindex = member.ifindex, "a check was not sent");
            // The interface may be another one by now.
            self.sockets.remove(&member.ifindex);
        }
    }

    fn send(&mut self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let socket = match self.sockets.entry(ifindex) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(devices::frames_by(ifindex)?),
        };
        rustix::net::send(&*socket, frame, SendFlags::empty())?;
        Ok(())
    }
}
