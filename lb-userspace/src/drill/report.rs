//! What a drill says at its end: a document, like the API's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    accident::{Accident, Expected},
    judge::{Observed, judge},
};
use crate::api::model::Kind;

/// What `holdfast drill` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// The file whose copy was drilled with; absent: the configuration that is
    /// built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is not in the copy as it is in the file.
    pub adapted: Vec<String>,
    pub rows: Vec<Row>,
    pub summary: Summary,
}

impl Kind for Drill {
    const KIND: &'static str = "Drill";
}

/// One accident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// For `--only`.
    pub name: String,
    /// What happened, for people.
    pub accident: String,
    pub expected: String,
    /// When packets may be lost: `none`, `until healed`, `while it lasts`.
    pub window: String,
    /// Codes of refusals, or what became of it.
    pub outcome: String,
    /// From the accident until it was refused or healed, milliseconds; absent: it
    /// never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    pub packets_lost: u64,
    pub connections_broken: u64,
    /// Objects that are served no more, without anybody's approval.
    pub removed_unapproved: Vec<String>,
    /// Everything is as it has to be.
    pub held: bool,
    /// What is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
}

/// All rows together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub accidents: u64,
    pub held: u64,
    pub removed_unapproved: u64,
    /// In all rows.
    pub packets_lost: u64,
    /// Where none may be.
    pub packets_lost_outside_windows: u64,
    pub connections_broken: u64,
    /// Datagrams and new connections in all, with which was measured.
    pub packets_sent: u64,
    pub seconds: u64,
}

impl Row {
    #[must_use]
    pub fn of(accident: &Accident, seen: &Observed) -> Self {
        let complaints = judge(accident, seen);
        let took = seen.took(accident.expected);
        Self {
            name: accident.name.to_owned(),
            accident: accident.what.to_owned(),
            expected: accident.expected.text(),
            window: accident.window.text().to_owned(),
            outcome: outcome(accident.expected, seen),
            took_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            packets_lost: seen.lost,
            connections_broken: seen.broken,
            removed_unapproved: seen.removed.clone(),
            held: complaints.is_empty(),
            complaints,
        }
    }
}

fn outcome(expected: Expected, seen: &Observed) -> String {
    if seen.failed.is_some() {
        return "not made as it should be".to_owned();
    }
    let mut codes: Vec<&str> = seen
        .answers
        .iter()
        .filter_map(|answer| answer.code.as_deref())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    let codes = codes.join(", ");
    match expected {
        Expected::Refused(_) => codes,
        Expected::Healed(_) => seen.whole_after.map_or("not healed", |_| "healed").to_owned(),
        Expected::ReadOnly(_) => match (seen.read_only_after, seen.recovered_in) {
            (None, _) => "not read-only".to_owned(),
            (Some(_), None) => format!("read-only: {codes}; not recovered"),
            (Some(_), Some(after)) => format!("read-only: {codes}; recovered in {} ms", after.as_millis()),
        },
    }
}

impl Drill {
    /// Adds an accident.
    pub fn add(&mut self, accident: &Accident, seen: &Observed) {
        let row = Row::of(accident, seen);
        let sum = &mut self.summary;
        sum.accidents += 1;
        sum.held += u64::from(row.held);
        sum.removed_unapproved += row.removed_unapproved.len() as u64;
        sum.packets_lost += seen.lost;
        sum.packets_lost_outside_windows += match accident.window {
            super::accident::Window::None => seen.lost,
            super::accident::Window::UntilHealed | super::accident::Window::NotOurs => seen.lost_later,
        };
        sum.connections_broken += seen.broken;
        self.rows.push(row);
    }

    /// Every accident was survived.
    #[must_use]
    pub const fn held(&self) -> bool {
        self.summary.accidents > 0 && self.summary.held == self.summary.accidents
    }
}
