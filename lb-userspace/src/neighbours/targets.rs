//! What is looked for: the backends of a configuration.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    config::{Config, Encap, NextHop},
    revision::BackendId,
};

/// The backends of a configuration, and the interfaces they may be behind. Made
/// once for a generation: a look happens every second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    pub(super) interfaces: BTreeSet<String>,
    pub(super) backends: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub id: BackendId,
    pub address: IpAddr,
    /// By the configuration; nobody is asked then.
    pub given: Option<NextHop>,
    /// No gateway may be between: the pool's packets keep their addresses.
    pub on_link: bool,
}

impl Targets {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let backends = config.pools.iter().flat_map(|pool| {
            pool.backends.iter().map(|backend| Target {
                id: BackendId {
                    pool: pool.name.clone(),
                    backend: backend.name.clone(),
                },
                address: backend.address,
                given: backend.next_hop.clone(),
                on_link: match pool.encap {
                    Encap::L2 => true,
                    Encap::Ipip | Encap::Gue => false,
                },
            })
        });
        Self {
            interfaces: config.node.interfaces.iter().map(|ours| ours.name.clone()).collect(),
            backends: backends.collect(),
        }
    }
}
