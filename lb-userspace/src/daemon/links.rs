//! Looks whether somebody took the program off an interface: the kernel sends no
//! notification of that.

use std::{sync::Arc, time::Duration};

use super::Daemon;

/// A call of bpf(2) for each interface, this often.
const WATCH: Duration = Duration::from_millis(250);

/// Looks for ever.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    loop {
        tokio::time::sleep(WATCH).await;
        // Whoever has the lock changes something, and looks after that.
        let cut = {
            let resolution = daemon.resolution.read().await;
            let serving = daemon.serving.try_lock();
            serving.is_ok_and(|serving| serving.links_cut(&resolution.links))
        };
        if cut {
            daemon.follow_once().await;
        }
    }
}
