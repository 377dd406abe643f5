//! Broken packets without end: the packet path and the oracle agree on every
//! one.

use std::collections::BTreeMap;

use anyhow::Result;
use support::{
    mutation::{Cases, count, seed},
    native::Native,
    rows::rows,
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
        assert!(fates.len() >= 20, "{name}: the mutations reach few verdicts: {fates:?}");
    }
    Ok(())
}
