//! Packets as clients send them, built by etherparse, and the means to break
//! them.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, TcpHeader, UdpHeader};

/// Whoever sends, unless a test says otherwise.
pub const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 40_000);

/// Where headers begin in an untagged frame without options.
pub const IP: usize = Ethernet2Header::LEN;
pub const L4: usize = IP + Ipv4Header::MIN_LEN;

/// An IPv4 packet in its frame. Lengths and checksums are made right when it
/// is written; what is to be wrong is changed afterwards.
#[derive(Clone, Debug)]
pub struct Packet {
    pub ethernet: Ethernet2Header,
    /// 802.1Q and 802.1ad tags, outermost first: type and tag control.
    pub tags: Vec<[u16; 2]>,
    pub ip: Ipv4Header,
    /// Transport header and what follows.
    pub payload: Vec<u8>,
    /// Bytes of the frame after the packet.
    pub padding: usize,
}

impl Packet {
    /// With this transport protocol and payload.
    ///
    /// # Panics
    /// Never: a header of its own is short enough.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpNumber, payload: Vec<u8>) -> Self {
        let ethernet = Ethernet2Header {
            destination: [0x02, 0, 0, 0, 0, 0x01],
            source: [0x02, 0, 0, 0, 0, 0xc1],
            ether_type: EtherType::IPV4,
        };
        let ip = Ipv4Header::new(0, 57, protocol, source.octets(), destination.octets());
        Self {
            ethernet,
            tags: Vec::new(),
            ip: ip.expect("a length of 0 fits"),
            payload,
            padding: 0,
        }
    }

    /// The first segment of a connection.
    #[must_use]
    pub fn syn(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        Self::tcp(from, to, &[], |tcp| tcp.syn = true)
    }

    /// A segment in the middle of a connection.
    #[must_use]
    pub fn segment(from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Self {
        Self::tcp(from, to, data, |tcp| tcp.ack = true)
    }

    /// A segment whose header `change` has the last word on.
    ///
    /// # Panics
    /// If the data does not fit a packet.
    #[must_use]
    pub fn tcp(from: SocketAddrV4, to: SocketAddrV4, data: &[u8], change: impl FnOnce(&mut TcpHeader)) -> Self {
        let mut tcp = TcpHeader::new(from.port(), to.port(), 0x1234_5678, 64_240);
        change(&mut tcp);
        let (source, destination) = (from.ip().octets(), to.ip().octets());
        let checksum = tcp.calc_checksum_ipv4_raw(source, destination, data);
        tcp.checksum = checksum.expect("a segment fits a packet");
        let payload = [&tcp.to_bytes()[..], data].concat();
        Self::new(*from.ip(), *to.ip(), IpNumber::TCP, payload)
    }

    /// A datagram.
    ///
    /// # Panics
    /// If the data does not fit a packet.
    #[must_use]
    pub fn udp(from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Self {
        let (source, destination) = (from.ip().octets(), to.ip().octets());
        let mut udp = UdpHeader::without_ipv4_checksum(from.port(), to.port(), data.len()).expect("it fits a packet");
        let checksum = udp.calc_checksum_ipv4_raw(source, destination, data);
        udp.checksum = checksum.expect("it fits a packet");
        let payload = [&udp.to_bytes()[..], data].concat();
        Self::new(*from.ip(), *to.ip(), IpNumber::UDP, payload)
    }

    /// An ICMP message of this type and code; `rest` follows the checksum.
    #[must_use]
    pub fn icmp(source: Ipv4Addr, destination: Ipv4Addr, kind: u8, code: u8, rest: &[u8]) -> Self {
        let mut message = [&[kind, code, 0, 0], rest].concat();
        let sum = internet_checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        Self::new(source, destination, IpNumber::ICMP, message)
    }

    /// This packet inside another one, as a balancer sends it.
    #[must_use]
    pub fn inside(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        let mut outer = Self::new(source, destination, IpNumber::IPV4, self.ip_bytes());
        outer.ip.dscp = self.ip.dscp;
        outer.ip.ecn = self.ip.ecn;
        outer
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = self.ethernet.to_bytes().to_vec();
        for tag in self.tags.iter().rev() {
            let tag = tag.map(u16::to_be_bytes).concat();
            frame.splice(12..12, tag);
        }
        frame.extend(self.ip_bytes());
        frame.extend(vec![0; self.padding]);
        frame
    }

    /// The frame, with its IP header changed and summed again.
    #[must_use]
    pub fn header(&self, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut frame = self.bytes();
        let ip = IP + 4 * self.tags.len();
        let end = ip + self.ip.header_len();
        change(&mut frame[ip..end]);
        frame[ip + 10..ip + 12].fill(0);
        let sum = internet_checksum(&frame[ip..end]);
        frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    fn ip_bytes(&self) -> Vec<u8> {
        let mut ip = self.ip.clone();
        ip.set_payload_len(self.payload.len()).expect("a payload fits a packet");
        ip.header_checksum = ip.calc_header_checksum();
        [&ip.to_bytes()[..], &self.payload].concat()
    }
}

/// A frame with bytes overwritten; no sum is corrected.
#[must_use]
pub fn overwritten(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// A frame cut off after so many bytes.
///
/// # Panics
/// If it is not longer than that.
#[must_use]
pub fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    assert!(length < frame.len(), "nothing to cut off");
    frame.truncate(length);
    frame
}

/// RFC 1071 §1.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
