//! Judges a plan: what it may not do, and what it does to connections.
//!
//! Pure. `omission` holds the rules about what is missing, `effects` those
//! about connections, `host` what this host makes of it; this file puts them together and guards the base. What is
//! refused here is refused for everybody: there is no flag that overrides it.

mod approvers;
mod effects;
pub mod host;
pub mod lock;
mod omission;
mod overrides;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
};

use super::{
    Change, Content, Finding, Plan, Severity,
    code::Code,
    diff::{self, diff},
};
use crate::{
    config::{Backend, BackendState, ObjectName, Pool},
    digest::Digest,
};

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// What is served; none before the first generation.
    pub running: Option<&'a Content>,
    /// The environment this host belongs to: the running generation's, or the
    /// configuration file's before the first one.
    pub environment: &'a str,
    pub target: &'a Content,
    /// Objects that may be missing: the file's `removed` and the command's
    /// `--remove` together.
    pub removed: &'a BTreeSet<ObjectName>,
    /// Everything is to go.
    pub wipe: bool,
    /// From `running` to `target`, as [`diff`](fn@diff) finds them.
    pub changes: &'a [Change],
}

/// Everything there is to say about it, the worst first.
#[must_use]
pub fn judge(judged: Judged<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(other_environment(judged));
    if let Some(running) = judged.running {
        findings.extend(omission::empty(running, judged.target, judged.wipe));
        findings.extend(omission::pools_without_owner(running, judged.target));
        findings.extend(omission::nothing_attached(running, judged.target));
        findings.extend(omission::omitted(running, judged.target, judged.removed));
        findings.extend(effects::of_changes(
            running,
            judged.target,
            &in_force(running, judged.target, judged.changes),
        ));
    }
    findings.extend(approvers::too_few(judged.running, judged.target));
    findings.extend(overrides::impossible(judged.target));
    findings.extend(overrides::hidden(judged.target, judged.changes));
    findings.extend(omission::removes_nothing(judged.running, judged.target, judged.removed));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The changes as they are felt: what overrides hide is no change, and what
/// they set is one.
pub fn in_force<'a>(running: &Content, target: &Content, changes: &'a [Change]) -> Cow<'a, [Change]> {
    let overridden = |content: &Content| !content.overrides.are_of_node_alone();
    if !overridden(running) && !overridden(target) {
        return Cow::Borrowed(changes);
    }
    let of_node = changes.iter().filter(|change| {
        matches!(
            change,
            Change::ChangeNode { .. } | Change::Detach { .. } | Change::Attach { .. }
        )
    });
    let of_objects = diff::of_objects(running.in_force(), target.in_force());
    of_node.cloned().chain(of_objects).collect()
}

/// Judges a plan that comes back for its switch, from its target and its named
/// removals alone: what it says of itself counts for nothing.
///
/// `running` must be the plan's base ([`check_base`] first).
///
/// # Errors
/// If its changes or findings are not those of its target.
pub fn check_unaltered(plan: &Plan, running: Option<&Content>, environment: &str) -> Result<(), Altered> {
    let changes = diff(running, &plan.target);
    if changes != plan.changes {
        return Err(Altered::Changes);
    }
    let findings = judge(Judged {
        running,
        environment,
        target: &plan.target,
        removed: &plan.removed,
        wipe: plan.wipe,
        changes: &changes,
    });
    // The planner may know more than the policy does (next hops, say), so a
    // plan may carry other findings too; none of these may be missing.
    let told: HashSet<&Finding> = plan.findings.iter().collect();
    if findings.iter().all(|finding| told.contains(finding)) {
        Ok(())
    } else {
        Err(Altered::Findings)
    }
}

/// A plan that says something else than its target means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Altered {
    #[error("the plan's changes are not those from its base to its target")]
    Changes,
    #[error("the plan leaves out findings about its target")]
    Findings,
    #[error("the plan's statement is not about it")]
    Statement,
    #[error("the plan's target is not what generation {0} served")]
    Rollback(u64),
}

impl Altered {
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Changes | Self::Findings | Self::Statement | Self::Rollback(_) => Code::Altered,
        }
    }
}

/// Checks that what runs is what the plan was made from. To be asked under the
/// lock of the switch, however lately it was asked before.
///
/// # Errors
/// If something moved in between; the message says what.
pub fn check_base(plan: &Plan, generation: u64, digest: Option<Digest>, environment: &str) -> Result<(), Stale> {
    if plan.environment != environment || plan.target.config.environment != environment {
        let other = if plan.environment == environment {
            &plan.target.config.environment
        } else {
            &plan.environment
        };
        return Err(Stale::Environment {
            plan: other.clone(),
            running: environment.to_owned(),
        });
    }
    if plan.base.generation != generation {
        return Err(Stale::Generation {
            based: plan.base.generation,
            running: generation,
        });
    }
    if plan.base.digest != digest {
        return Err(Stale::Content {
            generation,
            based: short(plan.base.digest),
            running: short(digest),
        });
    }
    Ok(())
}

/// What moved since a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    #[error("stale plan: based on generation {based}, now {running}")]
    Generation { based: u64, running: u64 },
    /// Another history: the store was restored, or the plan is of another host.
    #[error("stale plan: based on generation {generation} with content {based}, which has content {running} here")]
    Content {
        generation: u64,
        based: String,
        running: String,
    },
    #[error("the plan is for environment `{plan}`, this is `{running}`")]
    Environment { plan: String, running: String },
}

impl Stale {
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Generation { .. } | Self::Content { .. } => Code::Stale,
            Self::Environment { .. } => Code::OtherEnvironment,
        }
    }
}

fn short(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "none".to_owned(), |digest| digest.short())
}

fn other_environment(judged: Judged<'_>) -> Option<Finding> {
    let target = &judged.target.config.environment;
    (target != judged.environment).then(|| {
        let message = format!(
            "the candidate is for environment `{target}`, this is `{}`",
            judged.environment
        );
        finding(Code::OtherEnvironment, Severity::Refuse, message)
            .fix("plan it on a host of that environment, or correct `environment:` in the file")
    })
}

fn finding(code: Code, severity: Severity, message: String) -> Finding {
    Finding {
        code: code.as_str().to_owned(),
        severity,
        message,
        object: None,
        value: None,
        limit: None,
        tier: None,
        fix: None,
    }
}

impl Finding {
    fn about(mut self, object: ObjectName) -> Self {
        self.object = Some(object);
        self
    }

    fn fix(mut self, fix: &str) -> Self {
        self.fix = Some(fix.to_owned());
        self
    }
}

/// It may own slots of its pool's table.
pub const fn owns_slots(backend: &Backend) -> bool {
    let in_service = match backend.state {
        BackendState::Ready => true,
        BackendState::Drain | BackendState::Maint => false,
    };
    in_service && backend.weight > 0
}

fn has_owner(pool: &Pool) -> bool {
    pool.backends.iter().any(owns_slots)
}

/// Interfaces of the configuration that the program is on.
pub fn attached(content: &Content) -> impl Iterator<Item = &str> {
    let names = content
        .config
        .node
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str());
    names.filter(|name| !content.overrides.detached.contains(*name))
}

#[cfg(test)]
mod tests;
