//! A flood of TCP, or of what only looks like it, from addresses that nobody has,
//! at a bounded rate.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use etherparse::PacketBuilder;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

use crate::netns::Namespace;

/// Where it says it comes from (RFC 5737): 192.0.2.0/24. Answers should go
/// nowhere.
pub const SOURCES: &str = "192.0.2.0/24";

/// What is sent of each flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    Syn,
    /// And a segment after it, as if the connection had come to be.
    SynAndSegment,
    /// Nothing that a host takes: fragments, headers cut off, headers that lie.
    Junk,
}

/// A running flood; stops when dropped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<io::Result<u64>>>>,
}

impl Flood {
    /// Sends so many packets a second to `target`, never twice the same flow,
    /// out of a namespace.
    pub fn start(namespace: &Namespace, target: SocketAddrV4, each: Each, per_second: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = namespace.spawn("flood", move || run(target, each, per_second, &told))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it; gives how many packets were sent.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it was stopped already")?;
        let sent = thread.join().map_err(|_| anyhow!("the flood panicked"))??;
        sent.context("sending the flood")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(target: SocketAddrV4, each: Each, per_second: u32, stop: &AtomicBool) -> io::Result<u64> {
    // With headers of our own (`IPPROTO_RAW`, raw(7)).
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(ipproto::RAW),
    )?;
    let to = SocketAddrV4::new(*target.ip(), 0);
    let started = Instant::now();
    let mut sent: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = started.elapsed().as_secs_f64() * f64::from(per_second);
        #[expect(clippy::cast_sign_loss, reason = "time does not run backwards")]
        let due = due as u64;
        while sent < due {
            let packet = match each {
                Each::Syn => packet(sent, true, target),
                Each::SynAndSegment => packet(sent / 2, sent.is_multiple_of(2), target),
                Each::Junk => junk(sent, target),
            };
            match sendto(&socket, &packet, SendFlags::empty(), &to) {
                Ok(_) => sent += 1,
                // The link is busy: no faster than it takes.
                Err(rustix::io::Errno::NOBUFS) => break,
                Err(err) => return Err(err.into()),
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(sent)
}

/// Of the nth flow: all ports of one address before the next one.
fn packet(nth: u64, syn: bool, target: SocketAddrV4) -> Vec<u8> {
    let [.., host, high, low] = nth.to_be_bytes();
    let (source, port) = (Ipv4Addr::new(192, 0, 2, host), u16::from_be_bytes([high, low]));
    let builder = PacketBuilder::ipv4(source.octets(), target.ip().octets(), 64).tcp(port, target.port(), 1, 64_240);
    let builder = if syn { builder.syn() } else { builder.ack(1) };
    let mut packet = Vec::with_capacity(builder.size(0));
    builder
        .write(&mut packet, &[])
        .expect("a Vec takes all that is written");
    packet
}

/// A SYN, spoilt. The kernel mends length and checksum of the IP header (raw(7)).
fn junk(nth: u64, target: SocketAddrV4) -> Vec<u8> {
    const IP: usize = 20;
    let mut packet = packet(nth, true, target);
    match nth % 3 {
        // More fragments follow.
        0 => packet[6] |= 0x20,
        // A TCP header of 12 bytes.
        1 => packet[IP + 12] = 0x30,
        _ => packet.truncate(IP + 6),
    }
    packet
}
