//! A packet as the path sees it.

use bytemuck::Pod;

use crate::checksum;

/// A frame from its Ethernet header on. Offsets and lengths are in bytes.
pub trait Frame {
    /// Bytes that can be loaded: the first buffer of a frame.
    fn linear_len(&self) -> u32;

    /// Bytes of all buffers. May cost a helper call: ask only where the header
    /// states more than [`Self::linear_len`].
    fn total_len(&self) -> u32;

    /// Index of the interface it came in by.
    fn ingress_ifindex(&self) -> u32;

    /// A copy of the bytes at `offset`; `None` past the end of the first buffer.
    fn load<T: Pod>(&self, offset: u32) -> Option<T>;

    /// The same for an offset that is not a constant. The verifier follows such
    /// a pointer only if the compiler does not split it, which costs a little;
    /// in ordinary memory there is no difference.
    fn load_variable<T: Pod>(&self, offset: u32) -> Option<T> {
        self.load(offset)
    }

    /// Overwrites the bytes at `offset`; `false`, and nothing written, past the
    /// end of the first buffer.
    #[must_use]
    fn store<T: Pod>(&mut self, offset: u32, value: &T) -> bool;

    /// Moves the start of the frame `bytes` forward (negative) or back
    /// (positive), as `bpf_xdp_adjust_head` does. `false`, and nothing changed,
    /// if there is no room.
    #[must_use]
    fn adjust_head(&mut self, bytes: i32) -> bool;

    /// Cuts the frame to `len` bytes, as `bpf_xdp_adjust_tail` does. `false`,
    /// and nothing changed, if it is shorter.
    #[must_use]
    fn truncate(&mut self, len: u32) -> bool;

    /// One's complement sum over `LEN` bytes, a multiple of 4 and at most 512,
    /// at `offset`, folded to 16 bits; `None` past the end of the first buffer.
    fn sum<const LEN: usize>(&self, offset: u32) -> Option<u32>;
}

/// A frame in ordinary memory, for tests and for `why`.
#[derive(Debug)]
pub struct BufferFrame<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
    ingress_ifindex: u32,
}

impl<'a> BufferFrame<'a> {
    /// The frame is `buffer[headroom..headroom + len]`.
    ///
    /// # Panics
    /// If that range is not in the buffer.
    pub fn new(buffer: &'a mut [u8], headroom: usize, len: usize, ingress_ifindex: u32) -> Self {
        assert!(headroom + len <= buffer.len(), "the frame lies in its buffer");
        Self {
            buffer,
            start: headroom,
            end: headroom + len,
            ingress_ifindex,
        }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn range(&self, offset: u32, len: usize) -> Option<core::ops::Range<usize>> {
        let from = self.start.checked_add(offset as usize)?;
        let to = from.checked_add(len)?;
        (to <= self.end).then_some(from..to)
    }
}

impl Frame for BufferFrame<'_> {
    fn linear_len(&self) -> u32 {
        (self.end - self.start) as u32
    }

    fn total_len(&self) -> u32 {
        self.linear_len()
    }

    fn ingress_ifindex(&self) -> u32 {
        self.ingress_ifindex
    }

    fn load<T: Pod>(&self, offset: u32) -> Option<T> {
        self.range(offset, size_of::<T>())
            .map(|range| bytemuck::pod_read_unaligned(&self.buffer[range]))
    }

    fn store<T: Pod>(&mut self, offset: u32, value: &T) -> bool {
        let Some(range) = self.range(offset, size_of::<T>()) else {
            return false;
        };
        self.buffer[range].copy_from_slice(bytemuck::bytes_of(value));
        true
    }

    fn adjust_head(&mut self, bytes: i32) -> bool {
        // bpf_xdp_adjust_head refuses to leave less than an Ethernet header.
        const ETH_HLEN: usize = 14;
        let Some(start) = self.start.checked_add_signed(bytes as isize) else {
            return false;
        };
        if start + ETH_HLEN > self.end {
            return false;
        }
        self.start = start;
        true
    }

    fn truncate(&mut self, len: u32) -> bool {
        let end = self.start + len as usize;
        if end > self.end {
            return false;
        }
        self.end = end;
        true
    }

    fn sum<const LEN: usize>(&self, offset: u32) -> Option<u32> {
        let range = self.range(offset, LEN)?;
        let words = self.buffer[range].as_chunks::<2>().0.iter();
        let sum: u32 = words.map(|word| u32::from(u16::from_ne_bytes(*word))).sum();
        Some(checksum::fold(sum).into())
    }
}
