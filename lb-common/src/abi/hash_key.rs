//! HASH_KEY: the secret of the flow hash, in a pinned map of its own.

use bytemuck::{Pod, Zeroable};

/// 32 secret bytes, read as four little-endian words. Made once at install and
/// shared by the balancers of a fleet; without it every flow would move, so it
/// is kept in a file and never changed by a publish.
#[derive(Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct HashKey {
    pub words: [u64; 4],
}

/// Bytes of a hash key file.
pub const HASH_KEY_BYTES: usize = 32;

impl HashKey {
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HASH_KEY_BYTES]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self { words }
    }

    /// As a file has it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HASH_KEY_BYTES] {
        bytemuck::must_cast(self.words.map(u64::to_le))
    }
}

/// The key is a secret: a debug print says only that it is there.
impl core::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

const _: () = assert!(size_of::<HashKey>() == HASH_KEY_BYTES);
