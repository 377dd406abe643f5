//! Plans that wait for approvals: kept as they were exported, for as long as they
//! wait. A plan may hold a whole configuration, so they do not stay for ever, as
//! the journal does.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, TransactionBehavior};

use super::{Entry, Store, StoreError};
use crate::{
    digest::{Digest, canonical_json},
    plan::Plan,
};

impl Store {
    /// Keeps a plan, and lets go of those that wait no more; then says so in the
    /// journal.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn keep_plan(&mut self, plan: &Plan, now: Timestamp) -> Result<(), StoreError> {
        let digest = plan.digest();
        let waiting: Vec<String> = self.lock().waiting(now).map(|(digest, _)| digest.to_string()).collect();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut all = transaction.prepare_cached("SELECT digest FROM plans")?;
            let kept: Vec<String> = all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut delete = transaction.prepare_cached("DELETE FROM plans WHERE digest = ?1")?;
            for gone in kept.iter().filter(|kept| !waiting.contains(kept)) {
                delete.execute([gone])?;
            }
            transaction
                .prepare_cached("INSERT INTO plans VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute((digest.to_string(), canonical_json(plan)))?;
        }
        transaction.commit()?;
        let kept = Entry::Kept {
            plan: digest,
            about: plan.about.clone(),
            needs: plan.needs,
            expires: plan.expires,
        };
        self.append(&kept, &plan.author, now).map(drop)
    }

    /// A plan that was kept; `None`: what is there is not that plan.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn kept_plan(&self, digest: Digest) -> Result<Option<Plan>, StoreError> {
        let json: Option<String> = self
            .connection
            .prepare_cached("SELECT json FROM plans WHERE digest = ?1")?
            .query_row([digest.to_string()], |row| row.get(0))
            .optional()?;
        let sound = json.filter(|json| Digest::of(json.as_bytes()) == digest);
        Ok(sound.and_then(|json| serde_json::from_str(&json).ok()))
    }
}
