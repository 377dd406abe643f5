//! The maps of one balancer in ordinary memory: a VIP of each family, with TCP
//! and UDP on one port, all of one pool.

use core::cell::{Cell, RefCell};
use std::{collections::BTreeMap, vec, vec::Vec};

use bytemuck::Zeroable;

use super::packets::{self, octets4, octets16};
use crate::{
    abi::{
        active::Active,
        agent::{PrefixV4, PrefixV6},
        chain::{CHAINS_PER_LINE, Chain, ChainIndex, ChainLine},
        chunk::{ChunkId, LINES, Line, RawLine},
        flows::{FLOWS_PER_LINE, FlowEntry, RawFlows, Seconds},
        hash_key::HashKey,
        member::{
            ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_IPIP_V4, ENCAP_IPIP_V6, ENCAP_L2, Macs, Member, MemberIndex,
            NEXT_HOP_KNOWN, encap_overhead,
        },
        node::{Answers, Node},
        path_mtu::PathMtuKey,
        table::{DIRTY, SLOTS_PER_LINE, TableLine},
        vip::{HAS_TCP, HAS_UDP, VipKey, VipLine, VipRecord},
    },
    encap,
    verdict::FlowEvent,
    view::{FlowLine, View},
    wire::{PROTOCOL_TCP, PROTOCOL_UDP},
};

pub const VIPS: ChunkId = 2;
pub const TABLE: ChunkId = 3;
pub const MEMBERS: ChunkId = 4;
pub const FALLBACK_VIPS: ChunkId = 6;
pub const CHAINS: ChunkId = 7;

pub const VIP_COUNTER: u16 = 100;
/// Member `m` is counted at `MEMBER_COUNTER + m`.
pub const MEMBER_COUNTER: u16 = 200;
/// Line of member 0.
const MEMBER_BASE: u16 = 10;

pub const ENCAPS: [u8; 5] = [ENCAP_IPIP_V4, ENCAP_GUE_V4, ENCAP_IPIP_V6, ENCAP_GUE_V6, ENCAP_L2];

/// Our outer sources, 10.255.0.0/16 and fd00:ff::/64, and those that a flow hash
/// of zero makes.
pub const SOURCE4: [u8; 4] = [10, 255, 0, 0];
pub const SOURCE6: [u8; 16] = [0xfd, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Where a member's frames go, and from which address.
pub const NEXT_HOP_MAC: [u8; 6] = [2, 1, 2, 3, 4, 0x11];
pub const INTERFACE_MAC: [u8; 6] = [2, 5, 6, 7, 8, 0x22];

/// The backend.
pub const BACKEND4: [u8; 4] = [10, 0, 1, 11];
pub const BACKEND6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];

/// Content of the maps, and what was written to them.
pub struct Maps {
    pub active: Active,
    pub chunks: BTreeMap<ChunkId, Vec<RawLine>>,
    pub key: Option<HashKey>,
    pub node: Option<Node>,
    pub now: Cell<Seconds>,
    /// `None`: FLOWS cannot be read. Lines that are missing are empty.
    pub flows: Option<RefCell<BTreeMap<u32, RawFlows>>>,
    /// How often an entry of FLOWS was written.
    pub flow_writes: Cell<u32>,
    answers: Cell<Answers>,
    pub noted: RefCell<Vec<(PathMtuKey, u16)>>,
    /// Packets and bytes, by index.
    pub counted: RefCell<BTreeMap<u32, (u64, u64)>>,
}

impl Maps {
    /// Every slot is member 1's.
    pub fn of(member: &Member) -> Self {
        let mut maps = Self {
            active: Active::new(1, VIPS, 5, FALLBACK_VIPS),
            chunks: BTreeMap::new(),
            key: Some(HashKey { words: [1, 2, 3, 4] }),
            node: Some(node()),
            now: Cell::new(1000),
            flows: Some(RefCell::default()),
            flow_writes: Cell::default(),
            answers: Cell::default(),
            noted: RefCell::default(),
            counted: RefCell::default(),
        };
        maps.publish_vips(0, 0);
        maps.fill_table(1);
        maps.put_member(1, member);
        maps
    }

    /// Every slot is dirty, with this chain of members 1..=5.
    pub fn dirty(chain: &Chain) -> Self {
        let mut maps = Self::with_five_members();
        maps.publish_vips(0, CHAINS);
        maps.put_chain(9, chain);
        maps.fill_table(DIRTY | 9);
        maps
    }

    /// The slots are those of members 1..=5 in turn.
    pub fn shared_by_five() -> Self {
        let mut maps = Self::with_five_members();
        for (at, line) in (0..LINES).enumerate() {
            let slots = core::array::from_fn(|slot| ((at * SLOTS_PER_LINE + slot) % 5 + 1) as u16);
            maps.put(TABLE, line, &TableLine { slots });
        }
        maps
    }

    /// They differ in their counters only.
    fn with_five_members() -> Self {
        let mut maps = Self::of(&member(ENCAP_IPIP_V4));
        for number in 2..=5 {
            let counter = MEMBER_COUNTER + number;
            maps.put_member(
                number,
                &Member {
                    counter,
                    ..member(ENCAP_IPIP_V4)
                },
            );
        }
        maps
    }

    /// The VIPs anew, with these flags and this chunk of chains.
    pub fn publish_vips(&mut self, flags: u16, chains: ChunkId) {
        let record = |flags| VipRecord {
            table: TABLE,
            members: MEMBERS,
            chains,
            member_base: MEMBER_BASE,
            counter: VIP_COUNTER,
            flags,
        };
        let port = packets::PORT.to_be();
        let v4 = u32::from_ne_bytes(octets4(packets::VIP4));
        let v6 = bytemuck::cast(octets16(packets::VIP6));
        for chunk in [VIPS, FALLBACK_VIPS] {
            self.chunks.remove(&chunk);
            for protocol in [PROTOCOL_TCP, PROTOCOL_UDP] {
                self.put_vip(chunk, &VipKey::v4(v4, port, protocol), &record(flags));
                self.put_vip(chunk, &VipKey::v6(v6, port, protocol), &record(flags));
            }
            self.put_vip(chunk, &VipKey::v4_address(v4), &record(HAS_TCP | HAS_UDP));
            self.put_vip(chunk, &VipKey::v6_address(v6), &record(HAS_TCP | HAS_UDP));
        }
    }

    pub fn fill_table(&mut self, slot: u16) {
        let line = TableLine {
            slots: [slot; SLOTS_PER_LINE],
        };
        self.chunks.insert(TABLE, vec![bytemuck::cast(line); LINES as usize]);
    }

    pub fn put_member(&mut self, number: MemberIndex, member: &Member) {
        self.put(MEMBERS, u32::from(MEMBER_BASE + number), member);
    }

    pub fn put_chain(&mut self, index: ChainIndex, chain: &Chain) {
        let mut line = ChainLine::zeroed();
        line.chains[usize::from(index) % CHAINS_PER_LINE] = *chain;
        self.put(CHAINS, u32::from(index) / CHAINS_PER_LINE as u32, &line);
    }

    fn put<L: Line>(&mut self, chunk: ChunkId, line: u32, content: &L) {
        let lines = self.chunks.entry(chunk).or_insert_with(|| vec![[0; 8]; LINES as usize]);
        lines[line as usize] = bytemuck::cast(*content);
    }

    fn put_vip(&mut self, chunk: ChunkId, key: &VipKey, record: &VipRecord) {
        let line = key.home_line();
        let mut content = self
            .line::<VipLine>(chunk, line)
            .copied()
            .unwrap_or_else(VipLine::zeroed);
        let at = content.vacancy().expect("three keys do not share a line");
        content.set(at, key, record);
        self.put(chunk, line, &content);
    }

    /// How often `event` was counted.
    pub fn events(&self, event: FlowEvent) -> u64 {
        let index = crate::abi::counters::FIRST_EVENT + event as u32;
        self.counted.borrow().get(&index).map_or(0, |(packets, _)| *packets)
    }

    /// An entry of FLOWS, written from outside.
    pub fn put_flow(&self, line: u32, place: usize, entry: FlowEntry) {
        let flows = self.flows.as_ref().expect("FLOWS is there");
        flows.borrow_mut().entry(line).or_default()[place] = entry.0;
    }

    /// The entries of FLOWS, with their lines.
    pub fn entries(&self) -> Vec<(u32, FlowEntry)> {
        let flows = self.flows.as_ref().expect("FLOWS is there").borrow();
        let entries = flows
            .iter()
            .flat_map(|(line, raw)| raw.map(|entry| (*line, FlowEntry(entry))));
        entries.filter(|(_, entry)| !entry.is_empty()).collect()
    }

    /// The member that the last forwarded packet was counted for, if there was
    /// one since the last call.
    pub fn take_member(&self) -> Option<MemberIndex> {
        let first = u32::from(MEMBER_COUNTER);
        let mut counted = self.counted.borrow_mut();
        let index = counted.range(first..first + 100).next().map(|(index, _)| *index)?;
        counted.remove(&index);
        Some((index - first) as MemberIndex)
    }
}

/// Interfaces 7 and 8, and a hundred answers a second.
pub fn node() -> Node {
    Node {
        ifindex: core::array::from_fn(|at| [7, 8].get(at).copied().unwrap_or(0)),
        source_v4: PrefixV4 {
            network: u32::from_ne_bytes(SOURCE4),
            mask: u32::from_ne_bytes([255, 255, 0, 0]),
        },
        source_v6: PrefixV6 {
            network: bytemuck::cast(SOURCE6),
            mask: [u32::MAX, u32::MAX, 0, 0],
        },
        answers_per_second: 100,
        reserved: 0,
    }
}

/// The backend behind interface 7.
pub fn member(encap: u8) -> Member {
    let is_v4 = matches!(encap, ENCAP_IPIP_V4 | ENCAP_GUE_V4);
    let first = |octets| [u32::from_ne_bytes(octets), 0, 0, 0];
    let (source, destination) = if is_v4 {
        (first(SOURCE4), first(BACKEND4))
    } else {
        (bytemuck::cast(SOURCE6), bytemuck::cast(BACKEND6))
    };
    Member {
        source,
        destination,
        presum: if is_v4 {
            encap::presum_v4(source[0], destination[0])
        } else {
            0
        },
        entropy_mask: if is_v4 {
            u32::from_ne_bytes([0, 0, 255, 255])
        } else {
            u32::MAX
        },
        macs: Macs::new(NEXT_HOP_MAC, INTERFACE_MAC),
        ifindex: 7,
        mtu: 1500,
        counter: MEMBER_COUNTER + 1,
        encap,
        flags: NEXT_HOP_KNOWN,
        overhead: encap_overhead(encap).unwrap_or(0),
        reserved: 0,
    }
}

impl View for Maps {
    type Flows<'v> = Flows<'v>;

    fn active(&self) -> Active {
        self.active
    }

    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L> {
        self.chunks
            .get(&chunk)
            .map(|lines| bytemuck::cast_ref(&lines[line as usize]))
    }

    fn hash_key(&self) -> Option<&HashKey> {
        self.key.as_ref()
    }

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn flows(&self, line: u32) -> Option<Flows<'_>> {
        self.flows.as_ref().map(|lines| Flows {
            lines,
            line,
            writes: &self.flow_writes,
        })
    }

    fn now(&self) -> Seconds {
        self.now.get()
    }

    fn may_answer(&self, limit: u32) -> bool {
        let mut answers = self.answers.get();
        let may = answers.take(self.now.get(), limit);
        self.answers.set(answers);
        may
    }

    fn note_path(&self, backend: &PathMtuKey, mtu: u16) {
        self.noted.borrow_mut().push((*backend, mtu));
    }

    fn count(&self, index: u32, bytes: u64) {
        let mut counted = self.counted.borrow_mut();
        let (packets, sum) = counted.entry(index).or_default();
        *packets += 1;
        *sum += bytes;
    }
}

/// One line of FLOWS.
pub struct Flows<'v> {
    lines: &'v RefCell<BTreeMap<u32, RawFlows>>,
    line: u32,
    writes: &'v Cell<u32>,
}

impl FlowLine for Flows<'_> {
    fn load(&self, place: usize) -> FlowEntry {
        let lines = self.lines.borrow();
        FlowEntry(lines.get(&self.line).map_or(0, |raw| raw[place]))
    }

    fn exchange(&self, place: usize, old: FlowEntry, new: FlowEntry) -> bool {
        assert!(place < FLOWS_PER_LINE, "a place of the line");
        let mut lines = self.lines.borrow_mut();
        let raw = lines.entry(self.line).or_default();
        if raw[place] != old.0 {
            return false;
        }
        raw[place] = new.0;
        self.writes.set(self.writes.get() + 1);
        true
    }
}
