//! Broken packets without end: the packet path and the oracle agree on every
//! one.

use std::collections::BTreeMap;

use anyhow::Result;
use support::{
    mutation::{Cases, count, seed},
    native::{Native, run_agent},
    oracle::AgentOracle,
    rows::{BALANCERS, agent_rows, rows},
    sites,
    snapshot::Snapshot,
};

#[test]
fn mutations_have_the_fate_the_oracle_says() -> Result<()> {
    let seed = seed();
    for (name, site) in sites::all() {
        let snapshot = Snapshot::published(&site, [0x5a; 32])?;
        let oracle = snapshot.oracle(&site)?;
        let native = Native::new(&snapshot);
        let cases = Cases::new(seed, &site, rows().into_iter().map(|row| row.frame).collect());
        // Ours, loopback, and somebody else's.
        let mut ingresses = site.interfaces.iter().map(|ours| ours.ifindex).chain([1, 77]).cycle();
        let mut fates = BTreeMap::<String, u64>::new();
        for nth in 0..count() {
            let frame = cases.frame(nth);
            let ingress = ingresses.next().expect("a cycle has no end");
            let fate = native.run(&frame, ingress);
            let expected = oracle.judge(&frame, ingress);
            assert!(
                fate == expected,
                "{name}, HOLDFAST_SEED={seed}, case {nth}, from interface {ingress}:\n{frame:02x?}\n\
                 native {fate:?}\noracle {expected:?}"
            );
            *fates.entry(fate.verdict).or_default() += 1;
        }
        println!("{name}: {fates:?}");
        assert!(fates.len() >= 25, "{name}: the mutations reach few verdicts: {fates:?}");
    }
    Ok(())
}

#[test]
fn mutations_have_the_fate_the_oracle_of_the_agent_says() {
    let seed = seed();
    let oracle = AgentOracle {
        peers: BALANCERS.to_vec(),
    };
    let frames = agent_rows().into_iter().map(|row| row.frame).collect();
    let cases = Cases::new(seed, &sites::one_arm(), frames);
    let mut fates = BTreeMap::<String, u64>::new();
    for nth in 0..count() {
        let frame = cases.frame(nth);
        let fate = run_agent(&frame, &BALANCERS);
        let expected = oracle.judge(&frame);
        assert!(
            fate == expected,
            "HOLDFAST_SEED={seed}, case {nth}:\n{frame:02x?}\nnative {fate:?}\noracle {expected:?}"
        );
        *fates.entry(fate.verdict).or_default() += 1;
    }
    println!("agent: {fates:?}");
    assert_eq!(fates.len(), 5, "the mutations reach every verdict: {fates:?}");
}
