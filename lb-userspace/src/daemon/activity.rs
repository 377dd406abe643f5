//! Looks at what is counted, once a second: what is live now, and whether a trial
//! is worse than what was before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Daemon;
use crate::event;

/// One batched read of COUNTERS, this often.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for ever, at once first.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    let mut said = false;
    loop {
        let looked = {
            let mut serving = daemon.serving.lock().await;
            tokio::task::block_in_place(|| serving.look(Instant::now()))
        };
        if let Err(failure) = &looked
            && !said
        {
            event!(warn, LookFailed, reason = failure.message, "COUNTERS could not be read");
        }
        said = looked.is_err();
        tokio::time::sleep(LOOK).await;
    }
}
