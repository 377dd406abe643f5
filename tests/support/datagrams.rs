//! Datagrams to an echo, sent at a pace, counted and checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustix::io::Errno;

use crate::{netns::Namespace, pattern, sockets};

/// What was sent last has so long to come back.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Payload bytes of a datagram where its length does not matter.
pub const SHORT: usize = 128;

/// How many datagrams, and where from and to.
#[derive(Clone, Debug)]
pub struct DatagramShape {
    pub target: SocketAddr,
    /// One socket, so one flow, for each; an address may be there often.
    pub sources: Vec<IpAddr>,
    /// Payload bytes of each, the number in front included.
    pub length: usize,
    pub per_second: u32,
    /// No more than this in all.
    pub at_most: u64,
}

/// What has become of them.
#[derive(Clone, Debug, Default)]
pub struct DatagramReport {
    pub sent: u64,
    /// Longer than the path takes, as the sender's own kernel knew by then.
    pub refused: u64,
    /// Came back with the bytes that were sent.
    pub answered: u64,
    /// Came back with others.
    pub wrong: u64,
    pub by_backend: BTreeMap<String, u64>,
    /// Who answered, for each source of the shape.
    pub by_flow: Vec<BTreeSet<String>>,
}

/// A running load of datagrams; stops when dropped.
#[derive(Debug)]
pub struct Datagrams {
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<DatagramReport>>,
    thread: Option<JoinHandle<Result<io::Result<()>>>>,
}

impl Datagrams {
    pub fn start(client: &Namespace, shape: DatagramShape) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let report = Arc::new(Mutex::new(DatagramReport::default()));
        let (seen, written) = (Arc::clone(&stop), Arc::clone(&report));
        let thread = client.spawn("datagrams", move || run(&shape, &seen, &written))?;
        Ok(Self {
            stop,
            report,
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn report(&self) -> DatagramReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all have been sent and the last ones had time to come back.
    pub fn complete(mut self) -> Result<DatagramReport> {
        self.join()?;
        Ok(self.report())
    }

    /// Sends no more, and reports.
    pub fn stop(self) -> Result<DatagramReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.complete()
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take() {
            None => Ok(()),
            Some(thread) => thread
                .join()
                .map_err(|_| anyhow!("the datagrams' thread panicked"))??
                .context("sending datagrams"),
        }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Err(err) = self.join() {
            eprintln!("warning: {err:#}");
        }
    }
}

fn run(shape: &DatagramShape, stop: &AtomicBool, report: &Mutex<DatagramReport>) -> io::Result<()> {
    let sockets = shape
        .sources
        .iter()
        .map(|&source| sockets::datagrams(source, shape.target))
        .collect::<io::Result<Vec<_>>>()?;
    let started = Instant::now();
    let mut sent = 0;
    let too_long = |err: &io::Error| err.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error());
    while sent < shape.at_most && !stop.load(Ordering::Relaxed) {
        let due = started.elapsed().as_secs_f64() * f64::from(shape.per_second);
        #[expect(clippy::cast_sign_loss, reason = "time does not run backwards")]
        let due = (due as u64).min(shape.at_most);
        while sent < due {
            let socket = &sockets[sent as usize % sockets.len()];
            match socket.send(&datagram(sent, shape.length)) {
                Ok(_) => sent += 1,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                Err(err) if too_long(&err) => {
                    report.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
                    sent += 1;
                }
                // A backend that is gone answers so; the next one is another's.
                Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(err) => return Err(err),
            }
        }
        collect(&sockets, sent, report);
        thread::sleep(Duration::from_millis(2));
    }
    let last = Instant::now();
    while last.elapsed() < LAST_WORDS {
        collect(&sockets, sent, report);
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Its number, then bytes that only it has.
fn datagram(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(pattern::bytes(number, 0, length - bytes.len()));
    bytes
}

fn collect(sockets: &[UdpSocket], sent: u64, report: &Mutex<DatagramReport>) {
    let mut buffer = [0; 2048];
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    report.sent = sent;
    report.by_flow.resize_with(sockets.len(), BTreeSet::new);
    for (nth, socket) in sockets.iter().enumerate() {
        while let Ok(length) = socket.recv(&mut buffer) {
            match answered_by(&buffer[..length], sent) {
                Some(backend) => {
                    report.answered += 1;
                    *report.by_backend.entry(backend.clone()).or_default() += 1;
                    report.by_flow[nth].insert(backend);
                }
                None => report.wrong += 1,
            }
        }
    }
}

/// The name before an answer, if the rest is a datagram that was sent.
fn answered_by(answer: &[u8], sent: u64) -> Option<String> {
    let space = answer.iter().position(|&byte| byte == b' ')?;
    let (name, echoed) = (&answer[..space], &answer[space + 1..]);
    let number = u64::from_be_bytes(echoed.get(..8)?.try_into().ok()?);
    let right = number < sent && echoed == datagram(number, echoed.len());
    right.then(|| String::from_utf8_lossy(name).into_owned())
}
