//! Where a home table differs from the current one, in few bytes: it goes into
//! the state of a revision, which may have a thousand pools.
//!
//! The homes there are (as [`super::packed`] lists them); for each slot that is
//! away the number of slots between it and the one before, as LEB128; then the
//! home of each, its place in the list in as few bits as that takes. As text,
//! base64. A pool of 31 backends with one of them out of service takes 3 KiB,
//! and no pool more than 210 KiB.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use lb_common::abi::{member::MemberIndex, table::SLOTS};

use super::{
    Table,
    bits::{Reader, Writer, width},
    copy_of,
    packed::{list, places, read_list},
};

#[cfg(test)]
mod tests;

/// What is to be known beside `current` to know `home`; empty: they are equal.
#[must_use]
pub fn written(current: &Table, home: &Table) -> String {
    if current == home {
        return String::new();
    }
    let pairs = current.slots().iter().zip(home.slots()).enumerate();
    let away: Vec<(usize, MemberIndex)> = pairs
        .filter(|(_, (now, home))| now != home)
        .map(|(slot, (_, home))| (slot, *home))
        .collect();
    let homes: BTreeSet<MemberIndex> = away.iter().map(|(_, home)| *home).collect();
    let homes: Vec<MemberIndex> = homes.into_iter().collect();
    let mut bytes = list(&homes);
    bytes.extend((away.len() as u32).to_le_bytes());
    let mut next = 0;
    for (slot, _) in &away {
        put_leb128(&mut bytes, slot - next);
        next = slot + 1;
    }
    let (places, width) = (places(&homes), width(homes.len()));
    let mut writer = Writer::after(&mut bytes);
    for (_, home) in &away {
        writer.put(places[usize::from(*home)], width);
    }
    writer.end();
    BASE64.encode(bytes)
}

/// The home table; `None`: the text is not one that [`written`] made.
#[must_use]
pub fn read(text: &str, current: &Table) -> Option<Table> {
    if text.is_empty() {
        return Some(current.clone());
    }
    let bytes = BASE64.decode(text).ok()?;
    let (homes, rest) = read_list(&bytes)?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let mut away = Vec::new();
    let mut next = 0;
    for _ in 0..count {
        let slot = next + take_leb128(&mut rest)?;
        if slot >= SLOTS {
            return None;
        }
        away.push(slot);
        next = slot + 1;
    }
    let width = width(homes.len());
    let mut reader = Reader::of(rest);
    let mut slots = copy_of(current);
    for slot in away {
        slots[slot] = *homes.get(usize::from(reader.take(width)?))?;
    }
    reader.is_at_end().then(|| Table::from_slots(slots).ok())?
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn put_leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A number of three bytes at most: a gap is smaller than a table.
fn take_leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
