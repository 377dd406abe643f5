//! The frame that goes to a backend: RFC 2003, with the choices the contract
//! makes (TOS copied, id 0, DF, TTL 64).

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header};

use super::{
    FlowHash,
    rules::Balanced,
    site::{Backend, Interface, NextHop, Prefix},
};

/// Bytes of an IPv4 header without options.
pub const IPV4_BYTES: usize = Ipv4Header::MIN_LEN;

pub fn encapsulate(
    frame: &[u8],
    packet: &Balanced,
    backend: &Backend,
    hop: &NextHop,
    egress: &Interface,
    source: Prefix,
    hash: FlowHash,
) -> Vec<u8> {
    let ethernet = Ethernet2Header {
        destination: hop.mac,
        source: egress.mac,
        ether_type: EtherType::IPV4,
    };
    let host_bits = u32::from_be_bytes(hash.entropy()) & source.host_bits();
    let source = u32::from(source.network) | host_bits;
    let mut outer = Ipv4Header::new(
        packet.total_length,
        64,
        IpNumber::IPV4,
        source.to_be_bytes(),
        backend.address.octets(),
    )
    .expect("an MTU is at most 65,535");
    outer.dscp = packet.dscp;
    outer.ecn = packet.ecn;
    outer.identification = 0;
    outer.dont_fragment = true;
    outer.header_checksum = outer.calc_header_checksum();
    let after_ethernet = &frame[Ethernet2Header::LEN..];
    [&ethernet.to_bytes()[..], &outer.to_bytes(), after_ethernet].concat()
}
