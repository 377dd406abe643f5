//! What follows from the journal: which generations and revisions there were,
//! what is served, what is pending.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::{
    Entry, Filed, Intent, OutOfOrder, Outcome, Pending, Record, Served, Store, StoreError,
    journal::{each_record, signed, unsigned},
    sqlite, states, trials,
};
use crate::{
    api::model::{GenerationDetail, GenerationSummary},
    digest::Digest,
    part::Part,
    past::Earlier,
    plan::{Content, diff::diff},
};

/// The last revision that was switched to.
pub const SERVED: &str = "SELECT revision FROM revisions WHERE served = 1 ORDER BY outcome_seq DESC LIMIT 1";

/// The tables of this module.
const TABLES: [&str; 2] = ["generations", "revisions"];

impl Store {
    /// What is served, as far as the journal knows; the kernel may be one step
    /// further if something is pending.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_switched(&self) -> Result<Option<Served>, StoreError> {
        let of = format!("revision = ({SERVED})");
        Ok(served_where(&self.connection, &of)?.map(|(served, _)| served))
    }

    /// The intent that has no outcome yet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn pending_intent(&self) -> Result<Option<Pending>, StoreError> {
        let pending = served_where(&self.connection, "outcome_seq IS NULL")?;
        Ok(pending.map(|(served, new_generation)| Pending { served, new_generation }))
    }

    /// The number for the next generation. A number that was meant once is
    /// never used again, whatever became of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_generation(&self) -> Result<u64, StoreError> {
        next(&self.connection, "generation", "generations")
    }

    /// The number for the next revision; over all generations, never reused.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_revision(&self) -> Result<u64, StoreError> {
        next(&self.connection, "revision", "revisions")
    }

    /// The generations that were served, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn history(&self) -> Result<Vec<GenerationSummary>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT generation FROM generations WHERE applied IS NOT NULL ORDER BY generation DESC")?;
        let numbers: Vec<u64> = statement
            .query_map([], |row| unsigned(row, 0))?
            .collect::<Result<_, _>>()?;
        let summaries = numbers.into_iter().map(|number| self.generation(number));
        summaries
            .filter_map(|found| found.map(|found| found.map(|(summary, _)| summary)).transpose())
            .collect()
    }

    /// A generation that was served, and its content.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn generation(&self, number: u64) -> Result<Option<(GenerationSummary, Part<Content>)>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT content, author, applied, cause, message FROM generations
             WHERE generation = ?1 AND applied IS NOT NULL",
        )?;
        let row = statement
            .query_row([signed(number)], |row| {
                let columns = (row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?);
                Ok((columns, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let Some(((digest, author, applied), cause, message)) = row else {
            return Ok(None);
        };
        let digest: Digest = digest.parse().map_err(|_| StoreError::Projections)?;
        let content: Part<Content> = states::part(&self.connection, "contents", digest)?;
        let backends: usize = content.config.pools.iter().map(|pool| pool.backends.len()).sum();
        let summary = GenerationSummary {
            generation: number,
            digest,
            author,
            applied: applied.parse().map_err(|_| StoreError::Projections)?,
            cause,
            message,
            running: running_generation(&self.connection)? == Some(number),
            confirmed: trials::trial(&self.connection, number)?.map(|trial| trial.confirmed),
            vips: content.config.vips.len() as u32,
            backends: backends as u32,
        };
        Ok(Some((summary, content)))
    }

    /// A generation with its changes from the one served before it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn generation_detail(&self, number: u64) -> Result<Option<GenerationDetail>, StoreError> {
        let Some((summary, content)) = self.generation(number)? else {
            return Ok(None);
        };
        let before = self.served_before(number)?;
        let changes = diff(before.as_deref(), &content);
        Ok(Some(GenerationDetail {
            summary,
            content: Content::clone(&content),
            changes,
        }))
    }

    /// Makes the derived tables anew from the journal.
    ///
    /// # Errors
    /// If the journal cannot be read, or the disk does not take the tables; they
    /// are then as they were.
    pub fn rebuild(&mut self) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        refill(&transaction)?;
        Ok(transaction.commit()?)
    }

    /// The derived tables are those that `rebuild` would make.
    pub(super) fn projections_agree(&self) -> Result<bool, StoreError> {
        let scratch = sqlite::empty()?;
        each_record(&self.connection, |record| project(&scratch, record))?;
        for table in TABLES {
            if dump(&scratch, table)? != dump(&self.connection, table)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn served_before(&self, number: u64) -> Result<Option<Part<Content>>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT content FROM generations WHERE generation < ?1 AND applied IS NOT NULL
             ORDER BY generation DESC LIMIT 1",
        )?;
        let digest: Option<String> = statement.query_row([signed(number)], |row| row.get(0)).optional()?;
        digest
            .map(|digest| {
                let digest = digest.parse().map_err(|_| StoreError::Projections)?;
                states::part(&self.connection, "contents", digest)
            })
            .transpose()
    }
}

/// Refuses an entry that cannot come now.
pub fn check_order(transaction: &Transaction<'_>, entry: &Filed) -> Result<(), StoreError> {
    match entry {
        Entry::Intent(Intent {
            generation, revision, ..
        })
        | Entry::Remembered(Earlier {
            intent: Intent {
                generation, revision, ..
            },
            ..
        }) => {
            check_free(transaction, *revision)?;
            if *generation < next(transaction, "generation", "generations")? {
                return Err(OutOfOrder::GenerationUsed(*generation).into());
            }
        }
        Entry::Revision(revision) => {
            check_free(transaction, revision.revision)?;
            if running_generation(transaction)? != Some(revision.generation) {
                return Err(OutOfOrder::NotServed(revision.generation).into());
            }
        }
        Entry::Recovered(recovered) => {
            let (generation, revision) = (recovered.generation, recovered.revision);
            if running_generation(transaction)? != Some(generation) {
                return Err(OutOfOrder::NotServed(generation).into());
            }
            if revision + 1 < next(transaction, "revision", "revisions")? {
                return Err(OutOfOrder::RevisionUsed(revision).into());
            }
        }
        Entry::Outcome(outcome) => {
            let numbers = outcome.numbers();
            if pending_numbers(transaction)? != Some(numbers) {
                let (generation, revision) = numbers;
                return Err(OutOfOrder::NotPending { generation, revision }.into());
            }
        }
        Entry::Confirmed { generation } => {
            let on_trial = trials::trial(transaction, *generation)?.is_some_and(|trial| !trial.confirmed);
            if running_generation(transaction)? != Some(*generation) || !on_trial {
                return Err(OutOfOrder::NotOnTrial(*generation).into());
            }
        }
        Entry::FirstStart { .. }
        | Entry::Adopted { .. }
        | Entry::ServedAgain { .. }
        | Entry::Refused { .. }
        | Entry::ReadOnly { .. }
        | Entry::Note { .. }
        | Entry::Drift { .. }
        | Entry::Approved { .. }
        | Entry::Rejected { .. }
        | Entry::Held { .. }
        | Entry::Resumed { .. }
        | Entry::GlassBroken { .. }
        | Entry::GlassMended { .. }
        | Entry::Kept { .. }
        | Entry::KeyMade { .. }
        | Entry::KeyRotated { .. } => {}
    }
    Ok(())
}

/// Nothing is pending, and the revision's number is new.
fn check_free(transaction: &Transaction<'_>, revision: u64) -> Result<(), StoreError> {
    if let Some((generation, revision)) = pending_numbers(transaction)? {
        return Err(OutOfOrder::Pending { generation, revision }.into());
    }
    if revision < next(transaction, "revision", "revisions")? {
        return Err(OutOfOrder::RevisionUsed(revision).into());
    }
    Ok(())
}

/// Follows the journal by one entry.
pub fn project(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    match &record.entry {
        Entry::Intent(intent) => {
            connection
                .prepare_cached("INSERT INTO generations VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)")?
                .execute((
                    signed(intent.generation),
                    intent.content.to_string(),
                    &record.author,
                    &intent.cause,
                    &intent.message,
                    intent.plan_digest.map(|digest| digest.to_string()),
                ))?;
            connection
                .prepare_cached("INSERT INTO revisions VALUES (?1, ?2, ?3, ?4, ?5, 1, NULL, NULL)")?
                .execute((
                    signed(intent.revision),
                    signed(intent.generation),
                    intent.content.to_string(),
                    intent.state.to_string(),
                    signed(record.seq),
                ))?;
        }
        Entry::Revision(revision) => {
            connection
                .prepare_cached(
                    "INSERT INTO revisions SELECT ?1, generation, content, ?3, ?4, 0, NULL, NULL
                     FROM generations WHERE generation = ?2",
                )?
                .execute((
                    signed(revision.revision),
                    signed(revision.generation),
                    revision.state.to_string(),
                    signed(record.seq),
                ))?;
        }
        Entry::Remembered(earlier) => remember(connection, record, earlier)?,
        Entry::Recovered(recovered) => {
            connection
                .prepare_cached(
                    "INSERT INTO revisions SELECT ?1, generation, content, ?3, ?4, 0, ?4, 1
                     FROM generations WHERE generation = ?2
                     ON CONFLICT (revision) DO UPDATE SET state = excluded.state, outcome_seq = excluded.outcome_seq",
                )?
                .execute((
                    signed(recovered.revision),
                    signed(recovered.generation),
                    recovered.state.to_string(),
                    signed(record.seq),
                ))?;
        }
        Entry::Outcome(outcome) => conclude(connection, record, outcome)?,
        Entry::FirstStart { .. }
        | Entry::Adopted { .. }
        | Entry::ServedAgain { .. }
        | Entry::Confirmed { .. }
        | Entry::Refused { .. }
        | Entry::ReadOnly { .. }
        | Entry::Note { .. }
        | Entry::Drift { .. }
        | Entry::Approved { .. }
        | Entry::Rejected { .. }
        | Entry::Held { .. }
        | Entry::Resumed { .. }
        | Entry::GlassBroken { .. }
        | Entry::GlassMended { .. }
        | Entry::Kept { .. }
        | Entry::KeyMade { .. }
        | Entry::KeyRotated { .. } => {}
    }
    Ok(())
}

/// As it was in the journal before: served once, with its own revision.
fn remember(connection: &Connection, record: &Record, earlier: &Earlier) -> Result<(), StoreError> {
    let intent = &earlier.intent;
    connection
        .prepare_cached("INSERT INTO generations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute((
            signed(intent.generation),
            intent.content.to_string(),
            &earlier.author,
            &intent.cause,
            &intent.message,
            intent.plan_digest.map(|digest| digest.to_string()),
            earlier.applied.to_string(),
        ))?;
    connection
        .prepare_cached("INSERT INTO revisions VALUES (?1, ?2, ?3, ?4, ?5, 1, ?5, 1)")?
        .execute((
            signed(intent.revision),
            signed(intent.generation),
            intent.content.to_string(),
            intent.state.to_string(),
            signed(record.seq),
        ))?;
    Ok(())
}

fn conclude(connection: &Connection, record: &Record, outcome: &Outcome) -> Result<(), StoreError> {
    let (generation, revision) = outcome.numbers();
    connection
        .prepare_cached("UPDATE revisions SET outcome_seq = ?2, served = ?3 WHERE revision = ?1")?
        .execute((signed(revision), signed(record.seq), outcome.is_served()))?;
    if outcome.is_served() {
        connection
            .prepare_cached("UPDATE generations SET applied = ?2 WHERE generation = ?1 AND applied IS NULL")?
            .execute((signed(generation), record.time.to_string()))?;
    }
    Ok(())
}

fn refill(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    for table in TABLES {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    each_record(transaction, |record| project(transaction, record))
}

fn next(connection: &Connection, column: &str, table: &str) -> Result<u64, StoreError> {
    let sql = format!("SELECT coalesce(max({column}), 0) + 1 FROM {table}");
    Ok(connection.prepare_cached(&sql)?.query_row([], |row| unsigned(row, 0))?)
}

fn pending_numbers(connection: &Connection) -> Result<Option<(u64, u64)>, StoreError> {
    let sql = "SELECT generation, revision FROM revisions WHERE outcome_seq IS NULL";
    let numbers = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)));
    Ok(numbers.optional()?)
}

fn running_generation(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let sql = format!("SELECT generation FROM revisions WHERE revision = ({SERVED})");
    let generation = connection.prepare_cached(&sql)?.query_row([], |row| unsigned(row, 0));
    Ok(generation.optional()?)
}

/// The revision for which `condition` holds, and whether it makes a generation.
fn served_where(connection: &Connection, condition: &str) -> Result<Option<(Served, bool)>, StoreError> {
    let sql = format!("SELECT generation, revision, content, state, new_generation FROM revisions WHERE {condition}");
    let row = connection
        .prepare_cached(&sql)?
        .query_row([], |row| {
            let digests = (row.get::<_, String>(2)?, row.get::<_, String>(3)?);
            Ok((unsigned(row, 0)?, unsigned(row, 1)?, digests, row.get(4)?))
        })
        .optional()?;
    let Some((generation, revision, (content, state), new_generation)) = row else {
        return Ok(None);
    };
    let content = content.parse().map_err(|_| StoreError::Projections)?;
    let state = state.parse().map_err(|_| StoreError::Projections)?;
    let served = Served {
        generation,
        revision,
        content: states::part(connection, "contents", content)?,
        state,
    };
    Ok(Some((served, new_generation)))
}

/// All values of a table, in the order of its key.
fn dump(connection: &Connection, table: &str) -> Result<Vec<Vec<rusqlite::types::Value>>, StoreError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1"))?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}
