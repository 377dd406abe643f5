//! `holdfastd`: the only place that spawns tasks and reads the clock. `follow`
//! does what nobody asks for, `requests` what somebody does.

mod activity;
mod backing;
mod follow;
mod guard;
mod health;
mod journal;
mod lock;
mod notify;
mod preview;
mod requests;
mod scrape;
mod sentinel;
mod socket;
mod trial;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Mutex, RwLock, mpsc},
    task::JoinSet,
};

use self::health::Vigil;
use crate::{
    api::{self, backing::Backing},
    clock::{self, Now},
    event,
    health::{probe::Prober, runner::Runner},
    kernel::trace::ProgramLog,
    log::LogFormat,
    metrics,
    neighbours::{Resolution, Resolver, Targets},
    relayout::Reach,
    serving::Serving,
    startup::{Found, Places, StartError},
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
    /// Serve metrics at http://ADDRESS/metrics, too (they always are on the
    /// socket): 127.0.0.1:9460.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// How it logs.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// The balancer's object, instead of the one that is built in: another build of
    /// this version, for tests and for tracing on a host that serves.
    #[arg(long, hide = true)]
    pub program: Option<PathBuf>,
    /// For tests: on the way to maps of another layout, be killed after so many steps.
    #[arg(long, hide = true)]
    pub end_after: Option<usize>,
    /// For drills and tests: the wall clock is so many seconds ahead of the host's.
    #[arg(long, hide = true, default_value_t = 0, allow_negative_numbers = true)]
    pub wall_clock_offset: i64,
}

/// How long a start waits for next hops before it serves without them.
const RESOLVE_AT_START: Duration = Duration::from_secs(3);

/// The log of a program built with one is shown this often.
const SHOW_TRACE: Duration = Duration::from_millis(100);

/// Runs until it is told to stop. The kernel goes on without it.
///
/// # Errors
/// When it cannot start.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    clock::shift_wall(arguments.wall_clock_offset);
    // The socket first: a second daemon for the same socket ends here, before
    // it touches anything.
    let (place, listener) = api::socket::Place::bind(&arguments.socket)?;
    let place = Arc::new(place);
    let scrapes = match arguments.metrics {
        Some(address) => Some(
            metrics::listen::bind(address)
                .await
                .with_context(|| format!("--metrics {address}"))?,
        ),
        None => None,
    };
    let ended = serve(&arguments, &place, listener, scrapes).await;
    place.remove();
    ended
}

async fn serve(
    arguments: &Arguments,
    place: &Arc<api::socket::Place>,
    listener: UnixListener,
    scrapes: Option<TcpListener>,
) -> anyhow::Result<()> {
    // Without it a reboot cannot be told from pins that were removed.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let places = Places {
        config: &arguments.config,
        state_dir: &arguments.state_dir,
        pin_dir: &arguments.pin_dir,
        boot: boot.trim(),
        host: &host,
        program: arguments.program.as_deref(),
        reach: arguments.end_after.map_or(Reach::Whole, Reach::Steps),
    };
    let found = match Found::look(&places) {
        Err(StartError::Stopped) => end_at_once()?,
        found => found?,
    };
    let resolver = Mutex::new(Resolver::default());
    let resolution = match found.unresolved()? {
        Some(config) => follow::resolve_within(&resolver, &Targets::of(&config), RESOLVE_AT_START).await?,
        None => Resolution {
            links: resolver.lock().await.links().await?,
            ..Resolution::default()
        },
    };
    let serving = found.serve(&resolution, Now::read())?;
    let daemon = Arc::new(Daemon {
        serving: Mutex::new(serving),
        resolver,
        targets: Mutex::default(),
        resolution: RwLock::new(resolution),
        said: notify::Saying::default(),
        health: Vigil::default(),
        previews: preview::Turns::default(),
        guard: guard::Warden::default(),
    });
    daemon.follow_once().await;
    daemon.tend_guard().await;
    let mut parts = JoinSet::new();
    parts.spawn(follow::follow(Arc::clone(&daemon)));
    if let Some(scrapes) = scrapes {
        tokio::spawn(metrics::listen::serve(scrapes, Arc::clone(&daemon) as Arc<dyn Backing>));
    }
    let prober = Arc::new(Prober::new(arguments.pin_dir.clone()));
    let (sender, observed) = mpsc::channel(health::OBSERVED_AT_ONCE);
    parts.spawn(health::observe(Arc::clone(&daemon), observed));
    parts.spawn(health::publish(
        Arc::clone(&daemon),
        Runner::start(sender, Arc::clone(&prober)),
    ));
    parts.spawn(sentinel::watch(Arc::clone(&daemon)));
    parts.spawn(guard::watch(Arc::clone(&daemon)));
    parts.spawn(activity::watch(Arc::clone(&daemon)));
    parts.spawn(trial::watch(Arc::clone(&daemon)));
    let (again, further) = mpsc::channel(1);
    parts.spawn(socket::watch(Arc::clone(&daemon), Arc::clone(place), again));
    let doors = api::socket::Doors::new(listener, further);
    daemon.show_trace().await;
    tokio::spawn(notify::reload_on_hangup(Arc::clone(&daemon)));
    daemon.say_ready().await;
    event!(info, Ready, socket = %arguments.socket.display(), "ready");
    let stopping = Arc::clone(&daemon);
    let told = async move {
        told_to_stop().await;
        stopping.say_stopping().await;
    };
    tokio::select! {
        served = api::serve(doors, Arc::clone(&daemon) as Arc<dyn Backing>, told) => served?,
        ended = first_to_end(&mut parts) => return Err(ended),
    }
    parts.shutdown().await;
    prober.close().await;
    // A change under way is finished; then the process may go.
    let mut serving = daemon.serving.lock().await;
    // A hold of a moment ago is remembered, too.
    tokio::task::block_in_place(|| serving.keep_past());
    if let Err(error) = serving.end_sample() {
        tracing::info!(%error, "a sample could not be ended; the next start ends it");
    }
    serving.sign_all(Now::read());
    drop(serving);
    event!(info, Stopped, "stopped; the kernel goes on forwarding");
    Ok(())
}

/// Parts run until they are aborted. One that ends did so by a bug, and half a daemon, which answers
/// and heals nothing, is worse than none: whoever started it starts it again.
async fn first_to_end(parts: &mut JoinSet<()>) -> anyhow::Error {
    let ended = parts.join_next().await;
    let why = match ended {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "it returned".to_owned(),
    };
    event!(
        error,
        PartEnded,
        why,
        "a part of the daemon ended, and the daemon with it; the kernel goes on"
    );
    anyhow::anyhow!("a part of the daemon ended ({why}), so it ends. The kernel goes on forwarding: start it again")
}

/// As `kill -9` ends it: nothing is put in order.
fn end_at_once() -> anyhow::Result<Found> {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::KILL).context("killing this process")?;
    Err(StartError::Stopped.into())
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

struct Daemon {
    serving: Mutex<Serving>,
    resolver: Mutex<Resolver>,
    /// What is looked for, of the generation it was made for.
    targets: Mutex<(u64, Arc<Targets>)>,
    /// As of the last look.
    resolution: RwLock<Resolution>,
    health: Vigil,
    /// Whose turn it is to have a preview.
    previews: preview::Turns,
    guard: guard::Warden,
    /// To systemd.
    said: notify::Saying,
}

impl Daemon {
    /// Shows what the program logs, if it was built to.
    async fn show_trace(&self) {
        let program = self.serving.lock().await.publisher.kernel().program_id();
        let Some(mut log) = program.ok().and_then(ProgramLog::of) else {
            return;
        };
        event!(
            warn,
            Tracing,
            "this program logs every packet (built with --trace): it is slow"
        );
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SHOW_TRACE).await;
                log.show();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::first_to_end;

    #[tokio::test]
    async fn part_that_ends_ends_the_daemon_and_is_said() {
        let mut parts = JoinSet::new();
        parts.spawn(std::future::pending());
        parts.spawn(async { panic!("the garbage in COUNTERS") });
        let error = first_to_end(&mut parts).await.to_string();
        assert!(error.contains("the garbage in COUNTERS"), "{error}");
        assert!(error.contains("The kernel goes on forwarding"), "{error}");
        assert_eq!(parts.len(), 1, "the others are not waited for");
    }
}
