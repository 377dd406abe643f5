//! The journal read out: a page at a time, so that nobody waits for the
//! writer's lock while all of it is judged.

use super::Daemon;
use crate::{
    api::model::{ExportQuery, Failure, JournalVerify, VerifyQuery},
    failure,
    store::{Head, JournalDamage, NotAHead, Page, StoreError, Walk},
};

impl Daemon {
    pub async fn journal_page(&self, query: ExportQuery) -> Result<Page, Failure> {
        Ok(self.page(query.after).await??)
    }

    async fn page(&self, after: u64) -> Result<Result<Page, StoreError>, Failure> {
        let serving = self.serving.lock().await;
        let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
        Ok(tokio::task::block_in_place(|| store.page(after)))
    }

    /// Against the file, the signatures, and what this daemon knows that it wrote.
    pub async fn verify_journal(&self, query: VerifyQuery) -> Result<JournalVerify, Failure> {
        let head: Option<Result<Head, NotAHead>> = query.head.map(|head| head.parse());
        let head = head
            .transpose()
            .map_err(|error| failure::bad_request(error.to_string()))?;
        let (mut walk, unsigned) = {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            let kept = head.into_iter().chain([store.end()]).collect();
            let key = query.key.or_else(|| store.key_fingerprint().map(str::to_owned));
            (Walk::new(key, kept), serving.signing.unsigned().map(str::to_owned))
        };
        let walked = self.walk(&mut walk).await?.and_then(|()| walk.finish());
        let mut serving = self.serving.lock().await;
        let damage = match &serving.store {
            Some(store) => walked.and_then(|audited| store.vouch_for(audited)),
            None => walked,
        };
        serving.signing.judged(damage.as_ref().err().copied());
        if let (Ok(_), Some(store)) = (&damage, &serving.store) {
            store.check_schema()?;
        }
        let mut verify = JournalVerify::from(damage);
        verify
            .warnings
            .extend(unsigned.map(|why| format!("no head is signed now: {why}")));
        Ok(verify)
    }

    async fn walk(&self, walk: &mut Walk) -> Result<Result<(), JournalDamage>, Failure> {
        let mut after = 0;
        loop {
            let page = match self.page(after).await? {
                Ok(page) => page,
                Err(StoreError::Journal(damage)) => return Ok(Err(damage)),
                Err(error) => return Err(error.into()),
            };
            match tokio::task::block_in_place(|| walk.page(page)) {
                Ok(Some(next)) => after = next,
                Ok(None) => return Ok(Ok(())),
                Err(damage) => return Ok(Err(damage)),
            }
        }
    }
}
