//! Metrics as Prometheus sees them, read by code of our own.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Samples by name and labels, as they are written:
/// `holdfast_vip_packets_total{vip="web4"}`.
#[derive(Clone, Debug)]
pub struct Scrape {
    pub samples: BTreeMap<String, f64>,
    /// Type by name of the family.
    pub families: BTreeMap<String, String>,
    pub bytes: usize,
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Head and body of what is at a path; anything but a success is an error.
pub fn get(mut stream: impl Read + Write, path: &str) -> Result<(String, String)> {
    // By HTTP/1.0 the body ends with the connection, in no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: holdfast\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    ensure!(
        head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
        "{head}: {body}"
    );
    Ok((head.to_owned(), body.to_owned()))
}

impl Scrape {
    /// From the daemon's socket.
    pub fn of_socket(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Self::over(stream)
    }

    /// Over TCP, from the namespace of the calling thread.
    pub fn of_port(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Self::over(stream)
    }

    fn over(stream: impl Read + Write) -> Result<Self> {
        let (head, body) = get(stream, "/metrics")?;
        ensure!(head.contains("openmetrics-text"), "{head}");
        ensure!(body.ends_with("# EOF\n"), "the end is missing");
        let mut scrape = Self {
            samples: BTreeMap::new(),
            families: BTreeMap::new(),
            bytes: body.len(),
        };
        for line in body.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').with_context(|| line.to_owned())?;
                scrape.families.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
                let before = scrape.samples.insert(name.to_owned(), value.parse()?);
                ensure!(before.is_none(), "{name} is there twice");
            }
        }
        Ok(scrape)
    }

    /// A sample that must be there.
    pub fn value(&self, name: &str) -> Result<f64> {
        self.samples
            .get(name)
            .copied()
            .with_context(|| format!("no sample {name}"))
    }

    /// A count that must be there.
    #[expect(clippy::cast_sign_loss, reason = "counts are whole, and not below 0")]
    pub fn count(&self, name: &str) -> Result<u64> {
        Ok(self.value(name)? as u64)
    }
}
