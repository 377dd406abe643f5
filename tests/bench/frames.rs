//! The frames that programs are measured on: what the wrapper writes anew each
//! time round.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use etherparse::{Ethernet2Header, IpNumber, PacketBuilder, PacketBuilderStep};
use lb_common::{
    abi::bench::{FIRST_PORT, SHAPE_FIXED, SHAPE_V4, SHAPE_V6, SOURCE_BITS, Setting, TEMPLATE_LEN},
    wire::GUE_PORT,
};

use crate::site::{BY_SIPHASH, BY_SOURCE, FIRST_VIP, FIRST_VIP_V6, NOBODYS, NOBODYS_V6, PORT, SOURCE_V4, SOURCE_V6};

/// Sources, of which the flow fills the low bits: the networks that are set
/// aside for benchmarks (RFC 2544: 198.18.0.0/15; RFC 5180: 2001:2::/48).
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const SOURCE_SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);
const _: () = assert!(SOURCE_BITS == 32 - 15);

/// The shortest frame on the wire, without its check sequence; also the first
/// block of a template.
const SHORTEST: usize = 64;

/// Where the generator starts; any number but 0.
const SEED: u64 = 0x0123_4567_89ab_cdef;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    V4(Transport, To),
    V6(Transport, To),
    /// TCP in IPv4, encapsulated as a balancer of ours does it.
    Encapsulated(Outer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In the middle of a connection.
    Tcp,
    /// The first of a connection.
    Syn,
    Udp,
}

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The first VIP, or any of those after it.
    Vip,
    BySource,
    BySipHash,
    /// No VIP.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    V4,
    V6,
    GueV4,
    GueV6,
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

impl To {
    const fn v4(self) -> Ipv4Addr {
        match self {
            Self::Vip => FIRST_VIP,
            Self::BySource => BY_SOURCE,
            Self::BySipHash => BY_SIPHASH,
            Self::Nobody => NOBODYS,
        }
    }

    /// The VIPs of a kind of their own are IPv4.
    const fn v6(self) -> Ipv6Addr {
        match self {
            Self::Vip | Self::BySource | Self::BySipHash => FIRST_VIP_V6,
            Self::Nobody => NOBODYS_V6,
        }
    }
}

/// The frame to start from, and the wrapper's setting for it.
pub fn made(kind: Kind, flows: Flows, destinations: u32) -> Result<(Vec<u8>, Setting)> {
    let (mut frame, shape, source, destination) = match kind {
        Kind::V4(transport, to) => (v4(transport, to.v4())?, SHAPE_V4, SOURCE.to_bits(), to.v4().to_bits()),
        Kind::V6(transport, to) => (
            v6(transport, to.v6())?,
            SHAPE_V6,
            last_word(SOURCE_SIX),
            last_word(to.v6()),
        ),
        Kind::Encapsulated(outer) => (encapsulated(outer)?, SHAPE_FIXED, 0, 0),
    };
    ensure!(frame.len() <= TEMPLATE_LEN, "{kind:?}: longer than its template");
    // Padded as Ethernet pads, to whole blocks.
    frame.resize(frame.len().next_multiple_of(SHORTEST), 0);
    let mut bytes = [0; TEMPLATE_LEN];
    bytes[..frame.len()].copy_from_slice(&frame);
    let setting = Setting {
        template: bytemuck::cast(bytes),
        frame_len: u32::try_from(frame.len())?,
        shape,
        flows: flows.number(),
        destinations,
        first_destination: destination,
        first_source: source,
        state: SEED,
        next: 0,
        reserved: 0,
        made: 0,
    };
    Ok((frame, setting))
}

const fn last_word(address: Ipv6Addr) -> u32 {
    address.to_bits() as u32
}

const fn ethernet() -> ([u8; 6], [u8; 6]) {
    ([0x02, 0, 0, 0, 0, 0xc1], [0x02, 0, 0, 0, 0, 0x01])
}

fn v4(transport: Transport, to: Ipv4Addr) -> Result<Vec<u8>> {
    let (source, destination) = ethernet();
    let builder = PacketBuilder::ethernet2(source, destination).ipv4(SOURCE.octets(), to.octets(), 57);
    with_transport(builder, transport)
}

fn v6(transport: Transport, to: Ipv6Addr) -> Result<Vec<u8>> {
    let (source, destination) = ethernet();
    let builder = PacketBuilder::ethernet2(source, destination).ipv6(SOURCE_SIX.octets(), to.octets(), 57);
    with_transport(builder, transport)
}

fn with_transport(builder: PacketBuilderStep<etherparse::IpHeaders>, transport: Transport) -> Result<Vec<u8>> {
    let from = FIRST_PORT as u16;
    let mut frame = Vec::new();
    match transport {
        Transport::Tcp => builder.tcp(from, PORT, 1, 64_240).ack(1).write(&mut frame, &[])?,
        Transport::Syn => builder.tcp(from, PORT, 1, 64_240).syn().write(&mut frame, &[])?,
        Transport::Udp => {
            builder.udp(from, PORT).write(&mut frame, &[0; 18])?;
            // Ports change from frame to frame: no checksum (RFC 768; over IPv6
            // it passes here all the same).
            let checksum = frame.len() - 18 - 2;
            frame[checksum..checksum + 2].fill(0);
        }
    }
    Ok(frame)
}

/// From the first of our sources to somebody who has an agent.
fn encapsulated(outer: Outer) -> Result<Vec<u8>> {
    let inner = v4(Transport::Tcp, FIRST_VIP)?.split_off(Ethernet2Header::LEN);
    let (source, destination) = ethernet();
    let builder = PacketBuilder::ethernet2(source, destination);
    let builder = match outer {
        Outer::V4 | Outer::GueV4 => builder.ipv4(SOURCE_V4.0.octets(), [10, 0, 0, 1], 64),
        Outer::V6 | Outer::GueV6 => builder.ipv6(
            SOURCE_V6.0.octets(),
            Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1).octets(),
            64,
        ),
    };
    let mut frame = Vec::new();
    match outer {
        Outer::V4 | Outer::V6 => builder.write(&mut frame, IpNumber::IPV4, &inner)?,
        Outer::GueV4 | Outer::GueV6 => {
            // Variant 0 without private data, then the inner protocol.
            let payload = [&[0, IpNumber::IPV4.0, 0, 0][..], &inner].concat();
            builder
                .udp(49_152, u16::from_be(GUE_PORT))
                .write(&mut frame, &payload)?;
            let checksum = frame.len() - payload.len() - 2;
            frame[checksum..checksum + 2].fill(0);
        }
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::{Flows, Kind, Outer, To, Transport, made};

    #[test]
    fn frames_fill_whole_blocks_and_stand_in_their_template() {
        let transports = [Transport::Tcp, Transport::Syn, Transport::Udp];
        let plain = transports
            .iter()
            .flat_map(|&one| [Kind::V4(one, To::Vip), Kind::V6(one, To::Nobody)]);
        let outers = [Outer::V4, Outer::V6, Outer::GueV4, Outer::GueV6];
        for kind in plain.chain(outers.map(Kind::Encapsulated)) {
            let (frame, setting) = made(kind, Flows::One, 1).expect("it fits");
            assert_eq!(frame.len() % 64, 0, "{kind:?}");
            assert_eq!(setting.frame_len as usize, frame.len(), "{kind:?}");
            let template: &[u8] = bytemuck::cast_slice(&setting.template);
            assert_eq!(&template[..frame.len()], frame, "{kind:?}");
        }
    }

    #[test]
    fn syn_is_told_from_a_segment_by_its_flags() {
        let flags = |transport| made(Kind::V4(transport, To::Vip), Flows::New, 1).expect("it fits").0[47];
        assert_eq!((flags(Transport::Syn), flags(Transport::Tcp)), (0x02, 0x10));
    }

    #[test]
    fn destinations_start_at_the_one_in_the_template() {
        let (frame, setting) = made(Kind::V6(Transport::Tcp, To::Vip), Flows::One, 1).expect("it fits");
        assert_eq!(frame[50..54], setting.first_destination.to_be_bytes());
        let (frame, setting) = made(Kind::V4(Transport::Udp, To::BySource), Flows::One, 1).expect("it fits");
        assert_eq!(frame[30..34], setting.first_destination.to_be_bytes());
    }
}
