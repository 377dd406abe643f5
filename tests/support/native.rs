//! The packet path itself, run in this process.

use std::{cell::RefCell, collections::BTreeMap};

use holdfast::kernel::ChunkImage;
use lb_common::{
    abi::{
        active::Active,
        agent::{Peer, Peers},
        chunk::{ChunkId, LINES, Line},
        hash_key::HashKey,
        interfaces::Interfaces,
    },
    agent,
    frame::BufferFrame,
    path,
    verdict::{AgentVerdict, Verdict},
    view::View,
};

use crate::{
    contract::Traffic,
    oracle::{Action, Fate, Prefix},
    snapshot::Snapshot,
};

/// Room that the kernel leaves in front of a frame, bytes.
pub const HEADROOM: usize = 256;

/// The balancer over a snapshot, with counters of its own.
#[derive(Debug)]
pub struct Native<'s> {
    snapshot: &'s Snapshot,
    key: HashKey,
    interfaces: Interfaces,
    counters: RefCell<BTreeMap<u32, Traffic>>,
}

impl<'s> Native<'s> {
    #[must_use]
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            key: HashKey::from_bytes(&snapshot.key),
            interfaces: Interfaces {
                ifindex: snapshot.interfaces,
            },
            counters: RefCell::default(),
        }
    }

    /// Balances a frame that came by the interface `ingress`.
    #[must_use]
    pub fn run(&self, frame: &[u8], ingress: u32) -> Fate {
        self.run_with_headroom(frame, ingress, HEADROOM)
    }

    #[must_use]
    pub fn run_with_headroom(&self, frame: &[u8], ingress: u32, headroom: usize) -> Fate {
        let mut buffer = [&vec![0; headroom][..], frame].concat();
        let mut buffered = BufferFrame::new(&mut buffer, headroom, frame.len(), ingress);
        let outcome = path::balance(&mut buffered, self);
        Fate {
            verdict: outcome.verdict.name().to_owned(),
            action: action(outcome.verdict),
            bytes: buffered.bytes().to_owned(),
        }
    }

    /// An entry of COUNTERS.
    #[must_use]
    pub fn counter(&self, index: u32) -> Traffic {
        self.counters.borrow().get(&index).copied().unwrap_or_default()
    }

    /// Every entry that is not zero.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<u32, Traffic> {
        self.counters.borrow().clone()
    }
}

impl View for Native<'_> {
    fn active(&self) -> Active {
        Active(self.snapshot.active)
    }

    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L> {
        let image: &ChunkImage = self.snapshot.chunks.get(&chunk)?;
        (line < LINES).then(|| image.line(line as usize))
    }

    fn hash_key(&self) -> Option<&HashKey> {
        Some(&self.key)
    }

    fn interfaces(&self) -> Option<&Interfaces> {
        Some(&self.interfaces)
    }

    fn count(&self, index: u32, bytes: u64) {
        let mut counters = self.counters.borrow_mut();
        let counter = counters.entry(index).or_default();
        counter.packets += 1;
        counter.bytes += bytes;
    }
}

/// By the first word of the name, which is what operators are told it means.
fn action(verdict: Verdict) -> Action {
    match verdict.name() {
        "ForwardTx" => Action::Tx,
        "ForwardRedirect" => Action::Redirect,
        name if name.starts_with("Pass") => Action::Pass,
        _ => Action::Drop,
    }
}

/// Runs the agent, which takes packets from `peers`, on a frame.
#[must_use]
pub fn run_agent(frame: &[u8], peers: &[Prefix]) -> Fate {
    let mut buffer = [&[0; HEADROOM][..], frame].concat();
    let mut buffered = BufferFrame::new(&mut buffer, HEADROOM, frame.len(), 1);
    let verdict = agent::accept(&mut buffered, &abi_peers(peers));
    let action = match verdict {
        AgentVerdict::AcceptDecapsulated
        | AgentVerdict::PassNotEncapsulated
        | AgentVerdict::PassUntrusted
        | AgentVerdict::PassMalformed => Action::Pass,
        AgentVerdict::DropCongestion => Action::Drop,
    };
    Fate {
        verdict: verdict.name().to_owned(),
        action,
        bytes: buffered.bytes().to_owned(),
    }
}

fn abi_peers(prefixes: &[Prefix]) -> Peers {
    let mut peers = Peers {
        count: prefixes.len() as u32,
        ..Peers::default()
    };
    for (peer, prefix) in peers.peers.iter_mut().zip(prefixes) {
        *peer = Peer {
            network: u32::from(prefix.network).to_be(),
            mask: (!prefix.host_bits()).to_be(),
        };
    }
    peers
}
