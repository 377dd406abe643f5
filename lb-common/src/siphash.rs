//! SipHash-1-3 (Aumasson and Bernstein, INDOCRYPT 2012): one round for each
//! word, three at the end. For VIPs that ask for a hash with a proof behind it;
//! 7 ns where the flow hash takes one.

use crate::abi::hash_key::HashKey;

/// A hash under way.
#[derive(Clone, Copy, Debug)]
pub struct SipHash {
    v: [u64; 4],
}

impl SipHash {
    /// Keyed with the first 16 bytes of the hash key.
    #[must_use]
    #[inline(always)]
    pub const fn new(key: &HashKey) -> Self {
        let [k0, k1, ..] = key.words;
        Self {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    /// Eight bytes of the message, little-endian.
    #[must_use]
    #[inline(always)]
    pub const fn word(mut self, m: u64) -> Self {
        self.v[3] ^= m;
        self.round();
        self.v[0] ^= m;
        self
    }

    /// The last word: what is left of the message, and its length in bytes
    /// modulo 256 in the topmost eight bits.
    #[must_use]
    #[inline(always)]
    pub const fn finish(self, last: u64) -> u64 {
        let mut hash = self.word(last);
        hash.v[2] ^= 0xff;
        hash.round();
        hash.round();
        hash.round();
        hash.v[0] ^ hash.v[1] ^ hash.v[2] ^ hash.v[3]
    }

    #[inline(always)]
    const fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.v;
        v0 = v0.wrapping_add(v1);
        v2 = v2.wrapping_add(v3);
        v1 = v1.rotate_left(13) ^ v0;
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v1);
        v0 = v0.wrapping_add(v3);
        v1 = v1.rotate_left(17) ^ v2;
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.rotate_left(32);
        self.v = [v0, v1, v2, v3];
    }
}
