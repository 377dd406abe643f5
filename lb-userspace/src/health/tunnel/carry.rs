//! From a packet of a check to the frame that the packet path would make of it.

use std::net::IpAddr;

use lb_common::{
    abi::{hash_key::HashKey, member::Member},
    encap::{Inner, encapsulate},
    frame::{BufferFrame, Frame as _},
    hash::{FlowHash, FlowV4, FlowV6},
    wire::{PROTOCOL_IPIP, PROTOCOL_IPV6},
};

use super::Wayfarer;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;

/// Whose packet it is: our own kernel made it, without options, extension
/// headers or fragments.
pub fn wayfarer(packet: &[u8]) -> Option<Wayfarer> {
    let (source, protocol, payload): (IpAddr, u8, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let (header, payload) = packet.split_first_chunk::<IPV4>()?;
            let source: [u8; 4] = *header[12..].first_chunk()?;
            (source.into(), header[9], payload)
        }
        6 => {
            let (header, payload) = packet.split_first_chunk::<IPV6>()?;
            let source: [u8; 16] = *header[8..].first_chunk()?;
            (source.into(), header[6], payload)
        }
        _ => return None,
    };
    // ICMP: type, code and checksum, and then the id.
    let at = if matches!(protocol, 1 | 58) { 4 } else { 0 };
    let port = payload.get(at..)?.first_chunk::<2>()?;
    Some(Wayfarer {
        source,
        protocol,
        port: u16::from_be_bytes(*port),
    })
}

/// The packet in the member's outer headers, behind an Ethernet header. `None`
/// if it would be too long for the path, or the record is none.
pub fn frame(packet: &[u8], wayfarer: &Wayfarer, member: &Member) -> Option<Vec<u8>> {
    if packet.len() + usize::from(member.overhead) > usize::from(member.mtu) {
        return None;
    }
    let is_v4 = wayfarer.source.is_ipv4();
    let tos = if is_v4 {
        *packet.get(1)?
    } else {
        // The class lies across two bytes.
        packet.first()? << 4 | packet.get(1)? >> 4
    };
    let (protocol, ethertype) = if is_v4 {
        (PROTOCOL_IPIP, [0x08, 0x00])
    } else {
        (PROTOCOL_IPV6, [0x86, 0xdd])
    };
    let headroom = usize::from(member.overhead);
    let start = headroom + ETHERNET;
    let mut buffer = vec![0; start + packet.len()];
    buffer[start - 2..start].copy_from_slice(&ethertype);
    buffer[start..].copy_from_slice(packet);
    let length = ETHERNET + packet.len();
    let mut frame = BufferFrame::new(&mut buffer, headroom, length, member.ifindex);
    let inner = Inner {
        protocol,
        tos,
        length: packet.len() as u16,
    };
    let done = encapsulate(&mut frame, member, hash(packet, wayfarer)?, inner);
    done.then(|| {
        let length = frame.total_len() as usize;
        frame.bytes()[..length].to_vec()
    })
}

/// So that checks take, one after the other, every path that the network
/// chooses by hash. Clients' own hashes have a secret key; this needs none.
fn hash(packet: &[u8], wayfarer: &Wayfarer) -> Option<FlowHash> {
    let word = |at: usize| Some(u32::from_ne_bytes(*packet.get(at..)?.first_chunk()?));
    let key = HashKey::from_bytes(&KEY);
    Some(if wayfarer.source.is_ipv4() {
        let flow = FlowV4 {
            source: word(12)?,
            destination: word(16)?,
            source_port: wayfarer.port.to_be(),
            destination_port: 0,
            protocol: wayfarer.protocol,
        };
        flow.hash(&key)
    } else {
        let flow = FlowV6 {
            source: [word(8)?, word(12)?, word(16)?, word(20)?],
            destination: [word(24)?, word(28)?, word(32)?, word(36)?],
            source_port: wayfarer.port.to_be(),
            destination_port: 0,
            protocol: wayfarer.protocol,
        };
        flow.hash(&key)
    })
}

/// Any will do.
const KEY: [u8; 32] = *b"holdfast checks through a tunnel";
