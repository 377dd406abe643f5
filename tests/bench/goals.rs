//! What the figures should be at most. They are kept whatever is measured: a
//! goal that is missed is reported as missed.

use serde::Serialize;

/// A goal, and whether the figure beside it meets it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    pub at_most: f64,
    pub met: bool,
}

impl Goal {
    fn of(figure: f64, at_most: f64) -> Self {
        Self {
            at_most,
            met: figure <= at_most,
        }
    }
}

/// Scenarios, and ns over their floor.
const PACKETS: [(&str, f64); 15] = [
    ("v4-tcp-1-flow", 12.0),
    ("v4-tcp-1m-flows", 15.0),
    ("v4-udp-1-flow", 12.0),
    ("v4-udp-1m-flows", 15.0),
    ("v4-syn-all-new", 15.0),
    ("v6-tcp-1-flow", 12.0),
    ("v6-tcp-1m-flows", 15.0),
    ("gue-v4-in-v4-1-flow", 14.0),
    ("gue-v4-in-v4-1m-flows", 17.0),
    ("v4-64-pools-1m-flows", 80.0),
    ("v4-dirty-1-percent-1m-flows", 17.0),
    ("v4-dirty-all-1m-flows", 40.0),
    ("v4-not-a-vip", 8.0),
    ("v6-not-a-vip", 8.0),
    ("v4-not-a-vip-of-16000", 8.0),
];

/// Instructions the verifier follows, and those of the program it translated.
const VERIFIED: f64 = 2000.0;
const TRANSLATED: f64 = 1200.0;

/// Bytes of kernel memory for a small configuration.
const MEMORY: u64 = 64 << 20;

/// Slots that minmove moves, as a multiple of the unavoidable.
const MOVED: f64 = 1.0;

/// For the median of a scenario.
pub fn of_packet(scenario: &str, over_floor: f64) -> Option<Goal> {
    let (_, at_most) = PACKETS.iter().find(|(name, _)| *name == scenario)?;
    Some(Goal::of(over_floor, *at_most))
}

/// For the balancer's program.
pub fn of_verified(instructions: u32) -> Goal {
    Goal::of(f64::from(instructions), VERIFIED)
}

pub fn of_translated(instructions: u32) -> Goal {
    Goal::of(f64::from(instructions), TRANSLATED)
}

#[expect(clippy::cast_precision_loss, reason = "some MiB")]
pub fn of_memory(bytes: u64) -> Goal {
    Goal::of(bytes as f64, MEMORY as f64)
}

pub fn of_moved(multiple: f64) -> Goal {
    Goal::of(multiple, MOVED)
}

#[cfg(test)]
mod tests {
    use super::{Goal, PACKETS, of_packet};
    use crate::scenarios;

    #[test]
    fn every_goal_is_of_a_scenario_that_is_measured() {
        for (name, _) in PACKETS {
            assert!(scenarios::ALL.iter().any(|scenario| scenario.name == name), "{name}");
        }
    }

    #[test]
    fn goal_is_met_up_to_its_limit_and_missed_above() {
        let met = |figure| of_packet("v4-tcp-1-flow", figure).map(|goal| goal.met);
        assert_eq!([met(11.9), met(12.0), met(12.1)], [Some(true), Some(true), Some(false)]);
        assert_eq!(of_packet("unheard-of", 1.0), None);
        assert!(Goal::of(-3.0, 0.0).met);
    }
}
