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

mod agent;
mod answer;
mod hash;
mod outer;
mod rules;
mod site;
mod tables;
#[cfg(test)]
mod tests;

pub use self::{
    agent::AgentOracle,
    hash::{Affinity, Flow, FlowHash, Function},
    site::{Backend, Encap, Interface, NextHop, Pool, Prefix, Site, Sources, Vip},
    tables::{Slot, Tables, Unreadable},
};

use self::{
    outer::Outer,
    rules::{Balanced, Ruling},
};

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
    /// The frame afterwards; as it came, unless it is forwarded or answered.
    pub bytes: Vec<u8>,
}

/// Knows a balancer from outside: its configuration, its hash key, and who
/// owns which slot.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub site: Site,
    pub key: [u8; 32],
    pub tables: Tables,
    /// One more ICMP error may be sent.
    pub may_answer: bool,
}

impl Oracle {
    /// What has to become of `frame`, come in by the interface `ingress`.
    #[must_use]
    pub fn judge(&self, frame: &[u8], ingress: u32) -> Fate {
        match rules::rule(&self.site, frame) {
            Ruling::Settled(verdict) => Fate::unchanged(verdict, frame),
            Ruling::Echo(packet) => Fate {
                verdict: "AnswerEcho".to_owned(),
                action: Action::Tx,
                bytes: answer::echo(frame, &packet),
            },
            Ruling::Balance(packet) => self.balance(frame, &packet, ingress),
        }
    }

    /// The hash that chooses the slot of a flow of this VIP.
    #[must_use]
    pub fn hash(&self, vip: &Vip, flow: &Flow) -> FlowHash {
        FlowHash::of(flow, vip.affinity, vip.hash, &self.key)
    }

    /// The backend that owns a slot.
    #[must_use]
    pub fn owner(&self, pool: &str, slot: u16) -> Option<&Backend> {
        let name = self.tables.owner(pool, slot)?;
        let mut backends = self.site.pool(pool)?.backends.iter();
        backends.find(|backend| backend.name == name)
    }

    fn balance(&self, frame: &[u8], balanced: &Balanced<'_>, ingress: u32) -> Fate {
        let Balanced { packet, vip, flow, .. } = balanced;
        if vip.maint {
            return Fate::unchanged("DropMaint", frame);
        }
        let hash = self.hash(vip, flow);
        let pool = self.site.pool(&vip.pool);
        let (Some(pool), Some(backend)) = (pool, self.owner(&vip.pool, hash.slot())) else {
            return Fate::unchanged("DropNoBackend", frame);
        };
        let Some(hop) = &backend.next_hop else {
            return Fate::unchanged("DropNoNextHop", frame);
        };
        let (encap, to) = (pool.encap, backend.address);
        let source = self.site.encap_source.towards(to);
        // Of another family, it cannot be what we sent to such a backend. Of an
        // ICMP error, the flow counts that it is about.
        if encap != Encap::L2 && source.is_some_and(|source| source.sends_from(flow.source)) {
            return Fate::unchanged("DropLoop", frame);
        }
        let egress = self.site.interface(&hop.interface);
        let overhead = outer::overhead(encap, to);
        if packet.length + overhead > usize::from(egress.mtu) {
            return self.too_big(frame, balanced, usize::from(egress.mtu) - overhead);
        }
        let bytes = match encap {
            Encap::L2 => outer::redirected(frame, hop, egress),
            Encap::IpIp | Encap::Gue => {
                let outer = Outer {
                    encap,
                    backend: to,
                    source: source.expect("a site has a source for the backends it encapsulates to"),
                    hop,
                    egress,
                    hash,
                };
                outer.around(frame, packet)
            }
        };
        let (verdict, action) = if ingress == egress.ifindex {
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

    /// The sender is told what fits, unless it sent an error itself (RFC 1122
    /// §3.2.2) or was told often enough.
    fn too_big(&self, frame: &[u8], balanced: &Balanced<'_>, fits: usize) -> Fate {
        let fits = u16::try_from(fits).expect("less than an MTU");
        let answer = (self.may_answer && !balanced.is_error)
            .then(|| answer::too_big(frame, &balanced.packet, fits))
            .flatten();
        match answer {
            Some(bytes) => Fate {
                verdict: "AnswerTooBig".to_owned(),
                action: Action::Tx,
                bytes,
            },
            None => Fate::unchanged("DropTooBig", frame),
        }
    }
}

impl Fate {
    /// A frame that stays as it came: passed or dropped, as its verdict says.
    fn unchanged(verdict: &str, frame: &[u8]) -> Self {
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
