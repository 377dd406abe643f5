use proptest::prelude::*;

use super::*;
use crate::table::{maglev, tests::shares};

#[test]
fn table_of_31_backends_takes_40_kib() {
    let table = maglev::build(&shares(&[100; 31]));
    let packed = pack(&table);
    assert_eq!(packed.len(), 2 + 31 * 2 + 40 * 1024);
    assert_eq!(unpack(&packed), Some(table));
}

#[test]
fn table_with_one_owner_is_but_its_name() {
    for table in [Table::nobody(), maglev::build(&shares(&[1]))] {
        let packed = pack(&table);
        assert_eq!(packed.len(), 4);
        assert_eq!(unpack(&packed), Some(table));
    }
}

#[test]
fn bytes_that_are_cut_longer_or_name_nobody_we_know_are_no_table() {
    let packed = pack(&maglev::build(&shares(&[1, 2, 3])));
    assert_eq!(unpack(&packed[..packed.len() - 1]), None);
    assert_eq!(unpack(&[&packed[..], &[1]].concat()), None);
    assert_eq!(unpack(&[]), None);
    // Three owners in two bits: the fourth place is nobody's.
    let mut stranger = packed.clone();
    stranger[8] |= 3;
    assert_eq!(unpack(&stranger), None);
    // Member 2,048 is beyond the last.
    let mut beyond = packed;
    beyond[6..8].copy_from_slice(&2_048_u16.to_le_bytes());
    assert_eq!(unpack(&beyond), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_packed_is_unpacked(weights in prop::collection::vec(0_u32..1000, 1..300)) {
        let table = maglev::build(&shares(&weights));
        prop_assert_eq!(unpack(&pack(&table)), Some(table));
    }
}
