//! What an approval is about, in words and in bounds. It is the head of an
//! exported plan (`about` sorts first), so whoever signs reads it first.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, Plan, Severity, blast::Blast};
use crate::config::{ObjectName, Percent};

/// What a plan may do at most when it is applied: beyond it is another plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// Share of the packets whose connections end.
    pub broken: Percent,
    /// VIPs whose connections end.
    pub vips: u32,
    /// Backends taken out.
    pub backends: u32,
}

impl Bounds {
    /// What was measured, and a little more: traffic does not stand still.
    #[must_use]
    pub fn around(blast: &Blast) -> Self {
        let broken = if blast.breaks.is_empty() {
            0
        } else {
            // A quarter more, and a whole percent.
            (blast.broken_per_mille() * 5 / 4).div_ceil(10) + 1
        };
        Self {
            broken: Percent::new(broken.min(100)).unwrap_or_default(),
            vips: blast.vips_broken.len() as u32,
            backends: blast.taken_out.len() as u32,
        }
    }

    /// What goes beyond, for people; `None`: nothing does.
    #[must_use]
    pub fn exceeded(&self, now: &Blast) -> Option<String> {
        let broken = now.broken_per_mille();
        let (vips, backends) = (now.vips_broken.len() as u32, now.taken_out.len() as u32);
        if broken > u32::from(self.broken.get()) * 10 {
            let percent = broken.div_ceil(10);
            Some(format!(
                "{percent}% of the packets would end, and the plan says {} at most",
                self.broken
            ))
        } else if vips > self.vips {
            Some(format!(
                "the connections of {vips} VIPs would end, and the plan says {}",
                self.vips
            ))
        } else if backends > self.backends {
            Some(format!(
                "{backends} backends would be taken out, and the plan says {}",
                self.backends
            ))
        } else {
            None
        }
    }
}

/// As many objects are named.
const NAMED: usize = 12;

/// The statement of a plan whose other fields are set. Control characters of
/// names cannot be in it: names have none.
///
/// # Panics
/// Never: a String takes all text.
#[must_use]
pub fn about(plan: &Plan) -> String {
    let mut text = format!(
        "{} on {}: generation {}",
        plan.environment,
        plan.hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        plan.base.generation
    );
    let mut put = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes all text");
    if let Some(digest) = plan.base.digest {
        put(format_args!(" ({})", digest.short()));
    }
    put(format_args!(" becomes {}", plan.target.digest().short()));
    if let Some(number) = plan.rollback_to {
        put(format_args!(", the content of generation {number}"));
    }
    if plan.wipe {
        put(format_args!(". EVERYTHING GOES"));
    }
    put(format_args!(". {} changes", plan.changes.len()));
    let removed = removed(&plan.changes);
    if !removed.is_empty() {
        let named: Vec<String> = removed.iter().take(NAMED).map(ToString::to_string).collect();
        put(format_args!("; removes {}", named.join(", ")));
        if removed.len() > NAMED {
            put(format_args!(" and {} more", removed.len() - NAMED));
        }
    }
    let Bounds { broken, vips, backends } = plan.bounds;
    put(format_args!(
        ". At most {broken} of the packets end, {vips} of {} VIPs break, {backends} of {} backends are taken out",
        plan.blast.vips, plan.blast.backends
    ));
    let locks = plan.findings.iter().filter(|finding| match finding.severity {
        Severity::Lock | Severity::Refuse => true,
        Severity::Note | Severity::Warn => false,
    });
    let locks: Vec<&str> = locks.map(|finding| finding.message.as_str()).collect();
    for (at, message) in locks.iter().take(NAMED).enumerate() {
        put(format_args!(
            "{} {message}",
            if at == 0 { ". Against it:" } else { ";" }
        ));
    }
    if locks.len() > NAMED {
        put(format_args!("; and {} more", locks.len() - NAMED));
    }
    put(format_args!(
        ". By {}, {}; void after {}; nonce {}.",
        plan.author, plan.issued, plan.expires, plan.nonce
    ));
    text
}

fn removed(changes: &[Change]) -> Vec<ObjectName> {
    let removed = changes.iter().filter_map(|change| match change {
        Change::RemoveVip { vip } => Some(ObjectName::Vip(vip.name.clone())),
        Change::RemovePool { pool } => Some(ObjectName::Pool(pool.name.clone())),
        Change::RemoveBackend { pool, backend } => Some(ObjectName::Backend {
            pool: pool.clone(),
            backend: backend.name.clone(),
        }),
        Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::AddBackend { .. }
        | Change::ChangeBackend { .. }
        | Change::ChangeNode { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::ChangeAccess { .. }
        | Change::Detach { .. }
        | Change::Attach { .. }
        | Change::Override { .. }
        | Change::OverrideVip { .. } => None,
    });
    removed.collect()
}

#[cfg(test)]
mod tests;
