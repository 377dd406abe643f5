//! COUNTERS, and CARRIED beside it: what was counted in maps of another layout,
//! which the program does not know of. A counter is the sum of both.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use lb_common::abi::counters::Counter;

use super::{
    KernelError,
    pins::{map_path, open_pin},
    sys,
};

/// Where what was carried is pinned; most sets have none.
pub const CARRIED: &str = "CARRIED";

const COUNTER_BYTES: usize = size_of::<Counter>();

/// The counters of one set of maps.
pub struct Counts {
    counters: OwnedFd,
    carried: Option<OwnedFd>,
    /// How many there are.
    entries: u32,
    /// Bytes of one counter on all CPUs.
    bytes: usize,
}

impl Counts {
    /// # Errors
    /// When COUNTERS cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        let counters = open_pin(&map_path(directory, "COUNTERS"))?;
        let carried = map_path(directory, CARRIED);
        Ok(Self {
            entries: shape(&counters)?.entries,
            counters,
            carried: carried.exists().then(|| open_pin(&carried)).transpose()?,
            bytes: COUNTER_BYTES * possible_cpus()?,
        })
    }

    /// Those before `end`, each summed over the CPUs.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn read(&self, end: u32) -> Result<Vec<Counter>, KernelError> {
        let mut counters = sums(&self.counters, end, self.bytes)?;
        if let Some(carried) = &self.carried {
            let end = end.min(shape(carried)?.entries);
            let carried = sums(carried, end, COUNTER_BYTES)?;
            for (counter, carried) in counters.iter_mut().zip(carried) {
                *counter = sum(*counter, carried);
            }
        }
        Ok(counters)
    }

    /// Sets counters to zero.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn zero(&self, indices: &[u16]) -> Result<(), KernelError> {
        let keys: Vec<u32> = indices.iter().map(|index| u32::from(*index)).collect();
        sys::zero_entries(self.counters.as_fd(), &keys, self.bytes)
            .map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))?;
        let Some(carried) = &self.carried else {
            return Ok(());
        };
        sys::zero_entries(carried.as_fd(), &keys, COUNTER_BYTES).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
    }
}

/// Makes what the counters of `from` say part of those of `to`, as far as there
/// are as many: each total is written, not added, so that it may be done again.
///
/// # Errors
/// When the kernel refuses.
pub fn carry(from: &Path, to: &Path) -> Result<(), KernelError> {
    let (before, after) = (Counts::open(from)?, Counts::open(to)?);
    if id(&before.counters)? == id(&after.counters)? {
        return Ok(());
    }
    let carried = if let Some(carried) = after.carried {
        carried
    } else {
        let made = sys::create_array(CARRIED.as_bytes(), COUNTER_BYTES as u32, after.entries)
            .map_err(KernelError::call("BPF_MAP_CREATE"))?;
        let pin = map_path(to, CARRIED);
        sys::pin(made.as_fd(), &pin).map_err(KernelError::call("BPF_OBJ_PIN"))?;
        made
    };
    let totals = before.read(before.entries.min(after.entries))?;
    let counted = (0..).zip(totals).filter(|(_, total)| *total != Counter::default());
    let (keys, totals): (Vec<u32>, Vec<Counter>) = counted.unzip();
    sys::write_entries(carried.as_fd(), &keys, &totals).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
}

fn sums(map: &OwnedFd, end: u32, bytes: usize) -> Result<Vec<Counter>, KernelError> {
    let mut counters = Vec::with_capacity(end as usize);
    let entry = |cpus: &[u8]| {
        let cpus = cpus.chunks(COUNTER_BYTES).map(bytemuck::pod_read_unaligned);
        counters.push(cpus.fold(Counter::default(), sum));
    };
    sys::read_entries(map.as_fd(), end, bytes, entry).map_err(KernelError::call("BPF_MAP_LOOKUP_BATCH"))?;
    Ok(counters)
}

/// Anybody with root may have written anything there: what is too much begins anew, as it does in
/// the kernel.
const fn sum(one: Counter, other: Counter) -> Counter {
    Counter {
        packets: one.packets.wrapping_add(other.packets),
        bytes: one.bytes.wrapping_add(other.bytes),
    }
}

fn shape(map: &OwnedFd) -> Result<sys::MapShape, KernelError> {
    sys::map_shape(map.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))
}

fn id(map: &OwnedFd) -> Result<u32, KernelError> {
    sys::map_id(map.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))
}

fn possible_cpus() -> Result<usize, KernelError> {
    aya::util::nr_cpus().map_err(|(_, source)| KernelError::Call {
        call: "possible CPUs",
        source,
    })
}
