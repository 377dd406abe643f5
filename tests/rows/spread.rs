//! The flow hash spreads flows over slots like chance, however much alike they
//! are. Judged by the oracle's hash, which the rows and the mutations hold the
//! packet path to.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use support::{
    mutation::{Random, seed},
    oracle::{Affinity, Flow, FlowHash, Function},
    sites::{WEB, WEB6},
    statistics::deviation,
};

const SLOTS: usize = 65_536;
/// 16 for each slot.
const FLOWS: u32 = 1 << 20;
/// Chance goes beyond this many standard deviations twice in 10^9 times.
const BOUND: f64 = 6.0;

/// Source address and port of the n-th flow.
type Source<A> = fn(u32) -> (A, u16);

#[test]
fn neighbouring_flows_of_ipv4_are_spread_like_chance() {
    for (name, source) in v4_sources() {
        for function in [Function::Fast, Function::SipHash] {
            spread(name, Affinity::Tuple, function, |nth| {
                let (source, port) = source(nth);
                (Ipv4Addr::from(source).into(), port)
            });
        }
    }
}

#[test]
fn neighbouring_flows_of_ipv6_are_spread_like_chance() {
    for (name, source) in v6_sources() {
        spread(&name, Affinity::Tuple, Function::Fast, source);
    }
    for (name, source) in v6_sources().into_iter().step_by(4) {
        spread(&name, Affinity::Tuple, Function::SipHash, source);
    }
}

#[test]
fn neighbouring_sources_alone_are_spread_like_chance() {
    for function in [Function::Fast, Function::SipHash] {
        spread("hosts one after the other", Affinity::Source, function, |nth| {
            (Ipv4Addr::from(0x0a00_0000 + nth).into(), 0)
        });
        spread("IPv6 hosts one after the other", Affinity::Source, function, |nth| {
            (at(&[15, 14, 13], nth), 0)
        });
        spread("IPv6 networks one after the other", Affinity::Source, function, |nth| {
            (at(&[7, 6, 5], nth), 0)
        });
        spread("IPv6 networks with sixteen hosts", Affinity::Source, function, |nth| {
            (at(&[7, 6, 15], nth), 0)
        });
    }
}

/// # Panics
/// If chance does not explain how these flows meet the slots, with one of
/// several keys.
fn spread(name: &str, affinity: Affinity, function: Function, source: impl Fn(u32) -> (IpAddr, u16)) {
    let mut random = Random::seeded(seed());
    let long = env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1");
    for _ in 0..if long { 20 } else { 2 } {
        let key = random.bytes(32).try_into().expect("32 bytes");
        let mut slots = vec![0_u32; SLOTS];
        for nth in 0..FLOWS {
            let (source, source_port) = source(nth);
            let destination = if source.is_ipv4() {
                WEB.ip().to_owned().into()
            } else {
                WEB6.ip().to_owned().into()
            };
            let flow = Flow {
                source,
                source_port,
                destination,
                destination_port: WEB.port(),
                protocol: 6,
            };
            let slot = FlowHash::of(&flow, affinity, function, &key).slot();
            slots[usize::from(slot)] += 1;
        }
        let sigmas = deviation(&slots);
        println!("{name}, {affinity:?}, {function:?}: {sigmas:.2} standard deviations");
        assert!(
            sigmas.abs() < BOUND,
            "{name}, {affinity:?}, {function:?}, key {key:02x?}: {sigmas} standard deviations from chance"
        );
    }
}

/// Sources that differ little.
fn v4_sources() -> [(&'static str, Source<u32>); 5] {
    [
        ("one host after the other, one port", |nth| (0x0a00_0000 + nth, 40_000)),
        ("sixteen hosts, every port", |nth| {
            (0x0a00_0000 + (nth >> 16), nth as u16)
        }),
        ("hosts a network apart", |nth| (nth.rotate_left(12), 443)),
        ("host and port together", |nth| (0x0a00_0000 + nth, nth as u16)),
        ("ports a thousand apart", |nth| {
            (0x0a00_0000 + (nth & 0xffff), (nth >> 16) as u16 * 1024)
        }),
    ]
}

type V6Source = Box<dyn Fn(u32) -> (IpAddr, u16)>;

/// The same for IPv6, where networks hand out addresses in many ways.
fn v6_sources() -> Vec<(String, V6Source)> {
    let mut sources: Vec<(String, V6Source)> = Vec::new();
    // Numbers that count up at each place, whatever else is the same.
    for place in 2..16_usize {
        let bytes = [place, place - 1, place - 2];
        sources.push((
            format!("counting at byte {place}"),
            Box::new(move |nth| (at(&bytes, nth), 443)),
        ));
    }
    // Two parts that count on their own, the first one fastest.
    for bytes in [
        [7, 6, 15],
        [15, 7, 6],
        [15, 14, 7],
        [7, 15, 14],
        [5, 4, 15],
        [7, 6, 8],
        [3, 7, 15],
        [7, 15, 5],
        [11, 3, 15],
        [8, 0, 9],
    ] {
        sources.push((
            format!("counting at bytes {bytes:?}"),
            Box::new(move |nth| (at(&bytes, nth), 443)),
        ));
    }
    let others: [(&str, Source<IpAddr>); 7] = [
        ("sixteen hosts, every port", |nth| (at(&[15], nth >> 16), nth as u16)),
        ("sixteen networks, every port", |nth| (at(&[7], nth >> 16), nth as u16)),
        ("host and port together", |nth| (at(&[15, 14, 13], nth), nth as u16)),
        ("network and host together", |nth| {
            let [_, c, b, a] = nth.to_be_bytes();
            (filled(&[(5, c), (6, b), (7, a), (13, c), (14, b), (15, a)]), 443)
        }),
        // RFC 4291, appendix A: a vendor's number, fffe, and one that counts.
        ("EUI-64", |nth| {
            let [_, c, b, a] = nth.to_be_bytes();
            let vendor = [(8, 0x02), (9, 0x1b), (10, 0x21), (11, 0xff), (12, 0xfe)];
            (filled(&[&vendor[..], &[(13, c), (14, b), (15, a)]].concat()), 443)
        }),
        // RFC 8981: the lower half is random.
        ("random hosts of one network", |nth| {
            let low = Random::seeded(nth.into()).word();
            (Ipv6Addr::from(NETWORK | u128::from(low)).into(), 443)
        }),
        ("one random host for each network", |nth| {
            let low = Random::seeded(nth.into()).word();
            (
                Ipv6Addr::from(NETWORK | u128::from(nth) << 64 | u128::from(low)).into(),
                443,
            )
        }),
    ];
    sources.extend(others.map(|(name, source)| (name.to_owned(), Box::new(source) as V6Source)));
    sources
}

/// RFC 3849.
const NETWORK: u128 = 0x2001_0db8 << 96;

/// An address with these bytes in these places.
fn filled(bytes: &[(usize, u8)]) -> IpAddr {
    let mut octets = Ipv6Addr::from(NETWORK).octets();
    for &(at, value) in bytes {
        octets[at] = value;
    }
    Ipv6Addr::from(octets).into()
}

/// An address with the bytes of a number in these places, the lowest first.
fn at(places: &[usize], nth: u32) -> IpAddr {
    let bytes = places.iter().copied().zip(nth.to_le_bytes());
    filled(&bytes.collect::<Vec<_>>())
}
