//! The frames that programs are measured on: what the wrapper writes anew each
//! time round.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Result, ensure};
use lb_common::abi::bench::{SHAPE_FIXED, SHAPE_V4, SOURCE_BITS, Setting, TEMPLATE_LEN};
use support::packet::Packet;

use crate::site::{ENCAP_SOURCE, FIRST_VIP, NOBODYS, PORT};

/// Sources, of which the flow fills the low bits: the network that is set
/// aside for benchmarks (RFC 2544, RFC 6890: 198.18.0.0/15).
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const _: () = assert!(SOURCE_BITS == 32 - 15);

/// The shortest frame on the wire, without its check sequence; also the first
/// block of a template.
const SHORTEST: usize = 64;

/// Where the generator starts; any number but 0.
const SEED: u64 = 0x0123_4567_89ab_cdef;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In the middle of a connection.
    TcpV4,
    /// The first of a connection.
    SynV4,
    UdpV4,
    /// TCP, to an address that is no VIP.
    ForeignV4,
    /// TCP in IPv4 in IPv4, as a balancer of ours sends it.
    IpipV4,
}

/// Which flows frames belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    One,
    /// So many, at random.
    Random(u32),
    /// Every frame has one of its own.
    New,
}

impl Flows {
    const fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Random(flows) => flows,
            Self::New => 0,
        }
    }
}

/// The frame to start from, and the wrapper's setting for it.
pub fn made(kind: Kind, flows: Flows, destinations: u32) -> Result<(Vec<u8>, Setting)> {
    let from = SocketAddrV4::new(SOURCE, 40_000);
    let to = SocketAddrV4::new(FIRST_VIP, PORT);
    let packet = match kind {
        Kind::TcpV4 => Packet::segment(from, to, &[]),
        Kind::SynV4 => Packet::syn(from, to),
        Kind::UdpV4 => Packet::udp(from, to, &[0; 18]),
        Kind::ForeignV4 => Packet::segment(from, SocketAddrV4::new(NOBODYS, PORT), &[]),
        Kind::IpipV4 => {
            let source = Ipv4Addr::from_bits(ENCAP_SOURCE.0.to_bits() | 1);
            Packet::segment(from, to, &[]).inside(source, Ipv4Addr::new(10, 0, 0, 1))
        }
    };
    let mut frame = packet.bytes();
    if kind == Kind::UdpV4 {
        // Ports change from frame to frame: no checksum (RFC 768).
        frame[40..42].fill(0);
    }
    ensure!(frame.len() <= TEMPLATE_LEN, "{kind:?}: longer than its template");
    // Padded as Ethernet pads, to whole blocks.
    frame.resize(frame.len().next_multiple_of(SHORTEST), 0);
    let mut bytes = [0; TEMPLATE_LEN];
    bytes[..frame.len()].copy_from_slice(&frame);
    let (shape, first_destination) = match kind {
        Kind::TcpV4 | Kind::SynV4 | Kind::UdpV4 => (SHAPE_V4, FIRST_VIP),
        Kind::ForeignV4 => (SHAPE_V4, NOBODYS),
        Kind::IpipV4 => (SHAPE_FIXED, FIRST_VIP),
    };
    let setting = Setting {
        template: bytemuck::cast(bytes),
        frame_len: u32::try_from(frame.len())?,
        shape,
        flows: flows.number(),
        destinations,
        first_destination: first_destination.to_bits(),
        first_source: SOURCE.to_bits(),
        state: SEED,
        next: 0,
        reserved: 0,
        made: 0,
    };
    Ok((frame, setting))
}

#[cfg(test)]
mod tests {
    use super::{Flows, Kind, made};

    #[test]
    fn frames_fill_whole_blocks_and_stand_in_their_template() {
        for kind in [Kind::TcpV4, Kind::SynV4, Kind::UdpV4, Kind::ForeignV4, Kind::IpipV4] {
            let (frame, setting) = made(kind, Flows::One, 1).expect("it fits");
            assert_eq!(frame.len() % 64, 0, "{kind:?}");
            assert_eq!(setting.frame_len as usize, frame.len(), "{kind:?}");
            let template: &[u8] = bytemuck::cast_slice(&setting.template);
            assert_eq!(&template[..frame.len()], frame, "{kind:?}");
        }
    }

    #[test]
    fn syn_is_told_from_a_segment_by_its_flags() {
        let flags = |kind| made(kind, Flows::New, 1).expect("it fits").0[47];
        assert_eq!((flags(Kind::SynV4), flags(Kind::TcpV4)), (0x02, 0x10));
    }
}
