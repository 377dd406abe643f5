//! From the schema of an older release to this one's: in one transaction, after
//! the store was found sound, so that it is old or new, and never damaged by it.

use rusqlite::{Connection, TransactionBehavior};

use super::header::SCHEMA;

/// The oldest schema that is still converted.
pub const OLDEST: u32 = 2;
/// The schema that brought signed heads.
pub const HEADS: u32 = 3;
/// The schema that brought plans that wait.
pub const PLANS: u32 = 4;

const FIRST: &str = include_str!("schema.sql");

/// What each later schema adds. A new store is made of the same pieces, so a
/// converted one does not differ from it.
const ADDED: [(u32, &str); 2] = [(HEADS, include_str!("heads.sql")), (PLANS, include_str!("plans.sql"))];

/// A store's definition in a schema from [`OLDEST`] on.
pub fn definition(schema: u32) -> String {
    let added = ADDED.iter().filter(|(since, _)| *since <= schema);
    std::iter::once(FIRST).chain(added.map(|(_, sql)| *sql)).collect()
}

/// Brings a sound store from `schema` to [`SCHEMA`].
pub fn migrate(connection: &mut Connection, schema: u32) -> Result<(), rusqlite::Error> {
    if schema == SCHEMA {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (since, sql) in ADDED {
        if since > schema {
            transaction.execute_batch(sql)?;
        }
    }
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}
