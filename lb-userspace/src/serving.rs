//! What is served, and the one writer of it. Every change comes through here:
//! plans, revisions, interfaces. The clock and the next hops are arguments.

mod publish;
mod record;
mod revise;
mod signing;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    activity::Activity,
    api::model::{Applied, ApplyRequest, Failure, Mode, TakenBack},
    clock::Now,
    config::{self, ObjectName},
    confirm::OnTrial,
    digest::Digest,
    drain::Blind,
    failure,
    kernel::aya::KernelBalancer,
    layout::Layout,
    metrics::Tally,
    neighbours::Resolution,
    part::Part,
    plan::{Base, Content, Finding, Plan, Severity, diff, policy},
    publish::Publisher,
    reports::FileJudged,
    revision::Revision,
    store::{By, Store},
};

pub use signing::Signing;

/// The one writer.
pub struct Serving {
    pub(crate) publisher: Publisher<KernelBalancer>,
    /// `None`: it cannot be used, and the mode is read-only.
    pub(crate) store: Option<Store>,
    pub(crate) served: Option<Served>,
    pub(crate) mode: Mode,
    pub(crate) mode_reason: Option<String>,
    /// Of the configuration file at the start; the running generation's after.
    pub(crate) environment: String,
    pub(crate) config_file: PathBuf,
    /// As it was given; `publisher` knows how it is reached.
    pub(crate) pin_dir: PathBuf,
    /// Why an interface has no program, if it should have one.
    pub(crate) problems: BTreeMap<String, String>,
    /// Flows in dirty slots that found no room.
    pub(crate) blind: Blind,
    /// There may be entries in FLOWS that nobody needs.
    pub(crate) swept: bool,
    /// What `status` found the configuration file to mean.
    pub(crate) file_judged: Option<FileJudged>,
    /// For metrics.
    pub(crate) tally: Tally,
    /// Why the program of another build goes on.
    pub(crate) program_problem: Option<String>,
    /// The served generation, while it is on trial.
    pub(crate) on_trial: Option<OnTrial>,
    /// The kernel's boot id.
    pub(crate) boot: String,
    /// Of the journal's heads.
    pub(crate) signing: Signing,
    /// What is live now.
    pub(crate) activity: Activity,
    /// The generation that the served one took back.
    pub(crate) taken_back: Option<TakenBack>,
}

/// What the kernel serves.
pub struct Served {
    pub generation: u64,
    pub revision: u64,
    /// Of the generation's content.
    pub digest: Digest,
    pub state: Revision,
    /// As it was published; `None`: by another daemon.
    pub layout: Option<Layout>,
}

/// Which change a publish is for.
pub enum Purpose {
    /// A new generation.
    Generation {
        plan_digest: Option<Digest>,
        cause: String,
        message: Option<String>,
        /// On trial for so many seconds.
        confirm_within: Option<u32>,
        by: Option<By>,
    },
    /// The running generation once more, because of something else.
    Revision { cause: String },
}

impl Serving {
    /// What a change to `target` would do. Nothing is written.
    #[must_use]
    pub fn plan(
        &self,
        target: Content,
        removed: BTreeSet<ObjectName>,
        resolution: &Resolution,
        author: &str,
        now: Now,
    ) -> Plan {
        let running = self.served.as_ref().map(|served| &*served.state.state.content);
        let changes = diff::diff(running, &target);
        let mut findings = policy::judge(policy::Judged {
            running,
            environment: &self.environment,
            target: &target,
            removed: &removed,
            changes: &changes,
        });
        findings.extend(policy::host::judge(&target.config, resolution));
        let previous = self.served.as_ref().map(|served| &served.state);
        let content = Part::new(target);
        let effects = match Revision::next(previous, &content, &resolution.hops, now.coarse) {
            Ok(next) => next.effects(previous),
            Err(error) => {
                let Failure { code, message, fix, .. } = error.into();
                findings.push(Finding {
                    code,
                    severity: Severity::Refuse,
                    message,
                    object: None,
                    fix,
                });
                Vec::new()
            }
        };
        Plan {
            environment: self.environment.clone(),
            base: Base {
                generation: self.served.as_ref().map_or(0, |served| served.generation),
                digest: self.served.as_ref().map(|served| served.digest),
            },
            target: Content::clone(&content),
            rollback_to: None,
            removed,
            changes,
            effects,
            findings,
            author: author.to_owned(),
            issued: now.time,
        }
    }

    /// Applies a plan, whole or not at all. Everything is checked again here,
    /// under the lock: what the plan says of itself counts for nothing.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn apply(
        &mut self,
        request: ApplyRequest,
        cause: &str,
        resolution: &Resolution,
        author: &str,
        by: Option<By>,
        now: Now,
    ) -> Result<Applied, Failure> {
        let ApplyRequest {
            plan,
            digest,
            message,
            confirm_within,
        } = request;
        self.check_writable()?;
        self.check_no_trial(now)?;
        self.check_trial(confirm_within)?;
        if plan.digest() != digest {
            return Err(failure::digest_mismatch());
        }
        let generation = self.served.as_ref().map_or(0, |served| served.generation);
        let running_digest = self.served.as_ref().map(|served| served.digest);
        policy::check_base(&plan, generation, running_digest, &self.environment)?;
        let running = self.served.as_ref().map(|served| &*served.state.state.content);
        policy::check_unaltered(&plan, running, &self.environment)?;
        let judged = config::judge_again(&plan.target.config);
        if judged.map_err(|errors| failure::bad_configuration(errors.to_string()))? != plan.target.config {
            return Err(policy::Altered::Changes.into());
        }
        self.check_rollback(&plan)?;
        // Addresses may have come to this host since the plan was made.
        let mut plan = plan;
        plan.findings
            .extend(policy::host::judge(&plan.target.config, resolution));
        if plan.is_refused() {
            self.note_refusal(&plan, digest, author, by, now);
            return Err(failure::refused(&plan));
        }
        if let (true, Some(served)) = (plan.is_empty(), &self.served) {
            return Ok(unchanged(served));
        }
        let purpose = Purpose::Generation {
            plan_digest: Some(digest),
            cause: cause.to_owned(),
            message,
            confirm_within,
            by,
        };
        self.change(&Part::new(plan.target), &purpose, resolution, author, now)
    }

    /// A plan that says it goes back goes where it says.
    fn check_rollback(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(number) = plan.rollback_to else {
            return Ok(());
        };
        let earlier = match &self.store {
            Some(store) => store.generation(number)?,
            None => None,
        };
        match earlier {
            Some((_, content)) if *content == plan.target => Ok(()),
            Some(_) | None => Err(policy::Altered::Rollback(number).into()),
        }
    }

    fn check_writable(&self) -> Result<(), Failure> {
        match self.mode {
            Mode::Normal => Ok(()),
            Mode::Hold | Mode::ReadOnly => Err(failure::read_only(
                self.mode_reason.as_deref().unwrap_or("changes are frozen"),
            )),
        }
    }
}

const fn unchanged(served: &Served) -> Applied {
    Applied {
        generation: served.generation,
        revision: served.revision,
        digest: served.digest,
        unchanged: true,
        chunks_written: 0,
        chunks_shared: 0,
        publish_us: 0,
        effects: Vec::new(),
        confirm_until: None,
        notes: Vec::new(),
    }
}
