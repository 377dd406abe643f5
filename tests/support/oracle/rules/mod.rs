//! The rules, in their order.
//!
//! Where a packet cannot be read to its ports, it is for a VIP if its address
//! is a VIP's; where its protocol is known, that VIP must be of this protocol.
//! What is not for a VIP is passed, whatever is wrong with it; only frames
//! without a whole IP header, and of another IP version than they claim, are
//! nobody's.

mod icmp;
mod ipv4;
mod ipv6;
mod transport;

use std::net::IpAddr;

use etherparse::{EtherType, Ethernet2HeaderSlice, IpNumber, SingleVlanHeaderSlice};

use super::{
    hash::Flow,
    site::{Site, Vip},
};

/// What the rules say of a frame.
pub enum Ruling<'f> {
    Settled(&'static str),
    /// Nothing speaks against forwarding it.
    Balance(Balanced<'f>),
    /// An echo request that is answered.
    Echo(Datagram<'f>),
}

/// A packet to be forwarded, as far as that needs.
pub struct Balanced<'f> {
    pub packet: Datagram<'f>,
    pub vip: Vip,
    /// Of an ICMP error: the one it is about, as its packets come to us.
    pub flow: Flow,
    pub is_error: bool,
}

/// A packet whose IP header is whole and says what follows from it, of either
/// family.
#[derive(Clone)]
pub struct Datagram<'f> {
    /// From the IP header to the end of the frame, padding and all.
    pub bytes: &'f [u8],
    /// Bytes of the IP header.
    pub header: usize,
    /// Bytes of the IP packet.
    pub length: usize,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TOS, or traffic class.
    pub traffic_class: u8,
    to_mac: [u8; 6],
    /// TTL, or hop limit.
    hops: u8,
    protocol: IpNumber,
    has_options: bool,
}

impl<'f> Datagram<'f> {
    /// What follows the packet in the frame is padding, and nobody's business.
    fn payload(&self) -> &'f [u8] {
        &self.bytes[self.header..self.length]
    }
}

pub fn rule<'f>(site: &Site, frame: &'f [u8]) -> Ruling<'f> {
    let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else {
        return Ruling::Settled("DropRunt");
    };
    let (rest, to_mac) = (&frame[ethernet.slice().len()..], ethernet.destination());
    match ethernet.ether_type() {
        EtherType::VLAN_TAGGED_FRAME => Ruling::Settled(tagged(site, rest, to_mac)),
        other => ip(site, other, rest, to_mac),
    }
}

fn ip<'f>(site: &Site, ether_type: EtherType, packet: &'f [u8], to_mac: [u8; 6]) -> Ruling<'f> {
    let read = match ether_type {
        EtherType::IPV4 => ipv4::read(site, packet, to_mac),
        EtherType::IPV6 => ipv6::read(site, packet, to_mac),
        _ => Err("PassNotIp"),
    };
    match read {
        Err(verdict) => Ruling::Settled(verdict),
        Ok(datagram) => match datagram.protocol {
            IpNumber::TCP | IpNumber::UDP => transport::rule(site, datagram),
            IpNumber::ICMP | IpNumber::IPV6_ICMP => icmp::rule(site, datagram),
            other => panic!("protocol {} is settled by its family", other.0),
        },
    }
}

/// One 802.1Q tag: dropped if it is for a VIP, and judged like others if not.
fn tagged(site: &Site, rest: &[u8], to_mac: [u8; 6]) -> &'static str {
    let Ok(tag) = SingleVlanHeaderSlice::from_slice(rest) else {
        return "PassNotIp";
    };
    match ip(site, tag.ether_type(), &rest[tag.slice().len()..], to_mac) {
        Ruling::Balance(_) | Ruling::Echo(_) => "DropVlan",
        Ruling::Settled(verdict) => match verdict {
            "PassNotVip" | "PassNotIp" | "DropShortL3" | "DropBadVersion" => verdict,
            // Nothing is learned from tagged frames.
            "PassOuterError" => "PassNotVip",
            _ => "DropVlan",
        },
    }
}

/// For what is wrong with a packet to the address of a VIP.
fn to_address(site: &Site, destination: IpAddr, protocol: Option<IpNumber>, verdict: &'static str) -> &'static str {
    if site.has_vip_on(destination, protocol.map(|protocol| protocol.0)) {
        verdict
    } else {
        "PassNotVip"
    }
}

/// What no packet to a VIP may be, whatever is in it.
fn refused(packet: &Datagram<'_>, expires: bool) -> Option<&'static str> {
    let rules = [
        (packet.to_mac[0] & 1 == 1, "DropL2Multicast"),
        (expires && packet.hops < 2, "DropTtl"),
        (packet.source == packet.destination, "DropLand"),
        (is_martian(packet.source), "DropMartian"),
    ];
    let broken = rules.into_iter().find(|(broken, _)| *broken);
    broken.map(|(_, verdict)| verdict)
}

/// No host may send from there: RFC 1812 §5.3.7, RFC 4291 §2.5 and §2.7.
const fn is_martian(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => matches!(source.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(source) => {
            let mapped = source.to_ipv4_mapped().is_some();
            source.is_unspecified() || source.is_loopback() || source.is_multicast() || mapped
        }
    }
}
