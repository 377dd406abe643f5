//! The IPv6 header, and what may follow it.

use etherparse::{IpNumber, Ipv6HeaderSlice, err::ipv6::HeaderSliceError};

use super::{Datagram, to_address};
use crate::oracle::site::Site;

/// A TCP, UDP or ICMPv6 packet without extension headers, or its verdict.
pub fn read<'f>(site: &Site, packet: &'f [u8], to_mac: [u8; 6]) -> Result<Datagram<'f>, &'static str> {
    let header = match Ipv6HeaderSlice::from_slice(packet) {
        Ok(header) => header,
        Err(HeaderSliceError::Len(_)) => return Err("DropShortL3"),
        Err(HeaderSliceError::Content(_)) => return Err("DropBadVersion"),
    };
    let destination = header.destination_addr().into();
    let ours = |verdict| Err(to_address(site, destination, None, verdict));
    let header_bytes = header.slice().len();
    let length = header_bytes + usize::from(header.payload_length());
    if length > packet.len() {
        return ours("DropTotalLength");
    }
    match header.next_header() {
        IpNumber::IPV6_FRAGMENTATION_HEADER => ours("DropFragment"),
        IpNumber::IPV6_HEADER_HOP_BY_HOP | IpNumber::IPV6_ROUTE_HEADER | IpNumber::IPV6_DESTINATION_OPTIONS => {
            ours("DropExtension")
        }
        protocol @ (IpNumber::TCP | IpNumber::UDP | IpNumber::IPV6_ICMP) => Ok(Datagram {
            bytes: packet,
            header: header_bytes,
            length,
            source: header.source_addr().into(),
            destination,
            traffic_class: header.traffic_class(),
            to_mac,
            hops: header.hop_limit(),
            protocol,
            has_options: false,
        }),
        _ => Err("PassNotVip"),
    }
}
