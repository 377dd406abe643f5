//! What is really on the wire: frames of a namespace's interfaces, and how they
//! are wrapped.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with, sockopt},
};

use crate::{addresses::Family, netns::Namespace};

/// After this long without a frame there will be none.
const QUIET: Duration = Duration::from_millis(200);
/// Bytes of frames, and of what the kernel keeps with each, that are waited for
/// without a loss: some 5,000 frames.
const ROOM: usize = 8 << 20;
/// The port of generic UDP encapsulation.
const GUE: u16 = 6080;
/// IP protocols of encapsulated packets.
const IN_IP: [(u8, Family); 2] = [(4, Family::V4), (41, Family::V6)];

/// An encapsulated packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrapped {
    pub inner: Family,
    pub outer: Family,
    pub gue: bool,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.gue { "GUE" } else { "IP" };
        write!(f, "{:?} in {how} {:?}", self.inner, self.outer)
    }
}

/// Every frame that a namespace's interfaces receive or send.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
}

impl Capture {
    /// From now on.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let open = || {
            socket_with(
                AddressFamily::PACKET,
                SocketType::RAW,
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                Some(eth::ALL),
            )
        };
        let socket = namespace.run(open)?.context("opening a packet socket")?;
        sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).context("making room for frames")?;
        Ok(Self { socket })
    }

    /// The frames until now, and until it is quiet.
    fn frames(self) -> io::Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut buffer = [0; 4096];
        let quiet = Timespec::try_from(QUIET).map_err(|_| io::ErrorKind::InvalidInput)?;
        let began = Instant::now();
        while began.elapsed() < 20 * QUIET {
            if poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&quiet))? == 0 {
                break;
            }
            let (length, _) = recv(&self.socket, &mut buffer, RecvFlags::empty())?;
            frames.push(buffer[..length].to_vec());
        }
        Ok(frames)
    }

    /// How many packets of a family are wrapped in which way. Not those of the
    /// other: they may be the last of connections from before.
    pub fn wrapped(self, inner: Family) -> io::Result<BTreeMap<Wrapped, usize>> {
        let mut counts = BTreeMap::new();
        let frames = self.frames()?;
        let wrapped = frames.iter().filter_map(|frame| wrapped(frame));
        for wrapped in wrapped.filter(|wrapped| wrapped.inner == inner) {
            *counts.entry(wrapped).or_default() += 1;
        }
        Ok(counts)
    }
}

fn wrapped(frame: &[u8]) -> Option<Wrapped> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (outer, payload) = match packet.net? {
        NetSlice::Ipv4(ip) => (Family::V4, ip.payload().clone()),
        NetSlice::Ipv6(ip) => (Family::V6, ip.payload().clone()),
        NetSlice::Arp(_) => return None,
    };
    let inner = |protocol: u8| IN_IP.iter().find(|(of, _)| *of == protocol).map(|(_, inner)| *inner);
    match packet.transport {
        Some(TransportSlice::Udp(udp)) if udp.destination_port() == GUE => Some(Wrapped {
            // Variant 0: header length and flags of control, then protocol.
            inner: inner(*udp.payload().get(1)?)?,
            outer,
            gue: true,
        }),
        Some(_) => None,
        None => Some(Wrapped {
            inner: inner(payload.ip_number.0)?,
            outer,
            gue: false,
        }),
    }
}
