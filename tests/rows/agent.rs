//! Every row of the agent.

use std::collections::BTreeSet;

use lb_common::verdict::AgentVerdict;
use support::{
    native::run_agent,
    oracle::{Action, AgentOracle, Prefix},
    rows::{AgentExpected, BALANCERS, agent_rows},
};

#[test]
fn every_row_of_the_agent_has_its_fate_and_the_oracle_agrees() {
    let oracle = AgentOracle {
        peers: BALANCERS.to_vec(),
    };
    for row in agent_rows() {
        let fate = run_agent(&row.frame, &BALANCERS);
        match row.expected {
            AgentExpected::Decapsulated(inner) => {
                assert_eq!(fate.verdict, AgentVerdict::AcceptDecapsulated.name(), "{}", row.claim);
                assert_eq!(fate.bytes, inner, "{}", row.claim);
            }
            AgentExpected::Unchanged(verdict) => {
                assert_eq!(fate.verdict, verdict.name(), "{}", row.claim);
                assert_eq!(fate.bytes, row.frame, "{}: not a byte changed", row.claim);
            }
        }
        assert_eq!(
            fate,
            oracle.judge(&row.frame),
            "{}: the oracle is right of it",
            row.claim
        );
    }
}

#[test]
fn rows_of_the_agent_are_many_and_no_two_claim_the_same() {
    let rows = agent_rows();
    let mut claims = BTreeSet::new();
    for row in &rows {
        assert!(claims.insert(&row.claim), "two rows claim: {}", row.claim);
    }
    // Eight mixes, with 16 cells of RFC 6040 each.
    assert!(rows.len() >= 300, "{} rows", rows.len());
}

#[test]
fn every_verdict_of_the_agent_has_a_row() {
    let seen: BTreeSet<String> = agent_rows()
        .iter()
        .map(|row| run_agent(&row.frame, &BALANCERS).verdict)
        .collect();
    let all: BTreeSet<String> = AgentVerdict::ALL
        .iter()
        .map(|verdict| verdict.name().to_owned())
        .collect();
    assert_eq!(seen, all);
}

#[test]
fn an_agent_that_trusts_nobody_touches_nothing() {
    for row in agent_rows() {
        let fate = run_agent(&row.frame, &[]);
        assert_eq!(fate.bytes, row.frame, "{}", row.claim);
        assert_eq!(fate.action, Action::Pass, "{}", row.claim);
    }
}

#[test]
fn an_agent_takes_packets_from_each_of_its_prefixes() {
    let others = [("192.0.2.128", 25), ("2001:db8:7::", 48)].map(|(network, length)| Prefix {
        network: network.parse().expect("an address"),
        length,
    });
    let [v4, v6] = BALANCERS;
    for peers in [[others[0], v4, v6, others[1]], [v6, others[1], others[0], v4]] {
        for row in agent_rows() {
            assert_eq!(
                run_agent(&row.frame, &peers),
                run_agent(&row.frame, &BALANCERS),
                "{}",
                row.claim
            );
        }
    }
}

#[test]
fn an_agent_of_one_family_leaves_packets_of_the_other_alone() {
    for peer in BALANCERS {
        let oracle = AgentOracle { peers: vec![peer] };
        for row in agent_rows() {
            assert_eq!(
                run_agent(&row.frame, &[peer]),
                oracle.judge(&row.frame),
                "{}",
                row.claim
            );
        }
    }
}
