//! Hosts with other kernels and a disk of their own: the power goes, and everything in memory with
//! it; LSM programs are attached. Needs root, qemu, and the kernels that `cargo xtask test` unpacks.

mod guard;
mod reboot;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result};
use support::vm::{kernel::Kernel, machine::Machine};

/// A machine with this kernel, for the length of a test; its kernel is told these words, too.
fn on(kernel: &Kernel, words: &str, test: impl FnOnce(&mut Machine) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let guest = Path::new(env!("CARGO_BIN_EXE_holdfast-guest"));
    let mut machine = Machine::new(kernel, guest)?.told(words);
    test(&mut machine).with_context(|| format!("on {}", kernel.release()))?;
    println!("{}: {:.1} s", kernel.release(), begun.elapsed().as_secs_f64());
    Ok(())
}
