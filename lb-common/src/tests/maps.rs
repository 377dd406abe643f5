//! The maps of one balancer with one VIP, in ordinary memory.

use core::cell::RefCell;
use std::{collections::BTreeMap, vec, vec::Vec};

use bytemuck::Zeroable;

use super::packets;
use crate::{
    abi::{
        active::Active,
        chunk::{ChunkId, LINES, Line, RawLine},
        hash_key::HashKey,
        interfaces::Interfaces,
        member::{ENCAP_IPIP, Member, NEXT_HOP_KNOWN},
        table::{SLOTS_PER_LINE, TableLine},
        vip::{HAS_TCP, HAS_UDP, VipKey, VipLine, VipRecord},
    },
    encap,
    view::View,
    wire::{PROTOCOL_TCP, PROTOCOL_UDP},
};

pub const VIPS: ChunkId = 2;
pub const TABLE: ChunkId = 3;
pub const MEMBERS: ChunkId = 4;
pub const FALLBACK_VIPS: ChunkId = 6;

pub const VIP_COUNTER: u16 = 100;
pub const MEMBER_COUNTER: u16 = 200;

/// Content of the maps. Packets and bytes that were counted, by index.
pub struct Maps {
    pub active: Active,
    pub chunks: BTreeMap<ChunkId, Vec<RawLine>>,
    pub key: Option<HashKey>,
    pub interfaces: Option<Interfaces>,
    pub counted: RefCell<BTreeMap<u32, (u64, u64)>>,
}

impl Maps {
    /// One VIP address with TCP and UDP on one port; every slot is member 1's.
    pub fn of(member: &Member) -> Self {
        let mut maps = Self {
            active: Active::new(1, VIPS, 5, FALLBACK_VIPS),
            chunks: BTreeMap::new(),
            key: Some(HashKey { words: [1, 2, 3, 4] }),
            interfaces: Some(Interfaces {
                ifindex: core::array::from_fn(|at| if at == 0 { 7 } else { 0 }),
            }),
            counted: RefCell::default(),
        };
        let vip = u32::from_ne_bytes(packets::VIP);
        let record = |flags| VipRecord {
            table: TABLE,
            members: MEMBERS,
            member_base: 10,
            counter: VIP_COUNTER,
            flags,
        };
        for chunk in [VIPS, FALLBACK_VIPS] {
            for protocol in [PROTOCOL_TCP, PROTOCOL_UDP] {
                maps.put_vip(chunk, &VipKey::v4(vip, packets::PORT.to_be(), protocol), &record(0));
            }
            maps.put_vip(chunk, &VipKey::v4_address(vip), &record(HAS_TCP | HAS_UDP));
        }
        for line in 0..LINES {
            maps.put(
                TABLE,
                line,
                &TableLine {
                    slots: [1; SLOTS_PER_LINE],
                },
            );
        }
        maps.put(MEMBERS, 11, member);
        maps
    }

    pub fn put<L: Line>(&mut self, chunk: ChunkId, line: u32, content: &L) {
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
}

/// A backend at 10.0.1.11 behind interface 7, reached from 10.255.0.0/16.
pub fn member() -> Member {
    let source = u32::from_ne_bytes([10, 255, 0, 0]);
    let destination = u32::from_ne_bytes([10, 0, 1, 11]);
    Member {
        source: [source, 0, 0, 0],
        destination: [destination, 0, 0, 0],
        presum: encap::presum_v4(source, destination),
        entropy_mask: u32::from_ne_bytes([0, 0, 255, 255]),
        next_hop_mac: [2, 0, 0, 0, 0, 0x11],
        interface_mac: [2, 0, 0, 0, 0, 0x22],
        ifindex: 7,
        mtu: 1500,
        counter: MEMBER_COUNTER,
        encap: ENCAP_IPIP,
        flags: NEXT_HOP_KNOWN,
        reserved: [0; 2],
    }
}

impl View for Maps {
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

    fn interfaces(&self) -> Option<&Interfaces> {
        self.interfaces.as_ref()
    }

    fn count(&self, index: u32, bytes: u64) {
        let mut counted = self.counted.borrow_mut();
        let (packets, sum) = counted.entry(index).or_default();
        *packets += 1;
        *sum += bytes;
    }
}
