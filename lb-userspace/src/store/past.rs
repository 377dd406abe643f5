//! Between the store and what the kernel remembers: the generations that were
//! served, as they go into the chunks, and a store rebuilt from them.

use jiff::Timestamp;

use super::{Entry, Recovered, Store, StoreError, states, trials};
use crate::{
    part::Part,
    past::{Earlier, GENERATIONS_KEPT, Locked, Past},
    plan::Content,
};

impl Store {
    /// What the kernel is to remember; what is deflated in `known` is taken from
    /// there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn past(&self, known: &Past) -> Result<Past, StoreError> {
        let content = |digest| states::part::<Content>(&self.connection, "contents", digest).ok();
        Ok(Past::new(self.earlier()?, Locked::of(self.lock()), known, content))
    }

    /// The newest generations that were served, oldest first.
    fn earlier(&self) -> Result<Vec<Earlier>, StoreError> {
        let sql =
            "SELECT journal.payload, journal.kind, generations.author, generations.applied, generations.generation
                   FROM generations
                   JOIN revisions ON revisions.generation = generations.generation AND revisions.new_generation = 1
                   JOIN journal ON journal.seq = revisions.intent_seq
                   WHERE applied IS NOT NULL ORDER BY generations.generation DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([GENERATIONS_KEPT as u32], |row| {
            let entry = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            Ok((
                entry,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
            ))
        })?;
        let mut earlier = Vec::new();
        for row in rows {
            let ((payload, kind), author, applied, generation) = row?;
            let applied: Timestamp = applied.parse().map_err(|_| StoreError::Projections)?;
            let found: Option<Earlier> = if kind == "intent" {
                serde_json::from_str(&payload).ok().map(|intent| Earlier {
                    intent,
                    author,
                    applied,
                    confirmed: false,
                })
            } else {
                serde_json::from_str(&payload).ok()
            };
            let mut found = found.ok_or(StoreError::Projections)?;
            let trial = trials::trial(&self.connection, generation.cast_unsigned())?;
            found.confirmed = trial.is_some_and(|trial| trial.confirmed);
            earlier.push(found);
        }
        earlier.reverse();
        Ok(earlier)
    }

    /// What the kernel remembers and this store never had, for people: the kernel is told
    /// after the store, so the store was put back from before it. `None`: nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn lacks(&self, past: &Past) -> Result<Option<String>, StoreError> {
        if let Some(last) = past.generations().last().filter(|last| last.confirmed)
            && let Some(trial) = self.on_trial()?
            && trial.generation == last.intent.generation
        {
            return Ok(Some(format!("that generation {} was confirmed", trial.generation)));
        }
        let Some(hold) = &past.locked().hold else {
            return Ok(None);
        };
        let since = hold.since.to_string();
        // One that was recovered has no entry of its own.
        let known: bool = self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM journal WHERE (kind = 'held' AND time = ?1)
                                                     OR (kind = 'recovered' AND time >= ?1))",
            [&since],
            |row| row.get(0),
        )?;
        Ok((!known).then(|| format!("a hold of {since}")))
    }

    /// Whether no generation was ever served, as far as this store knows.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn is_blank(&self) -> Result<bool, StoreError> {
        Ok(self.last_switched()?.is_none() && self.pending_intent()?.is_none())
    }

    /// Fills a blank store with what the kernel remembers and serves; `running` is
    /// the content of the generation that runs.
    ///
    /// # Errors
    /// If the disk does not take it: the store is as blank as it was.
    pub fn rebuild_from(
        &mut self,
        past: &Past,
        running: &Part<Content>,
        recovered: Recovered,
        author: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let remembered = past.generations().iter().filter_map(|earlier| {
            let digest = earlier.intent.content;
            let content = if digest == running.digest() {
                Some(running.clone())
            } else {
                past.content(digest)
            };
            Some(Entry::remembered(earlier.clone(), content?))
        });
        let entries: Vec<Entry> = remembered.chain([Entry::Recovered(recovered)]).collect();
        self.append_all(&entries, author, now)
    }
}
