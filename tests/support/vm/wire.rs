//! What a guest is asked, and what it answers: one line of JSON each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{contract::Why, daemon::Outcome};

/// What a guest is to do. It answers each with one [`Answer`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Start the daemon, and send datagrams the moment it says that it is ready.
    Start(Privileges),
    /// `holdfast` with these arguments.
    Holdfast(Vec<String>),
    /// `holdfast apply` of the first configuration with this weight of web/be1.
    Apply { weight: u32, further: Vec<String> },
    /// Where the kernel sends a TCP flow from each of these to the VIP of streams.
    Why(Vec<SocketAddr>),
    /// Apply the first configuration with the guard in the kernel or without it.
    Guard(bool),
    /// Open maps and links of the daemon, and keep the descriptors.
    Hold,
    /// Do this to maps, links and pins, as root and as no process of the daemon, while datagrams
    /// go through the balancer.
    Attempt(Attempts),
    /// End the daemon.
    End(End),
    /// What the daemon has logged.
    Log,
    /// Apply weight after weight, beginning with this one, until the power goes;
    /// each is answered.
    ApplyWithoutEnd { first: u32 },
}

/// What a daemon is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privileges {
    /// All that root has, and the mounts that everybody sees.
    Root,
    /// What the package's unit gives: four capabilities, and a copy of the mounts in a namespace of
    /// its own that hears of what changes (`ProtectSystem=`).
    Unit,
}

/// What a guest says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Said first, unasked: it has booted, and its network is there.
    Booted(Booted),
    Started(Started),
    Ended(Outcome),
    Why(Vec<Why>),
    Attempted(Attempted),
    Done,
    Log(String),
    /// It could not do what it was asked; why, and what the daemon printed.
    Failed(String),
}

/// What is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempts {
    /// On what is the daemon's: what ends or alters service, if nobody refuses it.
    Harm,
    /// On what is the daemon's: what changes nothing, and is a write all the same.
    Touch,
    /// On maps, links, pins and mounts of others.
    Foreign,
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What became of attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempted {
    pub attempts: Vec<Attempt>,
    /// Datagrams that were sent meanwhile, and that were answered.
    pub sent: u64,
    pub answered: u64,
    /// LSM programs that the kernel has.
    pub programs: usize,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub what: String,
    /// What the guard calls it; absent: it is not about the daemon's.
    pub deed: Option<String>,
    /// The kernel's error number; absent: it was done.
    pub error: Option<i32>,
}

/// A guest that has booted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booted {
    /// The kernel's release: `6.1.0-56-cloud-amd64`.
    pub kernel: String,
    /// The kernel's id of this boot.
    pub boot: String,
}

/// What was seen when the daemon was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Who answered datagrams while no daemon ran: `None` is nobody.
    pub before: Vec<Option<String>>,
    /// Interfaces with a pinned link at the moment of `READY=1`.
    pub attached: Vec<String>,
    /// Who answered the datagrams sent at that moment, one for each flow and never
    /// sent again. The flows are the same in every boot.
    pub answered: Vec<Option<String>>,
    /// From the start of the daemon to `READY=1`, milliseconds of the guest.
    pub ready_ms: u64,
}
