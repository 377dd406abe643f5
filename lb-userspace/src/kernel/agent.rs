//! The agent in the real kernel.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{maps::Array, programs::Xdp};
use lb_common::abi::agent::Peers;

use super::{
    KernelError,
    pins::{self, AGENT, Plain, link_path, map_error, map_path, open_map, program_error},
};
use crate::config::XdpMode;

/// The agent's program and the map that says whom it trusts.
pub struct PinnedAgent {
    directory: PathBuf,
    program: Xdp,
    /// Held where nobody else has it.
    _lock: Option<fs::File>,
}

impl PinnedAgent {
    /// Opens the pinned agent, or loads and pins it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        pins::make_directories(directory)?;
        let pin = directory.join("prog/agent");
        if !pin.exists() {
            let maps = ["PEERS", "AGENT_COUNTERS"].map(|name| (name, map_path(directory, name)));
            pins::load_and_pin(AGENT, "agent", &[], &directory.join("prog"), &maps)?;
        }
        let program = pins::open_program(&pin)?;
        Ok(Self {
            directory: directory.to_owned(),
            program,
            _lock: None,
        })
    }

    /// The same of a directory that no daemon has: what is pinned there is the
    /// daemon's, its agent's trust, too.
    ///
    /// # Errors
    /// When one has it, or the kernel refuses.
    pub fn open_alone(directory: &Path) -> Result<Self, KernelError> {
        let lock = pins::lock(directory)?;
        Ok(Self {
            _lock: Some(lock),
            ..Self::open(directory)?
        })
    }

    /// That what is attached to an interface by a link pinned here is this agent.
    ///
    /// # Errors
    /// When it is another program: of a balancer, if its daemon does not run now.
    pub fn ensure_own_link(&self, interface: &str) -> Result<(), KernelError> {
        let path = link_path(&self.directory, interface);
        match pins::link_at(&path)? {
            Some(facts) if facts.program_id != self.program_id()? => Err(KernelError::OtherProgram {
                path,
                program: facts.program_id,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// When the map cannot be read.
    pub fn peers(&self) -> Result<Peers, KernelError> {
        let map: Array<_, Plain<Peers>> = Array::try_from(open_map(&self.directory, "PEERS")?).map_err(map_error)?;
        Ok(map.get(&0, 0).map_err(map_error)?.0)
    }

    /// # Errors
    /// When the map cannot be written.
    pub fn set_peers(&mut self, peers: &Peers) -> Result<(), KernelError> {
        let mut map: Array<_, Plain<Peers>> =
            Array::try_from(open_map(&self.directory, "PEERS")?).map_err(map_error)?;
        map.set(0, Plain(*peers), 0).map_err(map_error)
    }

    /// Attaches the agent and pins the link; a link that is there stays.
    ///
    /// # Errors
    /// As for the balancer.
    pub fn attach(&mut self, interface: &str, ifindex: u32, mode: XdpMode) -> Result<(), KernelError> {
        let pin = link_path(&self.directory, interface);
        match pins::link_at(&pin)? {
            Some(facts) if facts.ifindex == ifindex => return Ok(()),
            Some(_) => fs::remove_file(&pin).map_err(KernelError::call("unlink"))?,
            None => {}
        }
        pins::attach(&mut self.program, &self.directory, interface, ifindex, mode)
    }

    /// # Errors
    /// When the kernel does not say.
    pub fn program_id(&self) -> Result<u32, KernelError> {
        Ok(self.program.info().map_err(program_error)?.id())
    }
}
