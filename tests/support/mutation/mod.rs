//! Packets that nobody would write by hand: rows and random packets, broken
//! in random ways. The same seed gives the same packets.

mod damage;
mod valid;

use std::{
    env,
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    oracle::{Prefix, Site},
    sites::{HOST, HOST6},
};

/// Bytes of the longest frame.
const LONGEST: usize = 9100;

/// Numbers that look random (splitmix64; Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Under `bound`, which is not 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    pub const fn byte(&mut self) -> u8 {
        self.word() as u8
    }

    /// # Panics
    /// If there is nothing to choose from.
    pub fn one_of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())].clone()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

/// `HOLDFAST_SEED`, or another one each time; printed, so that a failure can be
/// repeated.
#[must_use]
pub fn seed() -> u64 {
    let given = env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |since| since.as_micros() as u64)
    });
    println!("HOLDFAST_SEED={seed}");
    seed
}

/// How many mutations a run tries: 100,000, or 1,000,000 with HOLDFAST_LONG=1.
#[must_use]
pub fn count() -> u64 {
    let long = env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1");
    if long { 1_000_000 } else { 100_000 }
}

/// Frames to start from, and the addresses that matter.
#[derive(Clone, Debug)]
pub struct Cases {
    seed: u64,
    frames: Vec<Vec<u8>>,
    /// VIPs with their protocols, by family.
    v4: Targets,
    v6: Targets,
}

/// What rules of one family speak of.
#[derive(Clone, Debug)]
struct Targets {
    vips: Vec<(SocketAddr, u8)>,
    host: SocketAddr,
    /// Addresses at the edges of a rule.
    edges: Vec<IpAddr>,
    /// Where we send from, and to whom.
    ours: Vec<IpAddr>,
    backends: Vec<IpAddr>,
}

impl Cases {
    #[must_use]
    pub fn new(seed: u64, site: &Site, frames: Vec<Vec<u8>>) -> Self {
        Self {
            seed,
            frames,
            v4: Targets::of(site, true),
            v6: Targets::of(site, false),
        }
    }

    /// Case `nth` of this seed.
    #[must_use]
    pub fn frame(&self, nth: u64) -> Vec<u8> {
        let mut random = Random::seeded(self.seed ^ nth.wrapping_mul(0xD134_2543_DE82_EF95));
        let mut frame = if random.below(2) == 0 {
            random.one_of(&self.frames)
        } else {
            self.valid(&mut random)
        };
        for _ in 0..random.below(5) {
            self.damage(&mut random, &mut frame);
        }
        frame.truncate(LONGEST);
        frame
    }

    const fn of_family(&self, is_v4: bool) -> &Targets {
        if is_v4 { &self.v4 } else { &self.v6 }
    }
}

impl Targets {
    /// # Panics
    /// If a text below is no address.
    fn of(site: &Site, is_v4: bool) -> Self {
        const EDGES_V4: [&str; 6] = [
            "126.255.255.255",
            "127.0.0.1",
            "223.255.255.255",
            "224.0.0.1",
            "0.1.2.3",
            "255.255.255.255",
        ];
        const EDGES_V6: [&str; 10] = [
            "::",
            "::1",
            "::2",
            "feff:ffff::1",
            "ff00::",
            "ff02::1",
            "::fffe:ffff:ffff",
            "::ffff:203.0.113.10",
            "::1:0:0:0",
            "fe80::1",
        ];
        let (source, edges, host) = if is_v4 {
            (site.encap_source.v4, &EDGES_V4[..], HOST.into())
        } else {
            (site.encap_source.v6, &EDGES_V6[..], HOST6.into())
        };
        let mut edges: Vec<IpAddr> = edges.iter().map(|text| text.parse().expect("an address")).collect();
        let vips = site.vips.iter().filter(|vip| vip.address.is_ipv4() == is_v4);
        edges.extend(vips.clone().take(8).map(|vip| vip.address));
        edges.extend(source.into_iter().flat_map(around));
        let backends = site.pools.iter().flat_map(|pool| &pool.backends);
        let backends = backends.map(|backend| backend.address);
        Self {
            vips: vips
                .map(|vip| (SocketAddr::new(vip.address, vip.port), vip.protocol))
                .collect(),
            host,
            edges,
            ours: source.into_iter().flat_map(within).collect(),
            backends: backends.filter(|address| address.is_ipv4() == is_v4).collect(),
        }
    }
}

/// The first and the last address of a prefix.
fn within(prefix: Prefix) -> [IpAddr; 2] {
    [prefix.address(0), prefix.address(u128::MAX)]
}

/// These, and the ones just beside them.
fn around(prefix: Prefix) -> [IpAddr; 4] {
    let [first, last] = within(prefix);
    let beside = |address: IpAddr, by: i128| match address {
        IpAddr::V4(address) => IpAddr::V4(u32::from(address).wrapping_add_signed(by as i32).into()),
        IpAddr::V6(address) => IpAddr::V6(u128::from(address).wrapping_add_signed(by).into()),
    };
    [first, last, beside(first, -1), beside(last, 1)]
}
