//! Numbers of a few bits each, one after the other; the lowest bit first.

/// Bits that tell `count` things from one another.
pub const fn width(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Appends numbers to bytes.
pub struct Writer<'b> {
    bytes: &'b mut Vec<u8>,
    pending: u32,
    filled: u32,
}

impl<'b> Writer<'b> {
    pub const fn after(bytes: &'b mut Vec<u8>) -> Self {
        Self {
            bytes,
            pending: 0,
            filled: 0,
        }
    }

    /// The `width` (16 at most) lowest bits of `number`, which has no others.
    pub fn put(&mut self, number: u16, width: u32) {
        self.pending |= u32::from(number) << self.filled;
        self.filled += width;
        while self.filled >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.filled -= 8;
        }
    }

    /// Fills up the last byte with zeros.
    pub fn end(self) {
        if self.filled > 0 {
            self.bytes.push(self.pending as u8);
        }
    }
}

/// Takes numbers from bytes.
pub struct Reader<'b> {
    bytes: std::slice::Iter<'b, u8>,
    pending: u32,
    filled: u32,
}

impl<'b> Reader<'b> {
    pub fn of(bytes: &'b [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            pending: 0,
            filled: 0,
        }
    }

    /// The next number of `width` (16 at most) bits; `None`: the bytes end.
    pub fn take(&mut self, width: u32) -> Option<u16> {
        while self.filled < width {
            self.pending |= u32::from(*self.bytes.next()?) << self.filled;
            self.filled += 8;
        }
        let number = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.filled -= width;
        Some(number as u16)
    }

    /// What is left over is only the filling of the last byte.
    pub fn is_at_end(&self) -> bool {
        self.bytes.as_slice().is_empty() && self.pending == 0
    }
}
