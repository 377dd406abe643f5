//! A packet made from a five-tuple.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{
    abi::hash_key::HashKey,
    checksum,
    hash::{FlowV4, FlowV6},
    wire::IPV4_LEN,
};

use crate::config::{Affinity, HashKind, Protocol, Vip};

/// A packet by its five-tuple; addresses and ports as people write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub source: IpAddr,
    pub source_port: u16,
    /// Of the family of `source`.
    pub destination: IpAddr,
    pub destination_port: u16,
    pub protocol: Protocol,
}

impl Probe {
    /// The shortest whole packet: a segment of a connection that is open, or an
    /// empty datagram. Without a checksum above IP, which nobody on the way
    /// verifies.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        let mut l4 = self.source_port.to_be_bytes().to_vec();
        l4.extend(self.destination_port.to_be_bytes());
        match self.protocol {
            // Sequence and acknowledgement 0, five words, ACK, a window.
            Protocol::Tcp => l4.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]),
            // Length 8, no checksum.
            Protocol::Udp => l4.extend([0, 8, 0, 0]),
        }
        let (ethertype, ip) = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ([0x08, 0x00], self.ipv4(source, destination, l4.len() as u16).to_vec())
            }
            (source, destination) => {
                let (source, destination) = (as_v6(source), as_v6(destination));
                ([0x86, 0xdd], self.ipv6(source, destination, l4.len() as u16).to_vec())
            }
        };
        let ethernet = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
        [&ethernet[..], &ethertype, &ip, &l4].concat()
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr, payload: u16) -> [u8; 20] {
        let mut header = [0; 20];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&(IPV4_LEN as u16 + payload).to_be_bytes());
        header[6] = 0x40; // do not fragment
        header[8] = 64;
        header[9] = self.protocol.number();
        header[12..16].copy_from_slice(&source.octets());
        header[16..].copy_from_slice(&destination.octets());
        let words = header
            .as_chunks::<2>()
            .0
            .iter()
            .map(|two| u32::from(u16::from_be_bytes(*two)));
        let sum = checksum::finish(words.sum());
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr, payload: u16) -> [u8; 40] {
        let mut header = [0; 40];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&payload.to_be_bytes());
        header[6] = self.protocol.number();
        header[7] = 64;
        header[8..24].copy_from_slice(&source.octets());
        header[24..].copy_from_slice(&destination.octets());
        header
    }

    /// Slot of this flow in the lookup table of the VIP's pool.
    #[must_use]
    pub fn slot(&self, vip: &Vip, key: &HashKey) -> u32 {
        let (source_port, destination_port) = (self.source_port.to_be(), self.destination_port.to_be());
        let [fast, siphash] = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let flow = FlowV4 {
                    source: u32::from_ne_bytes(source.octets()),
                    destination: u32::from_ne_bytes(destination.octets()),
                    source_port,
                    destination_port,
                    protocol: self.protocol.number(),
                };
                [
                    [flow.hash(key), flow.hash_source(key)],
                    [flow.siphash(key), flow.siphash_source(key)],
                ]
            }
            (source, destination) => {
                let flow = FlowV6 {
                    source: words(source),
                    destination: words(destination),
                    source_port,
                    destination_port,
                    protocol: self.protocol.number(),
                };
                [
                    [flow.hash(key), flow.hash_source(key)],
                    [flow.siphash(key), flow.siphash_source(key)],
                ]
            }
        };
        let [by_tuple, by_source] = match vip.hash {
            HashKind::Fast => fast,
            HashKind::Siphash => siphash,
        };
        match vip.affinity {
            Affinity::Tuple => by_tuple.slot(),
            Affinity::Source => by_source.slot(),
        }
    }
}

const fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// As a packet holds it.
fn words(address: IpAddr) -> [u32; 4] {
    bytemuck::cast(as_v6(address).octets())
}

#[cfg(test)]
mod tests;
