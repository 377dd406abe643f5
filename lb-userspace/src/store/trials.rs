//! Which generations were applied on trial, and which of them were confirmed.
//! Read from the journal itself: such entries are few.

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use super::{Store, StoreError, journal::signed, journal::unsigned};
use crate::{
    api::model::TakenBack,
    confirm::{OnTrial, Term},
};

impl Store {
    /// The served generation, if it is on trial and nobody confirmed it yet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn on_trial(&self) -> Result<Option<OnTrial>, StoreError> {
        let Some(last) = self.last_switched()? else {
            return Ok(None);
        };
        let generation = last.generation;
        let Some(trial) = trial(&self.connection, generation)?.filter(|trial| !trial.confirmed) else {
            return Ok(None);
        };
        let before = self.generation(trial.term.back_to)?.map(|(_, content)| content);
        Ok(Some(OnTrial::new(generation, trial.author, trial.term, before)))
    }

    /// The generation that the served one took back: the one before it, if it was
    /// on trial and never confirmed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn taken_back(&self) -> Result<Option<TakenBack>, StoreError> {
        let Some(last) = self.last_switched()? else {
            return Ok(None);
        };
        let sql =
            "SELECT (SELECT max(generation) FROM generations WHERE generation < ?1 AND applied IS NOT NULL), cause
                   FROM generations WHERE generation = ?1";
        let row = self.connection.query_row(sql, [signed(last.generation)], |row| {
            let before: Option<i64> = row.get(0)?;
            Ok((before.map(i64::cast_unsigned), row.get(1)?))
        });
        let Some((Some(before), cause)) = row.optional()? else {
            return Ok(None);
        };
        let trial = trial(&self.connection, before)?;
        Ok(trial.filter(|trial| !trial.confirmed).map(|_| TakenBack {
            generation: before,
            cause,
        }))
    }

    /// The boot id of the newest entry that has one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_boot(&self) -> Result<Option<String>, StoreError> {
        let sql = "SELECT json_extract(payload, '$.boot') FROM journal
                   WHERE kind IN ('firstStart', 'adopted', 'servedAgain', 'recovered') AND json_extract(payload, '$.boot') IS NOT NULL
                   ORDER BY seq DESC LIMIT 1";
        Ok(self.connection.query_row(sql, [], |row| row.get(0)).optional()?)
    }
}

pub struct Trial {
    pub author: String,
    pub term: Term,
    pub confirmed: bool,
}

/// On which terms a generation was applied; `None`: for good.
pub fn trial(connection: &Connection, generation: u64) -> Result<Option<Trial>, StoreError> {
    let sql = "SELECT journal.seq, generations.author, journal.payload FROM revisions
               JOIN journal ON journal.seq = revisions.intent_seq
               JOIN generations ON generations.generation = revisions.generation
               WHERE revisions.generation = ?1 AND revisions.new_generation = 1
                 AND json_extract(journal.payload, '$.confirm') IS NOT NULL";
    let row = connection
        .prepare_cached(sql)?
        .query_row([signed(generation)], |row| {
            Ok((unsigned(row, 0)?, row.get(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((seq, author, payload)) = row else {
        return Ok(None);
    };
    let payload: Value = serde_json::from_str(&payload).map_err(|_| StoreError::Projections)?;
    let term = serde_json::from_value(payload["confirm"].clone()).map_err(|_| StoreError::Projections)?;
    // Before the store was rebuilt.
    let before = payload["confirmed"].as_bool().unwrap_or(false);
    let sql = "SELECT EXISTS (SELECT 1 FROM journal WHERE seq > ?1 AND kind = 'confirmed'
               AND json_extract(payload, '$.generation') = ?2)";
    let since: bool = connection
        .prepare_cached(sql)?
        .query_row([signed(seq), signed(generation)], |row| row.get(0))?;
    Ok(Some(Trial {
        author,
        term,
        confirmed: before || since,
    }))
}
