//! What a guest is asked, and what it answers: one line of JSON each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{contract::Why, daemon::Outcome};

/// What a guest is to do. It answers each with one [`Answer`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Start the daemon, and send datagrams the moment it says that it is ready.
    Start,
    /// `holdfast` with these arguments.
    Holdfast(Vec<String>),
    /// `holdfast apply` of the first configuration with this weight of web/be1.
    Apply { weight: u32, further: Vec<String> },
    /// Where the kernel sends a TCP flow from each of these to the VIP of streams.
    Why(Vec<SocketAddr>),
    /// Apply weight after weight, beginning with this one, until the power goes;
    /// each is answered.
    ApplyWithoutEnd { first: u32 },
}

/// What a guest says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Said first, unasked: it has booted, and its network is there.
    Booted(Booted),
    Started(Started),
    Ended(Outcome),
    Why(Vec<Why>),
    /// It could not do what it was asked; why, and what the daemon printed.
    Failed(String),
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
