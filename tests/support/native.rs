//! The packet path itself, run in this process.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
};

use holdfast::kernel::ChunkImage;
use lb_common::{
    abi::{
        active::Active,
        agent::{Peers, PrefixV4, PrefixV6},
        chunk::{ChunkId, LINES, Line},
        flows::{FLOWS_PER_LINE, FlowEntry, RawFlows, Seconds},
        hash_key::HashKey,
        node::Node,
        path_mtu::PathMtuKey,
    },
    agent,
    frame::BufferFrame,
    path,
    verdict::{AgentVerdict, Verdict},
    view::{FlowLine, View},
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
    flows: RefCell<BTreeMap<u32, RawFlows>>,
    paths: RefCell<BTreeMap<[u32; 4], u16>>,
    /// What [`View::now`] says; a test may let time pass.
    pub now: Cell<Seconds>,
    /// Answers that were sent.
    answered: Cell<u32>,
    counters: RefCell<BTreeMap<u32, Traffic>>,
}

impl<'s> Native<'s> {
    #[must_use]
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            key: HashKey::from_bytes(&snapshot.key),
            flows: RefCell::default(),
            paths: RefCell::default(),
            now: Cell::default(),
            answered: Cell::default(),
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

    /// What the last ICMP error about a backend said of the way to it: bytes,
    /// or 0 if it was no too-big.
    #[must_use]
    pub fn path(&self, backend: IpAddr) -> Option<u16> {
        self.paths.borrow().get(&words(backend)).copied()
    }

    /// Every entry that is not zero.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<u32, Traffic> {
        self.counters.borrow().clone()
    }
}

/// A line of FLOWS in this process.
pub struct NativeFlows<'n> {
    lines: &'n RefCell<BTreeMap<u32, RawFlows>>,
    line: u32,
}

impl FlowLine for NativeFlows<'_> {
    fn load(&self, place: usize) -> FlowEntry {
        let lines = self.lines.borrow();
        FlowEntry(lines.get(&self.line).map_or(0, |line| line[place]))
    }

    fn exchange(&self, place: usize, old: FlowEntry, new: FlowEntry) -> bool {
        let mut lines = self.lines.borrow_mut();
        let entry = &mut lines.entry(self.line).or_insert([0; FLOWS_PER_LINE])[place];
        let same = *entry == old.0;
        if same {
            *entry = new.0;
        }
        same
    }
}

impl View for Native<'_> {
    type Flows<'v>
        = NativeFlows<'v>
    where
        Self: 'v;

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

    fn node(&self) -> Option<&Node> {
        Some(&self.snapshot.node)
    }

    fn flows(&self, line: u32) -> Option<NativeFlows<'_>> {
        Some(NativeFlows {
            lines: &self.flows,
            line,
        })
    }

    fn now(&self) -> Seconds {
        self.now.get()
    }

    fn may_answer(&self, limit: u32) -> bool {
        let answered = self.answered.get();
        self.answered.set(answered + 1);
        answered < limit
    }

    fn note_path(&self, backend: &PathMtuKey, mtu: u16) {
        self.paths.borrow_mut().insert(backend.address, mtu);
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
        "ForwardTx" | "AnswerEcho" | "AnswerTooBig" => Action::Tx,
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
    let mut peers = Peers::default();
    for &prefix in prefixes {
        if prefix.network.is_ipv4() {
            peers.v4[peers.v4_count as usize] = prefix_v4(prefix);
            peers.v4_count += 1;
        } else {
            peers.v6[peers.v6_count as usize] = prefix_v6(prefix);
            peers.v6_count += 1;
        }
    }
    peers
}

/// An IPv4 prefix as the programs have it.
#[must_use]
pub fn prefix_v4(prefix: Prefix) -> PrefixV4 {
    let [.., network] = words(prefix.network);
    let mask = !(prefix.host_bits() as u32);
    PrefixV4 {
        network,
        mask: mask.to_be(),
    }
}

/// An IPv6 prefix as the programs have it.
#[must_use]
pub fn prefix_v6(prefix: Prefix) -> PrefixV6 {
    PrefixV6 {
        network: words(prefix.network),
        mask: words(IpAddr::V6((!prefix.host_bits()).into())),
    }
}

/// An address in wire order, IPv4 mapped into IPv6.
#[must_use]
pub fn words(address: IpAddr) -> [u32; 4] {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let word = |at: usize| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}
