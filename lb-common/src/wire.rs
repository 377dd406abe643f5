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
/// Bytes of a GUE header without private data (draft-ietf-intarea-gue-09 §3.1).
pub const GUE_LEN: u32 = 4;
/// Bytes of an ICMP header: of the part that all messages have, and the word
/// that echo, errors and so on use each in their way.
pub const ICMP_LEN: u32 = 8;

/// UDP port of GUE (IANA: 6080), in wire order.
pub const GUE_PORT: u16 = 6080_u16.to_be();

/// EtherTypes in wire order, as loaded.
pub const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();

pub const PROTOCOL_ICMP: u8 = IpProto::Icmp as u8;
pub const PROTOCOL_IPIP: u8 = IpProto::Ipv4 as u8;
pub const PROTOCOL_TCP: u8 = IpProto::Tcp as u8;
pub const PROTOCOL_UDP: u8 = IpProto::Udp as u8;
/// IPv6 in IPv4 or in IPv6.
pub const PROTOCOL_IPV6: u8 = IpProto::Ipv6 as u8;
pub const PROTOCOL_ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
/// IPv6 extension headers that are not balanced yet (RFC 8200 §4).
pub const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
pub const ROUTING: u8 = IpProto::Ipv6Route as u8;
pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
pub const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;

/// Version 4, header of five words.
pub const VERSION_IHL: u8 = 0x45;

/// Don't fragment, in wire order (RFC 791 §3.1).
pub const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();
/// More fragments, or an offset: all but the reserved bit and DF, wire order.
pub const IS_FRAGMENT: u16 = 0x3fff_u16.to_be();
/// An offset, wire order.
pub const NOT_FIRST_FRAGMENT: u16 = 0x1fff_u16.to_be();

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

/// RFC 8200 §3. The first word holds version, traffic class and flow label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Ipv6 {
    pub version_class_label: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hop_limit: u8,
    pub source: [u32; 4],
    pub destination: [u32; 4],
}

impl Ipv6 {
    #[must_use]
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.version_class_label.to_ne_bytes()[0] >> 4
    }

    #[must_use]
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (u32::from_be(self.version_class_label) >> 20) as u8
    }
}

/// RFC 768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Udp {
    pub source: u16,
    pub destination: u16,
    pub length: u16,
    pub checksum: u16,
}

/// draft-ietf-intarea-gue-09 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Gue {
    /// Variant (2 bits), control message (1), words of private data (5).
    pub variant_length: u8,
    /// IP protocol of what follows.
    pub protocol: u8,
    pub flags: u16,
}

/// RFC 792 and RFC 4443 §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    pub checksum: u16,
    /// Unused, or of this type alone; an MTU in too-big messages.
    pub word: u32,
}

/// The same header, with both addresses in words: for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct EthernetWords {
    pub first: u32,
    pub second: u32,
    pub third: u32,
    pub ethertype: u16,
}

/// The start of a frame in the common shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct EthernetIpv4 {
    pub ethernet: EthernetWords,
    pub ip: Ipv4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct EthernetIpv6 {
    pub ethernet: EthernetWords,
    pub ip: Ipv6,
}

/// What stands between the outer IP header and the inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct UdpGue {
    pub udp: Udp,
    pub gue: Gue,
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
const _: () = assert!(size_of::<EthernetWords>() as u32 == ETHERNET_LEN);
const _: () = assert!(size_of::<EthernetIpv4>() == 34);
const _: () = assert!(size_of::<Ports>() == 4);
const _: () = assert!(size_of::<Ipv6>() as u32 == IPV6_LEN);
const _: () = assert!(size_of::<Udp>() as u32 == UDP_LEN);
const _: () = assert!(size_of::<Gue>() as u32 == GUE_LEN);
const _: () = assert!(size_of::<Icmp>() as u32 == ICMP_LEN);
