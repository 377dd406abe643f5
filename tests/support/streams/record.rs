//! What became of each connection.

use std::{collections::BTreeMap, fmt, io, net::SocketAddr, time::Instant};

/// One connection, from its start.
#[derive(Clone, Debug)]
pub struct Record {
    pub source: SocketAddr,
    pub target: SocketAddr,
    pub long_lived: bool,
    pub opened: Instant,
    /// The name that came first; absent until it has come.
    pub backend: Option<String>,
    /// Payload bytes that came back and were right.
    pub bytes: u64,
    /// Absent while it goes on.
    pub ending: Option<Ending>,
}

impl Record {
    /// It broke or carried a wrong byte.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        match self.ending {
            None | Some(Ending::Completed) => false,
            Some(Ending::Broken(_) | Ending::WrongByte { .. }) => true,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was sent came back, and we closed it.
    Completed,
    Broken(Broken),
    /// A byte came back that was not the one sent at this position.
    WrongByte {
        position: u64,
    },
}

/// Why a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It never came to be.
    NotConnected(io::ErrorKind),
    /// An error on an established connection, a reset for one.
    Failed(io::ErrorKind),
    /// The far end closed it before all had come back.
    Closed,
    /// Nothing came for too long.
    Stalled,
}

/// All connections of a load.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub records: Vec<Record>,
}

impl Report {
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.records.len()
    }

    #[must_use]
    pub fn completed(&self) -> usize {
        self.ended(|ending| matches!(ending, Ending::Completed))
    }

    #[must_use]
    pub fn wrong_bytes(&self) -> usize {
        self.ended(|ending| matches!(ending, Ending::WrongByte { .. }))
    }

    /// Those that broke or carried a wrong byte.
    pub fn broken(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.is_broken())
    }

    /// Long-lived streams that are open and have heard their backend's name.
    pub fn open(&self) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(|record| record.long_lived && record.ending.is_none() && record.backend.is_some())
    }

    /// Connections by the backend that answered them.
    #[must_use]
    pub fn by_backend(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for backend in self.records.iter().filter_map(|record| record.backend.clone()) {
            *counts.entry(backend).or_default() += 1;
        }
        counts
    }

    /// Payload bytes that came back and were right.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.bytes).sum()
    }

    fn ended(&self, how: impl Fn(Ending) -> bool) -> usize {
        self.records
            .iter()
            .filter_map(|record| record.ending)
            .filter(|&ending| how(ending))
            .count()
    }
}

/// One line, as tests print it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections: {} completed, {} broken, {} with wrong bytes; {} KiB came back",
            self.connections(),
            self.completed(),
            self.broken().count() - self.wrong_bytes(),
            self.wrong_bytes(),
            self.bytes() / 1024
        )?;
        for (backend, count) in self.by_backend() {
            write!(f, "; {backend} {count}")?;
        }
        Ok(())
    }
}
