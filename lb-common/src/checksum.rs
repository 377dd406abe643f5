//! The Internet checksum (RFC 1071), over words in the order they were loaded:
//! "the sum may be computed in either byte order" (§2 (B)).

use crate::wire::Ipv4;

/// Folds a sum of 16-bit words.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Folds a sum of 16-bit words and complements it.
#[must_use]
#[inline(always)]
pub const fn finish(sum: u32) -> u16 {
    !fold(sum)
}

/// A checksum after one of its words changed from `old` to `new` (RFC 1624 §3,
/// eqn. 3: HC' = ~(~HC + ~m + m')).
#[must_use]
#[inline(always)]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    finish(!checksum as u32 + !old as u32 + new as u32)
}

/// Sum of the two halves of a word.
#[must_use]
#[inline(always)]
pub const fn halves(word: u32) -> u32 {
    (word & 0xffff) + (word >> 16)
}

/// Sum of the ten 16-bit words of an IPv4 header without options, its checksum
/// included. A correct header sums to 0xffff after folding, so [`finish`] of
/// it is 0.
#[must_use]
#[inline(always)]
pub fn sum_ipv4(ip: &Ipv4) -> u32 {
    let words: [u16; 10] = bytemuck::cast(*ip);
    let mut sum = 0;
    let mut at = 0;
    while at < 10 {
        sum += words[at] as u32;
        at += 1;
    }
    sum
}
