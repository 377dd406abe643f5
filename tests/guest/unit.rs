//! What systemd makes of a daemon by the package's unit, where there is no systemd.

use std::{os::unix::process::CommandExt as _, process::Command};

use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, mount_change},
    thread::{CapabilitySet, UnshareFlags, remove_capability_from_bounding_set, unshare_unsafe},
};

/// Capabilities of a daemon that the package's unit starts.
const OF_THE_UNIT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::PERFMON);

/// Mounts of its own, which follow the host's, and no more capabilities than those.
pub fn as_of_the_unit(command: &mut Command) {
    let depart = || {
        // SAFETY: the child has one thread, and nothing of this process depends on its mounts.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        // Root gets with an execve what the bounding set has.
        for capability in CapabilitySet::all().difference(OF_THE_UNIT).iter() {
            match remove_capability_from_bounding_set(capability) {
                // This kernel has none of that number.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    };
    // SAFETY: system calls and nothing else.
    unsafe { command.pre_exec(depart) };
}
