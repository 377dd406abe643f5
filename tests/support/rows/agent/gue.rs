//! The header of GUE, and the one of UDP in front of it.

use super::{AgentExpected, AgentRow, MALFORMED, NOT_ENCAPSULATED, Way, row, segment};
use crate::{
    packet::{GUE_PORT, overwritten},
    sites::V4,
};

pub fn rows(way: Way) -> Vec<AgentRow> {
    let inner = segment(&V4);
    let outer = way.around(&inner);
    let header = way.before() - 4;
    let udp = header - 8;
    let first = |byte: u8| overwritten(outer.bytes(), header, &[byte]);
    let protocol = |number: u8| overwritten(outer.bytes(), header + 1, &[number]);
    let with_private = |words: usize| {
        let private = vec![0x5a; words * 4];
        inner.inside_gue(way.balancer(), way.backend(), &private)
    };
    let decapsulated = |claim, frame| row(claim, frame, AgentExpected::Decapsulated(inner.bytes()));
    let malformed = |claim: &'static str, frame| row(claim, frame, MALFORMED);
    vec![
        decapsulated("a word of private data is skipped", with_private(1).bytes()),
        decapsulated("31 words of private data are skipped", with_private(31).bytes()),
        decapsulated(
            "a UDP checksum is not asked about",
            overwritten(outer.bytes(), udp + 6, &[0xde, 0xad]),
        ),
        decapsulated(
            "the source port is not asked about",
            overwritten(outer.bytes(), udp, &[0, 0]),
        ),
        malformed("variant 1 is untouched", first(0x40)),
        malformed("variant 3 is untouched", first(0xc0)),
        malformed("a control message is untouched", first(0x20)),
        malformed("private data beyond the packet is untouched", first(0x1f)),
        malformed("an unknown protocol inside is untouched", protocol(47)),
        malformed("no protocol inside is untouched", protocol(59)),
        malformed("the other family inside is untouched", protocol(41)),
        malformed(
            "a GUE header cut off is untouched",
            outer.clone().with(|p| p.payload.truncate(11)).bytes(),
        ),
        malformed(
            "a GUE header that reaches into padding is untouched",
            outer
                .clone()
                .with(|p| {
                    p.payload.truncate(11);
                    p.padding = 60;
                })
                .bytes(),
        ),
        row(
            "a datagram cut off before its port is untouched",
            outer.clone().with(|p| p.payload.truncate(3)).bytes(),
            NOT_ENCAPSULATED,
        ),
        row(
            "a datagram to another port is untouched",
            overwritten(outer.bytes(), udp + 2, &(GUE_PORT - 1).to_be_bytes()),
            NOT_ENCAPSULATED,
        ),
    ]
}
