//! Packets as clients send them, built by etherparse, and the means to break
//! them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

/// Whoever sends, unless a test says otherwise.
pub const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 40_000);
/// The same over IPv6.
pub const CLIENT6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 7), 40_000, 0, 0);

/// Where headers begin in an untagged frame without options.
pub const IP: usize = Ethernet2Header::LEN;
pub const L4: usize = IP + Ipv4Header::MIN_LEN;
pub const L4_V6: usize = IP + Ipv6Header::LEN;

/// UDP port of GUE.
pub const GUE_PORT: u16 = 6080;

/// An IP packet in its frame. Lengths and checksums are made right when it is
/// written; what is to be wrong is changed afterwards.
#[derive(Clone, Debug)]
pub struct Packet {
    pub ethernet: Ethernet2Header,
    /// 802.1Q and 802.1ad tags, outermost first: type and tag control.
    pub tags: Vec<[u16; 2]>,
    pub ip: Ip,
    /// Transport header and what follows; for IPv6, extension headers too.
    pub payload: Vec<u8>,
    /// Bytes of the frame after the packet.
    pub padding: usize,
}

#[derive(Clone, Debug)]
pub enum Ip {
    V4(Ipv4Header),
    V6(Ipv6Header),
}

impl Packet {
    /// With this transport protocol and payload.
    ///
    /// # Panics
    /// If the addresses are of two families.
    #[must_use]
    pub fn new(
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        protocol: IpNumber,
        payload: Vec<u8>,
    ) -> Self {
        const HOPS: u8 = 57;
        let (ether_type, ip) = match (source.into(), destination.into()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let ip = Ipv4Header::new(0, HOPS, protocol, source.octets(), destination.octets());
                (EtherType::IPV4, Ip::V4(ip.expect("a length of 0 fits")))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let ip = Ipv6Header {
                    next_header: protocol,
                    hop_limit: HOPS,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                (EtherType::IPV6, Ip::V6(ip))
            }
            (source, destination) => panic!("no packet from {source} to {destination}"),
        };
        Self {
            ethernet: Ethernet2Header {
                destination: [0x02, 0, 0, 0, 0, 0x01],
                source: [0x02, 0, 0, 0, 0, 0xc1],
                ether_type,
            },
            tags: Vec::new(),
            ip,
            payload,
            padding: 0,
        }
    }

    /// The first segment of a connection.
    #[must_use]
    pub fn syn(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>) -> Self {
        Self::tcp(from, to, &[], |tcp| tcp.syn = true)
    }

    /// A segment in the middle of a connection.
    #[must_use]
    pub fn segment(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>, data: &[u8]) -> Self {
        Self::tcp(from, to, data, |tcp| tcp.ack = true)
    }

    /// A segment whose header `change` has the last word on.
    ///
    /// # Panics
    /// If the data does not fit a packet.
    #[must_use]
    pub fn tcp(
        from: impl Into<SocketAddr>,
        to: impl Into<SocketAddr>,
        data: &[u8],
        change: impl FnOnce(&mut TcpHeader),
    ) -> Self {
        let (from, to) = (from.into(), to.into());
        let mut tcp = TcpHeader::new(from.port(), to.port(), 0x1234_5678, 64_240);
        change(&mut tcp);
        let mut packet = Self::new(from.ip(), to.ip(), IpNumber::TCP, Vec::new());
        let checksum = match &packet.ip {
            Ip::V4(ip) => tcp.calc_checksum_ipv4(ip, data),
            Ip::V6(ip) => tcp.calc_checksum_ipv6(ip, data),
        };
        tcp.checksum = checksum.expect("a segment fits a packet");
        packet.payload = [&tcp.to_bytes()[..], data].concat();
        packet
    }

    /// A datagram.
    ///
    /// # Panics
    /// If the data does not fit a packet.
    #[must_use]
    pub fn udp(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>, data: &[u8]) -> Self {
        let (from, to) = (from.into(), to.into());
        let mut udp = UdpHeader::without_ipv4_checksum(from.port(), to.port(), data.len()).expect("it fits a packet");
        let mut packet = Self::new(from.ip(), to.ip(), IpNumber::UDP, Vec::new());
        let checksum = match &packet.ip {
            Ip::V4(ip) => udp.calc_checksum_ipv4(ip, data),
            Ip::V6(ip) => udp.calc_checksum_ipv6(ip, data),
        };
        udp.checksum = checksum.expect("it fits a packet");
        packet.payload = [&udp.to_bytes()[..], data].concat();
        packet
    }

    /// An ICMP message of this type and code, of the family of the addresses;
    /// `rest` follows the checksum.
    #[must_use]
    pub fn icmp(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, kind: u8, code: u8, rest: &[u8]) -> Self {
        let message = [&[kind, code, 0, 0], rest].concat();
        Self::new(source, destination, IpNumber::ICMP, message).summed_icmp()
    }

    /// With the protocol number and the checksum that its ICMP message has in
    /// its family.
    fn summed_icmp(mut self) -> Self {
        let pseudo = match &mut self.ip {
            Ip::V4(_) => Vec::new(),
            Ip::V6(ip) => {
                ip.next_header = IpNumber::IPV6_ICMP;
                let length = u32::try_from(self.payload.len()).expect("a message fits a packet");
                // RFC 8200 §8.1.
                let after = [0, 0, 0, IpNumber::IPV6_ICMP.0];
                [&ip.source[..], &ip.destination, &length.to_be_bytes(), &after].concat()
            }
        };
        self.payload[2..4].fill(0);
        let sum = internet_checksum(&[pseudo, self.payload.clone()].concat());
        self.payload[2..4].copy_from_slice(&sum.to_be_bytes());
        self
    }

    /// This packet inside another one, as a balancer sends it.
    #[must_use]
    pub fn inside(&self, source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Self {
        let mut outer = Self::new(source, destination, self.version_as_protocol(), self.ip_bytes());
        outer.traffic_class(self.class());
        outer
    }

    /// This packet in GUE, with `private` data (whole words) behind its header.
    ///
    /// # Panics
    /// If the private data is longer than a header can say.
    #[must_use]
    pub fn inside_gue(&self, source: impl Into<IpAddr>, destination: impl Into<IpAddr>, private: &[u8]) -> Self {
        let words = u8::try_from(private.len() / 4).expect("few words");
        assert!(words < 32 && private.len().is_multiple_of(4), "no such private data");
        let gue = [words, self.version_as_protocol().0, 0, 0];
        let inside = [&gue[..], private, &self.ip_bytes()].concat();
        let udp = UdpHeader::without_ipv4_checksum(0xc123, GUE_PORT, inside.len()).expect("it fits a packet");
        let payload = [&udp.to_bytes()[..], &inside].concat();
        let mut outer = Self::new(source, destination, IpNumber::UDP, payload);
        outer.traffic_class(self.class());
        outer
    }

    const fn version_as_protocol(&self) -> IpNumber {
        match self.ip {
            Ip::V4(_) => IpNumber::IPV4,
            Ip::V6(_) => IpNumber::IPV6,
        }
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The IPv4 header.
    ///
    /// # Panics
    /// If this is no IPv4 packet.
    pub fn v4(&mut self) -> &mut Ipv4Header {
        match &mut self.ip {
            Ip::V4(ip) => ip,
            Ip::V6(_) => panic!("an IPv6 packet has no IPv4 header"),
        }
    }

    /// The IPv6 header.
    ///
    /// # Panics
    /// If this is no IPv6 packet.
    pub fn v6(&mut self) -> &mut Ipv6Header {
        match &mut self.ip {
            Ip::V6(ip) => ip,
            Ip::V4(_) => panic!("an IPv4 packet has no IPv6 header"),
        }
    }

    /// Source and destination.
    #[must_use]
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match &self.ip {
            Ip::V4(ip) => (ip.source.into(), ip.destination.into()),
            Ip::V6(ip) => (ip.source.into(), ip.destination.into()),
        }
    }

    /// Sets TTL or hop limit.
    pub const fn hops(&mut self, hops: u8) {
        match &mut self.ip {
            Ip::V4(ip) => ip.time_to_live = hops,
            Ip::V6(ip) => ip.hop_limit = hops,
        }
    }

    /// TOS or traffic class.
    #[must_use]
    pub const fn class(&self) -> u8 {
        match &self.ip {
            Ip::V4(ip) => ip.dscp.value() << 2 | ip.ecn.value(),
            Ip::V6(ip) => ip.traffic_class,
        }
    }

    /// Sets TOS or traffic class.
    ///
    /// # Panics
    /// Never: eight bits are six and two.
    pub fn traffic_class(&mut self, class: u8) {
        match &mut self.ip {
            Ip::V4(ip) => {
                ip.dscp = (class >> 2).try_into().expect("six bits");
                ip.ecn = (class & 3).try_into().expect("two bits");
            }
            Ip::V6(ip) => ip.traffic_class = class,
        }
    }

    /// Puts an extension header in front of what there is; its first byte
    /// becomes the next header of before.
    ///
    /// # Panics
    /// If this is no IPv6 packet, or the header is empty.
    #[must_use]
    pub fn extended(mut self, header: IpNumber, bytes: &[u8]) -> Self {
        let next = std::mem::replace(&mut self.v6().next_header, header);
        self.payload.splice(0..0, bytes.iter().copied());
        self.payload[0] = next.0;
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

    /// The frame, with its IP header changed, and summed again if it has a
    /// checksum.
    #[must_use]
    pub fn header(&self, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut frame = self.bytes();
        let ip = IP + 4 * self.tags.len();
        let end = ip + self.header_len();
        change(&mut frame[ip..end]);
        if matches!(self.ip, Ip::V4(_)) {
            frame[ip + 10..ip + 12].fill(0);
            let sum = internet_checksum(&frame[ip..end]);
            frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        }
        frame
    }

    /// Where the transport header begins in the frame, without tags.
    #[must_use]
    pub fn l4(&self) -> usize {
        IP + self.header_len()
    }

    fn header_len(&self) -> usize {
        match &self.ip {
            Ip::V4(ip) => ip.header_len(),
            Ip::V6(ip) => ip.header_len(),
        }
    }

    /// The packet without its frame.
    ///
    /// # Panics
    /// If the payload does not fit a packet.
    #[must_use]
    pub fn ip_bytes(&self) -> Vec<u8> {
        let header = match self.ip.clone() {
            Ip::V4(mut ip) => {
                ip.set_payload_len(self.payload.len()).expect("a payload fits a packet");
                ip.header_checksum = ip.calc_header_checksum();
                ip.to_bytes().to_vec()
            }
            Ip::V6(mut ip) => {
                ip.set_payload_length(self.payload.len())
                    .expect("a payload fits a packet");
                ip.to_bytes().to_vec()
            }
        };
        [&header, &self.payload[..]].concat()
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
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
