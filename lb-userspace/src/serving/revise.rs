//! Revisions: the running generation once more, because of something that no
//! operator asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Purpose, Serving};
use crate::{
    api::model::{Applied, Failure},
    clock::Now,
    drain,
    neighbours::Resolution,
    revision::{Hops, Inputs, Over, Revision, Standing},
};

impl Serving {
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

    /// Publishes the running generation again if health changed; `cause` is for
    /// people.
    ///
    /// # Errors
    /// What is served stays as it was then.
    pub fn stand(
        &mut self,
        standing: &Standing,
        cause: String,
        resolution: &Resolution,
        now: Now,
    ) -> Result<Option<Applied>, Failure> {
        let Some(served) = &self.served else {
            return Ok(None);
        };
        if served.state.stands_otherwise(standing).next().is_none() {
            return Ok(None);
        }
        // Next hops are those that are published: what is known now may be of
        // another generation.
        let inputs = Inputs {
            hops: &Hops::new(),
            standing,
            now: now.coarse,
        };
        let content = served.state.state.content.clone();
        let next = Revision::following(Some(&served.state), &content, &inputs)?;
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
        let over = Over {
            ended: drain::ended(&served.state, now.time),
            ..drain::due(&draining, &sightings, blind, now.coarse)
        };
        if over.is_nothing() {
            return Ok(None);
        }
        let next = served.state.cleaned(&over);
        // Where chains are as many as fit, some wait for their slots.
        if next == served.state {
            return Ok(None);
        }
        let cause = over_cause(&over);
        self.publish(next, &Purpose::Revision { cause }, resolution, "holdfastd", now)
            .map(Some)
    }
}

fn over_cause(over: &Over) -> String {
    let members: usize = over.ended.values().map(BTreeSet::len).sum();
    let clean: usize = over.clean.values().map(BTreeSet::len).sum();
    let idle: usize = over.idle.values().map(BTreeMap::len).sum();
    let ended = (members > 0).then(|| format!("the deadline of {members} drains"));
    let idle = (idle > 0).then(|| format!("{idle} slots have fewer earlier owners"));
    let clean = (clean > 0).then(|| format!("{clean} slots are clean again"));
    let causes: Vec<String> = ended.into_iter().chain(idle).chain(clean).collect();
    causes.join("; ")
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
