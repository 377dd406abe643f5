//! Follows what changes by itself: next hops, interfaces, drains.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;

use super::Daemon;
use crate::{
    attachments::Looked,
    clock::Now,
    event,
    neighbours::{self, Change, NetlinkError, Resolution, Resolver, Targets},
};

/// Between two looks at next hops that are being resolved.
const RESOLVE_STEP: Duration = Duration::from_millis(50);

/// The kernel is looked at this often, and when it says that something
/// changed.
const FOLLOW: Duration = Duration::from_secs(1);

/// Changes that come together are followed together.
const SETTLE: Duration = Duration::from_millis(50);

/// Resolves until every backend has a next hop, or time is up.
pub async fn resolve_within(
    resolver: &Mutex<Resolver>,
    targets: &Targets,
    limit: Duration,
) -> Result<Resolution, NetlinkError> {
    let deadline = Instant::now() + limit;
    loop {
        let resolution = resolver.lock().await.look(targets, Instant::now()).await?;
        if resolution.problems.is_empty() || Instant::now() >= deadline {
            return Ok(resolution);
        }
        tokio::time::sleep(RESOLVE_STEP).await;
    }
}

/// Follows next hops and interfaces, when the kernel says that something
/// changed and once a second in any case.
pub async fn follow(daemon: Arc<Daemon>) {
    let mut changes = match neighbours::changes() {
        Ok(changes) => changes.boxed(),
        Err(error) => {
            event!(warn, NetlinkLost, %error, "no netlink notifications; looking once a second");
            futures_util::stream::pending().boxed()
        }
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            change = changes.next() => {
                if change.is_none() {
                    event!(warn, NetlinkLost, "netlink notifications ended; looking once a second");
                    changes = futures_util::stream::pending().boxed();
                }
                tokio::time::sleep(SETTLE).await;
                let mut routes = change == Some(Change::Routes);
                while let Some(Some(change)) = changes.next().now_or_never() {
                    routes |= change == Change::Routes;
                }
                if routes {
                    daemon.resolver.lock().await.doubt();
                }
            }
        }
        daemon.follow_once().await;
        daemon.say_alive().await;
    }
}

impl Daemon {
    /// What the served generation needs resolved.
    async fn wanted(&self) -> Option<(u64, Arc<Targets>)> {
        let serving = self.serving.lock().await;
        let served = serving.served.as_ref()?;
        let mut targets = self.targets.lock().await;
        if targets.0 != served.generation || *targets.1 == Targets::default() {
            *targets = (served.generation, Arc::new(Targets::of(served.state.config())));
        }
        Some(targets.clone())
    }

    pub async fn follow_once(&self) {
        let Some((generation, targets)) = self.wanted().await else {
            return;
        };
        let paths = self.serving.lock().await.publisher.kernel().path_mtus();
        let mut resolver = self.resolver.lock().await;
        match paths {
            Ok(paths) => resolver.believe(neighbours::believed(&paths, Now::read().coarse)),
            Err(error) => event!(warn, LookFailed, %error, "PATH_MTU could not be read"),
        }
        let looked = resolver.look(&targets, Instant::now()).await;
        drop(resolver);
        let mut resolution = match looked {
            Ok(resolution) => resolution,
            Err(error) => {
                event!(warn, LookFailed, %error, "next hops could not be looked up");
                return;
            }
        };
        let mut serving = self.serving.lock().await;
        if serving.served.as_ref().map(|served| served.generation) != Some(generation) {
            // These are the hops of a generation that is served no more.
            return;
        }
        let mut looked = Looked::Before;
        if serving.has_strays(&resolution.links)
            && let Ok(links) = self.resolver.lock().await.links().await
        {
            resolution.links = links;
            looked = Looked::Now;
        }
        // Publishing blocks for some milliseconds (RCU, fsync).
        let attached = tokio::task::block_in_place(|| {
            if let Err(failure) = serving.revise(&resolution, Now::read()) {
                event!(
                    error,
                    PublishFailed,
                    holdfast.code = failure.code,
                    reason = failure.message,
                    "next hops could not be published"
                );
            }
            if let Err(failure) = serving.clean_slots(&resolution, Now::read()) {
                event!(
                    error,
                    PublishFailed,
                    holdfast.code = failure.code,
                    reason = failure.message,
                    "clean slots could not be published"
                );
            }
            serving.sign_if_due(Now::read());
            serving.tend_interfaces(&resolution, looked)
        });
        if attached > 0
            && let Ok(links) = self.resolver.lock().await.links().await
        {
            resolution.links = links;
        }
        drop(serving);
        *self.resolution.write().await = resolution;
    }
}
