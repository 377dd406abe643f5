//! What runs on a backend: an echo of TCP streams and of datagrams.
//!
//! A stream begins with the backend's name and a line feed; whatever the client
//! sends after that comes back as it is. A datagram comes back with the name
//! and a space before it. One thread serves all of a backend's sockets.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netns::Namespace;

/// Longest time until a thread sees that it is to stop.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);
/// Bytes the echo holds for one slow reader before it stops reading from it.
const BACKLOG: usize = 256 * 1024;

/// Where an echo listens.
#[derive(Clone, Debug)]
pub struct EchoAt {
    /// On every address of both families.
    pub tcp: u16,
    /// On each of these: an answer has to come from the address that was asked,
    /// and a socket for all addresses answers from the one of its route.
    pub udp: Vec<SocketAddr>,
}

/// A running service; stops when dropped.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<io::Result<()>>>>,
}

impl Service {
    /// Starts the echo of a backend in its namespace.
    pub fn echo(namespace: &Namespace, name: &str, at: &EchoAt) -> Result<Self> {
        let bind = || {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, at.tcp))?;
            let datagrams = at.udp.iter().map(UdpSocket::bind).collect::<io::Result<Vec<_>>>()?;
            io::Result::Ok((listener, datagrams))
        };
        let (listener, datagrams) = namespace
            .run(bind)?
            .with_context(|| format!("binding the echo of {name}"))?;
        listener.set_nonblocking(true)?;
        datagrams.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        let echo = Echo {
            greeting: format!("{name}\n").into_bytes(),
            prefix: format!("{name} ").into_bytes(),
            listener,
            datagrams,
            streams: Vec::new(),
        };
        Self::start(namespace, &format!("echo-{name}"), move |stop| echo.serve(&stop))
    }

    /// Runs `serve` in a thread of the namespace until it is told to stop.
    pub(crate) fn start(
        namespace: &Namespace,
        name: &str,
        serve: impl FnOnce(Arc<AtomicBool>) -> io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = namespace.spawn(name, move || serve(seen))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(Ok(())))) => {}
            Some(Ok(Ok(Err(err)))) => eprintln!("warning: a backend's service ended: {err}"),
            Some(Ok(Err(err))) => eprintln!("warning: a backend's service ended: {err:#}"),
            Some(Err(_)) => eprintln!("warning: a backend's service panicked"),
        }
    }
}

struct Echo {
    greeting: Vec<u8>,
    prefix: Vec<u8>,
    listener: TcpListener,
    datagrams: Vec<UdpSocket>,
    streams: Vec<EchoStream>,
}

struct EchoStream {
    socket: TcpStream,
    /// Read and not written back yet.
    pending: Vec<u8>,
    /// The client has said all it will say.
    ended: bool,
}

impl Echo {
    fn serve(mut self, stop: &AtomicBool) -> io::Result<()> {
        let glance = Timespec::try_from(GLANCE).map_err(|_| ErrorKind::InvalidInput)?;
        while !stop.load(Ordering::Relaxed) {
            let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
            fds.extend(self.datagrams.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
            fds.extend(self.streams.iter().map(EchoStream::poll_fd));
            match poll(&mut fds, Some(&glance)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let (of_datagrams, of_streams) = ready[1..].split_at(self.datagrams.len());
            let mut of_streams = of_streams.iter();
            self.streams
                .retain_mut(|stream| !of_streams.next().is_some_and(|&ready| ready) || stream.turn());
            for (socket, _) in self.datagrams.iter().zip(of_datagrams).filter(|(_, ready)| **ready) {
                self.answer_datagrams(socket);
            }
            if ready[0] {
                self.accept();
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            if socket.set_nonblocking(true).is_ok() && socket.set_nodelay(true).is_ok() {
                let mut stream = EchoStream {
                    socket,
                    pending: self.greeting.clone(),
                    ended: false,
                };
                if stream.turn() {
                    self.streams.push(stream);
                }
            }
        }
    }

    fn answer_datagrams(&self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let answer = [&self.prefix, &buffer[..length]].concat();
            // A full send buffer loses the answer, as a network may.
            socket.send_to(&answer, from).ok();
        }
    }
}

impl EchoStream {
    fn poll_fd(&self) -> PollFd<'_> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, !self.ended && self.pending.len() < BACKLOG);
        events.set(PollFlags::OUT, !self.pending.is_empty());
        PollFd::new(&self.socket, events)
    }

    /// Reads and writes what can be; false when the stream is over.
    fn turn(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        while !self.ended && self.pending.len() < BACKLOG {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.pending.extend(&buffer[..length]),
                Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        while !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        !(self.ended && self.pending.is_empty())
    }
}
