//! Packets that nobody would write by hand: rows and random packets, broken
//! in random ways. The same seed gives the same packets.

use std::{
    env,
    net::{Ipv4Addr, SocketAddrV4},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    oracle::Site,
    packet::{CLIENT, IP, L4, Packet},
    sites::HOST,
};

/// Bytes of the longest frame.
const LONGEST: usize = 9100;

/// Numbers that look random (splitmix64; Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Under `bound`, which is not 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    pub const fn byte(&mut self) -> u8 {
        self.word() as u8
    }

    /// # Panics
    /// If there is nothing to choose from.
    pub fn one_of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())].clone()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

/// `HOLDFAST_SEED`, or another one each time; printed, so that a failure can be
/// repeated.
#[must_use]
pub fn seed() -> u64 {
    let given = env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |since| since.as_micros() as u64)
    });
    println!("HOLDFAST_SEED={seed}");
    seed
}

/// How many mutations a run tries: 100,000, or 1,000,000 with HOLDFAST_LONG=1.
#[must_use]
pub fn count() -> u64 {
    let long = env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1");
    if long { 1_000_000 } else { 100_000 }
}

/// Frames to start from, and the addresses that matter.
#[derive(Clone, Debug)]
pub struct Cases {
    seed: u64,
    frames: Vec<Vec<u8>>,
    /// VIPs with their protocols.
    targets: Vec<(SocketAddrV4, u8)>,
    /// Addresses that rules speak of, and their neighbours.
    sources: Vec<Ipv4Addr>,
}

impl Cases {
    #[must_use]
    pub fn new(seed: u64, site: &Site, frames: Vec<Vec<u8>>) -> Self {
        let targets = site.vips.iter();
        let targets = targets.map(|vip| (SocketAddrV4::new(vip.address, vip.port), vip.protocol));
        let first = u32::from(site.encap_source.network);
        let last = first | site.encap_source.host_bits();
        let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
        let mut sources: Vec<Ipv4Addr> = edges.map(Ipv4Addr::from).to_vec();
        sources.extend([0x7eff_ffff, 0x7f00_0001, 0xdfff_ffff, 0xe000_0001, 0x0001_0203].map(Ipv4Addr::from));
        sources.extend(site.vips.iter().take(8).map(|vip| vip.address));
        Self {
            seed,
            frames,
            targets: targets.collect(),
            sources,
        }
    }

    /// Case `nth` of this seed.
    #[must_use]
    pub fn frame(&self, nth: u64) -> Vec<u8> {
        let mut random = Random::seeded(self.seed ^ nth.wrapping_mul(0xD134_2543_DE82_EF95));
        let mut frame = if random.below(2) == 0 {
            random.one_of(&self.frames)
        } else {
            self.valid(&mut random)
        };
        for _ in 0..random.below(5) {
            self.mutate(&mut random, &mut frame);
        }
        frame.truncate(LONGEST);
        frame
    }

    /// A packet with nothing wrong in it, mostly for a VIP.
    fn valid(&self, random: &mut Random) -> Vec<u8> {
        let from = SocketAddrV4::new(Ipv4Addr::from(random.word() as u32 | 0x0100_0000), random.word() as u16);
        let to_host = random.below(16) == 0;
        let (to, protocol) = if to_host {
            (HOST, 6)
        } else {
            random.one_of(&self.targets)
        };
        let longest = random.one_of(&[0, 1, 64, 1500, 1500]);
        let length = random.below(longest + 1);
        let data = random.bytes(length);
        let mut packet = match protocol {
            6 => Packet::tcp(from, to, &data, |tcp| {
                (tcp.syn, tcp.ack) = (data.is_empty(), !data.is_empty());
            }),
            _ => Packet::udp(from, to, &data),
        };
        packet.ip.time_to_live = random.byte().max(2);
        packet.ip.identification = random.word() as u16;
        packet.padding = random.one_of(&[0, 0, 0, 1, 6, 40]);
        let tos = random.byte();
        packet.header(|ip| ip[1] = tos)
    }

    fn mutate(&self, random: &mut Random, frame: &mut Vec<u8>) {
        match random.below(12) {
            0 => {
                let at = place(random, frame);
                put(frame, at, |byte| *byte ^= 1 << random.below(8));
            }
            1 => {
                let value = random.one_of(&[0, 1, 0x7f, 0x80, 0xff]);
                let at = place(random, frame);
                put(frame, at, |byte| *byte = value);
            }
            2 => frame.truncate(random.below(frame.len() + 1)),
            3 => {
                let more = random.below(80);
                frame.extend(random.bytes(more));
            }
            4 => self.splice(random, frame),
            5 if random.below(2) == 0 => tag(random, frame),
            5 => {
                let ethertype = random.one_of(&[0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x0600, 0x05ff]);
                write(frame, 12, &u16::to_be_bytes(ethertype));
            }
            6 => {
                let source = random.one_of(&self.sources);
                write(frame, IP + 12, &source.octets());
            }
            7 => {
                let (to, protocol) = random.one_of(&self.targets);
                write(frame, IP + 16, &to.ip().octets());
                write(frame, L4 + 2, &to.port().to_be_bytes());
                if random.below(2) == 0 {
                    write(frame, IP + 9, &[protocol]);
                }
            }
            8 => {
                let port = random.one_of(&[0, 22, 53, 80, 443, 9000, CLIENT.port()]);
                write(frame, L4 + 2, &u16::to_be_bytes(port));
            }
            _ => ipv4_field(random, frame),
        }
    }

    /// The head of this frame and the tail of another, mostly at a header's
    /// edge.
    fn splice(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let other = random.one_of(&self.frames);
        let edge = random.one_of(&[IP, L4, L4 + 8, L4 + 20, random.clone().below(frame.len() + 1)]);
        let tail = random.one_of(&[IP, L4, edge]);
        frame.truncate(edge);
        frame.extend(other.get(tail..).unwrap_or_default());
    }
}

/// A field that the rules look at, with a value at the edge of a rule.
fn ipv4_field(random: &mut Random, frame: &mut [u8]) {
    let length = frame.len().saturating_sub(IP) as u16;
    match random.below(8) {
        0 => {
            let around = length.wrapping_add(random.below(9) as u16).wrapping_sub(4);
            let value = random.one_of(&[around, around, 0, 19, 20, 21, 27, 28, 39, 40, 0xffff]);
            write(frame, IP + 2, &value.to_be_bytes());
        }
        1 => write(frame, IP, &[0x40 | random.byte() & 0xf]),
        2 => write(frame, IP, &[random.byte()]),
        3 => {
            let value = random.one_of(&[0x2000, 0x4000, 0x8000, 0x0001, 0x2001, 0x1fff, 0xc000, 0]);
            write(frame, IP + 6, &u16::to_be_bytes(value));
        }
        4 => write(frame, IP + 8, &[random.below(4) as u8]),
        5 => {
            let protocol = random.one_of(&[1, 4, 6, 6, 17, 17, 41, 47, 50, 132, 0, 255]);
            write(frame, IP + 9, &[protocol]);
        }
        // The data offset of TCP, the length of UDP.
        6 => write(frame, L4 + 12, &[random.byte()]),
        _ => {
            let value = length
                .wrapping_sub(20)
                .wrapping_add(random.below(9) as u16)
                .wrapping_sub(4);
            write(frame, L4 + 4, &value.to_be_bytes());
        }
    }
}

fn tag(random: &mut Random, frame: &mut Vec<u8>) {
    if frame.len() < 12 {
        return;
    }
    let kind: u16 = random.one_of(&[0x8100, 0x8100, 0x88a8]);
    let control = random.word() as u16;
    frame.splice(12..12, [kind.to_be_bytes(), control.to_be_bytes()].concat());
}

/// A place in the headers, mostly.
fn place(random: &mut Random, frame: &[u8]) -> usize {
    let within = if random.below(4) == 0 { frame.len() } else { 64 };
    random.below(within.max(1))
}

fn put(frame: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = frame.get_mut(at) {
        change(byte);
    }
}

/// Overwrites what of these bytes the frame has.
fn write(frame: &mut [u8], at: usize, bytes: &[u8]) {
    for (nth, &value) in bytes.iter().enumerate() {
        put(frame, at + nth, |byte| *byte = value);
    }
}
