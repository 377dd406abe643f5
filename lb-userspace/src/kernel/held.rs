//! What is pinned, held open: as long as a descriptor is held, what somebody
//! unpins can be pinned again.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use super::{
    KernelError, bpffs,
    pins::{self, inode},
    sys,
};

/// Pins of programs and maps, by their descriptors.
pub struct Held(Vec<Pin>);

struct Pin {
    /// Below the directory of the pins.
    name: String,
    object: OwnedFd,
    /// Of the pin: who removes a pin and makes another of the same name, makes
    /// another one.
    inode: Option<u64>,
}

impl Held {
    /// Holds those of `names` that are pinned.
    ///
    /// # Errors
    /// When a pin is there and cannot be opened.
    pub fn hold(directory: &Path, names: impl Iterator<Item = String>) -> Result<Self, KernelError> {
        let mut pins = Vec::new();
        for name in names {
            let path = directory.join(&name);
            match sys::open_pin(&path) {
                Ok(object) => pins.push(Pin {
                    name,
                    object,
                    inode: inode(&path),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(KernelError::call("BPF_OBJ_GET")(error)),
            }
        }
        Ok(Self(pins))
    }

    /// Pins again what is not where it was, and says what that was. Something else
    /// under its name is unpinned.
    ///
    /// # Errors
    /// When the kernel refuses; what comes after it is not looked at.
    pub fn pin_again(&mut self, directory: &Path) -> Result<Vec<String>, KernelError> {
        // Where it was unmounted, nothing is to be made on what lies below: no bpffs is
        // mounted over a directory that has something in it.
        bpffs::ensure(directory)?;
        // Those of others, as of chunks, are pinned into them, too.
        pins::make_directories(directory)?;
        let mut again = Vec::new();
        for pin in &mut self.0 {
            let path: PathBuf = directory.join(&pin.name);
            let found = inode(&path);
            if found.is_some() && found == pin.inode {
                continue;
            }
            if found.is_some() {
                fs::remove_file(&path).map_err(KernelError::call("unlink"))?;
            }
            sys::pin(pin.object.as_fd(), &path).map_err(KernelError::call("BPF_OBJ_PIN"))?;
            pin.inode = inode(&path);
            again.push(pin.name.clone());
        }
        Ok(again)
    }
}
