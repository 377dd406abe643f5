//! Flows in the kernel reach the owner of their slot, and are counted for it.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use anyhow::Result;
use support::{
    contract::Applied,
    oracle::{Site, Tables},
    packet::Packet,
    sites::{self, WEB},
    snapshot::Snapshot,
};

use crate::balancer::{Balancer, LOOPBACK};

const FLOWS: u16 = 2000;

#[test]
fn flows_reach_the_tables_owner_and_are_counted_for_it() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?;
    let oracle = Snapshot::read(balancer.pins())?.oracle(&balancer.site)?;
    let program = balancer.balancer()?;
    let sent = balancer.inside(|| {
        let mut sent = BTreeMap::<[u8; 4], u64>::new();
        for nth in 0..FLOWS {
            // Ports from 0 to 65,535, hosts one after the other.
            let [high, low] = nth.to_be_bytes();
            let from = SocketAddrV4::new(Ipv4Addr::new(198, 51, high, low), nth.wrapping_mul(33));
            let frame = Packet::syn(from, WEB).bytes();
            let (_, bytes) = program.run(&frame, LOOPBACK)?;
            assert_eq!(bytes, oracle.judge(&frame, LOOPBACK).bytes, "{from}");
            *sent.entry(bytes[30..34].try_into()?).or_default() += 1;
        }
        Ok(sent)
    })?;
    let status = balancer.installation.status()?;
    let web = status.pools.iter().find(|pool| pool.name == "web");
    for backend in &web.expect("it is configured").backends {
        let IpAddr::V4(address) = backend.address else {
            panic!("{} is no backend of web", backend.address);
        };
        let expected = sent.get(&address.octets()).copied().unwrap_or_default();
        assert_eq!(backend.traffic.packets, expected, "{}", backend.name);
        assert!(expected > 0, "{} got nothing of {FLOWS} flows", backend.name);
        let slots = oracle.tables.shares("web")[backend.name.as_str()];
        assert_eq!(backend.slots, slots, "{}", backend.name);
    }
    Ok(())
}

#[test]
fn removing_one_of_a_hundred_backends_moves_its_share_of_slots_in_the_kernel_and_none_else() -> Result<()> {
    const LEAVES: &str = "be37";
    let balancer = Balancer::start(sites::hundred_backends())?;
    let before = balancer.site.clone();
    let mut after = before.clone();
    after.pools[0].backends.retain(|backend| backend.name != LEAVES);

    let first = tables(&balancer, &before)?;
    let (second, left) = applied(&balancer, &after, &["--remove", "backend/web/be37"])?;
    let (third, returned) = applied(&balancer, &before, &[])?;
    sites::check_moved(&first, &second, |owner| owner == LEAVES);
    sites::check_moved(&third, &second, |owner| owner == LEAVES);
    let its_share = first.shares("web")[LEAVES];
    assert_eq!(third.shares("web")[LEAVES], its_share, "it gets what it had");
    for change in [left, returned] {
        let effects: Vec<_> = change
            .effects
            .iter()
            .map(|effect| (effect.slots_moved, effect.slots_unavoidable))
            .collect();
        assert_eq!(effects, [(its_share, its_share)], "the plan says so");
    }
    Ok(())
}

/// What the kernel serves, with the shares of this site.
fn tables(balancer: &Balancer, site: &Site) -> Result<Tables> {
    let tables = Snapshot::read(balancer.pins())?.oracle(site)?.tables;
    sites::check_shares(site, &tables);
    Ok(tables)
}

fn applied(balancer: &Balancer, site: &Site, more: &[&str]) -> Result<(Tables, Applied)> {
    let config = &balancer.installation.config;
    fs::write(config, sites::yaml(site, &balancer.scratch().path("hash.key")))?;
    let file = config.to_string_lossy();
    let arguments = [&["apply", "-f", &file], more].concat();
    let applied = balancer.installation.ask(&arguments)?;
    Ok((tables(balancer, site)?, applied))
}
