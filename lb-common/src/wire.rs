//! Headers as they stand in a packet, read and written whole.
//!
//! Packed structs of native integers: one load each on BPF with
//! `+allows-misaligned-mem-access`, where network-types' byte arrays would
//! become a load for each byte. All multi-byte fields are in wire order.

use bytemuck::{Pod, Zeroable};
pub use network_types::{eth::EtherType, ip::IpProto};

/// Bytes of an Ethernet header without tags.
pub const ETHERNET_LEN: u32 = network_types::eth::EthHdr::LEN as u32;
/// Bytes of an 802.1Q tag.
pub const VLAN_TAG_LEN: u32 = 4;
/// Bytes of an IPv4 header without options.
pub const IPV4_LEN: u32 = network_types::ip::Ipv4Hdr::LEN as u32;
/// Bytes of an IPv6 header without extensions.
pub const IPV6_LEN: u32 = network_types::ip::Ipv6Hdr::LEN as u32;
/// Bytes of a TCP header without options.
pub const TCP_LEN: u32 = network_types::tcp::TcpHdr::LEN as u32;
/// Bytes of a UDP header.
pub const UDP_LEN: u32 = network_types::udp::UdpHdr::LEN as u32;

/// EtherTypes in wire order, as loaded.
pub const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();

pub const PROTOCOL_ICMP: u8 = IpProto::Icmp as u8;
pub const PROTOCOL_IPIP: u8 = IpProto::Ipv4 as u8;
pub const PROTOCOL_TCP: u8 = IpProto::Tcp as u8;
pub const PROTOCOL_UDP: u8 = IpProto::Udp as u8;

/// Version 4, header of five words.
pub const VERSION_IHL: u8 = 0x45;

/// Don't fragment, in wire order (RFC 791 §3.1).
pub const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();
/// More fragments, or an offset: all but the reserved bit and DF, wire order.
pub const IS_FRAGMENT: u16 = 0x3fff_u16.to_be();

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Ethernet {
    pub destination: [u8; 6],
    pub source: [u8; 6],
    pub ethertype: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Ipv4 {
    pub version_ihl: u8,
    pub tos: u8,
    pub total_length: u16,
    pub id: u16,
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

/// The start of a frame in the common shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct EthernetIpv4 {
    pub ethernet: Ethernet,
    pub ip: Ipv4,
}

/// The first four bytes of TCP and of UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

const _: () = assert!(size_of::<Ethernet>() as u32 == ETHERNET_LEN);
const _: () = assert!(size_of::<Ipv4>() as u32 == IPV4_LEN);
const _: () = assert!(size_of::<EthernetIpv4>() == 34);
const _: () = assert!(size_of::<Ports>() == 4);
