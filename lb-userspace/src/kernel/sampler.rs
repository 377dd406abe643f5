//! `sampled` in the place of `balancer`, for seconds: it does the same with
//! every packet, and copies the headers of some into a ring first.
//!
//! It is loaded for each time anew, over the pinned maps, so that its tail calls
//! go to the pinned programs, and stands on the links by BPF_LINK_UPDATE: no packet
//! meets none of the two. Its pin, `prog/sampled`, is made before the first link
//! has it and removed after the last has not; so a start that finds the pin knows
//! of a sample that was cut short, and puts `balancer` back ([`settle`]). Until
//! then nothing but a comparison is lost: past its time `sampled` copies nothing.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, RingBuf},
};
use lb_common::abi::sample::{SAMPLE_BYTES, Sample, Sampling};

use super::{
    KernelError,
    aya::MAPS,
    pins::{self, Plain, load_error, map_error, map_path, open_pin, program_error, program_mut, program_path},
    sys,
    upgrade::{self, Object},
};
use crate::event;

const PROGRAM: &str = "sampled";

/// A packet as it came in: as much of it as was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Of the whole frame, bytes.
    pub frame_len: u32,
    pub head: Vec<u8>,
}

/// A sample under way.
pub struct Sampler {
    ebpf: Ebpf,
    id: u32,
    directory: PathBuf,
}

impl Sampler {
    /// Puts `sampled` on every link that has the pinned balancer.
    ///
    /// # Errors
    /// When the kernel refuses; every link has the balancer then.
    pub fn put_on(object: &Object, directory: &Path, sampling: impl FnOnce() -> Sampling) -> Result<Self, KernelError> {
        let mut loader = EbpfLoader::new();
        let pinned = MAPS.map(|name| (name, map_path(directory, name)));
        for (name, path) in &pinned {
            loader.map_pin_path(name, path.as_path());
        }
        let mut ebpf = loader.load(object.bytes()).map_err(load_error)?;
        let pin = program_path(directory, PROGRAM);
        unpin(&pin)?;
        let program = program_mut(&mut ebpf, PROGRAM)?;
        program.load().map_err(program_error)?;
        let id = program.info().map_err(program_error)?.id();
        let descriptor = program.fd().map_err(program_error)?;
        sys::pin(descriptor.as_fd(), &pin).map_err(KernelError::call("BPF_OBJ_PIN"))?;
        for interface in pins::held_links(directory).into_keys() {
            if let Err(error) = swap(directory, &interface) {
                take_off(directory)?;
                return Err(error);
            }
        }
        let mut sampler = Self {
            ebpf,
            id,
            directory: directory.to_owned(),
        };
        if let Err(error) = sampler.begin(sampling()) {
            take_off(directory)?;
            return Err(error);
        }
        Ok(sampler)
    }

    /// Until then nothing is copied.
    fn begin(&mut self, sampling: Sampling) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("SAMPLING").ok_or(KernelError::Missing("SAMPLING"))?;
        let mut map: Array<_, Plain<Sampling>> = Array::try_from(map).map_err(map_error)?;
        map.set(0, Plain(sampling), 0).map_err(map_error)
    }

    /// Of the program.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Puts the balancer back, and hands out what was sampled.
    ///
    /// # Errors
    /// When the kernel refuses; the links are looked after like any that have
    /// another program.
    pub fn take_off(mut self) -> Result<Vec<Sampled>, KernelError> {
        take_off(&self.directory)?;
        let ring = self.ebpf.take_map("SAMPLES").ok_or(KernelError::Missing("SAMPLES"))?;
        let mut ring = RingBuf::try_from(ring).map_err(map_error)?;
        let mut sampled = Vec::new();
        while let Some(item) = ring.next() {
            sampled.extend(read(&item));
        }
        Ok(sampled)
    }
}

fn read(item: &[u8]) -> Option<Sampled> {
    let sample: Sample = bytemuck::try_pod_read_unaligned(item.get(..size_of::<Sample>())?).ok()?;
    let copied = (sample.copied as usize).min(SAMPLE_BYTES);
    Some(Sampled {
        frame_len: sample.frame_len,
        head: sample.bytes[..copied].to_vec(),
    })
}

/// A link that somebody put another program on is not ours to sample.
fn swap(directory: &Path, interface: &str) -> Result<(), KernelError> {
    let link = pins::link_path(directory, interface);
    let balancer = pins::open_program(&program_path(directory, "balancer"))?;
    let balancer = balancer.info().map_err(program_error)?.id();
    let facts = sys::link_facts(open_pin(&link)?.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
    if facts.program_id == balancer {
        upgrade::put_on(&link, &program_path(directory, PROGRAM))?;
    }
    Ok(())
}

/// The pin goes last: as long as it is there, a start looks after the links.
fn take_off(directory: &Path) -> Result<(), KernelError> {
    for interface in pins::held_links(directory).into_keys() {
        upgrade::put_on(
            &pins::link_path(directory, &interface),
            &program_path(directory, "balancer"),
        )?;
    }
    unpin(&program_path(directory, PROGRAM))
}

fn unpin(pin: &Path) -> Result<(), KernelError> {
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KernelError::call("unlink")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Ends a sample that was cut short by the end of its daemon.
///
/// # Errors
/// When the kernel refuses; the next start tries again.
pub fn settle(directory: &Path) -> Result<(), KernelError> {
    let pinned = program_path(directory, PROGRAM).exists();
    if !pinned || !program_path(directory, "balancer").exists() {
        return Ok(());
    }
    take_off(directory)?;
    event!(
        warn,
        SampleSettled,
        "a sample of the traffic was cut short: the balancer is on its links again"
    );
    Ok(())
}
