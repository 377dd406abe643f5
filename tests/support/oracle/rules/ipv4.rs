//! The IPv4 header.

use std::net::Ipv4Addr;

use etherparse::{
    IpNumber, Ipv4HeaderSlice,
    err::ipv4::{HeaderError, HeaderSliceError},
};

use super::{Datagram, to_address};
use crate::oracle::site::Site;

const SHORTEST: usize = 20;

/// A TCP, UDP or ICMP packet in one piece, or its verdict.
pub fn read<'f>(site: &Site, packet: &'f [u8], to_mac: [u8; 6]) -> Result<Datagram<'f>, &'static str> {
    if packet.len() < SHORTEST {
        return Err("DropShortL3");
    }
    let destination = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]).into();
    let ours = |protocol, verdict| Err(to_address(site, destination, protocol, verdict));
    let header = match Ipv4HeaderSlice::from_slice(packet) {
        Ok(header) => header,
        Err(HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. })) => return Err("DropBadVersion"),
        Err(
            HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) | HeaderSliceError::Len(_),
        ) => return ours(None, "DropHeaderLength"),
    };
    let (header_bytes, length) = (header.slice().len(), usize::from(header.total_len()));
    if !(header_bytes..=packet.len()).contains(&length) {
        return ours(None, "DropTotalLength");
    }
    let fragment = header.more_fragments() || header.fragments_offset().value() != 0;
    match header.protocol() {
        protocol @ (IpNumber::TCP | IpNumber::UDP) if fragment => ours(Some(protocol), "DropFragment"),
        IpNumber::ICMP if fragment => ours(None, "DropFragment"),
        protocol @ (IpNumber::TCP | IpNumber::UDP | IpNumber::ICMP) => Ok(Datagram {
            bytes: packet,
            header: header_bytes,
            length,
            source: header.source_addr().into(),
            destination,
            traffic_class: header.dcp().value() << 2 | header.ecn().value(),
            to_mac,
            hops: header.ttl(),
            protocol,
            has_options: !header.options().is_empty(),
        }),
        _ => Err("PassNotVip"),
    }
}
