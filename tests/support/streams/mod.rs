//! Bounded load of real TCP connections, every byte of which is checked.
//!
//! Long-lived streams send a chunk, wait until it has come back, pause, and
//! send the next; short ones come back with one chunk and are over. One thread
//! drives them all. What became of each connection is on record.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use crate::netns::Namespace;

mod driver;
mod record;
mod stream;

pub use record::{Broken, Ending, Record, Report};

/// How much load, and where from and to.
#[derive(Clone, Debug)]
pub struct LoadShape {
    pub target: SocketAddr,
    /// Source addresses, used in turn; the kernel chooses ports.
    pub sources: Vec<IpAddr>,
    /// Streams held open; one that breaks is replaced by a new one.
    pub long_lived: usize,
    /// Short connections opened each second.
    pub short_per_second: u32,
    /// No more short connections than this in all.
    pub short_at_most: usize,
    /// Bytes sent at once.
    pub chunk: usize,
    /// Between a long-lived stream's chunk coming back and the next.
    pub pause: Duration,
}

impl LoadShape {
    /// Long-lived streams only.
    #[must_use]
    pub const fn long_lived(target: SocketAddr, sources: Vec<IpAddr>, streams: usize) -> Self {
        Self {
            target,
            sources,
            long_lived: streams,
            short_per_second: 0,
            short_at_most: 0,
            chunk: 512,
            pause: Duration::from_millis(20),
        }
    }

    /// Short connections only: `count` of them.
    #[must_use]
    pub fn short(target: SocketAddr, sources: Vec<IpAddr>, count: usize, per_second: u32) -> Self {
        Self {
            short_per_second: per_second,
            short_at_most: count,
            ..Self::long_lived(target, sources, 0)
        }
    }
}

/// Records of streams whose clients have had enough.
type HungUp = Arc<Mutex<BTreeSet<usize>>>;

/// A running load; stops when dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    hung_up: HungUp,
    records: Arc<Mutex<Vec<Record>>>,
    thread: Option<JoinHandle<Result<io::Result<()>>>>,
}

impl Load {
    /// Starts the load in the client's namespace.
    pub fn start(client: &Namespace, shape: LoadShape) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let hung_up = HungUp::default();
        let records = Arc::new(Mutex::new(Vec::new()));
        let driver = driver::Driver::new(shape, Arc::clone(&stop), Arc::clone(&hung_up), Arc::clone(&records));
        let thread = client.spawn("streams", move || driver.run())?;
        Ok(Self {
            stop,
            hung_up,
            records,
            thread: Some(thread),
        })
    }

    /// What has become of the connections so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.watch().report()
    }

    /// The same for another thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            records: Arc::clone(&self.records),
        }
    }

    /// Waits until a condition holds of the report.
    pub fn wait(&self, at_most: Duration, what: &str, holds: impl Fn(&Report) -> bool) -> Result<Report> {
        crate::wait::until(at_most, what, || {
            let report = self.report();
            holds(&report).then_some(report)
        })
    }

    /// The long-lived streams that this backend has end by themselves: what was
    /// sent comes back, and the client closes. Others take their places.
    pub fn hang_up(&self, backend: &str) {
        let report = self.report();
        let open = report.records.iter().enumerate().filter(|(_, record)| {
            record.long_lived && record.ending.is_none() && record.backend.as_deref() == Some(backend)
        });
        locked(&self.hung_up).extend(open.map(|(nth, _)| nth));
    }

    /// Lets what was sent come back, closes every stream, and reports.
    pub fn stop(mut self) -> Result<Report> {
        self.finish()?;
        Ok(self.report())
    }

    fn finish(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            None => Ok(()),
            Some(thread) => thread
                .join()
                .map_err(|_| anyhow!("the load's thread panicked"))??
                .context("driving the load"),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Err(err) = self.finish() {
            eprintln!("warning: {err:#}");
        }
    }
}

/// Sees a load's records and cannot stop it.
#[derive(Clone, Debug)]
pub struct Watch {
    records: Arc<Mutex<Vec<Record>>>,
}

impl Watch {
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            records: locked(&self.records).clone(),
        }
    }
}

/// A record is written whole, so a panic elsewhere leaves none half written.
fn locked<T>(records: &Mutex<T>) -> MutexGuard<'_, T> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}
