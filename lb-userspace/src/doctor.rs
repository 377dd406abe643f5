//! `holdfast doctor`: what is wrong with this host, as far as a balancer cares.
//! `facts` gathers and cannot decide, `judge` decides and cannot look.

pub mod facts;
pub mod judge;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::api::model::Kind;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It could not be found out.
    Unknown,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing; stable.
    pub check: &'static str,
    /// Which one: an interface, a backend, a file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    pub level: Level,
    /// What was found.
    pub measured: String,
    /// Why it matters; absent if it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// A command that puts it right on this host, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// `holdfast doctor -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
}

impl Kind for Diagnosis {
    const KIND: &'static str = "Diagnosis";
}

impl Diagnosis {
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings
            .iter()
            .map(|finding| finding.level)
            .max()
            .unwrap_or(Level::Ok)
    }
}
