//! From content to the switch.

use super::{Purpose, Served, Serving, record::Recorded};
use crate::{
    api::model::{Applied, Failure},
    clock::Now,
    event,
    layout::{Layout, RootFacts},
    neighbours::Resolution,
    part::Part,
    plan::Content,
    preview::{self, Side, Sides},
    publish::Published,
    rehearsal,
    revision::Revision,
    store::Outcome,
};

impl Serving {
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

    pub(super) fn publish(
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
        let Recorded {
            generation,
            revision,
            begun,
            is_in_journal,
        } = self.record_intent(&next, purpose, author, now)?;
        let past = begun.map(|begun| self.past_with(begun, &next.state.content));
        let layout = match &past {
            Some(past) => layout.after(past.written().clone()),
            None => layout.after(self.past.written().clone()),
        };
        let served = Served {
            generation,
            revision,
            digest: next.state.content.digest(),
            state: next,
            layout: None,
        };
        match self.switch(&served, &layout, &fresh, purpose, resolution) {
            Ok((published, preview)) => {
                if is_in_journal {
                    self.record_outcome(Outcome::Switched { generation, revision }, author, now);
                }
                self.tally.switch(published.took);
                self.tally.applied += u64::from(matches!(purpose, Purpose::Generation { .. }));
                event!(info, Switched, generation, revision, "switched");
                let mut applied = applied(&served, published, effects, resolution);
                applied.preview = preview;
                if let Purpose::Generation { .. } = purpose {
                    self.on_trial = self.trial_of(purpose, &served, author, now);
                    self.taken_back = None;
                    applied.confirm_until = self.on_trial.as_ref().map(|trial| trial.term.until(now));
                }
                self.environment.clone_from(&served.state.config().environment);
                self.served = Some(Served {
                    layout: Some(layout),
                    ..served
                });
                if let Some(past) = past {
                    self.past = past;
                }
                self.past_is_new = false;
                self.settle_interfaces(resolution);
                Ok(applied)
            }
            Err(failure) => {
                self.tally.failed += u64::from(matches!(purpose, Purpose::Generation { .. }));
                let Failure { code, message, .. } = failure.clone();
                // Interfaces and peers are those of what is served, not of this.
                self.settle_interfaces(resolution);
                let failed = Outcome::Failed {
                    generation,
                    revision,
                    code,
                    message,
                };
                if is_in_journal {
                    self.record_outcome(failed, author, now);
                }
                Err(failure)
            }
        }
    }

    fn switch(
        &mut self,
        served: &Served,
        layout: &Layout,
        fresh: &[u16],
        purpose: &Purpose,
        resolution: &Resolution,
    ) -> Result<(Published, Option<String>), Failure> {
        use crate::kernel::Kernel as _;
        // A packet that still holds chunks of before the last switch must not
        // count for a new owner.
        self.publisher.collect()?;
        self.publisher.kernel().zero_counters(fresh)?;
        self.activity.forget(fresh);
        self.prepare_interfaces(served, resolution)?;
        let facts = RootFacts {
            generation: served.generation,
            revision: served.revision,
            digest: served.digest,
            state: served.state.state.digest(),
        };
        let before = self.served.as_ref();
        let mut summary = None;
        let published = self.publisher.publish(layout, &facts, |kernel, active| {
            // Next hops matter more than their rehearsal.
            if kernel.refusal().is_some() && matches!(purpose, Purpose::Revision { .. }) {
                return Ok(());
            }
            let candidate = Side {
                active,
                revision: &served.state,
            };
            match purpose {
                // A plan that somebody applies is held to what it does to every VIP;
                // what is taken back, or follows the network, serves as well as it can.
                Purpose::Generation {
                    plan_digest: Some(_),
                    opened,
                    ..
                } => {
                    let told = preview::ensure(
                        kernel,
                        Sides {
                            served: before.map(|before| Side {
                                active: kernel.active(),
                                revision: &before.state,
                            }),
                            candidate,
                            key: &kernel.hash_key()?,
                            emptied: &opened.emptied,
                        },
                    )?;
                    summary = Some(told);
                }
                Purpose::Generation { .. } | Purpose::Revision { .. } => {
                    rehearsal::rehearse(kernel, active, candidate.revision)?;
                }
            }
            Ok(())
        })?;
        Ok((published, summary))
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
        confirm_until: None,
        preview: None,
        notes: notes.collect(),
    }
}
