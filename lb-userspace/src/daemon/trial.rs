//! Ends trials: when somebody says so, and when time is up.

use std::{sync::Arc, time::Duration};

use super::Daemon;
use crate::{
    api::{
        auth::Peer,
        model::{Applied, Failure},
    },
    clock::Now,
};

/// Deadlines are whole seconds.
const WATCH: Duration = Duration::from_millis(500);

/// Takes back, for ever, what nobody confirmed in time, or what is worse.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    loop {
        tokio::time::sleep(WATCH).await;
        if let Err(failure) = daemon.take_back(None, "holdfastd").await {
            tracing::debug!(code = failure.code, message = failure.message, "not taken back");
        }
    }
}

impl Daemon {
    pub async fn confirm_trial(&self, peer: Peer) -> Result<Applied, Failure> {
        self.serving.lock().await.confirm(peer.author(), Now::read())
    }

    pub async fn abort_trial(&self, peer: Peer) -> Result<Applied, Failure> {
        let back = self.take_back(Some("aborted"), peer.author()).await?;
        back.ok_or_else(crate::failure::no_trial)
    }

    /// `asked`: for this cause; `None`: if it is due by itself.
    async fn take_back(&self, asked: Option<&str>, author: &str) -> Result<Option<Applied>, Failure> {
        let cause = asked;
        let asked = cause.is_some();
        let before = self.serving.lock().await.content_before_trial(asked, Now::read())?;
        let Some(content) = before else {
            return Ok(None);
        };
        let resolution = self.resolve_for(&content.config).await?;
        let mut serving = self.serving.lock().await;
        let now = Now::read();
        // Somebody may have confirmed it meanwhile.
        if serving.content_before_trial(asked, now)?.is_none() {
            return Ok(None);
        }
        let cause = cause.map_or_else(|| serving.cause_of_end(), str::to_owned);
        let back = tokio::task::block_in_place(|| serving.take_back(&content, &cause, &resolution, author, now))?;
        drop(serving);
        *self.resolution.write().await = resolution;
        Ok(Some(back))
    }
}
