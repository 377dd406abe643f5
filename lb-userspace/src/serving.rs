//! What is served, and the one writer of it. Every change comes through here:
//! plans, revisions, interfaces. The clock and the next hops are arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    api::model::{Applied, ApplyRequest, Failure, Mode},
    clock::Now,
    config::{self, ObjectName},
    digest::Digest,
    drain::{self, Blind},
    failure,
    kernel::aya::KernelBalancer,
    layout::{Layout, RootFacts},
    neighbours::Resolution,
    part::Part,
    plan::{Base, Content, Finding, Plan, Severity, diff, policy},
    publish::{Published, Publisher},
    rehearsal,
    reports::FileJudged,
    revision::Revision,
    store::{Entry, Intent, Outcome, Store},
};

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
        now: Now,
    ) -> Result<Applied, Failure> {
        let ApplyRequest { plan, digest, message } = request;
        self.check_writable()?;
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
            self.note_refusal(&plan, digest, author, now);
            return Err(failure::refused(&plan));
        }
        if let (true, Some(served)) = (plan.is_empty(), &self.served) {
            return Ok(unchanged(served));
        }
        let purpose = Purpose::Generation {
            plan_digest: Some(digest),
            cause: cause.to_owned(),
            message,
        };
        self.change(&Part::new(plan.target), &purpose, resolution, author, now)
    }

    /// Publishes the running generation again if next hops changed.
    ///
    /// # Errors
    /// What is served stays as it was then.
    pub fn revise(&mut self, resolution: &Resolution, now: Now) -> Result<Option<Applied>, Failure> {
        let Some(served) = &self.served else {
            return Ok(None);
        };
        if !served.state.differs_from(&resolution.hops) {
            return Ok(None);
        }
        let content = served.state.state.content.clone();
        let next = Revision::next(Some(&served.state), &content, &resolution.hops, now.coarse)?;
        if next == served.state {
            return Ok(None);
        }
        let cause = revision_cause(&served.state, &next);
        self.publish(next, &Purpose::Revision { cause }, resolution, "holdfastd", now)
            .map(Some)
    }

    /// Looks which flows of earlier owners there still are, and publishes the
    /// running generation again if slots are clean.
    ///
    /// # Errors
    /// What is served stays as it was then.
    pub fn clean_slots(&mut self, resolution: &Resolution, now: Now) -> Result<Option<Applied>, Failure> {
        let Some(served) = &self.served else {
            return Ok(None);
        };
        let draining = drain::draining(&served.state);
        let kernel = self.publisher.kernel();
        let blind = self.blind.look(kernel.flows_refused()?, &draining, now.coarse);
        if draining.is_empty() && !self.swept {
            return Ok(None);
        }
        let sightings = drain::sweep(kernel.flows().entries(), &draining, now.coarse);
        // What is not needed any more is gone after one look without need.
        self.swept = !draining.is_empty();
        let due = drain::due(&draining, &sightings, blind, now.coarse);
        if due.is_empty() {
            return Ok(None);
        }
        let slots: usize = due.values().map(BTreeSet::len).sum();
        let cause = format!("{slots} slots are clean again");
        let next = served.state.cleaned(&due);
        self.publish(next, &Purpose::Revision { cause }, resolution, "holdfastd", now)
            .map(Some)
    }

    /// From content to the switch. The intent is durable before the kernel is
    /// touched, the outcome after.
    pub(crate) fn change(
        &mut self,
        content: &Part<Content>,
        purpose: &Purpose,
        resolution: &Resolution,
        author: &str,
        now: Now,
    ) -> Result<Applied, Failure> {
        let previous = self.served.as_ref().map(|served| &served.state);
        let next = Revision::next(previous, content, &resolution.hops, now.coarse)?;
        self.publish(next, purpose, resolution, author, now)
    }

    fn publish(
        &mut self,
        next: Revision,
        purpose: &Purpose,
        resolution: &Resolution,
        author: &str,
        now: Now,
    ) -> Result<Applied, Failure> {
        let previous = self.served.as_ref().map(|served| &served.state);
        let effects = next.effects(previous);
        let fresh = next.fresh_counters(previous);
        let before = self.served.as_ref().and_then(|served| served.layout.as_ref());
        let layout = Layout::of(&next, before)?;
        let (generation, revision) = self.record_intent(&next, purpose, author, now)?;
        let served = Served {
            generation,
            revision,
            digest: next.state.content.digest(),
            state: next,
            layout: None,
        };
        match self.switch(&served, &layout, &fresh, resolution) {
            Ok(published) => {
                self.record_outcome(Outcome::Switched { generation, revision }, author, now);
                let applied = applied(&served, published, effects, resolution);
                self.environment.clone_from(&served.state.config().environment);
                self.served = Some(Served {
                    layout: Some(layout),
                    ..served
                });
                self.settle_interfaces(resolution);
                Ok(applied)
            }
            Err(failure) => {
                let Failure { code, message, .. } = failure.clone();
                // Interfaces and peers are those of what is served, not of this.
                self.settle_interfaces(resolution);
                self.record_outcome(
                    Outcome::Failed {
                        generation,
                        revision,
                        code,
                        message,
                    },
                    author,
                    now,
                );
                Err(failure)
            }
        }
    }

    fn switch(
        &mut self,
        served: &Served,
        layout: &Layout,
        fresh: &[u16],
        resolution: &Resolution,
    ) -> Result<Published, Failure> {
        use crate::kernel::Kernel as _;
        // A packet that still holds chunks of before the last switch must not
        // count for a new owner.
        self.publisher.collect()?;
        self.publisher.kernel().zero_counters(fresh)?;
        self.prepare_interfaces(served, resolution)?;
        let facts = RootFacts {
            generation: served.generation,
            revision: served.revision,
            digest: served.digest,
            state: served.state.state.digest(),
        };
        let published = self.publisher.publish(layout, &facts, |kernel, active| {
            rehearsal::rehearse(kernel, active, &served.state).map_err(Into::into)
        })?;
        Ok(published)
    }

    fn record_intent(
        &mut self,
        next: &Revision,
        purpose: &Purpose,
        author: &str,
        now: Now,
    ) -> Result<(u64, u64), Failure> {
        // A daemon that may not use its store changes no generation, but
        // follows next hops: connections matter more than the record of them.
        let running = self.served.as_ref();
        let Some(store) = self.store.as_mut().filter(|_| self.mode != Mode::ReadOnly) else {
            return Ok(running.map_or((0, 1), |served| (served.generation, served.revision + 1)));
        };
        let revision = store
            .next_revision()?
            .max(running.map_or(0, |served| served.revision + 1));
        let state = next.clone();
        let entry = match purpose {
            Purpose::Generation {
                plan_digest,
                cause,
                message,
            } => Entry::Intent(Intent {
                generation: store
                    .next_generation()?
                    .max(running.map_or(0, |served| served.generation + 1)),
                revision,
                content: next.state.content.clone(),
                state,
                plan_digest: *plan_digest,
                cause: cause.clone(),
                message: message.clone(),
            }),
            Purpose::Revision { cause } => Entry::Revision(crate::store::Revision {
                generation: running.map_or(0, |served| served.generation),
                revision,
                state,
                cause: cause.clone(),
            }),
        };
        let generation = match &entry {
            Entry::Intent(intent) => intent.generation,
            Entry::Revision(revision) => revision.generation,
            Entry::FirstStart { .. }
            | Entry::Outcome(_)
            | Entry::Adopted { .. }
            | Entry::Refused { .. }
            | Entry::ReadOnly { .. }
            | Entry::Note { .. } => unreachable!("only intents and revisions are made above"),
        };
        store.append(&entry, author, now.time)?;
        Ok((generation, revision))
    }

    /// The switch has happened, or has not: what the store makes of the news
    /// cannot change that. A start settles a pending intent from the kernel.
    fn record_outcome(&mut self, outcome: Outcome, author: &str, now: Now) {
        if self.mode != Mode::ReadOnly
            && let Some(store) = &mut self.store
            && let Err(error) = store.append(&Entry::Outcome(outcome), author, now.time)
        {
            tracing::error!(%error, "the outcome could not be journaled");
            self.become_read_only(format!("the journal could not be written ({error})"));
        }
    }

    fn note_refusal(&mut self, plan: &Plan, digest: Digest, author: &str, now: Now) {
        let refusals = plan
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Refuse);
        let codes: Vec<String> = refusals.map(|finding| finding.code.clone()).collect();
        tracing::warn!(?codes, author, "a plan was refused");
        if let Some(store) = &mut self.store
            && let Err(error) = store.append(
                &Entry::Refused {
                    codes,
                    plan_digest: Some(digest),
                },
                author,
                now.time,
            )
        {
            tracing::error!(%error, "the refusal could not be journaled");
        }
    }

    pub(crate) fn become_read_only(&mut self, reason: String) {
        tracing::error!(reason, "read-only");
        self.mode = Mode::ReadOnly;
        self.mode_reason = Some(reason);
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

fn revision_cause(before: &Revision, after: &Revision) -> String {
    // Most pools are those of before, by handle.
    let same = |pool: &str, state| before.state.pools.get(pool).is_some_and(|before| before.is(state));
    let pools = after.state.pools.iter().filter(|(pool, state)| !same(pool, state));
    let changed = pools.flat_map(|(pool, state)| {
        let old = before.state.pools.get(pool);
        let members = state.members.iter().filter(move |(name, member)| {
            old.and_then(|old| old.members.get(*name))
                .is_none_or(|old| old.hop != member.hop)
        });
        members.map(move |(name, _)| format!("{pool}/{name}"))
    });
    let changed: Vec<String> = changed.collect();
    match changed.as_slice() {
        [] => "tables".to_owned(),
        [one] => format!("next hop of {one}"),
        [one, rest @ ..] => format!("next hops of {one} and {} more", rest.len()),
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
        notes: Vec::new(),
    }
}

fn applied(
    served: &Served,
    published: Published,
    effects: Vec<crate::plan::PoolEffect>,
    resolution: &Resolution,
) -> Applied {
    let notes = served.state.unresolved().map(|id| {
        let why = resolution
            .problems
            .get(&id)
            .map_or_else(String::new, |problem| format!(": {problem}"));
        format!(
            "{}/{} has no next hop yet and gets no traffic{why}",
            id.pool, id.backend
        )
    });
    Applied {
        generation: served.generation,
        revision: served.revision,
        digest: served.digest,
        unchanged: false,
        chunks_written: published.written,
        chunks_shared: published.shared,
        publish_us: u64::try_from(published.took.as_micros()).unwrap_or(u64::MAX),
        effects,
        notes: notes.collect(),
    }
}
