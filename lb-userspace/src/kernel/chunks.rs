//! Pins of the chunks that are installed, by the id of their map.
//!
//! A slot of CHUNKS tells the id of its map, and only who has `CAP_SYS_ADMIN` gets
//! a map by its id (`BPF_MAP_GET_FD_BY_ID`). A daemon that has no more than it
//! needs (`CAP_BPF`, `CAP_NET_ADMIN`) reads back what is served by these pins.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use super::{KernelError, sys};

fn pin_of(directory: &Path, id: u32) -> PathBuf {
    directory.join("chunks").join(id.to_string())
}

/// Pins a chunk, if it is not.
pub fn pin(directory: &Path, chunk: BorrowedFd<'_>) -> Result<(), KernelError> {
    let id = sys::map_id(chunk).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
    match sys::pin(chunk, &pin_of(directory, id)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        pinned => pinned.map_err(KernelError::call("BPF_OBJ_PIN")),
    }
}

/// The chunk whose map has this id.
pub fn open(directory: &Path, id: u32) -> Result<OwnedFd, KernelError> {
    let by_id = || sys::map_by_id(id).map_err(KernelError::call("BPF_MAP_GET_FD_BY_ID"));
    match sys::open_pin(&pin_of(directory, id)) {
        // Somebody removed the pin, or put another map under its name: root finds
        // the map all the same.
        Ok(chunk) if sys::map_id(chunk.as_fd()).ok() != Some(id) => by_id(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => by_id(),
        opened => opened.map_err(KernelError::call("BPF_OBJ_GET")),
    }
}

/// Removes the pin of a chunk that no slot holds any more.
pub fn forget(directory: &Path, id: u32) -> Result<(), KernelError> {
    match fs::remove_file(pin_of(directory, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KernelError::call("unlink")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The chunks that are pinned, by their ids.
pub fn pinned(directory: &Path) -> Result<BTreeSet<u32>, KernelError> {
    let pins = fs::read_dir(directory.join("chunks")).map_err(KernelError::call("readdir"))?;
    let names = pins.filter_map(|pin| pin.ok()?.file_name().into_string().ok()?.parse().ok());
    Ok(names.collect())
}

/// Chunks that are pinned and not among these: a daemon ended between a pin and its
/// slot, or between a slot and its pin. They would keep their memory for good.
pub fn strays(directory: &Path, installed: &BTreeSet<u32>) -> Result<BTreeSet<u32>, KernelError> {
    Ok(pinned(directory)?.difference(installed).copied().collect())
}
