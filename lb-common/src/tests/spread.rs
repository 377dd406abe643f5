//! Flows fall on slots as random numbers would, however regular they are.

use std::vec;

use crate::{
    abi::hash_key::HashKey,
    hash::{FlowHash, FlowV4, FlowV6},
};

/// Flow `source:port → 203.0.113.10:443`, TCP.
const fn https_v4(source: u32, port: u16) -> FlowV4 {
    FlowV4 {
        source: source.to_be(),
        destination: u32::from_ne_bytes([203, 0, 113, 10]),
        source_port: port.to_be(),
        destination_port: 443_u16.to_be(),
        protocol: 6,
    }
}

/// Flow `[source]:port → [2001:db8:ff::10]:443`, TCP.
const fn https_v6(source: u128, port: u16) -> FlowV6 {
    FlowV6 {
        source: address(source),
        destination: address(0x2001_0db8_00ff_0000_0000_0000_0000_0010),
        source_port: port.to_be(),
        destination_port: 443_u16.to_be(),
        protocol: 6,
    }
}

const fn address(address: u128) -> [u32; 4] {
    bytemuck::must_cast(address.to_be_bytes())
}

/// splitmix64 (Steele et al. 2014): random enough to test with.
const fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

fn keys() -> impl Iterator<Item = HashKey> {
    let mut state = 2012;
    (0..8).map(move |_| HashKey {
        words: core::array::from_fn(|_| random(&mut state)),
    })
}

const FLOWS: u32 = 1_000_000;

/// Fails unless a million flows fall on the 65,536 slots as random numbers
/// would: chi² per degree of freedom is 1 ± 0.0055 (one standard deviation).
/// And so do their outer sources: the lower 16 bits of the entropy.
fn assert_spread(what: &str, mut hash: impl FnMut(u32, &HashKey) -> FlowHash) {
    for (at, key) in keys().enumerate() {
        let mut slots = vec![0_u32; 65_536];
        let mut sources = vec![0_u32; 65_536];
        for number in 0..FLOWS {
            let hash = hash(number, &key);
            slots[hash.slot() as usize] += 1;
            sources[(hash.0 >> 16) as usize & 0xffff] += 1;
        }
        for (counts, of) in [(slots, "slots"), (sources, "sources")] {
            let expected = f64::from(FLOWS) / 65_536.0;
            let chi2: f64 = counts
                .iter()
                .map(|&count| (f64::from(count) - expected).powi(2) / expected)
                .sum();
            let per_degree = chi2 / 65_535.0;
            assert!(
                (0.95..=1.05).contains(&per_degree),
                "{what}, {of}, key {at}: {per_degree}"
            );
        }
    }
}

fn assert_spread_v4(what: &str, mut flow: impl FnMut(u32) -> FlowV4) {
    assert_spread(what, |number, key| flow(number).hash(key));
}

fn assert_spread_v6(what: &str, mut flow: impl FnMut(u32) -> FlowV6) {
    assert_spread(what, |number, key| flow(number).hash(key));
}

#[test]
fn random_flows() {
    let mut state = 1;
    assert_spread_v4("IPv4", |_| {
        let bits = random(&mut state);
        https_v4((bits >> 32) as u32, bits as u16)
    });
    assert_spread_v6("IPv6", |_| {
        let [high, low, port]: [u64; 3] = core::array::from_fn(|_| random(&mut state));
        https_v6(u128::from(high) << 64 | u128::from(low), port as u16)
    });
}

#[test]
fn consecutive_ports_of_neighbouring_clients() {
    let port = |number: u32| (10_000 + number % 50_000) as u16;
    assert_spread_v4("IPv4", |number| https_v4(0x0a01_0203 + number / 50_000, port(number)));
    assert_spread_v6("IPv6", |number| {
        https_v6(
            0x2001_0db8_0001_0002_0000_0000_0000_0003 + u128::from(number / 50_000),
            port(number),
        )
    });
}

#[test]
fn consecutive_client_addresses() {
    assert_spread_v4("IPv4", |number| https_v4(0x0a00_0000 + number, 40_000));
    assert_spread_v6("IPv6", |number| {
        https_v6(0x2001_0db8_0001_0002_0000_0000_0000_0000 + u128::from(number), 40_000)
    });
}

#[test]
fn consecutive_networks_of_clients() {
    // Each client the first host of a /64, of a /48.
    for shift in [64, 80] {
        assert_spread_v6("networks", |number| {
            https_v6((0x2001_0db8 << 96) + (u128::from(number) << shift) + 1, 40_000)
        });
    }
}

#[test]
fn clients_with_interface_identifiers_of_their_mac() {
    // RFC 4291 appendix A: ff:fe in the middle, the maker's bytes in front.
    assert_spread_v6("EUI-64", |number| {
        let host = 0x0211_22ff_fe00_0000 + u128::from(number);
        https_v6(0x2001_0db8_0001_0002 << 64 | host, 40_000)
    });
}

#[test]
fn clients_whose_halves_count_together() {
    assert_spread_v6("in step", |number| {
        https_v6(u128::from(number) << 64 | u128::from(number), 40_000)
    });
}

/// Every host of a few in every network of many.
#[test]
fn grids_of_networks_and_hosts() {
    let grid =
        |at: u32, hosts: u32| u128::from(0x2001_0db8_0000_0000 + u64::from(at / hosts)) << 64 | u128::from(at % hosts);
    assert_spread_v6("16 hosts a network", |at| https_v6(grid(at, 16), 40_000));
    assert_spread_v6("1,000 hosts a network", |at| https_v6(grid(at, 1000), 40_000));
    assert_spread("1,000 hosts a network, by source", |at, key| {
        https_v6(grid(at, 1000), 40_000).hash_source(key)
    });
}

#[test]
fn consecutive_vip_addresses() {
    assert_spread_v4("IPv4", |number| FlowV4 {
        destination: (0xc612_0000 + number).to_be(),
        ..https_v4(0x0a01_0203, 40_000)
    });
    assert_spread_v6("IPv6", |number| FlowV6 {
        destination: address((0x2001_0db8 << 96) + u128::from(number)),
        ..https_v6(0x2001_0db8_0001_0002_0000_0000_0000_0003, 40_000)
    });
}

#[test]
fn neighbouring_clients_of_vips_in_consecutive_networks() {
    const VIPS: u32 = 256;
    assert_spread_v6("IPv6", |number| FlowV6 {
        destination: address((0x2001_0db8 << 96) + (u128::from(number % VIPS) << 64) + 1),
        ..https_v6(0x2001_0db8_0001_0002 << 64 | u128::from(number / VIPS), 40_000)
    });
}

#[test]
fn sources_alone() {
    assert_spread("IPv4", |number, key| https_v4(0x0a00_0000 + number, 0).hash_source(key));
    assert_spread("IPv6", |number, key| {
        let source = 0x2001_0db8_0001_0002_0000_0000_0000_0000 + u128::from(number);
        https_v6(source, 0).hash_source(key)
    });
    assert_spread("IPv6 networks", |number, key| {
        https_v6((0x2001_0db8 << 96) + (u128::from(number) << 64), 0).hash_source(key)
    });
}

#[test]
fn siphash_of_consecutive_ports() {
    let port = |number: u32| (10_000 + number % 50_000) as u16;
    assert_spread("IPv4", |number, key| {
        https_v4(0x0a01_0203 + number / 50_000, port(number)).siphash(key)
    });
    assert_spread("IPv6", |number, key| {
        https_v6(
            0x2001_0db8_0001_0002_0000_0000_0000_0003 + u128::from(number / 50_000),
            port(number),
        )
        .siphash(key)
    });
}
