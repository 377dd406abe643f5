//! What clients send all the time: to every VIP a few flows that live through the
//! accidents, and new ones again and again.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    error::{DrillError, Result},
    ledger::{ANSWERED_WITHIN, Ledger},
    network::{self, Network},
};
use crate::config::{Config, Protocol};

/// Between two packets of a flow.
const PACE: Duration = Duration::from_millis(25);
/// A connection that gets nothing back for as long as this is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Long-lived flows in all.
const FLOWS: usize = 512;
/// New flows a second in all.
const NEW: usize = 120;

/// A VIP, as clients see it.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    at: SocketAddr,
    protocol: Protocol,
    /// Clients' addresses of its family.
    sources: Vec<IpAddr>,
    /// New flows of a survey: enough that each backend gets one.
    probes: usize,
}

/// The VIPs of a configuration that are in service.
#[must_use]
pub fn targets(config: &Config, network: &Network) -> Vec<Target> {
    let vips = config.vips.iter().filter(|vip| vip.state.is_ready());
    vips.filter(|vip| vip.name != super::adapt::SPARE)
        .map(|vip| Target {
            name: vip.name.clone(),
            at: SocketAddr::new(vip.address, vip.port),
            protocol: vip.protocol,
            sources: network.clients(vip.address),
            probes: config
                .pool(&vip.pool)
                .map_or(1, |pool| pool.backends.len() * 10)
                .clamp(24, 200),
        })
        .collect()
}

/// The clients; they stop when dropped.
#[derive(Debug)]
pub struct Traffic {
    pub ledger: Arc<Ledger>,
    pub targets: Arc<Vec<Target>>,
    /// Number of the last survey; 0: none, `usize::MAX`: stop.
    survey: watch::Sender<usize>,
    surveyed: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Starts to send from the client's namespace.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(targets: Vec<Target>) -> Result<Self> {
        let ledger = Arc::new(Ledger::default());
        let targets = Arc::new(targets);
        let (survey, asked) = watch::channel(0);
        let surveyed = Arc::new(AtomicUsize::new(0));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let shared = (Arc::clone(&ledger), Arc::clone(&targets), Arc::clone(&surveyed));
        let thread = thread::spawn(move || {
            let entered = network::enter("client");
            let failed = entered.is_err();
            ready.send(entered).ok();
            if failed {
                return;
            }
            let (ledger, targets, surveyed) = shared;
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(run(&ledger, &targets, asked, &surveyed));
            }
        });
        is_ready.recv().map_err(|_| DrillError::Stopped)??;
        Ok(Self {
            ledger,
            targets,
            survey,
            surveyed,
            thread: Some(thread),
        })
    }

    /// Begins to ask every VIP by many new flows.
    pub fn begin_survey(&self) {
        self.ledger.begin_survey();
        self.surveyed.store(0, Ordering::Relaxed);
        self.survey.send_modify(|number| *number += 1);
    }

    /// All of them are answered or lost.
    #[must_use]
    pub fn is_surveyed(&self) -> bool {
        self.surveyed.load(Ordering::Relaxed) >= self.targets.len()
    }

    /// Long-lived connections that there should be.
    #[must_use]
    pub fn connections(&self) -> usize {
        let streams = self.targets.iter().filter(|target| target.protocol == Protocol::Tcp);
        let each = each(self.targets.len());
        streams.count() * each
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.survey.send_modify(|number| *number = usize::MAX);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Long-lived flows of a VIP.
fn each(vips: usize) -> usize {
    (FLOWS / vips.max(1)).min(4)
}

async fn run(
    ledger: &Arc<Ledger>,
    targets: &Arc<Vec<Target>>,
    mut asked: watch::Receiver<usize>,
    surveyed: &Arc<AtomicUsize>,
) {
    let mut tasks = JoinSet::new();
    let pace =
        Duration::from_millis(100).max(Duration::from_secs(1) * u32::try_from(targets.len()).unwrap_or(1) / NEW as u32);
    for (vip, target) in targets.iter().enumerate() {
        for flow in 0..each(targets.len()) {
            let (ledger, target) = (Arc::clone(ledger), target.clone());
            tasks.spawn(async move {
                match target.protocol {
                    Protocol::Udp => datagrams(&ledger, &target, flow).await,
                    Protocol::Tcp => stream(&ledger, &target, (vip, flow)).await,
                }
            });
        }
        let newcomers = Newcomers {
            ledger: Arc::clone(ledger),
            target: target.clone(),
            vip,
        };
        tasks.spawn(newcomers.come(pace, asked.clone(), Arc::clone(surveyed)));
    }
    while asked.changed().await.is_ok() && *asked.borrow() != usize::MAX {}
}

/// A flow of datagrams, numbered.
async fn datagrams(ledger: &Ledger, target: &Target, flow: usize) {
    let source = target.sources[flow % target.sources.len()];
    let Ok(socket) = connected(source, target.at).await else {
        return;
    };
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open: BTreeMap<u64, Instant> = BTreeMap::new();
    let mut buffer = [0; 256];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                while let Some((id, sent)) = open.first_key_value().map(|(id, sent)| (*id, *sent)) {
                    if sent.elapsed() < ANSWERED_WITHIN {
                        break;
                    }
                    open.remove(&id);
                    ledger.is_lost(id);
                }
                let id = ledger.sends();
                open.insert(id, Instant::now());
                // An error is an ICMP message about an earlier one.
                socket.send(&id.to_be_bytes()).await.ok();
            }
            received = socket.recv(&mut buffer) => {
                let id = received.ok().and_then(|length| number(&buffer[..length]));
                if let Some(id) = id && open.remove(&id).is_some() {
                    ledger.is_answered(id);
                }
            }
        }
    }
}

/// The number at the end of an answer.
fn number(answer: &[u8]) -> Option<u64> {
    answer.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

async fn connected(source: IpAddr, to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

async fn connection(source: IpAddr, to: SocketAddr) -> io::Result<(BufReader<TcpStream>, String)> {
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut greeting = String::new();
    stream.read_line(&mut greeting).await?;
    match greeting.trim_end() {
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        name => Ok((stream, name.to_owned())),
    }
}

/// A connection that says something again and again; a new one when it broke.
#[expect(clippy::infinite_loop, reason = "the task is aborted when the drill ends")]
async fn stream(ledger: &Ledger, target: &Target, (vip, flow): (usize, usize)) {
    let mut turn = flow;
    loop {
        let source = target.sources[turn % target.sources.len()];
        turn += 1;
        if let Ok(Ok((mut stream, _))) = timeout(PATIENCE, connection(source, target.at)).await {
            while matches!(timeout(PATIENCE, exchange(&mut stream)).await, Ok(Ok(()))) {
                ledger.is_connected(vip, flow);
                tokio::time::sleep(2 * PACE).await;
            }
            ledger.is_broken(vip, flow);
        }
        tokio::time::sleep(4 * PACE).await;
    }
}

async fn exchange(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    const WORDS: &[u8; 32] = b"something that has to come back\n";
    stream.write_all(WORDS).await?;
    let mut back = [0; WORDS.len()];
    stream.read_exact(&mut back).await?;
    if back == *WORDS {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// New flows to a VIP: one at a time, or many for a survey.
struct Newcomers {
    ledger: Arc<Ledger>,
    target: Target,
    vip: usize,
}

impl Newcomers {
    async fn come(self, pace: Duration, mut asked: watch::Receiver<usize>, surveyed: Arc<AtomicUsize>) {
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = self.vip;
        let mut number = 0;
        loop {
            let survey = tokio::select! {
                _ = ticks.tick() => false,
                changed = asked.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let new = *asked.borrow_and_update();
                    std::mem::replace(&mut number, new) != new
                }
            };
            if survey {
                for _ in 0..self.target.probes.div_ceil(AT_ONCE) {
                    let probes = (0..AT_ONCE).map(|nth| self.ask(turn + nth));
                    futures_util::future::join_all(probes).await;
                    turn += AT_ONCE;
                }
                surveyed.fetch_add(1, Ordering::Relaxed);
            } else {
                self.ask(turn).await;
                turn += 1;
            }
        }
    }

    async fn ask(&self, turn: usize) {
        let target = &self.target;
        let source = target.sources[turn % target.sources.len()];
        let id = self.ledger.sends();
        let asked = async {
            match target.protocol {
                Protocol::Tcp => connection(source, target.at).await.map(|(_, name)| name),
                Protocol::Udp => {
                    let socket = connected(source, target.at).await?;
                    socket.send(&id.to_be_bytes()).await?;
                    let mut buffer = [0; 256];
                    let length = socket.recv(&mut buffer).await?;
                    let name = buffer[..length].split(|byte| *byte == b' ').next().unwrap_or_default();
                    Ok(String::from_utf8_lossy(name).into_owned())
                }
            }
        };
        match timeout(ANSWERED_WITHIN, asked).await {
            Ok(Ok(name)) => {
                self.ledger.is_answered(id);
                self.ledger.is_seen(self.vip, &name);
            }
            Ok(Err(_)) | Err(_) => self.ledger.is_lost(id),
        }
    }
}

/// New flows of a survey that are under way together.
const AT_ONCE: usize = 8;
