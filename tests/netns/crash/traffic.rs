//! Datagrams to every VIP that never stop, and where each of them was sent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with, sockopt};
use support::{netns::Namespace, wait};

/// Two for each family; the pools take turns.
pub const VIPS: [(&str, IpAddr, u16, &str); 4] = [
    ("web4", IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)), 443, "web"),
    ("dns4", IpAddr::V4(Ipv4Addr::new(203, 0, 113, 53)), 53, "dns"),
    ("web6", IpAddr::V6(vip6(0x10)), 443, "web"),
    ("dns6", IpAddr::V6(vip6(0x53)), 53, "dns"),
];

/// Flows to each VIP.
const FLOWS: usize = 4;

/// Between two rounds of a datagram for each VIP.
const PAUSE: Duration = Duration::from_millis(1);

/// What was sent has so long to arrive; the machine may be busy.
const ARRIVES: Duration = Duration::from_secs(5);

const ROOM: usize = 4 << 20;

const fn vip6(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xcb00, 0x7100, 0, 0, 0, host)
}

/// Where a datagram was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// Last byte of the outer destination: the backend.
    pub backend: u8,
    /// Last byte of the destination's MAC address: the next hop.
    pub hop: u8,
}

/// All datagrams by number.
#[derive(Debug, Default)]
struct Log {
    sent: usize,
    arrived: Vec<Option<Sent>>,
    /// Frames that are no datagram of ours in an outer header, or one that was
    /// there already.
    strange: Vec<String>,
}

/// A running load; it ends when dropped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Log>>,
    thread: Option<JoinHandle<Result<Result<()>>>>,
}

impl Traffic {
    pub fn start(outside: &Namespace) -> Result<Self> {
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Log::default())));
        let (told, written) = (Arc::clone(&stop), Arc::clone(&log));
        let thread = outside.spawn("traffic", move || run(&told, &written))?;
        Ok(Self {
            stop,
            log,
            thread: Some(thread),
        })
    }

    /// How many were sent until now.
    pub fn sent(&self) -> usize {
        self.log().sent
    }

    /// The last that arrived.
    pub fn last(&self) -> Option<Sent> {
        self.log().arrived.iter().rev().find_map(|sent| *sent)
    }

    /// Waits until more were sent, each VIP its share.
    pub fn go_on(&self) -> Result<()> {
        let now = self.sent();
        let enough = || (self.sent() >= now + 4 * VIPS.len()).then_some(());
        wait::until(ARRIVES, "further datagrams", enough)
    }

    /// Where those with these numbers were sent. Each must have arrived, once.
    pub fn between(&self, from: usize, until: usize) -> Result<Vec<Sent>> {
        let arrived = || {
            let log = self.log();
            log.arrived
                .get(from..until)?
                .iter()
                .copied()
                .collect::<Option<Vec<_>>>()
        };
        let arrived = wait::until(ARRIVES, "datagrams to arrive", arrived);
        let log = self.log();
        ensure!(log.strange.is_empty(), "strange frames: {:?}", log.strange);
        arrived.or_else(|_| {
            let there = log.arrived.get(from..until).unwrap_or_default();
            let lost: Vec<usize> = (from..)
                .zip(there)
                .filter(|(_, sent)| sent.is_none())
                .map(|(at, _)| at)
                .collect();
            bail!("{} of {} datagrams are lost: {lost:?}", lost.len(), until - from)
        })
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        let ended = ended.map(|ended| ended.map_err(|_| anyhow!("the traffic's thread panicked")));
        if let Some(Ok(Ok(Err(error)) | Err(error)) | Err(error)) = ended {
            eprintln!("warning: traffic: {error:#}");
        }
    }
}

fn run(stop: &AtomicBool, log: &Mutex<Log>) -> Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let wire = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL))?;
    sockopt::set_socket_recv_buffer_size_force(&wire, ROOM)?;
    let flows = (0..FLOWS).flat_map(|_| VIPS).map(|(_, address, port, _)| {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(SocketAddr::new(address, port))?;
        Ok(socket)
    });
    let flows = flows.collect::<Result<Vec<_>>>()?;
    let mut rounds = flows.chunks(VIPS.len()).cycle();
    while !stop.load(Ordering::Relaxed) {
        for flow in rounds.next().context("there are flows")? {
            let number = {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.arrived.push(None);
                log.sent += 1;
                log.sent - 1
            };
            // Where nobody serves, an answer may have said so; the next one is new.
            if let Err(error) = flow.send(&(number as u64).to_be_bytes())
                && error.kind() != std::io::ErrorKind::ConnectionRefused
            {
                return Err(error).context("sending");
            }
        }
        take(&wire, log)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn take(wire: &OwnedFd, log: &Mutex<Log>) -> Result<()> {
    let mut buffer = [0; 2048];
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let Log { arrived, strange, .. } = &mut *log;
    loop {
        let length = match recv(wire, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error).context("receiving"),
        };
        let frame = &buffer[..length];
        // What the kernel sends and asks for itself is not encapsulated.
        let protocol = match frame {
            [_, _, _, _, _, _, _, _, _, _, _, _, 8, 0, 0x45, ..] => frame[14 + 9],
            _ => continue,
        };
        let inner = match protocol {
            4 => 20,
            41 => 40,
            _ => continue,
        };
        let number = frame.get(34 + inner + 8..34 + inner + 16);
        let number = number.map(|bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")) as usize);
        let sent = Sent {
            backend: frame[14 + 19],
            hop: frame[5],
        };
        let place = number.and_then(|number| arrived.get_mut(number));
        match place {
            Some(place) if place.is_none() => *place = Some(sent),
            Some(_) | None if strange.len() < 10 => {
                strange.push(format!("{number:?} to {sent:?}: {frame:02x?}"));
            }
            Some(_) | None => {}
        }
    }
}
