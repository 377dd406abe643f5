//! A second instance of the balancer's program that no packet reaches: what is
//! to be published, and what somebody asks about, runs through it first.

use std::{path::Path, sync::atomic::Ordering};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, PerCpuArray},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use lb_common::abi::{
    active::Active,
    counters::{Counter, FIRST_FREE},
};

use super::{
    KernelError,
    aya::CALLED,
    pins::{self, Plain, load_error, map_error, map_path, program_error, program_mut},
    sys,
    upgrade::Object,
};

/// Bytes of a ring that nobody writes: a page, wherever it is one.
const RING: u32 = 1 << 16;

/// The balancer's program once more, sharing CHUNKS, HASH_KEY and NODE, with an
/// ACTIVE, flows and verdict counters of its own.
pub struct PrivateInstance {
    ebpf: Ebpf,
    active: sys::ActiveCell,
}

impl PrivateInstance {
    pub fn load(object: &Object, directory: &Path) -> Result<Self, KernelError> {
        let shared = ["CHUNKS", "HASH_KEY", "NODE"].map(|name| (name, map_path(directory, name)));
        let mut loader = EbpfLoader::new();
        for (name, path) in &shared {
            loader.map_pin_path(name, path.as_path());
        }
        // Verdicts only: VIP and member indices fall outside, uncounted.
        loader.map_max_entries("COUNTERS", FIRST_FREE);
        // Nothing is sampled by it: the smallest ring there is.
        loader.map_max_entries("SAMPLES", RING);
        let mut ebpf = loader.load(object.bytes()).map_err(load_error)?;
        pins::link_programs(&mut ebpf, &CALLED)?;
        program_mut(&mut ebpf, "balancer")?.load().map_err(program_error)?;
        let Some(Map::Array(map)) = ebpf.map("ACTIVE") else {
            return Err(KernelError::Missing("ACTIVE"));
        };
        let active = sys::ActiveCell::map(map.fd()).map_err(KernelError::call("mmap"))?;
        Ok(Self { ebpf, active })
    }

    fn program(&self, name: &'static str) -> Result<&Xdp, KernelError> {
        let program = self.ebpf.program(name).ok_or(KernelError::Missing(name))?;
        program.try_into().map_err(program_error)
    }

    /// The kernel's tag of a program: a digest over its instructions.
    pub fn tag(&self, name: &'static str) -> Result<u64, KernelError> {
        Ok(self.program(name)?.info().map_err(program_error)?.tag())
    }

    fn map(&self, name: &'static str) -> Result<&Map, KernelError> {
        self.ebpf.map(name).ok_or(KernelError::Missing(name))
    }

    /// Makes its flows those of `flows`.
    pub fn know(&self, flows: &sys::FlowCells) -> Result<(), KernelError> {
        let Map::Array(map) = self.map("FLOWS")? else {
            return Err(KernelError::Missing("FLOWS"));
        };
        let own = sys::FlowCells::map(map.fd()).map_err(KernelError::call("mmap"))?;
        for (own, known) in own.entries().iter().zip(flows.entries()) {
            own.store(known.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok(())
    }

    /// `ingress`: index of the interface it seems to come by.
    pub fn run(&self, active: Active, ingress: u32, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        self.active.store(active.0);
        let mut output = vec![0; packet.len() + 256];
        let context = context(ingress, packet.len());
        let result = self
            .program("balancer")?
            .test_run(TestRunOptions {
                data_in: Some(packet),
                data_out: Some(&mut output),
                ctx_in: Some(&context),
                ..TestRunOptions::new()
            })
            .map_err(program_error)?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    pub fn verdicts(&self) -> Result<Vec<u64>, KernelError> {
        let map: PerCpuArray<_, Plain<Counter>> = PerCpuArray::try_from(self.map("COUNTERS")?).map_err(map_error)?;
        (0..FIRST_FREE)
            .map(|index| {
                Ok(map
                    .get(&index, 0)
                    .map_err(map_error)?
                    .iter()
                    .map(|one| one.0.packets)
                    .sum())
            })
            .collect()
    }
}

/// `struct xdp_md` of the kernel's `include/uapi/linux/bpf.h`: data, data_end,
/// data_meta, ingress_ifindex, rx_queue_index, egress_ifindex. Interface 0 is
/// the loopback interface.
fn context(ingress: u32, len: usize) -> Vec<u8> {
    let words = [0, len as u32, 0, ingress, 0, 0];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
