//! How many slots each backend gets: the method of the largest remainder
//! (Hamilton's), in integers.

use std::cmp::Reverse;

use lb_common::abi::table::SLOTS;

use super::Share;

#[cfg(test)]
mod tests;

/// Slots for each of `shares`, in their order: the exact quota
/// `65,536 × weight ÷ Σ weights`, rounded down or up. The slots left by
/// rounding down go to the largest remainders, ties to the first name.
///
/// The sum is 65,536 if any weight is above 0; else every quota is 0. A weight
/// under half of Σ ÷ 65,536 may well get no slot at all.
#[must_use]
pub fn quotas(shares: &[Share]) -> Vec<u32> {
    // At most 2,047 weights of 32 bits: the products fit 64 bits easily.
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    if total == 0 {
        return vec![0; shares.len()];
    }
    let exact = |share: &Share| u64::from(share.weight) * SLOTS as u64;
    let mut quotas: Vec<u32> = shares.iter().map(|share| (exact(share) / total) as u32).collect();

    let left = SLOTS - quotas.iter().sum::<u32>() as usize;
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_unstable_by_key(|&at| (Reverse(exact(&shares[at]) % total), &shares[at].name));
    // `left` is Σ remainders ÷ total, so there are more remainders above 0
    // than slots left: a weight of 0 gets none.
    for &at in &by_remainder[..left] {
        quotas[at] += 1;
    }
    quotas
}
