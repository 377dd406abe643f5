//! States of revisions: what publishing one again takes.
//!
//! A state is kept as an *index*, canonical JSON that names its parts by their
//! digests: `{"pools":{NAME:{"state":D,"table":D}},"vipCounters":D}`. Parts of
//! canonical JSON are in `parts`, lookup tables, packed, in `tables`: there the
//! digest is that of the table, not that of its bytes. The content is that of
//! the revision's generation.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{STATES_KEPT, Served, Store, StoreError, projection::SERVED};
use crate::{
    digest::{Digest, canonical_json},
    part::{Json, Part},
    revision::{Revision, State},
    table::{Table, dirty::Dirty, packed},
};

impl Store {
    /// The revision, with all it takes to publish it again.
    ///
    /// # Errors
    /// If the store cannot be read, or a part of the state is not sound.
    pub fn state(&self, served: &Served) -> Result<Revision, StoreError> {
        restore(&self.connection, served)
    }

    /// All of a state is there, and sound; one part after the other, so that a
    /// start which needs none of it does not hold all of it.
    pub(super) fn check_state(&self, served: &Served) -> Result<(), StoreError> {
        let index = index(&self.connection, served)?;
        text(&self.connection, "parts", index.vip_counters)?;
        for pool in index.pools.values() {
            text(&self.connection, "parts", pool.state)?;
            table(&self.connection, pool.table)?;
        }
        Ok(())
    }
}

/// The parts of a state, by their digests.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    pools: BTreeMap<String, PoolIndex>,
    vip_counters: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolIndex {
    state: Digest,
    table: Digest,
}

impl Index {
    pub fn of(revision: &Revision) -> Self {
        let pools = revision.state.pools.iter().filter_map(|(name, state)| {
            let pool = PoolIndex {
                state: state.digest(),
                table: revision.tables.get(name)?.current.digest(),
            };
            Some((name.clone(), pool))
        });
        Self {
            pools: pools.collect(),
            vip_counters: revision.state.vip_counters.digest(),
        }
    }

    pub fn digest(&self) -> Digest {
        Digest::of_canonical(self)
    }
}

/// Keeps a state, and those of its parts that are not kept already.
pub fn keep(transaction: &Transaction<'_>, revision: &Revision) -> Result<(), StoreError> {
    let index = canonical_json(&Index::of(revision));
    let digest = Digest::of(index.as_bytes());
    transaction
        .prepare_cached("INSERT INTO states VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((digest.to_string(), index))?;
    keep_part(transaction, revision.state.vip_counters.json())?;
    for (name, state) in &revision.state.pools {
        keep_part(transaction, state.json())?;
        if let Some(tables) = revision.tables.get(name) {
            keep_table(transaction, &tables.current)?;
        }
    }
    Ok(())
}

fn keep_part(transaction: &Transaction<'_>, part: &Json) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO parts VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((part.digest.to_string(), &part.text))?;
    Ok(())
}

fn keep_table(transaction: &Transaction<'_>, table: &Table) -> Result<(), StoreError> {
    if !has_table(transaction, table.digest())? {
        transaction
            .prepare_cached("INSERT INTO tables VALUES (?1, ?2)")?
            .execute((table.digest().to_string(), packed::pack(table)))?;
    }
    Ok(())
}

fn has_table(connection: &Connection, digest: Digest) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM tables WHERE digest = ?1")?;
    Ok(statement.exists([digest.to_string()])?)
}

/// Lets go of states of revisions long past, and of parts that went with them.
pub fn forget(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let gone = transaction
        .prepare_cached(&format!(
            "DELETE FROM states WHERE digest NOT IN (
                 SELECT state FROM revisions WHERE outcome_seq IS NULL OR revision = ({SERVED})
                 UNION ALL
                 SELECT state FROM (SELECT state FROM revisions ORDER BY revision DESC LIMIT ?1))"
        ))?
        .execute([STATES_KEPT])?;
    if gone == 0 {
        return Ok(());
    }
    transaction.execute(
        "DELETE FROM parts WHERE digest NOT IN (
             SELECT pool.value ->> '$.state' FROM states, json_each(states.json, '$.pools') AS pool
             UNION ALL SELECT states.json ->> '$.vipCounters' FROM states)",
        [],
    )?;
    transaction.execute(
        "DELETE FROM tables WHERE digest NOT IN (
             SELECT pool.value ->> '$.table' FROM states, json_each(states.json, '$.pools') AS pool)",
        [],
    )?;
    Ok(())
}

fn restore(connection: &Connection, served: &Served) -> Result<Revision, StoreError> {
    let index = index(connection, served)?;
    let mut pools = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (name, pool) in index.pools {
        pools.insert(name.clone(), part(connection, "parts", pool.state)?);
        // Flows are not kept here, so no slot is dirty.
        tables.insert(name, (table(connection, pool.table)?, Dirty::default()));
    }
    let state = State {
        content: served.content.clone(),
        pools,
        vip_counters: part(connection, "parts", index.vip_counters)?,
    };
    Revision::restore(state, tables).ok_or(StoreError::Content { digest: served.state })
}

fn index(connection: &Connection, served: &Served) -> Result<Index, StoreError> {
    let index = text(connection, "states", served.state)?;
    serde_json::from_str(&index).map_err(|_| StoreError::Content { digest: served.state })
}

/// A part by its digest, which is checked.
pub fn part<T: DeserializeOwned>(connection: &Connection, from: &str, digest: Digest) -> Result<Part<T>, StoreError> {
    let text = text(connection, from, digest)?;
    Part::read(&text).map_err(|_| StoreError::Content { digest })
}

fn text(connection: &Connection, from: &str, digest: Digest) -> Result<String, StoreError> {
    let json: Option<String> = connection
        .prepare_cached(&format!("SELECT json FROM {from} WHERE digest = ?1"))?
        .query_row([digest.to_string()], |row| row.get(0))
        .optional()?;
    json.filter(|json| Digest::of(json.as_bytes()) == digest)
        .ok_or(StoreError::Content { digest })
}

fn table(connection: &Connection, digest: Digest) -> Result<Table, StoreError> {
    let packed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT packed FROM tables WHERE digest = ?1")?
        .query_row([digest.to_string()], |row| row.get(0))
        .optional()?;
    packed
        .and_then(|packed| packed::unpack(&packed))
        .filter(|table| table.digest() == digest)
        .ok_or(StoreError::Content { digest })
}
