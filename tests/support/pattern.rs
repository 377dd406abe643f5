//! Bytes that say where in which stream they belong.
//!
//! Byte `p` of stream `s` is a function of both, so that one byte lost,
//! repeated, swapped or from another stream is seen, not only a wrong length.

/// Byte `position` of stream `stream`.
#[must_use]
pub const fn byte_at(stream: u64, position: u64) -> u8 {
    // splitmix64's finalizer: neighbours in either argument look unrelated.
    let mut x = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ position;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 56) as u8
}

/// `length` bytes from `position` on.
#[must_use]
pub fn bytes(stream: u64, position: u64, length: usize) -> Vec<u8> {
    (position..).take(length).map(|at| byte_at(stream, at)).collect()
}

/// Where `received`, which starts at `position`, first differs.
#[must_use]
pub fn first_difference(stream: u64, position: u64, received: &[u8]) -> Option<u64> {
    (position..)
        .zip(received)
        .find(|&(at, &byte)| byte != byte_at(stream, at))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_stream_are_found_right() {
        assert_eq!(first_difference(7, 1000, &bytes(7, 1000, 500)), None);
    }

    #[test]
    fn swapped_bytes_are_found_at_their_place() {
        let mut received = bytes(7, 0, 500);
        assert_ne!(received[400], received[402]);
        received.swap(400, 402);
        assert_eq!(first_difference(7, 0, &received), Some(400));
    }

    #[test]
    fn bytes_of_another_stream_are_found() {
        assert!(first_difference(7, 0, &bytes(8, 0, 64)).is_some());
    }

    #[test]
    fn repeated_segment_is_found() {
        let received = [bytes(7, 0, 64), bytes(7, 0, 64)].concat();
        let at = first_difference(7, 0, &received).expect("a repeated segment");
        assert!((64..72).contains(&at), "{at}");
    }
}
