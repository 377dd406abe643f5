//! A host whose power goes: other kernels, a disk of its own, everything in memory
//! gone. Needs root, qemu, and the kernels that `cargo xtask test` unpacks.

mod reboot;
