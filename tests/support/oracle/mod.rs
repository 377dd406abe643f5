//! A second opinion on every packet.
//!
//! The oracle says what has to become of a frame: verdict, action and bytes.
//! It is written from the documentation (`docs/verdicts.md`, the flow hash and
//! the layout of published content as their modules describe them) and shares
//! no code with what it judges: headers are read and written by etherparse,
//! VIPs and next hops come from the configuration as the test wrote it, and
//! only the owner of a slot is read from published bytes.
//!
//! Its shape is another one too: the packet path asks cheap questions first;
//! the oracle goes through the rules in their order, one after the other.

mod hash;
mod outer;
mod rules;
mod site;
mod tables;
#[cfg(test)]
mod tests;

pub use self::{
    hash::FlowHash,
    site::{Backend, Interface, NextHop, Pool, Prefix, Site, Vip},
    tables::{Tables, Unreadable},
};

use self::rules::Ruling;

/// What the kernel does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Drop,
    Pass,
    /// Out of the interface it came in by.
    Tx,
    /// Out of the interface with this index.
    Redirect,
}

/// What becomes of a frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Fate {
    pub verdict: String,
    pub action: Action,
    /// The frame afterwards; as it came, unless it is forwarded.
    pub bytes: Vec<u8>,
}

/// Knows a balancer from outside: its configuration, its hash key, and who
/// owns which slot.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub site: Site,
    pub key: [u8; 32],
    pub tables: Tables,
}

impl Oracle {
    /// What has to become of `frame`, come in by the interface `ingress`.
    #[must_use]
    pub fn judge(&self, frame: &[u8], ingress: u32) -> Fate {
        match rules::rule(&self.site, frame) {
            Ruling::Settled(verdict) => Fate::unforwarded(verdict, frame),
            Ruling::Balance(packet) => self.balance(frame, &packet, ingress),
        }
    }

    /// The backend that owns a flow, by pool and hash.
    #[must_use]
    pub fn owner(&self, pool: &str, hash: FlowHash) -> Option<&Backend> {
        let name = self.tables.owner(pool, hash.slot())?;
        self.site
            .pool(pool)?
            .backends
            .iter()
            .find(|backend| backend.name == name)
    }

    fn balance(&self, frame: &[u8], packet: &rules::Balanced, ingress: u32) -> Fate {
        let hash = FlowHash::of(&packet.flow, &self.key);
        let Some(backend) = self.owner(&packet.pool, hash) else {
            return Fate::unforwarded("DropNoBackend", frame);
        };
        let Some(hop) = &backend.next_hop else {
            return Fate::unforwarded("DropNoNextHop", frame);
        };
        if self.site.encap_source.contains(packet.flow.source) {
            return Fate::unforwarded("DropLoop", frame);
        }
        let egress = self.site.interface(&hop.interface);
        let outer_length = usize::from(packet.total_length) + outer::IPV4_BYTES;
        if outer_length > usize::from(egress.mtu) {
            return Fate::unforwarded("DropTooBig", frame);
        }
        let bytes = outer::encapsulate(frame, packet, backend, hop, egress, self.site.encap_source, hash);
        // Whoever is not one of ours stands for the first of ours.
        let came_by = self.site.interfaces.iter().find(|ours| ours.ifindex == ingress);
        let came_by = came_by.unwrap_or(&self.site.interfaces[0]);
        let back = self.site.interfaces.len() == 1 || came_by.ifindex == egress.ifindex;
        let (verdict, action) = if back {
            ("ForwardTx", Action::Tx)
        } else {
            ("ForwardRedirect", Action::Redirect)
        };
        Fate {
            verdict: verdict.to_owned(),
            action,
            bytes,
        }
    }
}

impl Fate {
    /// A frame that stays as it came: passed or dropped, as its verdict says.
    fn unforwarded(verdict: &str, frame: &[u8]) -> Self {
        let action = if verdict.starts_with("Pass") {
            Action::Pass
        } else {
            Action::Drop
        };
        Self {
            verdict: verdict.to_owned(),
            action,
            bytes: frame.to_owned(),
        }
    }
}

impl std::fmt::Debug for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}), {} bytes:", self.verdict, self.action, self.bytes.len())?;
        for (at, line) in self.bytes.chunks(16).enumerate() {
            write!(f, "\n  {:04x} ", at * 16)?;
            for byte in line {
                write!(f, " {byte:02x}")?;
            }
        }
        Ok(())
    }
}
