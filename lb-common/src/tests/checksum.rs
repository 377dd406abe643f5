use proptest::prelude::*;

use crate::{checksum, wire::Ipv4};

/// The C code of RFC 1071 §4.1, word by word, over bytes in wire order.
pub fn rfc_1071(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    let mut count = bytes.len();
    let mut at = 0;
    // "This is the inner loop"
    while count > 1 {
        sum += u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        at += 2;
        count -= 2;
    }
    // "Add left-over byte, if any"
    if count > 0 {
        sum += u32::from(bytes[at]) << 8;
    }
    // "Fold 32-bit sum to 16 bits"
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn example_of_rfc_1071_section_3() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7_u8];
    assert_eq!(rfc_1071(&bytes), !0xddf2);
    let words = bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|word| u32::from(u16::from_ne_bytes(*word)));
    assert_eq!(u16::from_be(checksum::finish(words.sum())), !0xddf2);
}

proptest! {
    #[test]
    fn checksum_of_a_header_is_that_of_the_rfc(bytes: [u8; 20]) {
        let ip: Ipv4 = bytemuck::cast(bytes);
        prop_assert_eq!(u16::from_be(checksum::finish(checksum::sum_ipv4(&ip))), rfc_1071(&bytes));
    }

    #[test]
    fn header_with_its_checksum_finishes_to_zero(mut bytes: [u8; 20]) {
        bytes[10..12].fill(0);
        let sum = rfc_1071(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let ip: Ipv4 = bytemuck::cast(bytes);
        // An all-zero header has the sum of all zeros, which has two forms.
        prop_assume!(bytes[..10] != [0; 10]);
        prop_assert_eq!(checksum::finish(checksum::sum_ipv4(&ip)), 0);
    }

    #[test]
    fn two_folds_are_enough_for_any_sum(sum: u32) {
        let mut folded = sum;
        while folded >> 16 != 0 {
            folded = (folded & 0xffff) + (folded >> 16);
        }
        prop_assert_eq!(checksum::finish(sum), !(folded as u16));
    }

    #[test]
    fn halves_sum_to_the_two_words(high: u16, low: u16) {
        let word = u32::from(high) << 16 | u32::from(low);
        prop_assert_eq!(checksum::halves(word), u32::from(high) + u32::from(low));
    }
}
