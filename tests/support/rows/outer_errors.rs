//! ICMP errors about our own outer headers: they come to the outer sources,
//! are noted, and passed on as they came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::Ipv4Options;
use lb_common::verdict::Verdict;

use super::{Expected, NOT_VIP, Row, passed, row};
use crate::{
    packet::{CLIENT, CLIENT6, Packet},
    sites::{WEB, WEB6},
};

/// Sources that all sites send from.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 7);
const OURS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xff, 0, 0, 0, 0, 0, 7);
/// Just beside every site's prefix.
const OTHERS: Ipv4Addr = Ipv4Addr::new(10, 254, 255, 255);
const OTHERS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xfe, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff);

/// Of no site: what is noted for a backend that there is makes a daemon lower
/// its MTU, and that would change the fate of the next packets.
const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 99);
const BACKEND6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0x99);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1);

const NOTED: Expected = passed(Verdict::PassOuterError);

/// A too-big from a router about `sent`, to whoever sent that.
#[must_use]
pub fn too_big(sent: &Packet, mtu: u16) -> Packet {
    let [high, low] = mtu.to_be_bytes();
    let rest = [&[0, 0, high, low], &sent.ip_bytes()[..]].concat();
    match sent.addresses().0 {
        IpAddr::V4(ours) => Packet::icmp(ROUTER, ours, 3, 4, &rest),
        IpAddr::V6(ours) => Packet::icmp(ROUTER6, ours, 2, 0, &rest),
    }
}

/// Too-bigs about what a balancer sends, with the backend that each is about.
#[must_use]
pub fn path_errors() -> Vec<(IpAddr, Packet)> {
    [
        Packet::segment(CLIENT, WEB, b"data"),
        Packet::segment(CLIENT6, WEB6, b"data"),
    ]
    .iter()
    .flat_map(|inner| {
        [
            (BACKEND.into(), inner.inside(OURS, BACKEND)),
            (BACKEND.into(), inner.inside_gue(OURS, BACKEND, &[])),
            (BACKEND6.into(), inner.inside(OURS6, BACKEND6)),
            (BACKEND6.into(), inner.inside_gue(OURS6, BACKEND6, &[])),
        ]
    })
    .map(|(backend, sent)| (backend, too_big(&sent, 1400)))
    .collect()
}

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = (0..)
        .zip(path_errors())
        .map(|(nth, (backend, error))| {
            let claim = format!("too big about what was sent to {backend} is noted and passed ({nth})");
            row(claim, error.bytes(), NOTED)
        })
        .collect();
    rows.extend(v4());
    rows.extend(v6());
    rows
}

fn v4() -> Vec<Row> {
    let sent = Packet::segment(CLIENT, WEB, b"data").inside(OURS, BACKEND);
    let quoted = [&[0; 4], &sent.ip_bytes()[..]].concat();
    let error = |to: Ipv4Addr, kind, code| Packet::icmp(ROUTER, to, kind, code, &quoted);
    vec![
        row(
            "a host unreachable about an outer header is noted",
            error(OURS, 3, 1).bytes(),
            NOTED,
        ),
        row(
            "a time exceeded about an outer header is noted",
            error(OURS, 11, 0).bytes(),
            NOTED,
        ),
        row(
            "a parameter problem about an outer header is noted",
            error(OURS, 12, 0).bytes(),
            NOTED,
        ),
        row(
            "an echo request to an outer source is the host's",
            error(OURS, 8, 0).bytes(),
            NOT_VIP,
        ),
        row(
            "a redirect to an outer source is the host's",
            error(OURS, 5, 0).bytes(),
            NOT_VIP,
        ),
        row(
            "too big to a neighbour of the outer sources is the host's",
            error(OTHERS, 3, 4).bytes(),
            NOT_VIP,
        ),
        row(
            "a fragment of an error to an outer source is the host's",
            error(OURS, 3, 4).with(|p| p.v4().more_fragments = true).bytes(),
            NOT_VIP,
        ),
        row(
            "an error with options to an outer source is the host's",
            error(OURS, 3, 4)
                .with(|p| p.v4().options = Ipv4Options::from([1, 1, 1, 0]))
                .bytes(),
            NOT_VIP,
        ),
        row(
            "IP-in-IP to an outer source is the host's",
            Packet::segment(CLIENT, WEB, b"data").inside(BACKEND, OURS).bytes(),
            NOT_VIP,
        ),
    ]
}

fn v6() -> Vec<Row> {
    let sent = Packet::segment(CLIENT6, WEB6, b"data").inside(OURS6, BACKEND6);
    let quoted = [&[0; 4], &sent.ip_bytes()[..]].concat();
    let error = |to: Ipv6Addr, kind, code| Packet::icmp(ROUTER6, to, kind, code, &quoted);
    vec![
        row(
            "IPv6: an address unreachable about an outer header is noted",
            error(OURS6, 1, 3).bytes(),
            NOTED,
        ),
        row(
            "IPv6: a time exceeded about an outer header is noted",
            error(OURS6, 3, 0).bytes(),
            NOTED,
        ),
        row(
            "IPv6: a parameter problem about an outer header is noted",
            error(OURS6, 4, 1).bytes(),
            NOTED,
        ),
        row(
            "IPv6: an echo request to an outer source is the host's",
            error(OURS6, 128, 0).bytes(),
            NOT_VIP,
        ),
        row(
            "IPv6: a neighbour solicitation to an outer source is the host's",
            error(OURS6, 135, 0).bytes(),
            NOT_VIP,
        ),
        row(
            "IPv6: too big to a neighbour of the outer sources is the host's",
            error(OTHERS6, 2, 0).bytes(),
            NOT_VIP,
        ),
    ]
}
