//! The one thread that opens and drives all connections of a load.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
};

use super::{
    HungUp, LoadShape, locked,
    record::{Ending, Record},
    stream::Stream,
};
use crate::sockets::start_connecting;

/// The finest pause between chunks that is kept.
const TICK: Duration = Duration::from_millis(5);
/// After a stop, what was sent has so long to come back.
const LAST_WORDS: Duration = Duration::from_secs(16);

pub(super) struct Driver {
    shape: LoadShape,
    stop: Arc<AtomicBool>,
    hung_up: HungUp,
    records: Arc<Mutex<Vec<Record>>>,
    streams: Vec<Stream>,
    /// Long-lived ones among `streams`.
    long_lived: usize,
    short_opened: usize,
    started: Instant,
}

impl Driver {
    pub(super) fn new(
        shape: LoadShape,
        stop: Arc<AtomicBool>,
        hung_up: HungUp,
        records: Arc<Mutex<Vec<Record>>>,
    ) -> Self {
        Self {
            shape,
            stop,
            hung_up,
            records,
            streams: Vec::new(),
            long_lived: 0,
            short_opened: 0,
            started: Instant::now(),
        }
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let tick = Timespec::try_from(TICK).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut stopped: Option<Instant> = None;
        self.started = Instant::now();
        loop {
            let now = Instant::now();
            if self.stop.load(Ordering::Relaxed) {
                let since = *stopped.get_or_insert(now);
                if self.streams.is_empty() || now.duration_since(since) > LAST_WORDS {
                    return Ok(());
                }
            } else {
                self.open(now)?;
            }
            let mut fds: Vec<PollFd<'_>> = self.streams.iter().map(Stream::poll_fd).collect();
            match poll(&mut fds, Some(&tick)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            self.turn_all(&ready, stopped.is_some());
        }
    }

    fn turn_all(&mut self, ready: &[bool], stopping: bool) {
        let now = Instant::now();
        let hung_up = locked(&self.hung_up).clone();
        let mut records = locked(&self.records);
        let mut at = 0;
        let long_lived = &mut self.long_lived;
        self.streams.retain_mut(|stream| {
            let record = &mut records[stream.record];
            let is_over = stopping || hung_up.contains(&stream.record);
            record.ending = stream.turn(ready[at], is_over, now, record);
            at += 1;
            if record.ending.is_some() && record.long_lived {
                *long_lived -= 1;
            }
            record.ending.is_none()
        });
    }

    /// Opens what the shape says is missing at this time.
    fn open(&mut self, now: Instant) -> io::Result<()> {
        while self.long_lived < self.shape.long_lived {
            let stream = self.connect(true, now)?;
            self.streams.push(stream);
            self.long_lived += 1;
        }
        let due = now.duration_since(self.started).as_secs_f64() * f64::from(self.shape.short_per_second);
        #[expect(clippy::cast_sign_loss, reason = "time does not run backwards")]
        let due = (due as usize).min(self.shape.short_at_most);
        while self.short_opened < due {
            let goal = self.shape.chunk as u64;
            let stream = self.connect(false, now)?.ending_at(goal);
            self.streams.push(stream);
            self.short_opened += 1;
        }
        Ok(())
    }

    fn connect(&self, long_lived: bool, now: Instant) -> io::Result<Stream> {
        let mut records = locked(&self.records);
        let source = self.source(records.len());
        let socket = start_connecting(source, self.shape.target)?;
        records.push(Record {
            source: socket.local_addr()?,
            target: self.shape.target,
            long_lived,
            opened: now,
            backend: None,
            bytes: 0,
            ending: None::<Ending>,
        });
        let nth = records.len() - 1;
        drop(records);
        Ok(Stream::new(socket, nth, self.shape.chunk as u64, self.shape.pause, now))
    }

    fn source(&self, nth: usize) -> IpAddr {
        self.shape.sources[nth % self.shape.sources.len()]
    }
}
