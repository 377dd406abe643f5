//! Maps as memory: chunks are filled and read back, ACTIVE is switched, and FLOWS
//! is swept, all without a system call for each entry.
#![expect(unsafe_code, reason = "mmap(2) is a raw call; every block says why it is sound")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::abi::{
    chunk::CHUNK_BYTES,
    flows::{FLOW_LINES, FLOWS_PER_LINE},
};

/// A mapping of a map's values.
struct Mapping {
    address: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    fn new(map: BorrowedFd<'_>, len: usize, protection: i32) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let address = unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self { address, len })
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, unmapped only here.
        unsafe { libc::munmap(self.address, self.len) };
    }
}

/// Fills a chunk that is not frozen yet.
///
/// # Panics
/// If `bytes` is not as long as a chunk.
pub fn fill_chunk(chunk: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    assert_eq!(bytes.len(), CHUNK_BYTES, "a chunk is filled whole");
    let mapping = Mapping::new(chunk, CHUNK_BYTES, libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: the mapping is as long as the bytes; no program reads the chunk
    // before it is installed.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.address.cast(), CHUNK_BYTES) };
    Ok(())
}

/// Whether the chunk, frozen, holds these bytes.
///
/// # Panics
/// If `bytes` is not as long as a chunk.
pub fn chunk_holds(chunk: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<bool> {
    assert_eq!(bytes.len(), CHUNK_BYTES, "a chunk is compared whole");
    let mapping = Mapping::new(chunk, CHUNK_BYTES, libc::PROT_READ)?;
    // SAFETY: the mapping is that long, and nobody writes to a frozen chunk.
    let held = unsafe { std::slice::from_raw_parts(mapping.address.cast::<u8>(), CHUNK_BYTES) };
    Ok(held == bytes)
}

/// Copies a chunk's content into `bytes`.
///
/// # Panics
/// If `bytes` is not as long as a chunk.
pub fn read_chunk(chunk: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<()> {
    assert_eq!(bytes.len(), CHUNK_BYTES, "a chunk is read whole");
    let mapping = Mapping::new(chunk, CHUNK_BYTES, libc::PROT_READ)?;
    // SAFETY: the mapping is as long as the bytes; chunks are frozen, so
    // nobody writes meanwhile.
    unsafe { ptr::copy_nonoverlapping(mapping.address.cast::<u8>(), bytes.as_mut_ptr(), CHUNK_BYTES) };
    Ok(())
}

/// ACTIVE, mapped: reads and writes are single instructions.
pub struct ActiveCell {
    mapping: Mapping,
}

// SAFETY: the mapping is only used through an atomic.
unsafe impl Send for ActiveCell {}
// SAFETY: as above.
unsafe impl Sync for ActiveCell {}

impl ActiveCell {
    pub fn map(active: impl AsFd) -> io::Result<Self> {
        // One value of eight bytes; mappings are whole pages.
        let mapping = Mapping::new(active.as_fd(), size_of::<u64>(), libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { mapping })
    }

    fn cell(&self) -> &AtomicU64 {
        // SAFETY: page-aligned, at least eight bytes, lives as long as `self`;
        // the program only reads it, with one load.
        unsafe { &*self.mapping.address.cast::<AtomicU64>() }
    }

    #[must_use]
    pub fn load(&self) -> u64 {
        self.cell().load(Ordering::SeqCst)
    }

    pub fn store(&self, value: u64) {
        self.cell().store(value, Ordering::SeqCst);
    }
}

/// FLOWS, mapped: entries are read and taken out by single instructions.
pub struct FlowCells {
    mapping: Mapping,
}

// SAFETY: the mapping is only used through atomics.
unsafe impl Send for FlowCells {}
// SAFETY: as above.
unsafe impl Sync for FlowCells {}

impl FlowCells {
    /// One with as many lines as this build has.
    pub fn map(flows: impl AsFd) -> io::Result<Self> {
        Self::of(flows, FLOW_LINES)
    }

    /// One with `lines` lines. The kernel refuses to map more than there are.
    pub fn of(flows: impl AsFd, lines: u32) -> io::Result<Self> {
        let bytes = lines as usize * FLOWS_PER_LINE * size_of::<u64>();
        let mapping = Mapping::new(flows.as_fd(), bytes, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self { mapping })
    }

    /// Eight entries for each line, one line after the other.
    #[must_use]
    pub const fn entries(&self) -> &[AtomicU64] {
        let entries = self.mapping.len / size_of::<u64>();
        // SAFETY: page-aligned, as long as that, lives as long as `self`; the
        // program reads and writes whole entries.
        unsafe { std::slice::from_raw_parts(self.mapping.address.cast(), entries) }
    }
}
