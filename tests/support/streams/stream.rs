//! One connection, as a state machine: the driver says when it may go on.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};

use super::record::{Broken, Ending, Record};
use crate::pattern;

/// A connection on which nothing comes for so long is broken. Longer than the
/// retransmissions that bridge a backend's change of address (0.2 s, doubled).
const STALL: Duration = Duration::from_secs(15);
/// No name of a backend is longer.
const NAME_AT_MOST: usize = 64;

pub(super) struct Stream {
    socket: TcpStream,
    /// Which bytes it sends.
    id: u64,
    /// Its place in the records.
    pub(super) record: usize,
    phase: Phase,
    chunk: u64,
    pause: Duration,
    /// Over when this much has come back; a long-lived stream has no end.
    goal: Option<u64>,
    /// May be sent up to here.
    wanted: u64,
    sent: u64,
    received: u64,
    next_chunk: Instant,
    last_progress: Instant,
}

enum Phase {
    Connecting,
    /// The backend's name is coming.
    Naming(Vec<u8>),
    Echoing,
}

impl Stream {
    pub(super) const fn new(socket: TcpStream, record: usize, chunk: u64, pause: Duration, now: Instant) -> Self {
        Self {
            socket,
            id: record as u64,
            record,
            phase: Phase::Connecting,
            chunk,
            pause,
            goal: None,
            wanted: 0,
            sent: 0,
            received: 0,
            next_chunk: now,
            last_progress: now,
        }
    }

    /// It ends when this many bytes have come back.
    pub(super) const fn ending_at(mut self, goal: u64) -> Self {
        self.goal = Some(goal);
        self
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let mut events = PollFlags::IN;
        events.set(PollFlags::OUT, self.wants_to_write());
        PollFd::new(&self.socket, events)
    }

    /// Nothing sent is on its way.
    const fn is_even(&self) -> bool {
        self.received == self.wanted && matches!(self.phase, Phase::Echoing)
    }

    const fn wants_to_write(&self) -> bool {
        matches!(self.phase, Phase::Connecting) || self.sent < self.wanted
    }

    /// Does what can be done now; says how it ended, once it has. `ready`: the
    /// socket may be read or written. `stopping`: no more chunks.
    pub(super) fn turn(&mut self, ready: bool, stopping: bool, now: Instant, record: &mut Record) -> Option<Ending> {
        if ready {
            if matches!(self.phase, Phase::Connecting)
                && let Err(ending) = self.connected()
            {
                return Some(ending);
            }
            if let Err(ending) = self.read(now, record) {
                return Some(ending);
            }
        }
        if self.is_even() && (stopping || self.goal == Some(self.received)) {
            return Some(Ending::Completed);
        }
        if self.is_even() && now >= self.next_chunk {
            self.wanted += self.chunk;
        }
        if let Err(err) = self.write() {
            return Some(Ending::Broken(Broken::Failed(err.kind())));
        }
        let stalled = now.duration_since(self.last_progress) > STALL && !self.is_even();
        stalled.then_some(Ending::Broken(Broken::Stalled))
    }

    fn connected(&mut self) -> Result<(), Ending> {
        match self.socket.take_error() {
            Ok(None) => {
                self.phase = Phase::Naming(Vec::new());
                Ok(())
            }
            Ok(Some(err)) | Err(err) => Err(Ending::Broken(Broken::NotConnected(err.kind()))),
        }
    }

    fn read(&mut self, now: Instant, record: &mut Record) -> Result<(), Ending> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Ending::Broken(Broken::Closed)),
                Ok(length) => self.take(&buffer[..length], now, record)?,
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(err) => return Err(Ending::Broken(Broken::Failed(err.kind()))),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], now: Instant, record: &mut Record) -> Result<(), Ending> {
        self.last_progress = now;
        if let Phase::Naming(name) = &mut self.phase {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                name.extend(bytes);
                let too_long = name.len() > NAME_AT_MOST;
                return if too_long {
                    Err(Ending::WrongByte { position: 0 })
                } else {
                    Ok(())
                };
            };
            name.extend(&bytes[..end]);
            record.backend = Some(String::from_utf8_lossy(name).into_owned());
            bytes = &bytes[end + 1..];
            self.phase = Phase::Echoing;
        }
        if let Some(position) = pattern::first_difference(self.id, self.received, bytes) {
            return Err(Ending::WrongByte { position });
        }
        self.received += bytes.len() as u64;
        record.bytes = self.received;
        if self.received > self.sent {
            // Right bytes, but before they were sent: from another stream.
            return Err(Ending::WrongByte { position: self.sent });
        }
        if self.is_even() {
            self.next_chunk = now + self.pause;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while self.sent < self.wanted && !matches!(self.phase, Phase::Connecting) {
            let length = usize::try_from(self.wanted - self.sent).unwrap_or(usize::MAX);
            match self.socket.write(&pattern::bytes(self.id, self.sent, length)) {
                Ok(written) => self.sent += written as u64,
                Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}
