//! Unit and property tests of the packet path. Expected values are computed
//! from the texts (RFCs, the definition in `hash`), not with the code under test.

mod agent;
mod answers;
mod checksum;
mod dirty;
mod dirty_model;
mod encap;
mod hash;
mod icmp;
mod maps;
mod outer;
mod packets;
mod parse;
mod path;
mod siphash;
mod spread;

use crate::abi::active::Active;

#[test]
fn active_names_each_of_its_four_chunks() {
    let active = Active::new(0x1111, 0x2222, 0x3333, 0x4444);
    assert_eq!(active.0, 0x4444_3333_2222_1111);
    assert_eq!(active.root(), 0x1111);
    assert_eq!(active.vips(), 0x2222);
    assert_eq!(active.fallback_root(), 0x3333);
    assert_eq!(active.fallback_vips(), 0x4444);
    assert!(!active.is_empty());
    assert!(Active::default().is_empty());
}

proptest::proptest! {
    #[test]
    fn active_packs_and_unpacks(root: u16, vips: u16, fallback_root: u16, fallback_vips: u16) {
        let active = Active::new(root, vips, fallback_root, fallback_vips);
        let unpacked = (active.root(), active.vips(), active.fallback_root(), active.fallback_vips());
        proptest::prop_assert_eq!(unpacked, (root, vips, fallback_root, fallback_vips));
    }
}
