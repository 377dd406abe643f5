//! Looks whether somebody else changed what is ours: the kernel sends no
//! notification of that.

use std::{
    cell::OnceCell,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Daemon;
use crate::clock::Now;

/// ACTIVE decides for every packet, and costs eight bytes of a mapping to look at.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks at everything: some calls of bpf(2), and one for each link and
/// slot.
const ALL: Duration = Duration::from_millis(200);

/// Or so many times what the last one took, as far as that was for slots: the writer's lock is
/// held, and where a look at a slot waits for a grace period (as in 6.1) that is not for nothing.
/// What else held it up, as a disk, is no reason to look away.
const SHARE: u32 = 20;

/// A look goes on to the next slot for as long as this. Those it has no time for come first the
/// next time.
const SLOTS: Duration = Duration::from_millis(50);

/// So many looks may be missed in a row because somebody has the writer's lock.
const MISSED: u32 = 5;

/// Between two at what the kernel remembers.
const PAST: Duration = Duration::from_secs(1);

/// Looks for ever.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the daemon ends")]
pub async fn watch(daemon: Arc<Daemon>) {
    let (mut all, mut past) = (Instant::now() + ALL, Instant::now() + PAST);
    let mut missed = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let began = Instant::now();
        let cut = {
            let resolution = daemon.resolution.read().await;
            // Whoever has the lock may change something: it is looked at after that.
            // But many who only ask must not keep it for good.
            let mut serving = match daemon.serving.try_lock() {
                Ok(serving) => serving,
                Err(_) if missed < MISSED => {
                    missed += 1;
                    continue;
                }
                Err(_) => daemon.serving.lock().await,
            };
            missed = 0;
            serving.mend_active();
            if began >= past {
                tokio::task::block_in_place(|| {
                    serving.catch_up(Now::read());
                    serving.keep_past();
                });
                past = began + PAST;
            }
            let due = began >= all;
            if due {
                let looks = Instant::now();
                // From the first slot on: what comes before may take its time.
                let first = OnceCell::new();
                let time_left = || first.get_or_init(Instant::now).elapsed() < SLOTS;
                let found = tokio::task::block_in_place(|| serving.mend(Now::read(), &time_left));
                // Putting right takes longer than a look; whoever did that may go on.
                let pause = if found {
                    ALL
                } else {
                    ALL.max(SHARE * looks.elapsed().min(SLOTS))
                };
                all = looks + pause;
            }
            due && serving.links_cut(&resolution.links)
        };
        if cut {
            daemon.follow_once().await;
        }
    }
}
