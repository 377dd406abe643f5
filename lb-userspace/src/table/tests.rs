use super::*;

/// Shares with members 1, 2, … and names that sort in another order.
pub(super) fn shares(weights: &[u32]) -> Vec<Share> {
    (1..)
        .zip(weights)
        .map(|(member, &weight)| Share {
            member,
            name: format!("be{}", member.reverse_bits()),
            weight,
        })
        .collect()
}

/// The shares but those of `members`.
pub(super) fn without(shares: &[Share], members: &[MemberIndex]) -> Vec<Share> {
    shares
        .iter()
        .filter(|share| !members.contains(&share.member))
        .cloned()
        .collect()
}

/// Fails unless every share has exactly its quota, and nobody else anything.
pub(super) fn assert_meets_quotas(table: &Table, shares: &[Share]) {
    let mut expected: BTreeMap<MemberIndex, u32> =
        shares.iter().map(|share| share.member).zip(quotas(shares)).collect();
    let nobody = SLOTS as u32 - expected.values().sum::<u32>();
    expected.insert(0, nobody);
    expected.retain(|_, &mut quota| quota > 0);
    assert_eq!(*table.counts(), expected);
}

#[test]
fn digest_is_that_of_little_endian_slots() {
    let mut bytes = vec![0; SLOTS * 2];
    assert_eq!(Table::nobody().digest(), Digest::of(&bytes));
    bytes[..4].copy_from_slice(&[0x34, 0x02, 0xff, 0x07]);
    let mut slots = filled_with(0);
    slots[0] = 0x234;
    slots[1] = 0x7ff;
    assert_eq!(Table::of(slots).digest(), Digest::of(&bytes));
}

#[test]
fn bytes_and_lines_are_the_same_table() {
    let table = maglev::build(&shares(&[3, 2, 1]));
    assert_eq!(Table::from_bytes(table.as_bytes()), Ok(table.clone()));
    let from_lines: Vec<u16> = table.lines().iter().flat_map(|line| line.slots).collect();
    assert_eq!(from_lines, table.slots());
    assert_eq!(table.lines().len(), lb_common::abi::chunk::LINES as usize);
}

#[test]
fn bytes_of_another_length_are_no_table() {
    for len in [0, SLOTS * 2 - 2, SLOTS * 2 - 1, SLOTS * 2 + 2] {
        assert_eq!(Table::from_bytes(&vec![0; len]), Err(NotATable::Length { len }));
    }
}

#[test]
fn a_member_beyond_the_last_or_a_dirty_slot_is_no_table() {
    for member in [MAX_MEMBERS as u16 + 1, lb_common::abi::table::DIRTY | 1] {
        let mut bytes = vec![0; SLOTS * 2];
        bytes[14..16].copy_from_slice(&member.to_ne_bytes());
        let refused = Err(NotATable::Member { slot: 7, member });
        assert_eq!(Table::from_bytes(&bytes), refused);
    }
}

#[test]
fn counts_name_owners_that_have_slots_and_no_others() {
    assert_eq!(*Table::nobody().counts(), BTreeMap::from([(0, 65_536)]));
    let mut slots = filled_with(1);
    slots[..10].fill(MAX_MEMBERS as u16);
    assert_eq!(*Table::of(slots).counts(), BTreeMap::from([(1, 65_526), (2047, 10)]));
}

#[test]
fn moved_counts_slots_with_another_owner() {
    let before = Table::of(filled_with(1));
    assert_eq!(before.moved(&before.clone()), 0);
    assert_eq!(before.moved(&Table::of(filled_with(1))), 0);
    let mut slots = filled_with(1);
    slots[5] = 2;
    slots[65_535] = 0;
    let after = Table::of(slots);
    assert_eq!(before.moved(&after), 2);
    assert_eq!(after.moved(&before), 2);
}
