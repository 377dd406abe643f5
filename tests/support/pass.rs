//! An XDP program that passes everything, on the far ends of the balancer's
//! links.
//!
//! veth takes frames that XDP transmits or redirects only where the peer runs a
//! program too; without one they are lost, and nothing counts them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};

use crate::{netns::Namespace, offload};

/// Where `cargo xtask build` puts the rig's programs; `HOLDFAST_BPF_DIR` says
/// otherwise.
#[must_use]
pub fn object() -> PathBuf {
    std::env::var_os("HOLDFAST_BPF_DIR")
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf"),
            PathBuf::from,
        )
        .join("rig.o")
}

/// Attached programs; they go when this is dropped.
#[derive(Debug)]
pub struct PassPrograms {
    // Holds the links.
    _loaded: Ebpf,
}

impl PassPrograms {
    /// Attaches the program to interfaces of a namespace, in the driver.
    pub fn attach(namespace: &Namespace, interfaces: &[String]) -> Result<Self> {
        let path = object();
        let mut loaded =
            Ebpf::load_file(&path).with_context(|| format!("loading {}: run `cargo xtask build`", path.display()))?;
        let program: &mut Xdp = loaded
            .program_mut("pass")
            .context("rig.o has no program `pass`")?
            .try_into()?;
        program.load().context("loading the program `pass`")?;
        for interface in interfaces {
            namespace.run(|| {
                program
                    .attach(interface, XdpMode::Driver)
                    .with_context(|| format!("attaching to {interface}"))?;
                // veth turns GRO on with the first program; merged frames would
                // not be what the balancer sent.
                offload::turn_off(interface).with_context(|| format!("turning offloads of {interface} off"))
            })??;
        }
        Ok(Self { _loaded: loaded })
    }
}
