//! Ways to break a frame.

use std::net::IpAddr;

use super::{Cases, Random};
use crate::packet::{CLIENT, GUE_PORT, IP, L4, L4_V6};

/// Where the fields of one family are.
struct Fields {
    is_v4: bool,
    source: usize,
    destination: usize,
    protocol: usize,
    l4: usize,
}

const V4: Fields = Fields {
    is_v4: true,
    source: IP + 12,
    destination: IP + 16,
    protocol: IP + 9,
    l4: L4,
};

const V6: Fields = Fields {
    is_v4: false,
    source: IP + 8,
    destination: IP + 24,
    protocol: IP + 6,
    l4: L4_V6,
};

/// By what the frame says it is; all others are taken for IPv4.
fn fields(frame: &[u8]) -> &'static Fields {
    if frame.get(12..14) == Some(&[0x86, 0xdd]) {
        &V6
    } else {
        &V4
    }
}

impl Cases {
    pub(super) fn damage(&self, random: &mut Random, frame: &mut Vec<u8>) {
        match random.below(13) {
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
                let ethertype = random.one_of(&[0x0800, 0x86dd, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x0600, 0x05ff]);
                write(frame, 12, &u16::to_be_bytes(ethertype));
            }
            6 => {
                let Fields { is_v4, source, .. } = *fields(frame);
                let edge = random.one_of(&self.of_family(is_v4).edges);
                write(frame, source, &octets(edge));
            }
            7 => self.redirect(random, frame),
            8 => {
                let port = random.one_of(&[0, 22, 53, 80, 443, 8000, 9000, GUE_PORT, CLIENT.port()]);
                let at = fields(frame).l4 + 2;
                write(frame, at, &u16::to_be_bytes(port));
            }
            9 => icmp_field(random, frame),
            _ if fields(frame).is_v4 => ipv4_field(random, frame),
            _ => ipv6_field(random, frame),
        }
    }

    /// To another VIP, or to one of our outer sources.
    fn redirect(&self, random: &mut Random, frame: &mut [u8]) {
        let Fields {
            is_v4,
            destination,
            protocol,
            l4,
            ..
        } = *fields(frame);
        let targets = self.of_family(is_v4);
        if random.below(8) == 0 && !targets.ours.is_empty() {
            let ours = random.one_of(&targets.ours);
            write(frame, destination, &octets(ours));
            return;
        }
        let (to, number) = random.one_of(&targets.vips);
        write(frame, destination, &octets(to.ip()));
        write(frame, l4 + 2, &to.port().to_be_bytes());
        if random.below(2) == 0 {
            write(frame, protocol, &[number]);
        }
    }

    /// The head of this frame and the tail of another, mostly at a header's
    /// edge.
    fn splice(&self, random: &mut Random, frame: &mut Vec<u8>) {
        let other = random.one_of(&self.frames);
        let l4 = fields(frame).l4;
        let edge = random.one_of(&[IP, l4, l4 + 8, l4 + 20, random.clone().below(frame.len() + 1)]);
        let tail = random.one_of(&[IP, fields(&other).l4, edge]);
        frame.truncate(edge);
        frame.extend(other.get(tail..).unwrap_or_default());
    }
}

/// A field that the rules look at, with a value at the edge of a rule.
fn ipv4_field(random: &mut Random, frame: &mut [u8]) {
    let length = frame.len().saturating_sub(IP) as u16;
    match random.below(8) {
        0 => {
            let around = near(random, length);
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
            let protocol = random.one_of(&[1, 4, 6, 6, 17, 17, 41, 47, 50, 58, 132, 0, 255]);
            write(frame, IP + 9, &[protocol]);
        }
        // The data offset of TCP, the length of UDP.
        6 => write(frame, L4 + 12, &[random.byte()]),
        _ => {
            let value = near(random, length.wrapping_sub(20));
            write(frame, L4 + 4, &value.to_be_bytes());
        }
    }
}

/// The same for IPv6.
fn ipv6_field(random: &mut Random, frame: &mut [u8]) {
    let length = frame.len().saturating_sub(L4_V6) as u16;
    match random.below(7) {
        0 => {
            let around = near(random, length);
            let value = random.one_of(&[around, around, 0, 3, 4, 7, 8, 19, 20, 0xffff]);
            write(frame, IP + 4, &value.to_be_bytes());
        }
        1 => write(frame, IP, &[0x60 | random.byte() & 0xf]),
        2 => write(frame, IP, &[random.byte()]),
        3 => write(frame, IP + 7, &[random.below(4) as u8]),
        4 => {
            let next = random.one_of(&[6, 6, 17, 17, 58, 0, 43, 44, 60, 59, 4, 41, 47, 50, 51, 1, 132, 135]);
            write(frame, IP + 6, &[next]);
        }
        5 => write(frame, L4_V6 + 12, &[random.byte()]),
        _ => {
            let value = near(random, length);
            write(frame, L4_V6 + 4, &value.to_be_bytes());
        }
    }
}

/// Type and code, and the fields of what an error quotes.
fn icmp_field(random: &mut Random, frame: &mut [u8]) {
    let Fields {
        is_v4,
        source,
        protocol,
        l4,
        ..
    } = *fields(frame);
    // Fields of a packet that begins behind the ICMP header.
    let quoted = |field: usize| field - IP + l4 + 8;
    match random.below(8) {
        0 => {
            let kind = random.one_of(&[0, 1, 2, 3, 3, 4, 5, 8, 11, 12, 13, 128, 129, 133, 135, 136, 137]);
            write(frame, l4, &[kind]);
        }
        1 => write(frame, l4 + 1, &[random.one_of(&[0, 0, 1, 4, 255])]),
        2 => write(
            frame,
            quoted(IP),
            &[random.one_of(&[0x45, 0x46, 0x4f, 0x44, 0x60, 0x6f, 0x00])],
        ),
        3 => write(frame, quoted(protocol), &[random.one_of(&[6, 17, 1, 58, 44, 0, 132])]),
        4 => put(frame, quoted(source + random.below(16)), |byte| *byte ^= 1),
        5 => put(frame, quoted(l4 + random.below(4)), |byte| *byte ^= 1),
        6 => write(
            frame,
            quoted(IP + 6),
            &[random.one_of(&[0x20, 0x40, 0x00, 0x1f]), random.one_of(&[0, 0, 1])],
        ),
        _ => write(frame, protocol, &[if is_v4 { 1 } else { 58 }]),
    }
}

/// A number close to this one.
const fn near(random: &mut Random, number: u16) -> u16 {
    number.wrapping_add(random.below(9) as u16).wrapping_sub(4)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
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
    let within = if random.below(4) == 0 { frame.len() } else { 110 };
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
