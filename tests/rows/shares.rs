//! Flows reach the owner of their slot, all slots are in use, and weights are
//! kept exactly through changes.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::Result;
use support::{
    native::Native,
    oracle::{Oracle, Site},
    packet::Packet,
    sites::{self, WEB},
    snapshot::Snapshot,
};

const FLOWS: u32 = 100_000;

#[test]
fn sixteen_bit_ports_and_every_slot_reach_the_tables_owner() -> Result<()> {
    let site = sites::one_arm();
    let snapshot = Snapshot::published(&site, [3; 32])?;
    let tables = snapshot.oracle(&site)?.tables;
    let shares = tables.shares("web");
    assert_eq!(shares.values().sum::<u32>(), 65_536, "no slot is nobody's: {shares:?}");
    // The weights are 100, 50 and 150, of 300.
    let expected = [("be1", 65_536 / 3), ("be2", 65_536 / 6), ("be3", 65_536 / 2)];
    for (name, slots) in expected {
        assert!(shares[name].abs_diff(slots) <= 1, "{name}: {shares:?}");
    }

    let native = Native::new(&snapshot);
    let mut forwarded = BTreeMap::<[u8; 4], u32>::new();
    for nth in 0..FLOWS {
        // Every source port, from two hosts.
        let [high, low] = ((nth >> 16) as u16).to_be_bytes();
        let from = SocketAddrV4::new(Ipv4Addr::new(198, 51, high, low.wrapping_add(1)), nth as u16);
        let fate = native.run(&Packet::syn(from, WEB).bytes(), 1);
        let destination = fate.bytes[30..34].try_into()?;
        *forwarded.entry(destination).or_default() += 1;
    }
    for backend in &site.pool("web").expect("it is there").backends {
        let octets = match backend.address {
            std::net::IpAddr::V4(address) => address.octets(),
            std::net::IpAddr::V6(address) => panic!("{address} is no backend of web"),
        };
        let got = f64::from(forwarded[&octets]);
        let share = f64::from(shares[backend.name.as_str()]) / 65_536.0;
        let expected = f64::from(FLOWS) * share;
        // Six standard deviations of the binomial distribution.
        let tolerance = 6.0 * (expected * (1.0 - share)).sqrt();
        assert!(
            (got - expected).abs() < tolerance,
            "{}: {got}, expected {expected} ± {tolerance}",
            backend.name
        );
    }
    Ok(())
}

#[test]
fn removing_one_of_a_hundred_backends_moves_its_share_of_slots_and_none_else() -> Result<()> {
    const LEAVES: &str = "be37";
    let before = sites::hundred_backends();
    let mut after = before.clone();
    after.pools[0].backends.retain(|backend| backend.name != LEAVES);
    let [first, second, third] = successive([&before, &after, &before])?;
    for oracle in [&first, &second, &third] {
        sites::check_shares(&oracle.site, &oracle.tables);
    }
    let its_share = first.tables.shares("web")[LEAVES];
    sites::check_moved(&first.tables, &second.tables, |owner| owner == LEAVES);
    assert!(!second.tables.shares("web").contains_key(LEAVES));
    // And back: it gets what it had.
    sites::check_moved(&third.tables, &second.tables, |owner| owner == LEAVES);
    assert_eq!(third.tables.shares("web")[LEAVES], its_share);
    Ok(())
}

/// What is published, one after the other.
fn successive<const COUNT: usize>(sites: [&Site; COUNT]) -> Result<[Oracle; COUNT]> {
    let snapshots = Snapshot::successive(&sites, [9; 32])?;
    let oracles: Result<Vec<Oracle>> = snapshots
        .iter()
        .zip(sites)
        .map(|(snapshot, site)| snapshot.oracle(site))
        .collect();
    Ok(oracles?.try_into().expect("as many as sites"))
}
