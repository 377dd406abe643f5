//! The agent: what it takes from a balancer, and what it leaves alone.

use std::net::Ipv4Addr;

use etherparse::{IpEcn, IpFragOffset, Ipv4Options};
use lb_common::verdict::AgentVerdict;

use crate::{
    oracle::Prefix,
    packet::{CLIENT, IP, Packet, cut, overwritten},
    sites::WEB,
};

/// From whom the agent of the rows takes packets.
pub const BALANCERS: Prefix = Prefix {
    network: Ipv4Addr::new(10, 255, 0, 0),
    length: 16,
};

const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 255, 7, 9);
const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);

/// A frame that reaches a backend, and what the agent makes of it.
#[derive(Clone, Debug)]
pub struct AgentRow {
    pub claim: &'static str,
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

const fn row(claim: &'static str, frame: Vec<u8>, expected: AgentExpected) -> AgentRow {
    AgentRow { claim, frame, expected }
}

/// All rows of the agent.
#[must_use]
pub fn agent_rows() -> Vec<AgentRow> {
    [taken(), refused(), congestion()].concat()
}

fn inner() -> Packet {
    Packet::segment(CLIENT, WEB, b"hello")
}

fn outer() -> Packet {
    inner().inside(BALANCER, BACKEND)
}

fn taken() -> Vec<AgentRow> {
    let decapsulated = |claim, inner: &Packet| {
        let frame = inner.inside(BALANCER, BACKEND).bytes();
        row(claim, frame, AgentExpected::Decapsulated(inner.bytes()))
    };
    let bad_sum = |frame: Vec<u8>, ip: usize| overwritten(frame, ip + 10, &[0xde, 0xad]);
    vec![
        decapsulated("a segment from a balancer loses its outer header", &inner()),
        decapsulated(
            "a datagram from a balancer loses its outer header",
            &Packet::udp(CLIENT, WEB, b"hello"),
        ),
        decapsulated(
            "an inner fragment is passed up",
            &inner().with(|p| p.ip.more_fragments = true),
        ),
        decapsulated(
            "inner options are passed up",
            &inner().with(|p| p.ip.options = Ipv4Options::from([1, 1, 1, 0])),
        ),
        decapsulated("one layer is taken off, whatever is under it", &outer()),
        row(
            "padding stays with the inner packet",
            outer().with(|p| p.padding = 7).bytes(),
            AgentExpected::Decapsulated(inner().with(|p| p.padding = 7).bytes()),
        ),
        row(
            "a wrong inner checksum is the host's affair",
            bad_sum(outer().bytes(), IP + 20),
            AgentExpected::Decapsulated(bad_sum(inner().bytes(), IP)),
        ),
        row(
            "an outer TTL of 1 has arrived",
            outer().with(|p| p.ip.time_to_live = 1).bytes(),
            AgentExpected::Decapsulated(inner().bytes()),
        ),
    ]
}

fn refused() -> Vec<AgentRow> {
    let unchanged = |claim, frame, verdict| row(claim, frame, AgentExpected::Unchanged(verdict));
    let malformed = |claim, frame| unchanged(claim, frame, AgentVerdict::PassMalformed);
    let not_encapsulated = |claim, frame| unchanged(claim, frame, AgentVerdict::PassNotEncapsulated);
    let from = |source| inner().inside(source, BACKEND).bytes();
    let inner_at = IP + 20;
    vec![
        not_encapsulated("a plain packet is untouched", inner().bytes()),
        not_encapsulated(
            "a plain packet from a balancer is untouched",
            Packet::syn(std::net::SocketAddrV4::new(BALANCER, 1), WEB).bytes(),
        ),
        not_encapsulated("ARP is untouched", overwritten(outer().bytes(), 12, &[0x08, 0x06])),
        not_encapsulated(
            "a tagged frame is untouched",
            outer().with(|p| p.tags = vec![[0x8100, 5]]).bytes(),
        ),
        not_encapsulated(
            "a frame cut off in its outer header is untouched",
            cut(outer().bytes(), IP + 19),
        ),
        not_encapsulated("6in4 is untouched", outer().header(|ip| ip[9] = 41)),
        unchanged(
            "a prefix that is not trusted is untouched",
            from(Ipv4Addr::new(10, 254, 0, 1)),
            AgentVerdict::PassUntrusted,
        ),
        unchanged(
            "a neighbour of the trusted prefix is untouched",
            from(Ipv4Addr::new(11, 255, 7, 9)),
            AgentVerdict::PassUntrusted,
        ),
        malformed(
            "a wrong outer checksum is untouched",
            overwritten(outer().bytes(), IP + 10, &[0xde, 0xad]),
        ),
        malformed(
            "options in the outer header are untouched",
            outer().with(|p| p.ip.options = Ipv4Options::from([1, 1, 1, 0])).bytes(),
        ),
        malformed(
            "the first outer fragment is untouched",
            outer().with(|p| p.ip.more_fragments = true).bytes(),
        ),
        malformed("a later outer fragment is untouched", {
            outer()
                .with(|p| p.ip.fragment_offset = IpFragOffset::try_new(9).expect("13 bits"))
                .bytes()
        }),
        malformed(
            "an outer length beyond the frame is untouched",
            cut(outer().bytes(), 70),
        ),
        malformed(
            "an inner header cut off is untouched",
            outer().with(|p| p.payload.truncate(19)).bytes(),
        ),
        malformed(
            "an inner packet cut off is untouched",
            outer().with(|p| p.payload.truncate(30)).bytes(),
        ),
        malformed("an inner length that reaches into padding is untouched", {
            outer()
                .with(|p| {
                    p.payload.truncate(30);
                    p.padding = 20;
                })
                .bytes()
        }),
        malformed(
            "an inner length under its header's is untouched",
            overwritten(outer().bytes(), inner_at + 2, &[0, 19]),
        ),
        malformed(
            "an inner header of four words is untouched",
            overwritten(outer().bytes(), inner_at, &[0x44]),
        ),
        malformed(
            "an inner packet of version 6 is untouched",
            overwritten(outer().bytes(), inner_at, &[0x65]),
        ),
        malformed(
            "an outer packet of version 6 is untouched",
            outer().header(|ip| ip[0] = 0x65),
        ),
    ]
}

/// RFC 6040 §4.2, figure 4: inner by outer.
fn congestion() -> Vec<AgentRow> {
    use IpEcn::{CongestionExperienced as Ce, Ect0, Ect1, NotEct};
    let cell = |claim, inner_ecn, outer_ecn, becomes: Option<IpEcn>| {
        let packet = |ecn| inner().with(|p| p.ip.ecn = ecn);
        let frame = packet(inner_ecn)
            .inside(BALANCER, BACKEND)
            .with(|p| p.ip.ecn = outer_ecn)
            .bytes();
        let expected = match becomes {
            Some(ecn) => AgentExpected::Decapsulated(packet(ecn).bytes()),
            None => AgentExpected::Unchanged(AgentVerdict::DropCongestion),
        };
        row(claim, frame, expected)
    };
    vec![
        cell("inner Not-ECT, outer Not-ECT: Not-ECT", NotEct, NotEct, Some(NotEct)),
        cell("inner Not-ECT, outer ECT(0): Not-ECT", NotEct, Ect0, Some(NotEct)),
        cell("inner Not-ECT, outer ECT(1): Not-ECT", NotEct, Ect1, Some(NotEct)),
        cell("inner Not-ECT, outer CE: dropped", NotEct, Ce, None),
        cell("inner ECT(0), outer Not-ECT: ECT(0)", Ect0, NotEct, Some(Ect0)),
        cell("inner ECT(0), outer ECT(0): ECT(0)", Ect0, Ect0, Some(Ect0)),
        cell("inner ECT(0), outer ECT(1): ECT(1)", Ect0, Ect1, Some(Ect1)),
        cell("inner ECT(0), outer CE: CE", Ect0, Ce, Some(Ce)),
        cell("inner ECT(1), outer Not-ECT: ECT(1)", Ect1, NotEct, Some(Ect1)),
        cell("inner ECT(1), outer ECT(0): ECT(1)", Ect1, Ect0, Some(Ect1)),
        cell("inner ECT(1), outer ECT(1): ECT(1)", Ect1, Ect1, Some(Ect1)),
        cell("inner ECT(1), outer CE: CE", Ect1, Ce, Some(Ce)),
        cell("inner CE, outer Not-ECT: CE", Ce, NotEct, Some(Ce)),
        cell("inner CE, outer ECT(0): CE", Ce, Ect0, Some(Ce)),
        cell("inner CE, outer ECT(1): CE", Ce, Ect1, Some(Ce)),
        cell("inner CE, outer CE: CE", Ce, Ce, Some(Ce)),
    ]
}
