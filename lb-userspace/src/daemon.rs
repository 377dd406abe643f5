//! `holdfastd`: the only place that spawns tasks and reads the clock.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    net::UnixListener,
    sync::{Mutex, RwLock},
};

use crate::{
    api::{
        self,
        auth::Peer,
        backing::{Answer, Backing},
        model::{
            Applied, ApplyRequest, BpfDump, BpfVerify, Failure, GenerationDetail, History, InterfacesRequest, Journal,
            PlanRequest, RollbackRequest, Status, Why, WhyQuery,
        },
    },
    clock::Now,
    config::{self, Config},
    failure,
    kernel::trace::ProgramLog,
    neighbours::{self, Change, NetlinkError, Resolution, Resolver, Targets},
    plan::{Content, Overrides, Plan},
    serving::Serving,
    startup::{Found, Places},
};

/// Serves VIPs: loads the XDP programs, publishes the configuration into the
/// kernel, follows next hops, and answers the command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "holdfastd", version)]
pub struct Arguments {
    /// The configuration. The first start serves it; later it is only compared
    /// with what is served, and planned from.
    #[arg(long, default_value = "/etc/holdfast/config.yaml")]
    pub config: PathBuf,
    /// Where the journal is kept.
    #[arg(long, default_value = "/var/lib/holdfast")]
    pub state_dir: PathBuf,
    /// The unix socket of the API.
    #[arg(long, default_value = "/run/holdfast/holdfastd.sock")]
    pub socket: PathBuf,
    /// Where programs, maps and links are pinned: a directory on a bpffs.
    #[arg(long, default_value = "/sys/fs/bpf/holdfast")]
    pub pin_dir: PathBuf,
}

/// How long a start waits for next hops before it serves without them.
const RESOLVE_AT_START: Duration = Duration::from_secs(3);

/// How long a plan waits for the next hops of backends that are new in it.
const RESOLVE_FOR_PLAN: Duration = Duration::from_millis(1500);

/// Between two looks at next hops that are being resolved.
const RESOLVE_STEP: Duration = Duration::from_millis(50);

/// The kernel is looked at this often, and when it says that something
/// changed.
const FOLLOW: Duration = Duration::from_secs(1);

/// The log of a program built with one is shown this often.
const SHOW_TRACE: Duration = Duration::from_millis(100);

/// Changes that come together are followed together.
const SETTLE: Duration = Duration::from_millis(50);

/// Runs until it is told to stop. The kernel goes on without it.
///
/// # Errors
/// When it cannot start.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // The socket first: a second daemon for the same socket ends here, before
    // it touches anything.
    let listener = api::socket::bind(&arguments.socket)?;
    let ended = serve(&arguments, listener).await;
    // Nobody answers there any more.
    if let Err(error) = std::fs::remove_file(&arguments.socket) {
        tracing::debug!(%error, "the socket was gone already");
    }
    ended
}

async fn serve(arguments: &Arguments, listener: UnixListener) -> anyhow::Result<()> {
    let places = Places {
        config: &arguments.config,
        state_dir: &arguments.state_dir,
        pin_dir: &arguments.pin_dir,
    };
    let found = Found::look(&places)?;
    let resolver = Mutex::new(Resolver::default());
    let resolution = match found.unresolved()? {
        Some(config) => resolve_within(&resolver, &Targets::of(&config), RESOLVE_AT_START).await?,
        None => Resolution {
            links: neighbours::links().await?,
            ..Resolution::default()
        },
    };
    let serving = found.serve(&resolution, Now::read())?;
    let daemon = Arc::new(Daemon {
        serving: Mutex::new(serving),
        resolver,
        targets: Mutex::default(),
        resolution: RwLock::new(resolution),
    });
    daemon.follow_once().await;
    let follower = tokio::spawn(follow(Arc::clone(&daemon)));
    daemon.show_trace().await;
    tracing::info!(socket = %arguments.socket.display(), "ready");
    api::serve(listener, Arc::clone(&daemon) as Arc<dyn Backing>, told_to_stop()).await?;
    follower.abort();
    // A change under way is finished; then the process may go.
    drop(daemon.serving.lock().await);
    tracing::info!("stopped; the kernel goes on forwarding");
    Ok(())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Resolves until every backend has a next hop, or time is up.
async fn resolve_within(
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
async fn follow(daemon: Arc<Daemon>) {
    let mut changes = match neighbours::changes() {
        Ok(changes) => changes.boxed(),
        Err(error) => {
            tracing::warn!(%error, "no netlink notifications; looking once a second");
            futures_util::stream::pending().boxed()
        }
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            change = changes.next() => {
                if change.is_none() {
                    tracing::warn!("netlink notifications ended; looking once a second");
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
    }
}

struct Daemon {
    serving: Mutex<Serving>,
    resolver: Mutex<Resolver>,
    /// What is looked for, of the generation it was made for.
    targets: Mutex<(u64, Arc<Targets>)>,
    /// As of the last look.
    resolution: RwLock<Resolution>,
}

impl Daemon {
    /// Shows what the program logs, if it was built to.
    async fn show_trace(&self) {
        let program = self.serving.lock().await.publisher.kernel().program_id();
        let Some(mut log) = program.ok().and_then(ProgramLog::of) else {
            return;
        };
        tracing::warn!("this program logs every packet (built with --trace): it is slow");
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SHOW_TRACE).await;
                log.show();
            }
        });
    }

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

    async fn follow_once(&self) {
        let Some((generation, targets)) = self.wanted().await else {
            return;
        };
        let paths = self.serving.lock().await.publisher.kernel().path_mtus();
        let mut resolver = self.resolver.lock().await;
        match paths {
            Ok(paths) => resolver.believe(neighbours::believed(&paths, Now::read().coarse)),
            Err(error) => tracing::warn!(%error, "PATH_MTU could not be read"),
        }
        let looked = resolver.look(&targets, Instant::now()).await;
        drop(resolver);
        let mut resolution = match looked {
            Ok(resolution) => resolution,
            Err(error) => {
                tracing::warn!(%error, "next hops could not be looked up");
                return;
            }
        };
        let mut serving = self.serving.lock().await;
        if serving.served.as_ref().map(|served| served.generation) != Some(generation) {
            // These are the hops of a generation that is served no more.
            return;
        }
        // Publishing blocks for some milliseconds (RCU, fsync).
        let attached = tokio::task::block_in_place(|| {
            if let Err(failure) = serving.revise(&resolution, Now::read()) {
                tracing::error!(
                    code = failure.code,
                    message = failure.message,
                    "next hops could not be published"
                );
            }
            if let Err(failure) = serving.clean_slots(&resolution, Now::read()) {
                tracing::error!(
                    code = failure.code,
                    message = failure.message,
                    "clean slots could not be published"
                );
            }
            serving.tend_interfaces(&resolution)
        });
        if attached > 0
            && let Ok(links) = neighbours::links().await
        {
            resolution.links = links;
        }
        drop(serving);
        *self.resolution.write().await = resolution;
    }

    /// Next hops for a content that may have new backends.
    async fn resolve_for(&self, config: &Config) -> Result<Resolution, Failure> {
        Ok(resolve_within(&self.resolver, &Targets::of(config), RESOLVE_FOR_PLAN).await?)
    }

    async fn plan_for(
        &self,
        target: Content,
        removed: BTreeSet<config::ObjectName>,
        peer: &Peer,
    ) -> Result<Plan, Failure> {
        let resolution = self.resolve_for(&target.config).await?;
        let serving = self.serving.lock().await;
        Ok(serving.plan(target, removed, &resolution, &peer.name, Now::read()))
    }

    async fn overrides(&self) -> Overrides {
        let serving = self.serving.lock().await;
        serving
            .served
            .as_ref()
            .map(|served| served.state.state.content.overrides.clone())
            .unwrap_or_default()
    }

    async fn running(&self) -> Result<Content, Failure> {
        let serving = self.serving.lock().await;
        let served = serving.served.as_ref();
        served
            .map(|served| Content::clone(&served.state.state.content))
            .ok_or_else(|| failure::absent("running generation"))
    }

    async fn plan_file(&self, request: PlanRequest, peer: Peer) -> Result<Plan, Failure> {
        let parsed = match config::parse(&request.file, &request.text) {
            Ok(parsed) => parsed,
            Err(errors) if errors.is_empty_document() => return Err(self.empty_file(&request.file).await),
            Err(errors) => return Err(failure::bad_configuration(errors.to_string())),
        };
        // Overrides survive; those of interfaces that are gone go with them.
        let mut overrides = self.overrides().await;
        overrides.detached.retain(|name| {
            parsed
                .config
                .node
                .interfaces
                .iter()
                .any(|interface| interface.name == *name)
        });
        let mut removed = parsed.removed;
        removed.extend(request.remove);
        self.plan_for(
            Content {
                config: parsed.config,
                overrides,
            },
            removed,
            &peer,
        )
        .await
    }

    /// Nothing at all in the file: the most common way to wipe a balancer.
    async fn empty_file(&self, file: &str) -> Failure {
        let serving = self.serving.lock().await;
        let vips = serving
            .served
            .as_ref()
            .map_or(0, |served| served.state.config().vips.len());
        failure::empty(file, vips)
    }

    async fn plan_rollback(&self, request: RollbackRequest, peer: Peer) -> Result<Plan, Failure> {
        let (number, target, running) = {
            let serving = self.serving.lock().await;
            let store = serving
                .store
                .as_ref()
                .ok_or_else(|| failure::absent("store to roll back from"))?;
            let running = serving.served.as_ref().map_or(0, |served| served.generation);
            let number = match request.generation {
                Some(number) => Some(number),
                None => store
                    .history()?
                    .iter()
                    .map(|summary| summary.generation)
                    .find(|number| *number < running),
            };
            let number = number.ok_or_else(|| failure::absent("earlier generation"))?;
            let found = store.generation(number)?;
            let (_, content) = found.ok_or_else(|| failure::absent(&format!("generation {number}")))?;
            (
                number,
                Content::clone(&content),
                serving.served.as_ref().map(|served| served.state.state.content.clone()),
            )
        };
        // Going back to a content names what it lacks: that is the request.
        let present: BTreeSet<_> = target.config.objects().collect();
        let removed = running.iter().flat_map(|running| running.config.objects());
        let removed = removed.filter(|object| !present.contains(object)).collect();
        let mut plan = self.plan_for(target, removed, &peer).await?;
        plan.rollback_to = Some(number);
        Ok(plan)
    }

    async fn plan_interfaces(&self, request: InterfacesRequest, attach: bool, peer: Peer) -> Result<Plan, Failure> {
        let mut content = self.running().await?;
        for name in request.interfaces {
            if !content
                .config
                .node
                .interfaces
                .iter()
                .any(|interface| interface.name == name)
            {
                return Err(failure::bad_request(format!("{name} is not one of node.interfaces")));
            }
            if attach {
                content.overrides.detached.remove(&name);
            } else {
                content.overrides.detached.insert(name);
            }
        }
        self.plan_for(content, BTreeSet::new(), &peer).await
    }

    async fn apply_plan(&self, request: ApplyRequest, peer: Peer) -> Result<Applied, Failure> {
        let resolution = self.resolve_for(&request.plan.target.config).await?;
        let mut serving = self.serving.lock().await;
        let cause = match serving.served.as_ref() {
            Some(_) if request.plan.rollback_to.is_some() => "rollback",
            Some(served) if request.plan.target.config == *served.state.config() => "attach or detach",
            Some(_) | None => "apply",
        };
        let now = Now::read();
        let applied = tokio::task::block_in_place(|| serving.apply(request, cause, &resolution, &peer.name, now))?;
        drop(serving);
        let mut fresh = resolution;
        if let Ok(links) = neighbours::links().await {
            fresh.links = links;
        }
        *self.resolution.write().await = fresh;
        Ok(applied)
    }

    async fn status_now(&self) -> Result<Status, Failure> {
        let resolution = self.resolution.read().await;
        self.serving.lock().await.status(&resolution)
    }
}

impl Backing for Daemon {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(self.status_now())
    }

    fn why(&self, query: WhyQuery) -> Answer<'_, Why> {
        Box::pin(async move { self.serving.lock().await.why(&query) })
    }

    fn plan(&self, request: PlanRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_file(request, peer))
    }

    fn apply(&self, request: ApplyRequest, peer: Peer) -> Answer<'_, Applied> {
        Box::pin(self.apply_plan(request, peer))
    }

    fn rollback(&self, request: RollbackRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_rollback(request, peer))
    }

    fn attach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_interfaces(request, true, peer))
    }

    fn detach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_interfaces(request, false, peer))
    }

    fn history(&self) -> Answer<'_, History> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            Ok(History {
                generations: store.history()?,
            })
        })
    }

    fn generation(&self, number: u64) -> Answer<'_, GenerationDetail> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            store
                .generation_detail(number)?
                .ok_or_else(|| failure::absent(&format!("generation {number}")))
        })
    }

    fn bpf_dump(&self) -> Answer<'_, BpfDump> {
        Box::pin(async move { self.serving.lock().await.bpf_dump() })
    }

    fn bpf_verify(&self) -> Answer<'_, BpfVerify> {
        Box::pin(async move { self.serving.lock().await.bpf_verify() })
    }

    fn journal(&self) -> Answer<'_, Journal> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            let records = store.journal_tail(JOURNAL_SHOWN)?;
            let entries = records
                .iter()
                .map(|record| serde_json::to_value(record).expect("records are plain JSON"));
            Ok(Journal {
                entries: entries.collect(),
            })
        })
    }
}

/// Entries that `journal list` shows, the newest ones.
const JOURNAL_SHOWN: u32 = 1000;
