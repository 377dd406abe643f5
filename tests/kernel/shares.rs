//! Flows in the kernel reach the owner of their slot, and are counted for it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use anyhow::Result;
use support::{
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
        let mut sent = BTreeMap::<IpAddr, u64>::new();
        for nth in 0..FLOWS {
            // Ports from 0 to 65,535, hosts one after the other.
            let [high, low] = nth.to_be_bytes();
            let from = SocketAddrV4::new(Ipv4Addr::new(198, 51, high, low), nth.wrapping_mul(33));
            let frame = Packet::syn(from, WEB).bytes();
            let (_, bytes) = program.run(&frame, LOOPBACK)?;
            assert_eq!(bytes, oracle.judge(&frame, LOOPBACK).bytes, "{from}");
            let outer: [u8; 4] = bytes[30..34].try_into()?;
            *sent.entry(outer.into()).or_default() += 1;
        }
        Ok(sent)
    })?;
    let status = balancer.installation.status()?;
    let web = status.pools.iter().find(|pool| pool.name == "web");
    for backend in &web.expect("it is configured").backends {
        let expected = sent.get(&backend.address).copied().unwrap_or_default();
        assert_eq!(backend.traffic.packets, expected, "{}", backend.name);
        assert!(expected > 0, "{} got nothing of {FLOWS} flows", backend.name);
        let slots = oracle.tables.shares("web")[backend.name.as_str()];
        assert_eq!(backend.slots, slots, "{}", backend.name);
    }
    Ok(())
}
