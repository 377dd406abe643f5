//! The frame that goes to a backend: RFC 2003, RFC 2473 and RFC 4213, GUE
//! (draft-ietf-intarea-gue-09), or the packet as it is in another frame; with
//! the choices the contract makes (traffic class copied, id 0, DF, TTL 64).

use std::net::IpAddr;

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader};

use super::{
    FlowHash,
    rules::Datagram,
    site::{Encap, Interface, NextHop, Prefix},
};

/// UDP port of GUE.
const GUE_PORT: u16 = 6080;
/// Where source ports that carry entropy begin.
const FIRST_PORT: u16 = 0xc000;
/// Bytes of a GUE header without private data.
const GUE_HEADER: usize = 4;

/// Bytes in front of the inner packet.
pub const fn overhead(encap: Encap, backend: IpAddr) -> usize {
    let ip = match backend {
        IpAddr::V4(_) => Ipv4Header::MIN_LEN,
        IpAddr::V6(_) => Ipv6Header::LEN,
    };
    match encap {
        Encap::IpIp => ip,
        Encap::Gue => ip + UdpHeader::LEN + GUE_HEADER,
        Encap::L2 => 0,
    }
}

/// The same packet, to another station.
pub fn redirected(frame: &[u8], hop: &NextHop, egress: &Interface) -> Vec<u8> {
    [&hop.mac[..], &egress.mac, &frame[12..]].concat()
}

/// What is in front of a packet on its way to a backend.
pub struct Outer<'s> {
    pub encap: Encap,
    pub backend: IpAddr,
    pub source: Prefix,
    pub hop: &'s NextHop,
    pub egress: &'s Interface,
    pub hash: FlowHash,
}

impl Outer<'_> {
    pub fn around(&self, frame: &[u8], packet: &Datagram<'_>) -> Vec<u8> {
        let inner = if packet.source.is_ipv4() {
            IpNumber::IPV4
        } else {
            IpNumber::IPV6
        };
        let (protocol, between) = match self.encap {
            Encap::Gue => (IpNumber::UDP, self.gue(packet.length, inner)),
            Encap::IpIp | Encap::L2 => (inner, Vec::new()),
        };
        let ip = self.ip(packet, protocol, between.len() + packet.length);
        let ethernet = Ethernet2Header {
            destination: self.hop.mac,
            source: self.egress.mac,
            ether_type: match self.backend {
                IpAddr::V4(_) => EtherType::IPV4,
                IpAddr::V6(_) => EtherType::IPV6,
            },
        };
        let after_ethernet = &frame[Ethernet2Header::LEN..];
        [&ethernet.to_bytes()[..], &ip, &between, after_ethernet].concat()
    }

    fn ip(&self, packet: &Datagram<'_>, protocol: IpNumber, payload: usize) -> Vec<u8> {
        let payload = u16::try_from(payload).expect("an MTU is at most 65,535");
        let entropy = self.hash.entropy();
        // On the wire, its bytes are little-endian.
        let host = u128::from(entropy.swap_bytes());
        match (self.source.address(host), self.backend) {
            (IpAddr::V4(source), IpAddr::V4(backend)) => {
                let mut ip = Ipv4Header::new(payload, 64, protocol, source.octets(), backend.octets())
                    .expect("an MTU is at most 65,535");
                ip.dscp = (packet.traffic_class >> 2).try_into().expect("six bits");
                ip.ecn = (packet.traffic_class & 3).try_into().expect("two bits");
                ip.identification = 0;
                ip.dont_fragment = true;
                ip.header_checksum = ip.calc_header_checksum();
                ip.to_bytes().to_vec()
            }
            (IpAddr::V6(source), IpAddr::V6(backend)) => Ipv6Header {
                traffic_class: packet.traffic_class,
                flow_label: Ipv6FlowLabel::try_new(entropy >> 12).expect("20 bits"),
                payload_length: payload,
                next_header: protocol,
                hop_limit: 64,
                source: source.octets(),
                destination: backend.octets(),
            }
            .to_bytes()
            .to_vec(),
            (source, backend) => panic!("{source} and {backend} are of two families: the test wrote a wrong site"),
        }
    }

    fn gue(&self, inner_bytes: usize, inner: IpNumber) -> Vec<u8> {
        let port = FIRST_PORT | (self.hash.entropy() >> 18) as u16;
        let udp = UdpHeader::without_ipv4_checksum(port, GUE_PORT, GUE_HEADER + inner_bytes);
        let udp = udp.expect("an MTU is at most 65,535");
        [&udp.to_bytes()[..], &[0, inner.0, 0, 0]].concat()
    }
}
