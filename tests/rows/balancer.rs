//! Every row of the balancer, on every site.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Result;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, SlicedPacket, UdpHeaderSlice};
use lb_common::verdict::Verdict;
use support::{
    native::Native,
    oracle::{Action, Backend, Encap, Fate, Site},
    packet::{GUE_PORT, internet_checksum},
    rows::{Expected, Row, rows},
    sites,
    snapshot::Snapshot,
};

const KEY: [u8; 32] = *b"a key that is no secret in tests";

#[test]
fn every_row_has_its_fate_and_the_oracle_agrees() -> Result<()> {
    for (name, site) in sites::all() {
        let snapshot = Snapshot::published(&site, KEY)?;
        let oracle = snapshot.oracle(&site)?;
        for row in rows() {
            let ingress = site.interfaces[0].ifindex;
            let native = Native::new(&snapshot);
            let fate = native.run(&row.frame, ingress);
            let what = format!("{name}: {}", row.claim);
            check(&site, &row, &fate, &what);
            assert_eq!(
                fate,
                oracle.judge(&row.frame, ingress),
                "{what}: the oracle is right of it"
            );
            let counted: u64 = native.counters().values().map(|counter| counter.packets).sum();
            let expected = if fate.verdict.starts_with("Forward") { 3 } else { 1 };
            assert_eq!(counted, expected, "{what}: verdict, and VIP and member if forwarded");
            for counter in native.counters().values() {
                assert_eq!(counter.bytes, row.frame.len() as u64, "{what}: bytes as they came");
            }
        }
    }
    Ok(())
}

#[test]
fn rows_are_many_and_no_two_claim_the_same() {
    let rows = rows();
    let mut claims = BTreeSet::new();
    for row in &rows {
        assert!(claims.insert(&row.claim), "two rows claim: {}", row.claim);
    }
    assert!(rows.len() >= 500, "{} rows", rows.len());
}

/// All mixes of families and encapsulations, each out of the interface the
/// packet came by and out of another one.
#[test]
fn rows_go_every_way_there_is() -> Result<()> {
    let mut ways = BTreeSet::new();
    for (_, site) in sites::all() {
        let snapshot = Snapshot::published(&site, KEY)?;
        let native = Native::new(&snapshot);
        for row in rows() {
            let fate = native.run(&row.frame, site.interfaces[0].ifindex);
            if let Expected::Forwarded(pool) = row.expected {
                let pool = site.pool(pool).expect("a pool of the row");
                let backend = backend_of(&pool.backends, &fate.bytes).expect("a backend of the pool");
                let inner = row.frame[14] >> 4;
                let outer = match pool.encap {
                    Encap::L2 => "direct",
                    Encap::IpIp if backend.address.is_ipv4() => "IP in IPv4",
                    Encap::IpIp => "IP in IPv6",
                    Encap::Gue if backend.address.is_ipv4() => "GUE in IPv4",
                    Encap::Gue => "GUE in IPv6",
                };
                ways.insert((inner, outer, fate.verdict.clone()));
            }
        }
    }
    assert_eq!(ways.len(), 2 * 5 * 2, "{ways:?}");
    Ok(())
}

#[test]
fn vips_in_maint_drop_what_they_would_forward_and_are_no_different_otherwise() -> Result<()> {
    for (name, site) in sites::all() {
        let mut out = site.clone();
        out.vips.iter_mut().for_each(|vip| vip.maint = true);
        let (ready, maint) = (Snapshot::published(&site, KEY)?, Snapshot::published(&out, KEY)?);
        let oracle = maint.oracle(&out)?;
        let mut dropped = 0;
        for row in rows() {
            let ingress = site.interfaces[0].ifindex;
            let native = Native::new(&maint);
            let (before, after) = (
                Native::new(&ready).run(&row.frame, ingress),
                native.run(&row.frame, ingress),
            );
            let what = format!("{name}: {}", row.claim);
            assert_eq!(
                after,
                oracle.judge(&row.frame, ingress),
                "{what}: the oracle is right of it"
            );
            if after == before {
                continue;
            }
            // What is judged after the VIP is known, and only that.
            let settled = ["Forward", "DropNoNextHop", "DropLoop", "DropTooBig", "AnswerTooBig"];
            assert!(
                settled.iter().any(|fate| before.verdict.starts_with(fate)),
                "{what}: {before:?}"
            );
            assert_eq!(
                (after.verdict.as_str(), &after.bytes),
                (Verdict::DropMaint.name(), &row.frame),
                "{what}"
            );
            let counted: Vec<u32> = native.counters().keys().copied().collect();
            assert_eq!(
                counted,
                [Verdict::DropMaint as u32],
                "{what}: nobody's packet but the verdict's"
            );
            dropped += 1;
        }
        let forwarded = rows()
            .iter()
            .filter(|row| matches!(row.expected, Expected::Forwarded(_)))
            .count();
        assert!(dropped >= forwarded, "{name}: {dropped} of {forwarded}");
    }
    Ok(())
}

#[test]
fn every_verdict_that_a_packet_alone_can_have_has_a_row() -> Result<()> {
    // What needs a kernel without room, damaged content (see `damage`), or a VIP
    // in maint (below).
    let elsewhere = [
        Verdict::PassNoGeneration,
        Verdict::PassUnreadable,
        Verdict::PassNoOddPath,
        Verdict::DropNoBackend,
        Verdict::DropNoHeadroom,
        Verdict::DropUnreadable,
        Verdict::DropEncap,
        Verdict::DropMaint,
    ];
    let mut seen = BTreeSet::new();
    for (_, site) in sites::all() {
        let snapshot = Snapshot::published(&site, KEY)?;
        let native = Native::new(&snapshot);
        seen.extend(
            rows()
                .iter()
                .map(|row| native.run(&row.frame, site.interfaces[0].ifindex).verdict),
        );
    }
    for verdict in Verdict::ALL {
        let expected = !elsewhere.contains(verdict);
        assert_eq!(seen.contains(verdict.name()), expected, "{}", verdict.name());
    }
    Ok(())
}

/// What the row says, checked without the oracle.
fn check(site: &Site, row: &Row, fate: &Fate, what: &str) {
    match row.expected {
        Expected::Unchanged(verdict) => {
            assert_eq!(fate.verdict, verdict.name(), "{what}: verdict");
            assert_eq!(fate.bytes, row.frame, "{what}: not a byte changed");
        }
        Expected::Forwarded(pool) => check_forwarded(site, pool, row, fate, what),
        Expected::Echoed => check_echoed(row, fate, what),
        Expected::TooBig => check_too_big(row, fate, what),
    }
}

/// A frame's IP header: its length and the fields of interest.
struct Ip {
    header: usize,
    length: usize,
    source: IpAddr,
    destination: IpAddr,
    class: u8,
    protocol: u8,
}

/// Of a packet in an untagged frame.
fn ip(frame: &[u8]) -> Ip {
    let packet = &frame[14..];
    if packet[0] >> 4 == 4 {
        let ip = Ipv4HeaderSlice::from_slice(packet).expect("an IPv4 header");
        Ip {
            header: ip.slice().len(),
            length: ip.total_len().into(),
            source: ip.source_addr().into(),
            destination: ip.destination_addr().into(),
            class: packet[1],
            protocol: ip.protocol().0,
        }
    } else {
        let ip = Ipv6HeaderSlice::from_slice(packet).expect("an IPv6 header");
        Ip {
            header: ip.slice().len(),
            length: ip.slice().len() + usize::from(ip.payload_length()),
            source: ip.source_addr().into(),
            destination: ip.destination_addr().into(),
            class: ip.traffic_class(),
            protocol: ip.next_header().0,
        }
    }
}

/// By the MAC address the frame goes to.
fn backend_of<'b>(backends: &'b [Backend], frame: &[u8]) -> Option<&'b Backend> {
    let mut backends = backends.iter();
    backends.find(|backend| backend.next_hop.as_ref().is_some_and(|hop| hop.mac == frame[..6]))
}

fn check_forwarded(site: &Site, pool: &str, row: &Row, fate: &Fate, what: &str) {
    assert!(matches!(fate.action, Action::Tx | Action::Redirect), "{what}: {fate:?}");
    let pool = site.pool(pool).expect("a pool of the row");
    let backend = backend_of(&pool.backends, &fate.bytes);
    let backend = backend.unwrap_or_else(|| panic!("{what}: to nobody of the pool: {fate:?}"));
    let hop = backend.next_hop.as_ref().expect("it was found by it");
    let egress = site.interface(&hop.interface);
    assert_eq!(fate.bytes[6..12], egress.mac, "{what}: from our interface");
    let back = egress.ifindex == site.interfaces[0].ifindex;
    let verdict = if back { "ForwardTx" } else { "ForwardRedirect" };
    assert_eq!(fate.verdict, verdict, "{what}");
    if pool.encap == Encap::L2 {
        assert_eq!(fate.bytes[12..], row.frame[12..], "{what}: nothing but MAC addresses");
        return;
    }
    check_outer(site, pool.encap, backend, row, fate, what);
    // Others can read it too, but for what was wrong with it before.
    if SlicedPacket::from_ethernet(&row.frame).is_ok() {
        SlicedPacket::from_ethernet(&fate.bytes).expect("etherparse reads what it could read before");
    }
}

fn check_outer(site: &Site, encap: Encap, backend: &Backend, row: &Row, fate: &Fate, what: &str) {
    let (inner, outer) = (ip(&row.frame), ip(&fate.bytes));
    let before = fate.bytes.len() - (row.frame.len() - 14);
    assert_eq!(fate.bytes[before..], row.frame[14..], "{what}: inner bytes");
    assert_eq!(outer.destination, backend.address, "{what}: to the backend");
    assert!(site.encap_source.contain(outer.source), "{what}: outer source");
    assert_eq!(outer.length, inner.length + before - 14, "{what}: outer length");
    assert_eq!(outer.class, inner.class, "{what}: traffic class copied");
    let v4 = outer.source.is_ipv4();
    let ether_type = if v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    assert_eq!(fate.bytes[12..14], ether_type, "{what}: EtherType");
    let header = &fate.bytes[14..14 + outer.header];
    if v4 {
        assert_eq!(internet_checksum(header), 0, "{what}: outer checksum");
        assert_eq!(header[4..9], [0, 0, 0x40, 0, 64], "{what}: id, DF, TTL");
    } else {
        assert_eq!(header[7], 64, "{what}: hop limit");
    }
    let version = if inner.source.is_ipv4() { 4 } else { 41 };
    if encap == Encap::IpIp {
        assert_eq!(outer.protocol, version, "{what}: protocol");
        assert_eq!(before, 14 + outer.header, "{what}: nothing between");
        return;
    }
    assert_eq!(outer.protocol, 17, "{what}: protocol");
    assert_eq!(before, 14 + outer.header + 12, "{what}: UDP and GUE between");
    let between = &fate.bytes[14 + outer.header..before];
    let udp = UdpHeaderSlice::from_slice(between).expect("a UDP header");
    assert_eq!(udp.destination_port(), GUE_PORT, "{what}: port");
    assert!(udp.source_port() >= 0xc000, "{what}: a dynamic port");
    assert_eq!(usize::from(udp.length()), 12 + inner.length, "{what}: UDP length");
    assert_eq!(udp.checksum(), 0, "{what}: no UDP checksum");
    assert_eq!(between[8..], [0, version, 0, 0], "{what}: GUE header");
}

/// The frame with both ends of each address pair exchanged.
fn turned(frame: &[u8]) -> Vec<u8> {
    let mut turned = frame.to_vec();
    turned[..12].rotate_left(6);
    if frame[14] >> 4 == 4 {
        turned[26..34].rotate_left(4);
    } else {
        turned[22..54].rotate_left(16);
    }
    turned
}

fn check_echoed(row: &Row, fate: &Fate, what: &str) {
    assert_eq!(
        (fate.verdict.as_str(), fate.action),
        ("AnswerEcho", Action::Tx),
        "{what}"
    );
    let asked = ip(&row.frame);
    let v4 = asked.source.is_ipv4();
    let message = 14 + asked.header;
    let end = 14 + asked.length;
    // What may differ, as the request has it.
    let mut rest = fate.bytes.clone();
    assert_eq!(rest[message], if v4 { 0 } else { 129 }, "{what}: an echo reply");
    rest[message] = row.frame[message];
    let (hops, header_sum) = if v4 { (22, Some(24)) } else { (21, None) };
    assert_eq!(rest[hops], 64, "{what}: TTL");
    rest[hops] = row.frame[hops];
    for at in header_sum.into_iter().chain([message + 2]) {
        rest[at..at + 2].copy_from_slice(&row.frame[at..at + 2]);
    }
    assert_eq!(rest, turned(&row.frame), "{what}: all else is the request's");
    // Checksums hold if they held.
    let holds = |frame: &[u8]| {
        let pseudo = if v4 {
            Vec::new()
        } else {
            let length = (end - message) as u32;
            [&frame[22..54], &length.to_be_bytes(), &[0, 0, 0, 58]].concat()
        };
        let header = !v4 || internet_checksum(&frame[14..message]) == 0;
        (
            header,
            internet_checksum(&[&pseudo, &frame[message..end]].concat()) == 0,
        )
    };
    assert_eq!(holds(&fate.bytes), holds(&row.frame), "{what}: checksums");
}

fn check_too_big(row: &Row, fate: &Fate, what: &str) {
    assert_eq!(
        (fate.verdict.as_str(), fate.action),
        ("AnswerTooBig", Action::Tx),
        "{what}"
    );
    let (asked, answer) = (ip(&row.frame), ip(&fate.bytes));
    let v4 = asked.source.is_ipv4();
    assert_eq!(fate.bytes[..14], turned(&row.frame)[..14], "{what}: Ethernet");
    assert_eq!(answer.source, asked.destination, "{what}: from the VIP");
    assert_eq!(answer.destination, asked.source, "{what}: to the client");
    let (protocol, kind, quote) = if v4 { (1, [3, 4], 512) } else { (58, [2, 0], 1024) };
    assert_eq!((answer.protocol, answer.class), (protocol, 0), "{what}: protocol, TOS");
    let message = &fate.bytes[14 + answer.header..];
    assert_eq!(message[..2], kind, "{what}: type and code");
    assert_eq!(message[8..], row.frame[14..14 + quote], "{what}: quote");
    assert_eq!(answer.length, answer.header + 8 + quote, "{what}: length");
    assert_eq!(fate.bytes.len(), 14 + answer.length, "{what}: frame");
    // What would fit is less than what came, and not less than any host takes.
    let fits = u16::from_be_bytes([message[6], message[7]]);
    assert_eq!(message[4..6], [0, 0], "{what}: an MTU has 16 bits here");
    assert!((1400..9001).contains(&fits), "{what}: {fits}");
    assert!(usize::from(fits) < asked.length, "{what}: {fits}");
    let sums = if v4 {
        (internet_checksum(&fate.bytes[14..34]), internet_checksum(message))
    } else {
        let length = (message.len() as u32).to_be_bytes();
        let pseudo = [&fate.bytes[22..54], &length, &[0, 0, 0, 58]].concat();
        (0, internet_checksum(&[&pseudo, message].concat()))
    };
    assert_eq!(sums, (0, 0), "{what}: checksums");
}
