//! A lookup table in few bytes, for the store: the owners there are, then for
//! each slot which of them it is, in as few bits as that takes.
//!
//! 16-bit numbers are little-endian: how many owners; their numbers, ascending;
//! then 65,536 places in that list, of ⌈log₂ owners⌉ bits each, the lowest bit
//! first. A table of 31 backends takes 40 KiB, one of 2,047 92 KiB; the plain
//! table 128 KiB.

use lb_common::abi::{member::MemberIndex, table::SLOTS};

use super::{
    Table,
    bits::{Reader, Writer, width},
    filled_with,
};

#[cfg(test)]
mod tests;

#[must_use]
pub fn pack(table: &Table) -> Vec<u8> {
    let owners: Vec<MemberIndex> = table.counts().keys().copied().collect();
    let mut bytes = list(&owners);
    let places = places(&owners);
    let width = width(owners.len());
    let mut writer = Writer::after(&mut bytes);
    for owner in table.slots() {
        writer.put(places[usize::from(*owner)], width);
    }
    writer.end();
    bytes
}

/// The table; `None`: these are not the bytes of one.
#[must_use]
pub fn unpack(bytes: &[u8]) -> Option<Table> {
    let (owners, places) = read_list(bytes)?;
    let width = width(owners.len());
    let mut reader = Reader::of(places);
    let mut slots = filled_with(0);
    for slot in slots.iter_mut() {
        *slot = *owners.get(usize::from(reader.take(width)?))?;
    }
    reader.is_at_end().then(|| Table::from_slots(slots).ok())?
}

/// A list of members, its length first.
pub(super) fn list(members: &[MemberIndex]) -> Vec<u8> {
    let length = members.len() as u16;
    std::iter::once(&length)
        .chain(members)
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// A list, and what comes after it.
pub(super) fn read_list(bytes: &[u8]) -> Option<(Vec<MemberIndex>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (list, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)) * 2)?;
    let members = list.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two));
    Some((members.collect(), rest))
}

/// By member, its place in the list.
pub(super) fn places(members: &[MemberIndex]) -> Vec<u16> {
    let highest = members.iter().copied().max().unwrap_or(0);
    let mut places = vec![0; usize::from(highest) + 1];
    for (place, member) in members.iter().enumerate() {
        places[usize::from(*member)] = place as u16;
    }
    places
}

// Places are numbers of 16 bits.
const _: () = assert!(SLOTS <= 1 << 16);
