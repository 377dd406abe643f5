//! Every row of the balancer, on every site.

use std::collections::BTreeSet;

use anyhow::Result;
use etherparse::{Ipv4HeaderSlice, SlicedPacket};
use lb_common::verdict::Verdict;
use support::{
    native::Native,
    oracle::{Action, Fate, Site},
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
    let claims: BTreeSet<&str> = rows.iter().map(|row| row.claim).collect();
    assert_eq!(claims.len(), rows.len());
    assert!(rows.len() >= 60, "{} rows", rows.len());
}

#[test]
fn every_verdict_that_a_packet_alone_can_have_has_a_row() -> Result<()> {
    // What needs a kernel without room, or damaged content: see `damage`.
    let elsewhere = [
        Verdict::PassNoGeneration,
        Verdict::PassUnreadable,
        Verdict::DropNoBackend,
        Verdict::DropNoHeadroom,
        Verdict::DropUnreadable,
        Verdict::DropEncap,
    ];
    let mut seen = BTreeSet::new();
    for (_, site) in sites::all() {
        let snapshot = Snapshot::published(&site, KEY)?;
        let native = Native::new(&snapshot);
        seen.extend(rows().iter().map(|row| native.run(&row.frame, 1).verdict));
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
    }
}

fn check_forwarded(site: &Site, pool: &str, row: &Row, fate: &Fate, what: &str) {
    assert!(matches!(fate.action, Action::Tx | Action::Redirect), "{what}: {fate:?}");
    let (outer, inner) = fate.bytes.split_at(34);
    assert_eq!(inner, &row.frame[14..], "{what}: inner bytes");
    let ip = Ipv4HeaderSlice::from_slice(&outer[14..]).expect("an outer header");
    let ip = ip.to_header();
    assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "{what}: outer checksum");
    let inner_length = u16::from_be_bytes([row.frame[16], row.frame[17]]);
    assert_eq!(ip.total_len, inner_length + 20, "{what}: outer length");
    assert_eq!(outer[15], row.frame[15], "{what}: TOS copied");
    assert_eq!(outer[18..24], [0, 0, 0x40, 0, 64, 4], "{what}: id, DF, TTL, protocol");
    assert!(site.encap_source.contains(ip.source.into()), "{what}: outer source");
    let pool = site.pool(pool).expect("a pool of the row");
    let mut backends = pool.backends.iter();
    let backend = backends.find(|backend| backend.address.octets() == ip.destination);
    let hop = backend.and_then(|backend| backend.next_hop.as_ref());
    let hop = hop.unwrap_or_else(|| panic!("{what}: {:?} is no backend of the pool", ip.destination));
    assert_eq!(outer[..6], hop.mac, "{what}: to the next hop");
    let egress = site.interface(&hop.interface);
    assert_eq!(outer[6..12], egress.mac, "{what}: from our interface");
    let back = egress.ifindex == site.interfaces[0].ifindex;
    let verdict = if back { "ForwardTx" } else { "ForwardRedirect" };
    assert_eq!(fate.verdict, verdict, "{what}");
    // Others can read it too, but for what was wrong with it before.
    if SlicedPacket::from_ethernet(&row.frame).is_ok() {
        SlicedPacket::from_ethernet(&fate.bytes).expect("etherparse reads what it could read before");
    }
}
