//! A pool of a hundred backends, and what has to hold of its table.

use std::net::Ipv4Addr;

use etherparse::IpNumber;

use super::{WEB, arm, backend, sources, vip};
use crate::oracle::{Encap, Pool, Site, Tables};

const BACKENDS: u8 = 100;

/// One pool with a VIP; weights from 50 to 149, so that the share that one
/// leaves is more than a slot for each of the others.
#[must_use]
pub fn hundred_backends() -> Site {
    let arm = arm(0, 1500);
    let backends = (1..=BACKENDS).map(|nth| {
        let address = Ipv4Addr::new(10, 0, 1, nth).into();
        // 37 and 100 have no factor in common: each weight comes once.
        let weight = 50 + u32::from(nth) * 37 % u32::from(BACKENDS);
        backend(nth, address, weight, &arm)
    });
    let pool = Pool {
        name: "web".to_owned(),
        encap: Encap::IpIp,
        backends: backends.collect(),
    };
    Site {
        interfaces: vec![arm.clone()],
        encap_source: sources((Ipv4Addr::new(10, 255, 0, 0), 16), 64),
        pools: vec![pool],
        vips: vec![vip("web4", WEB.into(), IpNumber::TCP, "web")],
    }
}

/// # Panics
/// If a backend's share is not its weight's, to less than one slot.
pub fn check_shares(site: &Site, tables: &Tables) {
    let backends = &site.pools[0].backends;
    let shares = tables.shares(&site.pools[0].name);
    assert_eq!(shares.values().sum::<u32>(), 65_536, "no slot is nobody's");
    assert_eq!(shares.len(), backends.len(), "{shares:?}");
    let all: u32 = backends.iter().map(|backend| backend.weight).sum();
    for backend in backends {
        let got = f64::from(shares[backend.name.as_str()]);
        let exact = 65_536.0 * f64::from(backend.weight) / f64::from(all);
        assert!(
            (got - exact).abs() < 1.0,
            "{}: {got} slots, {exact} are its share",
            backend.name
        );
    }
}

/// # Panics
/// If other slots differ than those whose owner in `with` is `theirs`.
pub fn check_moved(with: &Tables, without: &Tables, theirs: impl Fn(&str) -> bool) {
    let owners = with.owners("web").into_iter().zip(without.owners("web"));
    for (slot, (before, after)) in owners.enumerate() {
        let owner = before.expect("no slot is nobody's");
        assert_eq!(
            before != after,
            theirs(owner),
            "slot {slot}: {before:?}, then {after:?}"
        );
    }
}
