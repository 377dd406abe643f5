//! Broken packets without end, through the program in the kernel.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use support::{
    mutation::{Cases, count, seed},
    native::Native,
    rows::rows,
    sites,
    snapshot::Snapshot,
};

use crate::balancer::{Balancer, LOOPBACK, SHORTEST};

#[test]
fn mutations_have_the_same_fate_in_the_kernel_natively_and_by_the_oracle() -> Result<()> {
    let seed = seed();
    for (name, site) in sites::all() {
        differential(name, &Balancer::start(site)?.alone()?, seed)?;
    }
    Ok(())
}

fn differential(name: &str, balancer: &Balancer, seed: u64) -> Result<()> {
    let snapshot = Snapshot::read(balancer.pins())?;
    let oracle = snapshot.oracle(&balancer.site)?;
    let program = balancer.balancer()?;
    let frames = rows().into_iter().map(|row| row.frame).collect();
    let cases = Cases::new(seed, &balancer.site, frames);
    let ingresses: Vec<u32> = balancer
        .site
        .interfaces
        .iter()
        .map(|ours| ours.ifindex)
        .chain([LOOPBACK])
        .collect();
    balancer.inside(|| {
        let native = Native::new(&snapshot);
        let mut counted = BTreeMap::<String, u64>::new();
        let mut run = 0;
        for nth in 0..count() {
            let frame = cases.frame(nth);
            let ingress = ingresses[nth as usize % ingresses.len()];
            let expected = oracle.judge(&frame, ingress);
            let natively = native.run(&frame, ingress);
            let what = format!("{name}, HOLDFAST_SEED={seed}, case {nth}, from interface {ingress}");
            ensure!(
                natively == expected,
                "{what}:\n{frame:02x?}\nnative {natively:?}\noracle {expected:?}"
            );
            if frame.len() < SHORTEST {
                continue;
            }
            let kernel = program
                .run(&frame, ingress)
                .with_context(|| format!("{what}:\n{frame:02x?}"))?;
            let verdicts = counted.entry(expected.verdict.clone()).or_default();
            *verdicts += 1;
            run += 1;
            // Nobody else sends: had the program come to another verdict, this
            // counter would not have moved.
            let same = kernel == (expected.action, expected.bytes.clone())
                && (nth % 16 != 0 || program.packets(&expected.verdict)? == *verdicts);
            ensure!(
                same,
                "{what}:\n{frame:02x?}\nkernel {kernel:02x?}\nnative {natively:?}\noracle {expected:?}"
            );
        }
        for (verdict, packets) in &counted {
            assert_eq!(program.packets(verdict)?, *packets, "{name}: {verdict}");
        }
        let all: u64 = program.counts()?.iter().map(|[packets, _]| packets).sum();
        assert_eq!(all, run, "{name}: every packet has one verdict");
        println!("{name}: {run} of {} through the kernel: {counted:?}", count());
        Ok(())
    })
}
