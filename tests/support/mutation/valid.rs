//! Packets with nothing wrong in them, mostly for a VIP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::IpNumber;

use super::{Cases, Random, Targets};
use crate::packet::Packet;

impl Cases {
    pub(super) fn valid(&self, random: &mut Random) -> Vec<u8> {
        let targets = self.of_family(random.below(2) == 0);
        let mut packet = match random.below(16) {
            0..=8 => datagram(targets, random),
            9 => echo(targets, random),
            10 | 11 => error(targets, random),
            12 => fragment(targets, random),
            13 => self.outer_error(random),
            _ => self.encapsulated(random),
        };
        packet.hops(random.byte().max(2));
        packet.padding = random.one_of(&[0, 0, 0, 1, 6, 40]);
        packet.traffic_class(random.byte());
        packet.bytes()
    }

    /// A packet as balancers send it to agents.
    fn encapsulated(&self, random: &mut Random) -> Packet {
        let inner = datagram(self.of_family(random.below(2) == 0), random);
        let outer = self.of_family(random.below(2) == 0);
        let to = random.one_of(&outer.backends);
        let mut packet = sent(&inner, outer, to, random);
        for _ in 0..random.one_of(&[0, 0, 0, 1, 3]) {
            packet = sent(&packet, outer, to, random);
        }
        packet
    }

    /// An error about what we sent to a backend, but none that there is: a
    /// daemon would believe it, and other packets have another fate.
    fn outer_error(&self, random: &mut Random) -> Packet {
        let is_v4 = random.below(2) == 0;
        let outer = self.of_family(is_v4);
        let inner = datagram(self.of_family(random.below(2) == 0), random);
        let sent = sent(&inner, outer, stranger(is_v4), random);
        let ours = sent.addresses().0;
        let (kind, code) = error_kind(is_v4, random);
        let rest = quote(&sent, random);
        Packet::icmp(client(is_v4, random).ip(), ours, kind, code, &rest)
    }
}

fn client(is_v4: bool, random: &mut Random) -> SocketAddr {
    let address = if is_v4 {
        IpAddr::V4((random.word() as u32 | 0x0100_0000).into())
    } else {
        let low = u128::from(random.word());
        IpAddr::V6((0x2001_0db8 << 96 | low).into())
    };
    SocketAddr::new(address, random.word() as u16)
}

/// To a VIP, and now and then to the host.
fn destination(targets: &Targets, random: &mut Random) -> (SocketAddr, u8) {
    if random.below(16) == 0 {
        (targets.host, IpNumber::TCP.0)
    } else {
        random.one_of(&targets.vips)
    }
}

fn data(random: &mut Random) -> Vec<u8> {
    let longest = random.one_of(&[0, 1, 64, 64, 1500, 1500, 1500, 8950]);
    let length = random.below(longest + 1);
    // The longest are dear to make, and no rule looks at them.
    let mut data = random.bytes(length.min(64));
    data.resize(length, 0x42);
    data
}

fn datagram(targets: &Targets, random: &mut Random) -> Packet {
    let (to, protocol) = destination(targets, random);
    let from = client(to.is_ipv4(), random);
    let data = data(random);
    let mut packet = if protocol == IpNumber::TCP.0 {
        Packet::tcp(from, to, &data, |tcp| {
            (tcp.syn, tcp.ack) = (data.is_empty(), !data.is_empty());
        })
    } else {
        Packet::udp(from, to, &data)
    };
    if to.is_ipv4() {
        packet.v4().identification = random.word() as u16;
    } else {
        packet.v6().flow_label = (random.word() as u32 >> 12).try_into().expect("20 bits");
    }
    packet
}

fn echo(targets: &Targets, random: &mut Random) -> Packet {
    let (to, _) = destination(targets, random);
    let from = client(to.is_ipv4(), random);
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let length = 4 + random.below(1000);
    let rest = random.bytes(length.min(64));
    Packet::icmp(
        from.ip(),
        to.ip(),
        kind,
        0,
        &[rest, vec![0; length.saturating_sub(64)]].concat(),
    )
}

fn error_kind(is_v4: bool, random: &mut Random) -> (u8, u8) {
    if is_v4 {
        random.one_of(&[(3, 4), (3, 4), (3, 1), (11, 0), (12, 0), (5, 0), (4, 0)])
    } else {
        random.one_of(&[(2, 0), (2, 0), (1, 3), (3, 0), (4, 1), (137, 0), (135, 0)])
    }
}

/// As much of a packet as a router quotes, behind four bytes of its own.
fn quote(packet: &Packet, random: &mut Random) -> Vec<u8> {
    let mut quoted = packet.ip_bytes();
    let least = packet.l4() - 14 + 8;
    let length = random.one_of(&[least, least, least + random.clone().below(1500), 1232]);
    quoted.truncate(length);
    let mtu = random.one_of(&[0_u16, 67, 68, 551, 552, 1279, 1280, 1400, 0xffff]);
    [&[0, 0], &mtu.to_be_bytes()[..], &quoted].concat()
}

/// An error about a packet from a VIP to a client.
fn error(targets: &Targets, random: &mut Random) -> Packet {
    let (vip, protocol) = destination(targets, random);
    let client_at = client(vip.is_ipv4(), random);
    let data = data(random);
    let answer = if protocol == IpNumber::TCP.0 {
        Packet::segment(vip, client_at, &data)
    } else {
        Packet::udp(vip, client_at, &data)
    };
    let (kind, code) = error_kind(vip.is_ipv4(), random);
    let rest = quote(&answer, random);
    Packet::icmp(client(vip.is_ipv4(), random).ip(), vip.ip(), kind, code, &rest)
}

/// A piece of a datagram, or one with extension headers.
fn fragment(targets: &Targets, random: &mut Random) -> Packet {
    let mut packet = datagram(targets, random);
    packet.payload.truncate(1400);
    let [high, low] = (random.word() as u16 & 0xfff9).to_be_bytes();
    if packet.addresses().0.is_ipv4() {
        let ip = packet.v4();
        ip.more_fragments = random.below(2) == 0;
        ip.fragment_offset = (random.word() as u16 >> 3).try_into().expect("13 bits");
        return packet;
    }
    match random.below(4) {
        0 => packet.extended(IpNumber::IPV6_HEADER_HOP_BY_HOP, &[0, 0, 1, 4, 0, 0, 0, 0]),
        1 => packet.extended(IpNumber::IPV6_DESTINATION_OPTIONS, &[0, 0, 1, 4, 0, 0, 0, 0]),
        _ => packet.extended(IpNumber::IPV6_FRAGMENTATION_HEADER, &[0, 0, high, low, 0, 0, 0, 1]),
    }
}

/// No site's backend.
const fn stranger(is_v4: bool) -> IpAddr {
    if is_v4 {
        IpAddr::V4(Ipv4Addr::new(10, 0, 9, 99))
    } else {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0x99))
    }
}

/// From one of ours to a backend.
fn sent(inner: &Packet, outer: &Targets, to: IpAddr, random: &mut Random) -> Packet {
    let from = random.one_of(&outer.ours);
    if random.below(2) == 0 {
        inner.inside(from, to)
    } else {
        let words = random.one_of(&[0, 0, 0, 1, 31]);
        let private = random.bytes(words * 4);
        inner.inside_gue(from, to, &private)
    }
}
