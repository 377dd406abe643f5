//! What came of it: one line for each act, totals, and whether all of it held.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::{Value, json};

/// One act, as it went.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    pub name: &'static str,
    pub title: &'static str,
    pub passed: bool,
    /// What did not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What was measured; units at the end of the names.
    pub measured: BTreeMap<&'static str, Value>,
}

/// The whole run.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scorecard {
    pub acts: Vec<Act>,
    pub connections: usize,
    pub completed: usize,
    /// Broke because their slot moved, or their backend was removed.
    pub broken_expected: usize,
    /// Broke without such a cause: none may.
    pub broken_unexpected: usize,
    /// Connections that carried a byte that was not sent at its place.
    pub wrong_bytes: usize,
    pub bytes_checked: u64,
    pub datagrams: Datagrams,
    /// The longest publication of a change, microseconds.
    pub slowest_switch_us: u64,
    /// Connections by backend under the first weights.
    pub spread: BTreeMap<String, u64>,
    /// Codes of the refusals there were, in their order.
    pub refusals: Vec<String>,
    /// What is left on the host; empty when all is cleaned up.
    pub left_behind: Vec<String>,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Datagrams {
    pub sent: u64,
    pub answered: u64,
    pub wrong: u64,
}

impl Scorecard {
    /// Every act held, nothing broke without cause, nothing was wrong, and
    /// nothing is left.
    pub fn passed(&self) -> bool {
        !self.acts.is_empty()
            && self.acts.iter().all(|act| act.passed)
            && self.broken_unexpected == 0
            && self.wrong_bytes == 0
            && self.datagrams.wrong == 0
            && self.left_behind.is_empty()
    }

    pub fn json(&self) -> Value {
        let mut document = json!(self);
        document["apiVersion"] = json!("holdfast/v1");
        document["kind"] = json!("Scorecard");
        document["passed"] = json!(self.passed());
        document
    }
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |holds: bool| if holds { '✓' } else { '✗' };
        writeln!(f, "\nSCORECARD")?;
        for act in &self.acts {
            writeln!(f, " {} {}", mark(act.passed), act.title)?;
            let measured = act
                .measured
                .iter()
                .map(|(name, value)| format!("{} {value}", words(name)));
            writeln!(f, "     {}", measured.collect::<Vec<_>>().join(" · "))?;
            for problem in &act.problems {
                writeln!(f, "     ✗ {problem}")?;
            }
        }
        let broken = format!(
            "{} with their slot, {} without cause",
            self.broken_expected, self.broken_unexpected
        );
        let datagrams = format!(
            "{} sent, {} answered, {} wrong",
            self.datagrams.sent, self.datagrams.answered, self.datagrams.wrong
        );
        let spread: Vec<String> = self
            .spread
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let left = if self.left_behind.is_empty() {
            "nothing".to_owned()
        } else {
            self.left_behind.join(", ")
        };
        let connections = format!("{}, {} completed", self.connections, self.completed);
        let wrong = format!(
            "{} connections of {} KiB checked",
            self.wrong_bytes,
            self.bytes_checked / 1024
        );
        let rows = [
            (true, "connections", connections),
            (self.broken_unexpected == 0, "broken", broken),
            (self.wrong_bytes == 0, "wrong bytes", wrong),
            (self.datagrams.wrong == 0, "datagrams", datagrams),
            (true, "slowest switch", format!("{} µs", self.slowest_switch_us)),
            (true, "spread", spread.join(", ")),
            (true, "refusals", self.refusals.join(", ")),
            (self.left_behind.is_empty(), "left behind", left),
            (true, "took", format!("{:.0} s", self.seconds)),
        ];
        writeln!(f)?;
        for (holds, name, value) in rows {
            writeln!(f, " {} {name:<15} {value}", mark(holds))?;
        }
        writeln!(
            f,
            "\n {}",
            if self.passed() {
                "Everything held."
            } else {
                "It did not hold."
            }
        )
    }
}

/// `slotsMoved` as `slots moved`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
