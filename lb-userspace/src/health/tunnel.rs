//! Takes checks the way their backend's traffic goes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use lb_common::abi::member::Member;

/// Whose packets these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wayfarer {
    pub source: IpAddr,
    /// As IP numbers it.
    pub protocol: u8,
    /// The source port; the id of an echo request.
    pub port: u16,
}

pub struct Tunnel {
    mark: u32,
    members: Mutex<HashMap<Wayfarer, Member>>,
}

impl Tunnel {
    /// Of the sockets whose packets go through it.
    #[must_use]
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    pub fn register(&self, wayfarer: Wayfarer, member: Member) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(wayfarer, member);
    }
}
