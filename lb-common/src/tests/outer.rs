//! Encapsulated packets in every mix, written without the code under test.

use core::net::IpAddr;
use std::{vec, vec::Vec};

use super::{
    checksum::rfc_1071,
    packets::{self, VIP4, VIP6},
};
use crate::abi::agent::{Peers, PrefixV4, PrefixV6};

const BALANCER4: [u8; 4] = [10, 255, 3, 4];
const BALANCER6: [u8; 16] = [0xfd, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
const BACKEND4: [u8; 4] = [10, 0, 1, 11];
const BACKEND6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];

/// What is in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    pub outer_is_v4: bool,
    /// Words of private data behind a GUE header; `None`: IP-in-IP.
    pub gue: Option<u8>,
    /// The VIP that the inner packet is for.
    pub inner: IpAddr,
}

/// All of them, GUE without private data and with the least and most of it.
pub fn mixes() -> Vec<Mix> {
    let mut mixes = Vec::new();
    for outer_is_v4 in [true, false] {
        for gue in [None, Some(0), Some(1), Some(31)] {
            for inner in [VIP4, VIP6] {
                mixes.push(Mix {
                    outer_is_v4,
                    gue,
                    inner,
                });
            }
        }
    }
    mixes
}

/// Trusts 10.255.0.0/16 and fd00:ff::/64.
pub fn peers() -> Peers {
    let mut peers = Peers {
        v4_count: 1,
        v6_count: 1,
        ..Peers::default()
    };
    peers.v4[0] = PrefixV4 {
        network: u32::from_ne_bytes([10, 255, 0, 0]),
        mask: u32::from_ne_bytes([255, 255, 0, 0]),
    };
    let mut network = BALANCER6;
    network[8..].fill(0);
    peers.v6[0] = PrefixV6 {
        network: bytemuck::cast(network),
        mask: [u32::MAX, u32::MAX, 0, 0],
    };
    peers
}

impl Mix {
    /// Bytes between Ethernet and the inner packet.
    pub fn overhead(self) -> usize {
        let ip = if self.outer_is_v4 { 20 } else { 40 };
        ip + self.gue.map_or(0, |words| 12 + usize::from(words) * 4)
    }

    /// From a balancer.
    pub fn encapsulated(self, outer_tos: u8, inner: &[u8]) -> Vec<u8> {
        let protocol = if self.inner.is_ipv4() { 4 } else { 41 };
        let mut behind = Vec::new();
        if let Some(words) = self.gue {
            let length = (inner.len() - 14 + 12 + usize::from(words) * 4) as u16;
            behind.extend([0xc1, 0x23]);
            behind.extend(6080_u16.to_be_bytes());
            behind.extend(length.to_be_bytes());
            behind.extend([0, 0, words, protocol, 0, 0]);
            behind.extend(vec![0xee; usize::from(words) * 4]);
        }
        behind.extend(&inner[14..]);
        let protocol = if self.gue.is_some() { 17 } else { protocol };
        let length = behind.len() as u16;
        let mut frame = inner[..12].to_vec();
        if self.outer_is_v4 {
            frame.extend([0x08, 0x00, 0x45, outer_tos]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(BALANCER4);
            frame.extend(BACKEND4);
            fix_checksum(&mut frame);
        } else {
            frame.extend([0x86, 0xdd, 0x60 | outer_tos >> 4, outer_tos << 4 | 0x5, 0x67, 0x89]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(BALANCER6);
            frame.extend(BACKEND6);
        }
        frame.extend(behind);
        frame
    }

    /// The packet for the VIP, as the balancer got it, with this TOS or traffic
    /// class.
    pub fn inner(self, tos: u8) -> Vec<u8> {
        let mut frame = packets::tcp(self.inner, b"hello");
        set_tos(&mut frame, tos);
        frame
    }
}

/// Of an IP packet behind Ethernet.
pub fn set_tos(frame: &mut [u8], tos: u8) {
    if frame[14] >> 4 == 4 {
        frame[15] = tos;
        fix_checksum(frame);
    } else {
        frame[14] = 0x60 | tos >> 4;
        frame[15] = tos << 4 | frame[15] & 0xf;
    }
}

/// Of the IPv4 header without options behind Ethernet.
pub fn fix_checksum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = rfc_1071(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}
