//! The agent: what it takes from a balancer, and what it leaves alone. All
//! rows in every mix of families, in IP-in-IP and GUE.

mod gue;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use etherparse::{IpFragOffset, IpNumber, Ipv4Options};
use lb_common::verdict::AgentVerdict;

use crate::{
    oracle::Prefix,
    packet::{CLIENT, GUE_PORT, IP, Packet, cut, overwritten},
    sites::{Targets, V4, V6, WEB},
};

/// From whom the agent of the rows takes packets.
pub const BALANCERS: [Prefix; 2] = [
    Prefix {
        network: IpAddr::V4(Ipv4Addr::new(10, 255, 0, 0)),
        length: 16,
    },
    Prefix {
        network: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xff, 0, 0, 0, 0, 0, 0)),
        length: 64,
    },
];

/// A frame that reaches a backend, and what the agent makes of it.
#[derive(Clone, Debug)]
pub struct AgentRow {
    pub claim: Cow<'static, str>,
    pub frame: Vec<u8>,
    pub expected: AgentExpected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentExpected {
    /// Passed up as this frame.
    Decapsulated(Vec<u8>),
    /// Not changed; passed or dropped, as the verdict says.
    Unchanged(AgentVerdict),
}

/// How a packet comes.
#[derive(Clone, Copy)]
struct Way {
    outer: Family,
    encap: Encap,
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, PartialEq)]
enum Encap {
    IpIp,
    Gue,
}

impl Way {
    const ALL: [Self; 4] = [
        Self::new(Family::V4, Encap::IpIp),
        Self::new(Family::V4, Encap::Gue),
        Self::new(Family::V6, Encap::IpIp),
        Self::new(Family::V6, Encap::Gue),
    ];

    const fn new(outer: Family, encap: Encap) -> Self {
        Self { outer, encap }
    }

    const fn name(self) -> &'static str {
        match (self.encap, self.outer) {
            (Encap::IpIp, Family::V4) => "IP in IPv4",
            (Encap::Gue, Family::V4) => "GUE in IPv4",
            (Encap::IpIp, Family::V6) => "IP in IPv6",
            (Encap::Gue, Family::V6) => "GUE in IPv6",
        }
    }

    const fn balancer(self) -> IpAddr {
        match self.outer {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 255, 7, 9)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0xff, 0, 0, 0x1234, 0x5678, 7, 9)),
        }
    }

    const fn backend(self) -> IpAddr {
        match self.outer {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 0, 1, 11)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x15)),
        }
    }

    fn around(self, inner: &Packet) -> Packet {
        self.from(self.balancer(), inner)
    }

    fn from(self, source: IpAddr, inner: &Packet) -> Packet {
        match self.encap {
            Encap::IpIp => inner.inside(source, self.backend()),
            Encap::Gue => inner.inside_gue(source, self.backend(), &[]),
        }
    }

    /// Bytes of the frame before the inner packet.
    const fn before(self) -> usize {
        let ip = match self.outer {
            Family::V4 => 20,
            Family::V6 => 40,
        };
        match self.encap {
            Encap::IpIp => IP + ip,
            Encap::Gue => IP + ip + 12,
        }
    }
}

/// All rows of the agent.
#[must_use]
pub fn agent_rows() -> Vec<AgentRow> {
    let mut rows = plain();
    for way in Way::ALL {
        for (family, to) in [("IPv4", V4), ("IPv6", V6)] {
            let chapters = [taken(way, &to), refused(way, &to), congestion(way, &to)];
            rows.extend(named(&format!("{family} as {}", way.name()), chapters.concat()));
        }
        rows.extend(named(way.name(), outer_headers(way)));
    }
    rows.extend(mixes_of_balancers());
    rows
}

fn row(claim: impl Into<Cow<'static, str>>, frame: Vec<u8>, expected: AgentExpected) -> AgentRow {
    AgentRow {
        claim: claim.into(),
        frame,
        expected,
    }
}

const fn unchanged(verdict: AgentVerdict) -> AgentExpected {
    AgentExpected::Unchanged(verdict)
}

const MALFORMED: AgentExpected = unchanged(AgentVerdict::PassMalformed);
const NOT_ENCAPSULATED: AgentExpected = unchanged(AgentVerdict::PassNotEncapsulated);
const UNTRUSTED: AgentExpected = unchanged(AgentVerdict::PassUntrusted);

fn named(words: &str, rows: Vec<AgentRow>) -> Vec<AgentRow> {
    let name = |row: AgentRow| AgentRow {
        claim: format!("{words}: {}", row.claim).into(),
        ..row
    };
    rows.into_iter().map(name).collect()
}

fn segment(to: &Targets) -> Packet {
    Packet::segment(to.client, to.web, b"hello")
}

fn plain() -> Vec<AgentRow> {
    let mut rows = Vec::new();
    for (family, to) in [("IPv4", V4), ("IPv6", V6)] {
        let rest = vec![
            row("a plain segment is untouched", segment(&to).bytes(), NOT_ENCAPSULATED),
            row(
                "a datagram to a port beside GUE's is untouched",
                Packet::udp(to.client, super::transport::port(to.web, GUE_PORT + 1), b"data").bytes(),
                NOT_ENCAPSULATED,
            ),
            row(
                "ARP is untouched",
                overwritten(segment(&to).bytes(), 12, &[0x08, 0x06]),
                NOT_ENCAPSULATED,
            ),
            row(
                "an Ethernet header alone is untouched",
                cut(segment(&to).bytes(), IP),
                NOT_ENCAPSULATED,
            ),
        ];
        rows.extend(named(family, rest));
    }
    rows
}

fn taken(way: Way, to: &Targets) -> Vec<AgentRow> {
    let decapsulated = |claim: &'static str, inner: &Packet| {
        let frame = way.around(inner).bytes();
        row(claim, frame, AgentExpected::Decapsulated(inner.bytes()))
    };
    let inner = segment(to);
    let outer = way.around(&inner);
    let mut rows = vec![
        decapsulated("a segment from a balancer loses its outer header", &inner),
        decapsulated(
            "a datagram from a balancer loses its outer header",
            &Packet::udp(to.client, to.web, b"hello"),
        ),
        decapsulated(
            "an empty datagram from a balancer loses its outer header",
            &Packet::udp(to.client, to.web, b""),
        ),
        decapsulated("one layer is taken off, whatever is under it", &way.around(&outer)),
        row(
            "padding stays with the inner packet",
            outer.clone().with(|p| p.padding = 7).bytes(),
            AgentExpected::Decapsulated(inner.clone().with(|p| p.padding = 7).bytes()),
        ),
        row(
            "an outer packet with one hop left has arrived",
            outer.with(|p| p.hops(1)).bytes(),
            AgentExpected::Decapsulated(inner.bytes()),
        ),
    ];
    if to.client.is_ipv4() {
        let bad_sum = |frame: Vec<u8>, ip: usize| overwritten(frame, ip + 10, &[0xde, 0xad]);
        rows.extend([
            decapsulated(
                "an inner fragment is passed up",
                &inner.clone().with(|p| p.v4().more_fragments = true),
            ),
            decapsulated(
                "inner options are passed up",
                &inner.clone().with(|p| p.v4().options = Ipv4Options::from([1, 1, 1, 0])),
            ),
            row(
                "a wrong inner checksum is the host's affair",
                bad_sum(way.around(&inner).bytes(), way.before()),
                AgentExpected::Decapsulated(bad_sum(inner.bytes(), IP)),
            ),
        ]);
    } else {
        rows.push(decapsulated(
            "an inner fragment is passed up",
            &inner.extended(IpNumber::IPV6_FRAGMENTATION_HEADER, &[0, 0, 0, 1, 0, 0, 0, 1]),
        ));
    }
    rows
}

fn refused(way: Way, to: &Targets) -> Vec<AgentRow> {
    let inner = segment(to);
    let outer = way.around(&inner);
    let at = way.before();
    let malformed = |claim: &'static str, frame| row(claim, frame, MALFORMED);
    // What of the outer packet's payload is in front of the inner packet.
    let front = outer.payload.len() - inner.ip_bytes().len();
    let shortened = |bytes: usize| outer.clone().with(|p| p.payload.truncate(front + bytes));
    let header = if to.client.is_ipv4() { 20 } else { 40 };
    let length = |bytes: u16| {
        let field = if to.client.is_ipv4() { 2 } else { 4 };
        overwritten(outer.bytes(), at + field, &bytes.to_be_bytes())
    };
    let mut rows = vec![
        malformed("an inner header cut off is untouched", shortened(header - 1).bytes()),
        malformed("an inner packet cut off is untouched", shortened(header + 10).bytes()),
        malformed("nothing inside is untouched", shortened(0).bytes()),
        malformed("an inner length that reaches into padding is untouched", {
            shortened(header + 10).with(|p| p.padding = 40).bytes()
        }),
        malformed("an inner length of 65,535 is untouched", length(65_535)),
        malformed(
            "an inner packet of version 0 is untouched",
            overwritten(outer.bytes(), at, &[0x05]),
        ),
        malformed(
            "an inner packet of the other version is untouched",
            overwritten(outer.bytes(), at, &[if to.client.is_ipv4() { 0x65 } else { 0x45 }]),
        ),
        malformed(
            "an outer length beyond the frame is untouched",
            cut(outer.bytes(), outer.bytes().len() - 1),
        ),
        row(
            "a tagged frame is untouched",
            outer.clone().with(|p| p.tags = vec![[0x8100, 5]]).bytes(),
            NOT_ENCAPSULATED,
        ),
        row(
            "a prefix that is not trusted is untouched",
            way.from(untrusted(way.outer), &inner).bytes(),
            UNTRUSTED,
        ),
        row(
            "a neighbour of the trusted prefix is untouched",
            way.from(neighbour(way.outer), &inner).bytes(),
            UNTRUSTED,
        ),
    ];
    if to.client.is_ipv4() {
        rows.extend([
            malformed("an inner length under its header's is untouched", length(19)),
            malformed(
                "an inner header of four words is untouched",
                overwritten(outer.bytes(), at, &[0x44]),
            ),
            malformed(
                "an inner header longer than its packet is untouched",
                overwritten(outer.bytes(), at, &[0x4f]),
            ),
        ]);
    }
    rows
}

const fn untrusted(outer: Family) -> IpAddr {
    match outer {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 254, 0, 1)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0xff, 0, 1, 0, 0, 0, 9)),
    }
}

const fn neighbour(outer: Family) -> IpAddr {
    match outer {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(11, 255, 7, 9)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd01, 0xff, 0, 0, 0, 0, 0, 9)),
    }
}

/// What is wrong with an outer header, whatever is in it.
fn outer_headers(way: Way) -> Vec<AgentRow> {
    let outer = || way.around(&segment(&V4));
    let malformed = |claim: &'static str, frame| row(claim, frame, MALFORMED);
    let mut rows = match way.outer {
        Family::V4 => vec![
            malformed(
                "a wrong outer checksum is untouched",
                overwritten(outer().bytes(), IP + 10, &[0xde, 0xad]),
            ),
            malformed(
                "the first outer fragment is untouched",
                outer().with(|p| p.v4().more_fragments = true).bytes(),
            ),
            malformed(
                "an outer packet of version 6 is untouched",
                outer().header(|ip| ip[0] = 0x65),
            ),
            malformed(
                "an outer length of 0 is untouched",
                outer().header(|ip| ip[2..4].fill(0)),
            ),
            row(
                "a frame cut off in its outer header is untouched",
                cut(outer().bytes(), IP + 19),
                NOT_ENCAPSULATED,
            ),
        ],
        Family::V6 => vec![
            malformed(
                "an outer packet of version 4 is untouched",
                outer().header(|ip| ip[0] = 0x45),
            ),
            malformed(
                "an outer length of 0 is untouched",
                outer().header(|ip| ip[4..6].fill(0)),
            ),
            row(
                "an outer packet with options is untouched",
                outer()
                    .extended(IpNumber::IPV6_DESTINATION_OPTIONS, &[0, 0, 4, 1, 1, 0, 1, 0])
                    .bytes(),
                NOT_ENCAPSULATED,
            ),
            row(
                "an outer fragment is untouched",
                outer()
                    .extended(IpNumber::IPV6_FRAGMENTATION_HEADER, &[0, 0, 0, 1, 0, 0, 0, 1])
                    .bytes(),
                NOT_ENCAPSULATED,
            ),
            row(
                "a frame cut off in its outer header is untouched",
                cut(outer().bytes(), IP + 39),
                NOT_ENCAPSULATED,
            ),
        ],
    };
    match (way.encap, way.outer) {
        (Encap::IpIp, Family::V4) => rows.extend([
            malformed("options in the outer header are untouched", {
                outer()
                    .with(|p| p.v4().options = Ipv4Options::from([1, 1, 1, 0]))
                    .bytes()
            }),
            malformed("a later outer fragment is untouched", {
                outer()
                    .with(|p| p.v4().fragment_offset = IpFragOffset::try_new(9).expect("13 bits"))
                    .bytes()
            }),
        ]),
        (Encap::IpIp, Family::V6) => {}
        (Encap::Gue, _) => rows.extend(gue::rows(way)),
    }
    rows
}

/// RFC 6040 §4.2, figure 4: inner by outer, 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3
/// CE.
fn congestion(way: Way, to: &Targets) -> Vec<AgentRow> {
    const NAMES: [&str; 4] = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"];
    const BECOMES: [[Option<u8>; 4]; 4] = [
        [Some(0), Some(0), Some(0), None],
        [Some(1), Some(1), Some(1), Some(3)],
        [Some(2), Some(1), Some(2), Some(3)],
        [Some(3), Some(3), Some(3), Some(3)],
    ];
    // DSCP is not carried inward (RFC 2983 §3.1).
    const DSCP: u8 = 0xb8;
    let packet = |ecn| segment(to).with(|p| p.traffic_class(DSCP | ecn));
    let cell = |inner: u8, outer: u8| {
        let becomes = BECOMES[usize::from(inner)][usize::from(outer)];
        let [of_inner, of_outer] = [inner, outer].map(|ecn| NAMES[usize::from(ecn)]);
        let frame = way.around(&packet(inner)).with(|p| p.traffic_class(outer)).bytes();
        let expected = becomes.map_or(unchanged(AgentVerdict::DropCongestion), |ecn| {
            AgentExpected::Decapsulated(packet(ecn).bytes())
        });
        let becomes = becomes.map_or("dropped", |ecn| NAMES[usize::from(ecn)]);
        let claim = format!("inner {of_inner}, outer {of_outer}: {becomes}");
        row(claim, frame, expected)
    };
    (0..16).map(|both| cell(both >> 2, both & 3)).collect()
}

/// Layers of several kinds: one is taken off.
fn mixes_of_balancers() -> Vec<AgentRow> {
    let mut rows = vec![row(
        "a plain packet from a balancer is untouched",
        Packet::syn(std::net::SocketAddrV4::new(Ipv4Addr::new(10, 255, 7, 9), 1), WEB).bytes(),
        NOT_ENCAPSULATED,
    )];
    for outer in Way::ALL {
        for middle in Way::ALL {
            let inside = middle.around(&Packet::syn(CLIENT, WEB));
            let claim = format!("{} in {}: one layer is taken off", middle.name(), outer.name());
            let frame = outer.around(&inside).bytes();
            rows.push(row(claim, frame, AgentExpected::Decapsulated(inside.bytes())));
        }
    }
    rows
}
