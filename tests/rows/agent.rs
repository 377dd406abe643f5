//! Every row of the agent.

use std::collections::BTreeSet;

use lb_common::verdict::AgentVerdict;
use support::{
    native::run_agent,
    oracle::{Action, Prefix},
    rows::{AgentExpected, BALANCERS, agent_rows},
};

#[test]
fn every_row_of_the_agent_has_its_fate() {
    for row in agent_rows() {
        let fate = run_agent(&row.frame, &[BALANCERS]);
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
    }
}

#[test]
fn every_verdict_of_the_agent_has_a_row() {
    let seen: BTreeSet<String> = agent_rows()
        .iter()
        .map(|row| run_agent(&row.frame, &[BALANCERS]).verdict)
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
    let other = Prefix {
        network: [192, 0, 2, 128].into(),
        length: 25,
    };
    for peers in [[other, BALANCERS], [BALANCERS, other]] {
        for row in agent_rows() {
            assert_eq!(
                run_agent(&row.frame, &peers),
                run_agent(&row.frame, &[BALANCERS]),
                "{}",
                row.claim
            );
        }
    }
}
