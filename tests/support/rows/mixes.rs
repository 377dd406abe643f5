//! Every way to a backend: both families in IP-in-IP and GUE of either, and
//! without encapsulation; with every choice of a slot.

use std::net::SocketAddr;

use lb_common::verdict::Verdict;

use super::{Expected, Row, dropped, row};
use crate::{
    packet::Packet,
    sites::{CHOICES, MIXES, Targets, choice, mix},
};

/// Overheads are at most this, in bytes: GUE in IPv6.
const LONGEST_OVERHEAD: usize = 52;
/// The MTU of every site's first interface.
const MTU: usize = 1500;

pub fn twins(to: &Targets) -> Vec<Row> {
    let mixes = MIXES.into_iter().flat_map(|pool| through(to, pool));
    let choices = CHOICES.into_iter().map(|(name, ..)| {
        let frame = Packet::segment(to.client, choice(to, name), b"data").bytes();
        let claim = format!("a segment to the VIP {name} is forwarded");
        row(claim, frame, Expected::Forwarded("mixed"))
    });
    mixes.chain(choices).chain(loops(to)).collect()
}

/// What we sent comes back only in the family that it was sent in.
fn loops(to: &Targets) -> Vec<Row> {
    // In the outer sources of every site.
    let ours: SocketAddr = if to.client.is_ipv4() {
        "10.255.0.7:1024"
    } else {
        "[fd00:ff::7]:1024"
    }
    .parse()
    .expect("an address");
    let others = if to.client.is_ipv4() {
        ["web6", "gue6", "direct"]
    } else {
        ["web", "gue4", "direct"]
    };
    let outer = if to.client.is_ipv4() {
        ["web", "gue4"]
    } else {
        ["web6", "gue6"]
    };
    let frame = |pool| Packet::syn(ours, mix(to, pool)).bytes();
    let looped = outer.map(|pool| {
        let claim = format!("a source of our own is a loop where {pool} sends from it");
        row(claim, frame(pool), dropped(Verdict::DropLoop))
    });
    let forwarded = others.map(|pool| {
        let claim = format!("a source of our own is none where {pool} does not send from it");
        row(claim, frame(pool), Expected::Forwarded(pool))
    });
    looped.into_iter().chain(forwarded).collect()
}

fn through(to: &Targets, pool: &'static str) -> Vec<Row> {
    let vip = mix(to, pool);
    let forwarded = |what: &str, frame: Vec<u8>| {
        let claim = format!("{what} is forwarded through {pool}");
        row(claim, frame, Expected::Forwarded(pool))
    };
    let from = |port: u16| {
        let mut client = to.client;
        client.set_port(port);
        client
    };
    let headers = Packet::segment(to.client, vip, &[]).ip_bytes().len();
    let longest = vec![0x42; MTU - LONGEST_OVERHEAD - headers];
    let class = |class: u8| Packet::syn(to.client, vip).with(|packet| packet.traffic_class(class));
    let mut rows = vec![
        forwarded("a SYN", Packet::syn(to.client, vip).bytes()),
        forwarded("a datagram", Packet::udp(to.client, vip, b"question").bytes()),
        forwarded("an empty datagram", Packet::udp(to.client, vip, b"").bytes()),
        forwarded("a full segment", Packet::segment(to.client, vip, &longest).bytes()),
        forwarded(
            "an odd number of bytes",
            Packet::segment(to.client, vip, b"odd").bytes(),
        ),
        forwarded("ECT(0)", class(0b10).bytes()),
        forwarded("ECT(1)", class(0b01).bytes()),
        forwarded("CE with DSCP 63", class(0xff).bytes()),
        forwarded(
            "a padded segment",
            Packet::syn(to.client, vip).with(|packet| packet.padding = 6).bytes(),
        ),
    ];
    // Both backends of a pool are chosen by some of them: 2^-31 that not.
    rows.extend((1..=32).map(|nth| {
        let what = format!("a segment from port {nth}");
        forwarded(&what, Packet::segment(from(nth), vip, b"hello").bytes())
    }));
    rows
}
