//! Looks whether somebody else changed what is ours: the kernel sends no
//! notification of that.

use std::{sync::Arc, time::Duration};

use super::Daemon;
use crate::clock::Now;

/// ACTIVE decides for every packet, and costs eight bytes of a mapping to look at.
const LOOK: Duration = Duration::from_millis(20);

/// Looks of these, between two at everything: some calls of bpf(2), and one for
/// each link and slot.
const ALL: u32 = 10;

/// The same between two at what the kernel remembers.
const PAST: u32 = 50;

/// Looks for ever.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    let mut looks: u32 = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        looks = looks.wrapping_add(1);
        let cut = {
            let resolution = daemon.resolution.read().await;
            // Whoever has the lock changes something: it is looked at after that.
            let Ok(mut serving) = daemon.serving.try_lock() else {
                continue;
            };
            serving.mend_active();
            if looks.is_multiple_of(ALL) {
                tokio::task::block_in_place(|| serving.mend(Now::read()));
            }
            if looks.is_multiple_of(PAST) {
                tokio::task::block_in_place(|| serving.keep_past());
            }
            looks.is_multiple_of(ALL) && serving.links_cut(&resolution.links)
        };
        if cut {
            daemon.follow_once().await;
        }
    }
}
