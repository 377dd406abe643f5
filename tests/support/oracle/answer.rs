//! Frames that go back to a client.

use std::net::IpAddr;

use etherparse::{
    Ethernet2Header, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6Header,
};

use super::rules::Datagram;

/// Bytes of a packet that too-big quotes.
const fn quote(packet: &Datagram<'_>) -> usize {
    match packet.source {
        IpAddr::V4(_) => 512,
        IpAddr::V6(_) => 1024,
    }
}

/// An echo reply in place of its request: what is not said here is kept, and a
/// checksum that was wrong is wrong as before.
pub fn echo(frame: &[u8], packet: &Datagram<'_>) -> Vec<u8> {
    let mut reply = back(frame);
    let ip = Ethernet2Header::LEN;
    let message = ip + packet.header;
    match packet.source {
        IpAddr::V4(_) => {
            swap(&mut reply, ip + 12, 4);
            replace(&mut reply, ip + 8, 64, ip + 10);
            replace_type(&mut reply[message..], 0);
        }
        IpAddr::V6(_) => {
            swap(&mut reply, ip + 8, 16);
            reply[ip + 7] = 64;
            replace(&mut reply, message, 129, message + 2);
        }
    }
    reply
}

/// Packet too big, for a next hop with this MTU; `None`: it cannot be quoted.
pub fn too_big(frame: &[u8], packet: &Datagram<'_>, mtu: u16) -> Option<Vec<u8>> {
    let quoted = packet.bytes.get(..packet.length)?.get(..quote(packet))?;
    let ethernet = &back(frame)[..Ethernet2Header::LEN];
    let message = match (packet.destination, packet.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let kind =
                Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded {
                    next_hop_mtu: mtu,
                });
            let icmp = Icmpv4Header::with_checksum(kind, quoted).to_bytes();
            let length = u16::try_from(icmp.len() + quoted.len()).expect("a quote is short");
            let ip = Ipv4Header::new(length, 64, IpNumber::ICMP, from.octets(), to.octets());
            let mut ip = ip.expect("a quote is short");
            ip.dont_fragment = false;
            ip.header_checksum = ip.calc_header_checksum();
            [&ip.to_bytes()[..], &icmp].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let kind = Icmpv6Type::PacketTooBig { mtu: u32::from(mtu) };
            let icmp = Icmpv6Header::with_checksum(kind, from.octets(), to.octets(), quoted);
            let icmp = icmp.expect("a quote is short").to_bytes();
            let ip = Ipv6Header {
                payload_length: u16::try_from(icmp.len() + quoted.len()).expect("a quote is short"),
                next_header: IpNumber::IPV6_ICMP,
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            [&ip.to_bytes()[..], &icmp].concat()
        }
        (from, to) => panic!("{from} and {to} are of one packet"),
    };
    Some([ethernet, &message, quoted].concat())
}

/// The frame, to whoever sent it.
fn back(frame: &[u8]) -> Vec<u8> {
    let mut back = frame.to_vec();
    swap(&mut back, 0, 6);
    back
}

/// Exchanges two neighbouring fields of this length.
fn swap(bytes: &mut [u8], at: usize, length: usize) {
    bytes[at..at + 2 * length].rotate_left(length);
}

/// Makes the first byte of a word this one, and corrects the checksum over it:
/// RFC 1624 §3, equation 3, `HC' = ~(~HC + ~m + m')`.
fn replace(bytes: &mut [u8], at: usize, value: u8, checksum: usize) {
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (old, before) = (word(bytes, at), word(bytes, checksum));
    bytes[at] = value;
    let sum = u32::from(!before) + u32::from(!old) + u32::from(word(bytes, at));
    bytes[checksum..checksum + 2].copy_from_slice(&(!folded(sum)).to_be_bytes());
}

/// The same for the type of an ICMPv4 message, whose checksum may cover
/// nothing but zeros afterwards. Equation 3 would give 0 then, which does not
/// hold: so the difference is added to the checksum, and the complement of 0
/// comes out.
fn replace_type(message: &mut [u8], kind: u8) {
    let before = u16::from_be_bytes([message[2], message[3]]);
    let difference = u16::from_be_bytes([message[0], 0]) - u16::from_be_bytes([kind, 0]);
    message[0] = kind;
    let sum = folded(u32::from(before) + u32::from(difference));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// A sum in one's complement.
const fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
