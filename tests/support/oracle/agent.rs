//! The agent: what it takes from balancers, and takes out of its outer header.
//!
//! In the order in which a reader would ask: is this encapsulated at all; do
//! we take it from there; is it whole; may it go on.

use etherparse::{
    EtherType, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, UdpHeader, UdpHeaderSlice,
};

use super::{Action, Fate, Prefix};

/// UDP port of GUE (draft-ietf-intarea-gue-09).
const GUE_PORT: u16 = 6080;

/// ECN, RFC 3168 §5.
const NOT_ECT: u8 = 0b00;
const ECT1: u8 = 0b01;
const ECT0: u8 = 0b10;
const CE: u8 = 0b11;

/// Knows an agent from outside: from whom it takes packets.
#[derive(Clone, Debug)]
pub struct AgentOracle {
    pub peers: Vec<Prefix>,
}

/// An outer packet, of either family, that says it holds another.
struct Outer<'f> {
    trusted: bool,
    /// The packet inside with what follows it in the frame, and how much of
    /// that is the outer packet's; `None`: it is not whole.
    inner: Option<Inner<'f>>,
    ecn: u8,
}

struct Inner<'f> {
    protocol: IpNumber,
    bytes: &'f [u8],
    length: usize,
}

impl AgentOracle {
    /// What has to become of `frame`.
    #[must_use]
    pub fn judge(&self, frame: &[u8]) -> Fate {
        let unchanged = |verdict| Fate::unchanged(verdict, frame);
        let Ok(ethernet) = Ethernet2HeaderSlice::from_slice(frame) else {
            return unchanged("PassNotEncapsulated");
        };
        let packet = &frame[ethernet.slice().len()..];
        let outer = match ethernet.ether_type() {
            EtherType::IPV4 => self.ipv4(packet),
            EtherType::IPV6 => self.ipv6(packet),
            _ => None,
        };
        let Some(outer) = outer else {
            return unchanged("PassNotEncapsulated");
        };
        if !outer.trusted {
            return unchanged("PassUntrusted");
        }
        let Some(inner) = outer.inner.filter(Inner::is_whole) else {
            return unchanged("PassMalformed");
        };
        let Some(inner_packet) = inner.marked(outer.ecn) else {
            return unchanged("DropCongestion");
        };
        let ether_type = match inner.protocol {
            IpNumber::IPV4 => EtherType::IPV4,
            _ => EtherType::IPV6,
        };
        Fate {
            verdict: "AcceptDecapsulated".to_owned(),
            action: Action::Pass,
            bytes: [&frame[..12], &ether_type.0.to_be_bytes(), &inner_packet].concat(),
        }
    }

    fn trusts(&self, source: impl Into<std::net::IpAddr> + Copy) -> bool {
        self.peers.iter().any(|peer| peer.contains(source.into()))
    }

    /// `None`: this is not encapsulated.
    fn ipv4<'f>(&self, packet: &'f [u8]) -> Option<Outer<'f>> {
        const HEADER: usize = 20;
        let fixed: &[u8; HEADER] = packet.first_chunk()?;
        // Read where it is in every header, also a bad one.
        let protocol = IpNumber(fixed[9]);
        let source = [fixed[12], fixed[13], fixed[14], fixed[15]];
        encapsulates(protocol, packet, HEADER)?;
        let inner = || {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            // Balancers set no other flag than DF.
            let whole = fixed[6] & !0x40 == 0 && fixed[7] == 0;
            let plain = header.options().is_empty() && whole;
            let right = header.header_checksum() == header.to_header().calc_header_checksum();
            let payload = usize::from(header.total_len()).checked_sub(HEADER)?;
            (plain && right)
                .then(|| inner(protocol, &packet[HEADER..], payload))
                .flatten()
        };
        Some(Outer {
            trusted: self.trusts(source),
            inner: inner(),
            ecn: fixed[1] & 3,
        })
    }

    /// `None`: this is not encapsulated.
    fn ipv6<'f>(&self, packet: &'f [u8]) -> Option<Outer<'f>> {
        const HEADER: usize = 40;
        let fixed: &[u8; HEADER] = packet.first_chunk()?;
        let protocol = IpNumber(fixed[6]);
        let source: [u8; 16] = fixed[8..24].try_into().expect("16 bytes");
        encapsulates(protocol, packet, HEADER)?;
        let header = Ipv6HeaderSlice::from_slice(packet).ok();
        let whole = header.and_then(|header| {
            let payload = usize::from(header.payload_length());
            inner(protocol, &packet[HEADER..], payload)
        });
        Some(Outer {
            trusted: self.trusts(source),
            inner: whole,
            ecn: fixed[1] >> 4 & 3,
        })
    }
}

/// Whether this protocol, or the port behind a header of this length, is one
/// of ours.
fn encapsulates(protocol: IpNumber, packet: &[u8], header: usize) -> Option<()> {
    match protocol {
        IpNumber::IPV4 | IpNumber::IPV6 => Some(()),
        IpNumber::UDP => {
            let port = packet.get(header + 2..header + 4)?;
            (port == GUE_PORT.to_be_bytes()).then_some(())
        }
        _ => None,
    }
}

/// What is behind an outer IP header: `payload` bytes of `rest`.
fn inner(protocol: IpNumber, rest: &[u8], payload: usize) -> Option<Inner<'_>> {
    if payload > rest.len() {
        return None;
    }
    match protocol {
        IpNumber::UDP => gue(rest, payload),
        protocol => Some(Inner {
            protocol,
            bytes: rest,
            length: payload,
        }),
    }
}

/// Variant 0, data and not control, optional fields and private data skipped.
fn gue(rest: &[u8], payload: usize) -> Option<Inner<'_>> {
    const GUE: usize = 4;
    let udp = UdpHeaderSlice::from_slice(&rest[..payload]).ok()?;
    let [first, protocol, ..] = *rest.get(UdpHeader::LEN..payload)? else {
        return None;
    };
    let (variant, control, words) = (first >> 6, first >> 5 & 1, first & 0x1f);
    let before = UdpHeader::LEN + GUE + 4 * usize::from(words);
    let protocol = IpNumber(protocol);
    let known = matches!(protocol, IpNumber::IPV4 | IpNumber::IPV6);
    let length = payload.checked_sub(before)?;
    let right = usize::from(udp.length()) == payload;
    (variant == 0 && control == 0 && known && right).then(|| Inner {
        protocol,
        bytes: &rest[before..],
        length,
    })
}

impl Inner<'_> {
    /// An IP packet of the version that was announced, none of it missing.
    fn is_whole(&self) -> bool {
        let available = &self.bytes[..self.length];
        if self.protocol == IpNumber::IPV4 {
            Ipv4HeaderSlice::from_slice(available).is_ok_and(|header| {
                let total = usize::from(header.total_len());
                (header.slice().len()..=available.len()).contains(&total)
            })
        } else {
            Ipv6HeaderSlice::from_slice(available).is_ok_and(|header| {
                let total = header.slice().len() + usize::from(header.payload_length());
                total <= available.len()
            })
        }
    }

    /// RFC 6040 §4.2, figure 4; `None`: the packet cannot carry the mark, and
    /// is dropped instead.
    fn marked(&self, outer: u8) -> Option<Vec<u8>> {
        let mut packet = self.bytes.to_vec();
        let is_v4 = self.protocol == IpNumber::IPV4;
        let own = if is_v4 { packet[1] & 3 } else { packet[1] >> 4 & 3 };
        let becomes = match (own, outer) {
            (NOT_ECT, CE) => return None,
            (ECT0 | ECT1, CE) => CE,
            (ECT0, ECT1) => ECT1,
            (own, _) => own,
        };
        if is_v4 {
            let word = |packet: &[u8], at: usize| u32::from(packet[at]) << 8 | u32::from(packet[at + 1]);
            let (old, before) = (word(&packet, 0), word(&packet, 10));
            packet[1] = packet[1] & !3 | becomes;
            if becomes != own {
                // RFC 1624 §3, equation 3.
                let mut sum = (!before & 0xffff) + (!old & 0xffff) + word(&packet, 0);
                while sum > 0xffff {
                    sum = (sum & 0xffff) + (sum >> 16);
                }
                packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
            }
        } else {
            packet[1] = packet[1] & !0x30 | becomes << 4;
        }
        Some(packet)
    }
}
