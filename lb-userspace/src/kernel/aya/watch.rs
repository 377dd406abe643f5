//! What somebody else changed of the balancer's, and putting it right.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use aya::maps::ProgramArray;

use super::{
    super::{
        KernelError, chunks,
        held::Held,
        pins::{self, map_error, map_path, open_map, program_error, program_path},
        sys,
    },
    AGENT_MAPS, CALLED, KernelBalancer, MAPS, PROGRAM_PINS,
};

/// All that is held: maps, and programs.
fn names() -> impl Iterator<Item = String> {
    let maps = MAPS.iter().chain(&AGENT_MAPS).map(|name| format!("maps/{name}"));
    maps.chain(PROGRAM_PINS.iter().map(|name| format!("prog/{name}")))
}

/// Programs by their index in PROGRAMS.
pub type Called = [Option<u32>; CALLED.len()];

pub(super) fn hold(directory: &Path) -> Result<Held, KernelError> {
    Held::hold(directory, names())
}

/// Of the pins of chunks.
#[derive(Debug)]
pub enum ChunkPins {
    /// All are there; these were not.
    Whole { again: Vec<u32> },
    /// Some are not. Only root finds a map by its id (EPERM), and nobody one that is gone.
    Lost(io::Error),
}

impl KernelBalancer {
    /// Pins again what somebody unpinned, the directory of all of it included, and
    /// says what that was.
    ///
    /// # Errors
    /// When the kernel refuses, as where the bpffs is gone.
    pub fn pin_again(&mut self) -> Result<Vec<String>, KernelError> {
        let again = self.held.pin_again(&self.directory)?;
        let locked = fs::metadata(&self.directory).map(|metadata| metadata.ino()).ok();
        if locked != self.lock.metadata().map(|metadata| metadata.ino()).ok() {
            // The lock is on a directory that nobody finds any more.
            self.lock = pins::lock(&self.directory)?;
        }
        Ok(again)
    }

    /// Pins chunks of `installed` again that are not pinned, if they can be found by their
    /// id.
    ///
    /// # Errors
    /// When the directory cannot be read, or the kernel has another reason.
    pub fn pin_chunks_again(&self, installed: &BTreeSet<u32>) -> Result<ChunkPins, KernelError> {
        let pinned = chunks::pinned(&self.directory)?;
        let lost: Vec<u32> = installed.difference(&pinned).copied().collect();
        for id in &lost {
            let chunk = match sys::map_by_id(*id) {
                Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                    return Ok(ChunkPins::Lost(error));
                }
                found => found.map_err(KernelError::call("BPF_MAP_GET_FD_BY_ID"))?,
            };
            chunks::pin(&self.directory, chunk.as_fd())?;
        }
        Ok(ChunkPins::Whole { again: lost })
    }

    /// The programs that the balancer calls now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn called(&self) -> Result<Called, KernelError> {
        let map = pins::open_pin(&map_path(&self.directory, "PROGRAMS"))?;
        let mut called = Called::default();
        for (index, id) in called.iter_mut().enumerate() {
            *id = sys::map_id_in_slot(map.as_fd(), index as u16).map_err(KernelError::call("BPF_MAP_LOOKUP_ELEM"))?;
        }
        Ok(called)
    }

    /// The programs that it is to call: the pinned ones.
    ///
    /// # Errors
    /// When one is not pinned.
    pub fn to_be_called(&self) -> Result<Called, KernelError> {
        let mut ids = Called::default();
        for (id, name) in ids.iter_mut().zip(CALLED) {
            let program = pins::open_program(&program_path(&self.directory, name))?;
            *id = Some(program.info().map_err(program_error)?.id());
        }
        Ok(ids)
    }

    /// Has the balancer call the pinned programs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn call_again(&self) -> Result<(), KernelError> {
        let map = open_map(&self.directory, "PROGRAMS")?;
        let mut programs = ProgramArray::try_from(map).map_err(map_error)?;
        for (index, name) in CALLED.iter().enumerate() {
            let program = pins::open_program(&program_path(&self.directory, name))?;
            let program = program.fd().map_err(program_error)?;
            programs.set(index as u32, program, 0).map_err(map_error)?;
        }
        Ok(())
    }
}
