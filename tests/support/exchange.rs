//! Payloads both ways with digests: over raw TCP, and over HTTP/1.1.
//!
//! The server says what it received (its SHA-256) and what it is about to send;
//! the client compares both with its own. Payloads span many segments, so full
//! packets with an outer header are on the way.

use std::{
    fmt::Write as _,
    io::{self, BufReader, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sha2::{Digest as _, Sha256};

use crate::{
    netns::Namespace,
    pattern,
    services::{GLANCE, Service},
    sockets,
};

/// Nobody waits longer for the other side.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams of `pattern` for each direction.
const UPWARD: u64 = 1_000_001;
const DOWNWARD: u64 = 1_000_002;

/// How a payload travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A length, then the payload, both ways.
    Raw,
    /// `POST /`, HTTP/1.1 (RFC 9112), with `Content-Length`.
    Http,
}

/// One exchange, as the client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub backend: String,
    /// What we sent, and what the server says it received.
    pub up: (String, String),
    /// What the server says it sent, and what we received.
    pub down: (String, String),
    /// The path's MTU, as the client's kernel knew it at the end.
    pub path_mtu: u32,
}

impl Exchange {
    /// Both payloads arrived as they were sent.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.up.0 == self.up.1 && self.down.0 == self.down.1
    }
}

/// Starts a backend's side on a port of every address of both families.
pub fn serve(namespace: &Namespace, name: &str, wire: Wire, port: u16) -> Result<Service> {
    let listener = namespace
        .run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))?
        .with_context(|| format!("binding port {port} of {name}"))?;
    listener.set_nonblocking(true)?;
    let name = name.to_owned();
    Service::start(namespace, &format!("exchange-{name}"), move |stop| {
        let glance = Timespec::try_from(GLANCE).map_err(|_| ErrorKind::InvalidInput)?;
        while !stop.load(Ordering::Relaxed) {
            match poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&glance)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
            while let Ok((socket, _)) = listener.accept() {
                // A client that goes away early is the client's matter.
                answer(&socket, &name, wire).ok();
            }
        }
        Ok(())
    })
}

/// Sends `length` bytes from `source` and receives as many, in the calling
/// thread's namespace.
pub fn exchange(wire: Wire, source: IpAddr, target: SocketAddr, length: usize) -> Result<Exchange> {
    let mut socket = connect(source, target).with_context(|| format!("connecting {source} to {target}"))?;
    let payload = pattern::bytes(UPWARD, 0, length);
    match wire {
        Wire::Raw => socket.write_all(format!("{length}\n").as_bytes())?,
        Wire::Http => write!(
            socket,
            "POST / HTTP/1.1\r\nHost: {target}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?,
    }
    socket.write_all(&payload)?;
    let mut reader = BufReader::new(socket);
    if wire == Wire::Http {
        let status = line(&mut reader)?;
        ensure!(status == "HTTP/1.1 200 OK", "the server answered {status:?}");
    }
    let head = match wire {
        Wire::Raw => line(&mut reader)?,
        Wire::Http => header(&mut reader, "x-exchange")?.context("no X-Exchange in the answer")?,
    };
    let words: Vec<&str> = head.split(' ').collect();
    let [backend, received_there, sent_there, answer_length] = words[..] else {
        bail!("the server answered {head:?}")
    };
    let mut answer = vec![0; answer_length.parse()?];
    reader.read_exact(&mut answer).context("reading the payload")?;
    let path_mtu = sockets::path_mtu(reader.get_ref(), target)?;
    Ok(Exchange {
        backend: backend.to_owned(),
        up: (digest(&payload), received_there.to_owned()),
        down: (sent_there.to_owned(), digest(&answer)),
        path_mtu,
    })
}

fn connect(source: IpAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = sockets::start_connecting(source, target)?;
    let patience = Timespec::try_from(PATIENCE).map_err(|_| ErrorKind::InvalidInput)?;
    let ready = poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&patience))?;
    if ready == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    if let Some(err) = socket.take_error()? {
        return Err(err);
    }
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn answer(socket: &TcpStream, name: &str, wire: Wire) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(socket);
    let first = line(&mut reader)?;
    let length: usize = match wire {
        Wire::Raw => first.parse()?,
        Wire::Http => header(&mut reader, "content-length")?
            .context("no Content-Length in the request")?
            .parse()?,
    };
    let mut received = vec![0; length];
    reader.read_exact(&mut received)?;
    let payload = pattern::bytes(DOWNWARD, 0, length);
    let head = format!("{name} {} {} {length}", digest(&received), digest(&payload));
    let mut writer = socket;
    match wire {
        Wire::Raw => writeln!(writer, "{head}")?,
        Wire::Http => write!(
            writer,
            "HTTP/1.1 200 OK\r\nX-Exchange: {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?,
    }
    writer.write_all(&payload)?;
    Ok(())
}

/// Reads a message's header fields to their end; gives the one asked for.
fn header(reader: &mut impl io::BufRead, wanted: &str) -> Result<Option<String>> {
    let mut found = None;
    loop {
        let field = line(reader)?;
        match field.split_once(':') {
            None if field.is_empty() => return Ok(found),
            None => bail!("not a header field: {field:?}"),
            Some((name, value)) if name.eq_ignore_ascii_case(wanted) => found = Some(value.trim().to_owned()),
            Some(_) => {}
        }
    }
}

fn line(reader: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}
