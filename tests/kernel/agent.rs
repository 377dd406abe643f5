//! The agent in the kernel: its rows, mutations of them, and what a balancer
//! sends it.

use anyhow::{Result, ensure};
use support::{
    mutation::{Cases, count, seed},
    native::run_agent,
    oracle::{Action, AgentOracle, Fate},
    rows::{BALANCERS, agent_rows},
    sites,
};

use crate::{
    balancer::{Balancer, LOOPBACK, SHORTEST},
    rows::runnable,
};

#[test]
fn every_row_of_the_agent_has_the_same_fate_in_the_kernel() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?.alone()?;
    let agent = balancer.agent()?;
    balancer.inside(|| {
        for row in agent_rows() {
            let natively = run_agent(&row.frame, &BALANCERS);
            assert_eq!(agent.fate(&row.frame, LOOPBACK)?, natively, "{}", row.claim);
        }
        Ok(())
    })
}

#[test]
fn the_agent_takes_off_what_the_balancer_put_on() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?.alone()?;
    let (program, agent) = (balancer.balancer()?, balancer.agent()?);
    balancer.inside(|| {
        let (mut forwarded, mut direct) = (0, 0);
        for row in runnable() {
            let fate = program.fate(&row.frame, LOOPBACK)?;
            if !fate.verdict.starts_with("Forward") {
                continue;
            }
            let taken = agent.fate(&fate.bytes, LOOPBACK)?;
            if fate.bytes.len() == row.frame.len() {
                // Not encapsulated, so it arrives as it is.
                assert_eq!(taken, unchanged(&fate.bytes), "{}", row.claim);
                direct += 1;
                continue;
            }
            assert_eq!(taken.verdict, "AcceptDecapsulated", "{}", row.claim);
            assert_eq!(taken.bytes[14..], row.frame[14..], "{}: inner bytes", row.claim);
            assert_eq!(taken.bytes[..12], fate.bytes[..12], "{}: MAC addresses", row.claim);
            assert_eq!(taken.bytes[12..14], row.frame[12..14], "{}: EtherType", row.claim);
            forwarded += 1;
        }
        ensure!(
            forwarded >= 300 && direct >= 60,
            "only {forwarded} rows were encapsulated, and {direct} forwarded directly"
        );
        Ok(())
    })
}

#[test]
fn mutations_have_the_same_fate_in_the_agent_natively_and_by_the_oracle() -> Result<()> {
    let seed = seed();
    let balancer = Balancer::start(sites::one_arm())?.alone()?;
    let agent = balancer.agent()?;
    let frames = agent_rows().into_iter().map(|row| row.frame).collect();
    let cases = Cases::new(seed, &balancer.site, frames);
    let oracle = AgentOracle {
        peers: BALANCERS.to_vec(),
    };
    balancer.inside(|| {
        let mut accepted = 0;
        for nth in 0..count() {
            let frame = cases.frame(nth);
            let natively = run_agent(&frame, &BALANCERS);
            let expected = oracle.judge(&frame);
            ensure!(
                natively == expected,
                "HOLDFAST_SEED={seed}, case {nth}:\n{frame:02x?}\nnative {natively:?}\noracle {expected:?}"
            );
            if frame.len() < SHORTEST {
                continue;
            }
            let kernel = agent.run(&frame, LOOPBACK)?;
            ensure!(
                kernel == (natively.action, natively.bytes.clone()),
                "HOLDFAST_SEED={seed}, case {nth}:\n{frame:02x?}\nkernel {kernel:02x?}\nnative {natively:?}"
            );
            accepted += u64::from(natively.verdict == "AcceptDecapsulated");
        }
        assert_eq!(agent.packets("AcceptDecapsulated")?, accepted);
        ensure!(accepted > 1000, "the mutations leave little to accept: {accepted}");
        Ok(())
    })
}

/// What the agent does with a frame that is not encapsulated.
fn unchanged(frame: &[u8]) -> Fate {
    Fate {
        verdict: "PassNotEncapsulated".to_owned(),
        action: Action::Pass,
        bytes: frame.to_owned(),
    }
}
