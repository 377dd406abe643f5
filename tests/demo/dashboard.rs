//! The live view: samples what the daemon and the load say, and draws it.
//! Off a terminal, what happens is said in lines on standard error.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use support::{
    contract::Status,
    daemon::Installation,
    streams::{Report, Watch},
};

use crate::drawing::{self, BackendLine, Numbers};

/// Between two pictures.
const REFRESH: Duration = Duration::from_millis(250);
/// Events that are shown.
const EVENTS: usize = 9;
/// Pictures whose throughput is shown.
const HISTORY: usize = 240;

/// What the acts have said.
#[derive(Debug, Default)]
pub struct Script {
    pub act: usize,
    pub title: String,
    /// Connections that broke with their slot, as far as it is known yet.
    pub explained: usize,
    pub events: VecDeque<String>,
}

/// Takes what the acts say, for the picture or for lines.
#[derive(Clone, Debug)]
pub struct Announcer {
    draws: bool,
    script: Arc<Mutex<Script>>,
    started: Instant,
}

impl Announcer {
    pub fn new(draws: bool) -> Self {
        Self {
            draws,
            script: Arc::default(),
            started: Instant::now(),
        }
    }

    pub fn act(&self, number: usize, title: &str) {
        let mut script = self.script();
        script.act = number;
        title.clone_into(&mut script.title);
        drop(script);
        if !self.draws {
            eprintln!("\nact {number}: {title}");
        }
    }

    /// So many connections have broken with their slot, in all.
    pub fn explain(&self, broken: usize) {
        self.script().explained = broken;
    }

    pub fn event(&self, text: impl Into<String>) {
        let line = format!("{:>5.1} s  {}", self.started.elapsed().as_secs_f64(), text.into());
        if !self.draws {
            eprintln!("{line}");
        }
        let mut script = self.script();
        script.events.push_back(line);
        if script.events.len() > EVENTS {
            script.events.pop_front();
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that draws; the terminal is as before once this is dropped.
#[derive(Debug)]
pub struct Dashboard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Dashboard {
    pub fn start(installation: Installation, load: Watch, announcer: Announcer) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let draw = move || {
            let mut sampler = Sampler::default();
            print_now(drawing::ENTER)?;
            while !seen.load(Ordering::Relaxed) {
                let numbers = sampler.sample(installation.status().ok().as_ref(), &load.report());
                let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
                let width = size.map_or(80, |size| usize::from(size.ws_col));
                let picture = drawing::picture(&announcer.script(), &numbers, width);
                print_now(&picture)?;
                thread::sleep(REFRESH);
            }
            print_now(drawing::LEAVE)
        };
        Ok(Self {
            stop,
            thread: Some(thread::Builder::new().name("dashboard".to_owned()).spawn(draw)?),
        })
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let drawn = self.thread.take().map(JoinHandle::join);
        if !matches!(drawn, None | Some(Ok(Ok(())))) {
            // It did not come to leave the terminal by itself.
            print_now(drawing::LEAVE).ok();
        }
    }
}

fn print_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Turns counters into rates.
#[derive(Default)]
struct Sampler {
    before: Option<Sample>,
    numbers: Numbers,
}

struct Sample {
    at: Instant,
    bytes: u64,
    /// By backend: packets that the kernel has counted, connections.
    counts: BTreeMap<String, (u64, u64)>,
}

impl Sampler {
    fn sample(&mut self, status: Option<&Status>, report: &Report) -> Numbers {
        let connections = report.by_backend();
        let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (_, backend) in status.into_iter().flat_map(Status::backends) {
            counts.entry(backend.name.clone()).or_default().0 += backend.traffic.packets;
        }
        for (name, count) in connections {
            counts.entry(name).or_default().1 = count;
        }
        let now = Sample {
            at: Instant::now(),
            bytes: report.bytes(),
            counts,
        };
        let numbers = &mut self.numbers;
        numbers.open = report.open().count();
        numbers.connections = report.connections();
        numbers.broken = report.broken().count();
        numbers.wrong = report.wrong_bytes();
        numbers.daemon = status.map(|status| (status.generation, status.revision));
        if let Some(before) = &self.before {
            let seconds = now.at.duration_since(before.at).as_secs_f64();
            numbers
                .throughput
                .push_back(per_second(now.bytes, before.bytes, seconds));
            if numbers.throughput.len() > HISTORY {
                numbers.throughput.pop_front();
            }
            if let Some(status) = status {
                numbers.backends = backend_lines(status, &now, before, seconds);
            }
        }
        self.before = Some(now);
        numbers.clone()
    }
}

/// The backends of the first pool; its traffic and that of the others to them.
fn backend_lines(status: &Status, now: &Sample, before: &Sample, seconds: f64) -> Vec<BackendLine> {
    let Some(web) = status.pools.iter().find(|pool| pool.name == "web") else {
        return Vec::new();
    };
    let line = |backend: &support::contract::Backend| {
        let (packets, connections) = now.counts.get(&backend.name).copied().unwrap_or_default();
        let (packets_before, connections_before) = before
            .counts
            .get(&backend.name)
            .copied()
            .unwrap_or((packets, connections));
        BackendLine {
            name: backend.name.clone(),
            weight: backend.weight,
            packets: per_second(packets, packets_before, seconds),
            connections: per_second(connections, connections_before, seconds),
        }
    };
    web.backends.iter().map(line).collect()
}

/// A rate; a counter that is not there any more counts as unchanged.
#[expect(clippy::cast_precision_loss, reason = "a picture needs few digits")]
fn per_second(now: u64, before: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}
