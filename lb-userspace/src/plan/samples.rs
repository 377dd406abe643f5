//! Contents for the tests of `plan` and `store`: one that serves four VIPs, and
//! a proptest strategy for any.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use proptest::{collection::btree_map, option, prelude::*};

use super::{
    BackendOverride, Base, Bounds, Content, Overrides, Plan, PoolEffect,
    blast::Blast,
    diff::diff,
    policy::{Judged, judge},
    statement::about,
    vip_of,
};
use crate::config::{
    Access, Affinity, Backend, BackendState, Config, Drain, Encap, EncapSource, HashKind, Interface, MacAddr, NextHop,
    Node, ObjectName, Percent, Pool, Protection, Protocol, Seconds, Subject, TableKind, Vip, VipState, XdpMode,
    limits::{MAX_BACKENDS, MAX_POOLS, MAX_VIPS},
};
use crate::revision::{BackendId, Hop, Hops};

/// Pools `dns` (d1, d2) and `web` (be1, be2, be5); VIPs `dns`, `dns-tcp`, `old`
/// and `web4`; interfaces lb0 and lb1.
pub fn content() -> Content {
    let dns = vec![backend("d1", 21, 100), backend("d2", 22, 100)];
    let web = vec![
        backend("be1", 11, 100),
        backend("be2", 12, 100),
        backend("be5", 15, 100),
    ];
    Content::new(
        Config {
            environment: "lab".to_owned(),
            node: node(&["lb0", "lb1"]),
            pools: vec![pool("dns", dns), pool("web", web)],
            vips: vec![
                vip("dns", 53, 53, Protocol::Udp, "dns"),
                vip("dns-tcp", 53, 53, Protocol::Tcp, "dns"),
                vip("old", 9, 80, Protocol::Tcp, "web"),
                vip("web4", 10, 443, Protocol::Tcp, "web"),
            ],
            access: None,
            protection: Protection::default(),
        },
        Overrides::default(),
    )
}

/// As many pools, backends and VIPs as there can be; every pool has other
/// weights, and so another table.
pub fn largest() -> Content {
    let spread = |number: usize| [(number >> 16) as u8, (number >> 8) as u8, number as u8];
    let mut number = 0;
    let pools = (0..MAX_POOLS).map(|at| {
        let name = format!("p{at:04}");
        let count = MAX_BACKENDS / MAX_POOLS + usize::from(at < MAX_BACKENDS % MAX_POOLS);
        let backends = (0..count).map(|nth| {
            number += 1;
            let [a, b, c] = spread(number);
            Backend {
                name: format!("b{number:05}"),
                address: IpAddr::V4(Ipv4Addr::new(10, a, b, c)),
                ..backend("", 0, 1000 + if nth == 0 { at as u32 } else { 0 })
            }
        });
        pool(&name, backends.collect())
    });
    let pools = pools.collect();
    let vips = (0..MAX_VIPS).map(|at| {
        let [_, b, c] = spread(at);
        Vip {
            name: format!("v{at:05}"),
            address: IpAddr::V4(Ipv4Addr::new(198, 18, b, c)),
            ..vip("", 0, 443, Protocol::Tcp, &format!("p{:04}", at % MAX_POOLS))
        }
    });
    Content::new(
        Config {
            environment: "lab".to_owned(),
            node: node(&["lb0"]),
            pools,
            vips: vips.collect(),
            access: None,
            protection: Protection::default(),
        },
        Overrides::default(),
    )
}

/// The next hop of every backend, through lb0.
pub fn hops(content: &Content) -> Hops {
    let backends = content.config.pools.iter();
    let backends = backends.flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    backends
        .map(|(pool, backend)| {
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            let mac = match backend.address {
                IpAddr::V4(address) => {
                    let [_, b, c, d] = address.octets();
                    [2, 0, 0, b, c, d]
                }
                IpAddr::V6(address) => {
                    let [.., b, c, d] = address.octets();
                    [2, 0, 6, b, c, d]
                }
            };
            (id, hop(mac))
        })
        .collect()
}

pub fn hop(mac: [u8; 6]) -> Hop {
    Hop {
        mac: MacAddr(mac),
        interface: "lb0".to_owned(),
        interface_mac: MacAddr([2, 0, 0, 0, 1, 0]),
        ifindex: 2,
        mtu: 1500,
    }
}

pub fn node(interfaces: &[&str]) -> Node {
    let interface = |name: &&str| Interface {
        name: (*name).to_owned(),
        mode: XdpMode::Native,
    };
    Node {
        interfaces: interfaces.iter().map(interface).collect(),
        encap_source: EncapSource {
            v4: Some("10.255.0.0/16".parse().expect("a prefix")),
            v6: Some("fd00:ff::/64".parse().expect("a prefix")),
        },
        hash_key_file: PathBuf::from("/var/lib/holdfast/hash.key"),
        guard: false,
    }
}

pub fn pool(name: &str, backends: Vec<Backend>) -> Pool {
    Pool {
        name: name.to_owned(),
        encap: Encap::Ipip,
        table: TableKind::Minmove,
        drain: Drain::default(),
        health: None,
        panic_threshold: Percent::ZERO,
        fallback_pool: None,
        backends,
    }
}

pub fn backend(name: &str, last: u8, weight: u32) -> Backend {
    Backend {
        name: name.to_owned(),
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 1, last)),
        weight,
        state: BackendState::Ready,
        next_hop: None,
    }
}

pub fn vip(name: &str, last: u8, port: u16, protocol: Protocol, pool: &str) -> Vip {
    Vip {
        name: name.to_owned(),
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)),
        port,
        protocol,
        pool: pool.to_owned(),
        affinity: Affinity::Tuple,
        hash: HashKind::Fast,
        protected: false,
        state: VipState::Ready,
    }
}

/// The IPv6 address that ends as this IPv4 address does.
fn as_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(v4.octets()[3]))),
        IpAddr::V6(_) => address,
    }
}

prop_compose! {
    fn any_backend()(
        last: u8,
        v6: bool,
        weight in 0..3_u32,
        state in prop_oneof![Just(BackendState::Ready), Just(BackendState::Drain), Just(BackendState::Maint)],
        mac in option::of(0..2_u8),
    ) -> Backend {
        let v4 = backend("", last, weight);
        Backend {
            address: if v6 { as_v6(v4.address) } else { v4.address },
            state,
            next_hop: mac.map(|mac| NextHop { mac: MacAddr([2, 0, 0, 0, 0, mac]), interface: "lb0".to_owned() }),
            ..v4
        }
    }
}

prop_compose! {
    fn any_pool()(
        maglev: bool,
        encap in prop_oneof![Just(Encap::Ipip), Just(Encap::Gue), Just(Encap::L2)],
        idle in 1..3_u32,
        backends in btree_map("be[1-4]", any_backend(), 0..4),
    ) -> Pool {
        let backends = backends.into_iter().map(|(name, backend)| Backend { name, ..backend }).collect();
        let table = if maglev { TableKind::Maglev } else { TableKind::Minmove };
        let drain = Drain { idle: Seconds(idle), ..Drain::default() };
        Pool { encap, table, drain, ..pool("", backends) }
    }
}

prop_compose! {
    fn any_vip()(
        last in 0..3_u8,
        v6: bool,
        port in 1..3_u16,
        udp: bool,
        pool in "[a-c]",
        by_source: bool,
        siphash: bool,
        maint: bool,
    ) -> Vip {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let v4 = vip("", last, port, protocol, &pool);
        Vip {
            address: if v6 { as_v6(v4.address) } else { v4.address },
            affinity: if by_source { Affinity::Source } else { Affinity::Tuple },
            hash: if siphash { HashKind::Siphash } else { HashKind::Fast },
            state: if maint { VipState::Maint } else { VipState::Ready },
            ..v4
        }
    }
}

prop_compose! {
    fn any_backend_name()(pool in "[a-c]", backend in "be[1-4]") -> ObjectName {
        ObjectName::Backend { pool, backend }
    }
}

prop_compose! {
    fn any_override()(
        state in option::of(prop_oneof![Just(BackendState::Ready), Just(BackendState::Drain)]),
        weight in option::of(0..3_u32),
    ) -> BackendOverride {
        BackendOverride { state, weight, until: None }
    }
}

prop_compose! {
    /// Of one environment, objects sorted by name and drawn from few names, so
    /// that two of them share many.
    pub fn any_content()(
        interfaces in prop_oneof![Just(vec!["lb0"]), Just(vec!["lb0", "lb1"]), Just(vec!["lb1", "lb0"])],
        length in 15..17_u8,
        detached in proptest::collection::btree_set("lb[0-2]", 0..3),
        operator in option::of(0..2_u32),
        require_drain: bool,
        overridden in btree_map(any_backend_name(), any_override(), 0..4),
        waking in proptest::collection::btree_set("[a-d]", 0..3),
        pools in btree_map("[a-c]", any_pool(), 0..4),
        vips in btree_map("[a-d]", any_vip(), 0..5),
    ) -> Content {
        let mut node = node(&interfaces);
        node.encap_source.v4 = ipnet::Ipv4Net::new(Ipv4Addr::new(10, 254, 0, 0), length).ok();
        node.encap_source.v6 = node.encap_source.v6.filter(|_| !detached.contains("lb2"));
        let config = Config {
            environment: "lab".to_owned(),
            node,
            pools: pools.into_iter().map(|(name, pool)| Pool { name, ..pool }).collect(),
            vips: vips.into_iter().map(|(name, vip)| Vip { name, ..vip }).collect(),
            access: operator.map(|uid| Access { operator: vec![Subject::Uid(uid)], ..Access::default() }),
            protection: Protection { require_drain, ..Protection::default() },
        };
        let backends = overridden.into_iter().filter(|(_, of)| !of.is_empty());
        // Those of objects that are gone go with them.
        let vips = waking.into_iter().map(|name| (ObjectName::Vip(name), VipState::Ready));
        let overrides = Overrides { detached, backends: backends.collect(), vips: vips.collect() };
        let mut kept = overrides.clone().within(&config);
        kept.vips.retain(|object, state| vip_of(&config, object).is_ok_and(|vip| vip.state != *state));
        Content::new(config, Overrides { detached: overrides.detached, ..kept })
    }
}

/// From [`content`] at generation 41: be2 reweighted, be5 and the VIP `dns`
/// removed, of which only be5 is named.
pub fn plan() -> Plan {
    let mut target = content();
    let web = &mut target.config.pools[1];
    web.backends[1].weight = 50;
    web.backends.pop();
    target.config.vips.remove(0);
    let mut plan = plan_to(Some(&content()), target, &["backend/web/be5"]);
    plan.effects.push(PoolEffect {
        pool: "web".to_owned(),
        slots_moved: 21_846,
        slots_unavoidable: 21_845,
    });
    plan
}

/// A plan as the daemon makes it, without effects.
pub fn plan_to(base: Option<&Content>, target: Content, removed: &[&str]) -> Plan {
    let removed: BTreeSet<ObjectName> = removed.iter().map(|name| name.parse().expect("an object")).collect();
    let changes = diff(base, &target);
    let findings = judge(Judged {
        running: base,
        environment: "lab",
        target: &target,
        removed: &removed,
        wipe: false,
        changes: &changes,
    });
    let issued = "2026-01-02T03:04:05Z".parse().expect("a time");
    let plan = Plan {
        about: String::new(),
        environment: "lab".to_owned(),
        hosts: BTreeSet::from(["lb1".to_owned()]),
        base: Base {
            generation: if base.is_some() { 41 } else { 0 },
            digest: base.map(Content::digest),
        },
        target,
        rollback_to: None,
        wipe: false,
        removed,
        changes,
        effects: Vec::new(),
        blast: Blast::default(),
        bounds: Bounds::default(),
        needs: 0,
        trial: None,
        findings,
        author: "uid 1000".to_owned(),
        issued,
        expires: issued + jiff::SignedDuration::from_mins(30),
        nonce: "5f8e2a90c1d34b67".to_owned(),
    };
    Plan {
        about: about(&plan),
        ..plan
    }
}
