//! The balancer's links: attached, pinned, followed and taken off.

use std::{fs, os::fd::AsFd as _};

use super::{
    super::{
        KernelError, bpffs,
        pins::{self, HeldLink, inode, link_path, open_pin, program_error},
        sys,
    },
    KernelBalancer,
};
use crate::config::XdpMode;

impl KernelBalancer {
    /// Attaches the program and pins the link, so that it outlives us.
    ///
    /// # Errors
    /// When another program is attached (EBUSY), or the driver cannot do native
    /// XDP (EOPNOTSUPP): never replaced by generic mode silently.
    pub fn attach(&mut self, interface: &str, ifindex: u32, mode: XdpMode) -> Result<(), KernelError> {
        pins::attach(&mut self.program, &self.directory, interface, ifindex, mode)?;
        let pin = link_path(&self.directory, interface);
        let link = HeldLink {
            link: open_pin(&pin)?,
            inode: inode(&pin),
        };
        self.links.insert(interface.to_owned(), link);
        Ok(())
    }

    /// Takes the program off an interface and removes the pin.
    ///
    /// # Errors
    /// When there is no link of ours, or the kernel refuses.
    pub fn detach(&mut self, interface: &str) -> Result<(), KernelError> {
        let pin = link_path(&self.directory, interface);
        let link = open_pin(&pin)?;
        sys::detach_link(link.as_fd()).map_err(KernelError::call("BPF_LINK_DETACH"))?;
        self.links.remove(interface);
        fs::remove_file(&pin).map_err(KernelError::call("unlink"))
    }

    /// The pinned link of an interface; `None`: there is none.
    ///
    /// # Errors
    /// When the pin is not a link.
    pub fn link(&self, interface: &str) -> Result<Option<sys::LinkFacts>, KernelError> {
        pins::link_at(&link_path(&self.directory, interface))
    }

    /// Pins links again whose pins somebody removed or replaced, and says which.
    ///
    /// # Errors
    /// When one cannot be pinned.
    pub fn pin_links_again(&mut self) -> Result<Vec<String>, KernelError> {
        let mut again = Vec::new();
        for (interface, held) in &mut self.links {
            let pin = link_path(&self.directory, interface);
            let found = inode(&pin);
            if found.is_some() && found == held.inode {
                continue;
            }
            pins::make_directories(&self.directory)?;
            // Else our own link would be taken for one that leads elsewhere.
            if found.is_some() {
                fs::remove_file(&pin).map_err(KernelError::call("unlink"))?;
            }
            sys::pin(held.link.as_fd(), &pin).map_err(KernelError::call("BPF_OBJ_PIN"))?;
            held.inode = inode(&pin);
            again.push(format!("links/{interface}"));
        }
        Ok(again)
    }

    /// Puts the pinned program on a link that has another one: its pin was lost,
    /// and with it the way to what that program reads.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn renew_link(&self, interface: &str) -> Result<(), KernelError> {
        let link = open_pin(&link_path(&self.directory, interface))?;
        let program = self.program.fd().map_err(program_error)?;
        sys::update_link(link.as_fd(), program.as_fd()).map_err(KernelError::call("BPF_LINK_UPDATE"))
    }

    /// Interfaces with a pinned link of ours.
    #[must_use]
    pub fn linked_interfaces(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory.join("links")) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.map(|name| bpffs::interface_of(&name)).collect()
    }

    /// Forgets a link that is attached to nothing (its interface is gone).
    ///
    /// # Errors
    /// When the pin cannot be removed.
    pub fn forget_link(&mut self, interface: &str) -> Result<(), KernelError> {
        self.links.remove(interface);
        fs::remove_file(link_path(&self.directory, interface)).map_err(KernelError::call("unlink"))
    }
}
