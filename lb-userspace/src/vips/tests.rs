use std::net::{IpAddr, Ipv4Addr};

use lb_common::{
    abi::{
        active::Active,
        chunk::{Line, RawLine},
        flows::{FlowEntry, Seconds},
        hash_key::HashKey,
        node::Node,
        path_mtu::PathMtuKey,
    },
    select::{self, Miss},
    view::{FlowLine, View},
    wire::{PROTOCOL_TCP, PROTOCOL_UDP},
};
use proptest::prelude::*;

use super::*;
use crate::config::{Affinity, HashKind};

/// VIP chunks as the kernel would hold them: the first in slot 5, children in
/// slots of their own.
struct Installed {
    chunks: Vec<(ChunkId, Vec<RawLine>)>,
}

const FIRST: ChunkId = 5;

impl Installed {
    fn render(table: &VipTable, records: &[VipRecord]) -> Self {
        let slots: Vec<ChunkId> = (0..table.children() as ChunkId)
            .map(|child| 4_000 - 3 * child)
            .collect();
        let chunks = table.render(records, &slots);
        let slots = std::iter::once(FIRST).chain(slots);
        let words = |chunk: VipChunk| {
            bytemuck::cast_slice::<VipLine, u64>(chunk.as_slice())
                .as_chunks::<8>()
                .0
                .to_vec()
        };
        Self {
            chunks: slots.zip(chunks.into_iter().map(words)).collect(),
        }
    }

    fn find(&self, key: &VipKey) -> Result<VipRecord, Miss> {
        select::vip(self, FIRST, key)
    }
}

/// There are none here.
enum NoFlows {}

impl FlowLine for NoFlows {
    fn load(&self, _place: usize) -> FlowEntry {
        match *self {}
    }

    fn exchange(&self, _place: usize, _old: FlowEntry, _new: FlowEntry) -> bool {
        match *self {}
    }
}

impl View for Installed {
    type Flows<'v> = NoFlows;

    fn active(&self) -> Active {
        Active::new(1, FIRST, 0, 0)
    }

    fn line<L: Line>(&self, chunk: ChunkId, line: u32) -> Option<&L> {
        let (_, lines) = self.chunks.iter().find(|(slot, _)| *slot == chunk)?;
        Some(bytemuck::cast_ref(&lines[line as usize]))
    }

    fn hash_key(&self) -> Option<&HashKey> {
        None
    }

    fn node(&self) -> Option<&Node> {
        None
    }

    fn flows(&self, _line: u32) -> Option<NoFlows> {
        None
    }

    fn now(&self) -> Seconds {
        0
    }

    fn may_answer(&self, _limit: u32) -> bool {
        false
    }

    fn note_path(&self, _backend: &PathMtuKey, _mtu: u16) {}

    fn count(&self, _index: u32, _bytes: u64) {}
}

/// A record that tells which key it is of.
fn records(keys: &[VipKey]) -> Vec<VipRecord> {
    let record = |at: usize| VipRecord {
        table: at as u16,
        members: !at as u16,
        chains: at as u16 ^ 0x0f0f,
        member_base: (at >> 16) as u16,
        counter: at as u16 ^ 0x5555,
        flags: 3,
    };
    (0..keys.len()).map(record).collect()
}

/// Builds, renders, and looks up every key.
fn assert_all_found(keys: &[VipKey]) -> (VipTable, Installed) {
    let table = VipTable::build(keys).expect("the keys fit");
    let records = records(keys);
    let installed = Installed::render(&table, &records);
    for (key, record) in keys.iter().zip(&records) {
        assert_eq!(installed.find(key), Ok(*record), "{key:?}");
    }
    (table, installed)
}

fn vip(address: impl Into<IpAddr>, port: u16, protocol: Protocol) -> Vip {
    let address = address.into();
    Vip {
        name: format!("{address}-{port}-{protocol}"),
        address,
        port,
        protocol,
        pool: "web".to_owned(),
        affinity: Affinity::Tuple,
        hash: HashKind::Fast,
        protected: false,
        state: VipState::Ready,
    }
}

/// VIPs on consecutive addresses, and the keys of both levels.
fn consecutive(count: u32) -> Vec<VipKey> {
    let address = |at| Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + at);
    let vips: Vec<Vip> = (0..count).map(|at| vip(address(at), 443, Protocol::Tcp)).collect();
    let addresses = address_records(&vips);
    assert_eq!(addresses.len(), vips.len());
    vips.iter()
        .map(vip_key)
        .chain(addresses.into_iter().map(|(key, _)| key))
        .collect()
}

/// Keys like those of [`consecutive`], of which none is among them.
fn absent() -> impl Iterator<Item = VipKey> {
    (0..100_000_u32).flat_map(|at| {
        let inside = u32::from(Ipv4Addr::new(198, 18, 0, 0)).wrapping_add(at).to_be();
        let outside = u32::from(Ipv4Addr::new(203, 0, 113, 0)).wrapping_add(at).to_be();
        [
            VipKey::v4(inside, 443_u16.to_be(), PROTOCOL_UDP),
            VipKey::v4(inside, 80_u16.to_be(), PROTOCOL_TCP),
            VipKey::v4(outside, 443_u16.to_be(), PROTOCOL_TCP),
            VipKey::v4_address(outside),
        ]
    })
}

#[test]
fn keys_are_in_wire_order() {
    let https = vip(Ipv4Addr::new(203, 0, 113, 10), 443, Protocol::Tcp);
    let key = vip_key(&https);
    assert_eq!(key.address[3].to_ne_bytes(), [203, 0, 113, 10]);
    assert_eq!(key.tuple.to_ne_bytes(), [0x01, 0xbb, 6, 0]);
}

#[test]
fn an_address_has_one_record_with_the_protocols_of_its_vips() {
    let (one, two, three) = (
        Ipv4Addr::new(203, 0, 113, 1),
        Ipv4Addr::new(203, 0, 113, 2),
        Ipv4Addr::new(203, 0, 113, 3),
    );
    let records = address_records(&[
        vip(three, 53, Protocol::Udp),
        vip(two, 80, Protocol::Tcp),
        vip(one, 80, Protocol::Tcp),
        vip(one, 443, Protocol::Udp),
        vip(two, 443, Protocol::Tcp),
    ]);
    let key = |address: Ipv4Addr| VipKey::v4_address(u32::from_ne_bytes(address.octets()));
    assert_eq!(
        records,
        [
            (key(one), HAS_TCP | HAS_UDP),
            (key(two), HAS_TCP),
            (key(three), HAS_UDP)
        ]
    );
}

#[test]
fn without_vips_there_is_one_chunk_and_nothing_in_it() {
    let (table, installed) = assert_all_found(&[]);
    assert_eq!(table.children(), 0);
    assert!(absent().all(|key| installed.find(&key) == Err(Miss::Absent)));
}

#[test]
fn one_vip_is_found_and_nothing_else() {
    let (table, installed) = assert_all_found(&consecutive(1));
    assert_eq!(table.children(), 0);
    assert!(absent().all(|key| installed.find(&key) == Err(Miss::Absent)));
}

#[test]
fn a_thousand_vips_need_one_child() {
    let (table, installed) = assert_all_found(&consecutive(1_000));
    assert_eq!(table.children(), 1);
    assert!(absent().all(|key| installed.find(&key) == Err(Miss::Absent)));
}

#[test]
fn sixteen_thousand_vips_and_addresses_fit_sixteen_chunks() {
    let keys = consecutive(16_384);
    let (table, installed) = assert_all_found(&keys);
    assert!(table.children() < 16, "{} children", table.children());
    assert!(absent().all(|key| installed.find(&key) == Err(Miss::Absent)));
}

#[test]
fn as_many_vips_as_there_are_counters_fit() {
    let (table, _) = assert_all_found(&consecutive(65_472));
    assert!(table.children() <= MAX_VIP_CHILDREN);
}

#[test]
fn vips_stay_in_their_home_line_before_addresses() {
    let address = |at: u32| (0xc612_0000_u32 + at).to_be();
    let line = VipKey::v4_address(address(0)).home_line();
    let addresses = (0..100_000).map(|at| VipKey::v4_address(address(at)));
    let vips = (0..100_000).map(|at| VipKey::v4(address(at), 80_u16.to_be(), PROTOCOL_TCP));
    let mut keys: Vec<VipKey> = addresses.filter(|key| key.home_line() == line).take(2).collect();
    keys.extend(vips.filter(|key| key.home_line() == line).take(2));
    let (table, _) = assert_all_found(&keys);
    let chunks: Vec<usize> = table.places.iter().map(|(_, place)| place.chunk).collect();
    assert_eq!(chunks, [1, 1, 0, 0]);
}

#[test]
fn the_same_shape_renders_with_other_chunk_numbers() {
    let keys = consecutive(3_000);
    let table = VipTable::build(&keys).expect("they fit");
    let other: Vec<VipRecord> = records(&keys)
        .into_iter()
        .map(|record| VipRecord {
            table: record.table ^ 0x0f0f,
            ..record
        })
        .collect();
    let installed = Installed::render(&table, &other);
    for (key, record) in keys.iter().zip(&other) {
        assert_eq!(installed.find(key), Ok(*record));
    }
}

#[test]
fn a_key_twice_is_refused() {
    let mut keys = consecutive(10);
    keys.push(keys[3]);
    let refused = VipTable::build(&keys).map(|_| ());
    assert_eq!(refused, Err(VipTableError::Duplicate { first: 3, second: 20 }));
}

#[test]
fn a_key_that_looks_like_an_empty_place_is_refused() {
    let keys = [VipKey::v4(1, 80, PROTOCOL_TCP), VipKey::v4(1, 0, 0)];
    let refused = VipTable::build(&keys).map(|_| ());
    assert_eq!(refused, Err(VipTableError::EmptyTuple { at: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_keys_are_all_found_and_their_order_decides_nothing(
        tuples in prop::collection::btree_set((any::<u32>(), any::<u16>(), any::<bool>()), 0..6_000),
    ) {
        let protocol = |tcp| if tcp { PROTOCOL_TCP } else { PROTOCOL_UDP };
        let mut keys: Vec<VipKey> =
            tuples.into_iter().map(|(address, port, tcp)| VipKey::v4(address, port, protocol(tcp))).collect();
        let (table, _) = assert_all_found(&keys);
        keys.reverse();
        let mut again = VipTable::build(&keys).expect("they fit");
        again.places.reverse();
        prop_assert_eq!(again.places, table.places);
        prop_assert_eq!(again.overflows, table.overflows);
    }
}
