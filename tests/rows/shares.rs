//! Flows reach the owner of their slot, all slots are in use, and the hash
//! spreads flows like chance.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::Result;
use support::{
    mutation::{Random, seed},
    native::Native,
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
        let got = f64::from(forwarded[&backend.address.octets()]);
        let share = f64::from(shares[backend.name.as_str()]) / 65_536.0;
        let expected = f64::from(FLOWS) * share;
        // Six standard deviations of the binomial distribution.
        let tolerance = 6.0 * (expected * (1.0 - share)).sqrt();
        assert!(
            (got - expected).abs() < tolerance,
            "{}: {got} of {expected} ± {tolerance}",
            backend.name
        );
    }
    Ok(())
}

#[test]
fn the_hash_spreads_neighbouring_flows_like_chance() {
    use lb_common::{abi::hash_key::HashKey, hash::FlowV4};
    const SLOTS: u32 = 65_536;
    const PER_SLOT: u32 = 16;
    let mut random = Random::seeded(seed());
    for (name, flow) in flows() {
        let key = HashKey::from_bytes(&random.bytes(32).try_into().expect("32 bytes"));
        let mut slots = vec![0_u32; SLOTS as usize];
        for nth in 0..SLOTS * PER_SLOT {
            let (source, port) = flow(nth);
            let flow = FlowV4 {
                source: source.to_be(),
                destination: u32::from(*WEB.ip()).to_be(),
                source_port: port.to_be(),
                destination_port: WEB.port().to_be(),
                protocol: 6,
            };
            slots[flow.hash(&key).slot() as usize] += 1;
        }
        let expected = f64::from(PER_SLOT);
        let chi_squared: f64 = slots
            .iter()
            .map(|&hits| (f64::from(hits) - expected).powi(2) / expected)
            .sum();
        let per_degree = chi_squared / f64::from(SLOTS - 1);
        println!("{name}: chi² per degree of freedom {per_degree:.4}");
        // The standard deviation of this figure is 0.0055.
        assert!((0.9..1.1).contains(&per_degree), "{name}: {per_degree}");
    }
}

/// Source address and port of the n-th flow.
type Source = fn(u32) -> (u32, u16);

/// Sources that differ little.
fn flows() -> [(&'static str, Source); 4] {
    [
        ("one host after the other, one port", |nth| (0x0a00_0000 + nth, 40_000)),
        ("sixteen hosts, every port", |nth| {
            (0x0a00_0000 + (nth >> 16), nth as u16)
        }),
        ("hosts a network apart", |nth| (nth.rotate_left(12), 443)),
        ("host and port together", |nth| (0x0a00_0000 + nth, nth as u16)),
    ]
}
