//! Which interfaces carry the program: attached before a switch that needs
//! them, detached after one that lets them go, and followed when they come and
//! go by themselves.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{
    agent::{Peers, PrefixV4, PrefixV6},
    node::{MAX_INTERFACES, Node},
};

use crate::{
    agent,
    api::model::Failure,
    config::{EncapSource, Interface},
    event,
    events::Event,
    failure,
    kernel::{KernelError, holders::Foreign},
    neighbours::{Link, Resolution},
    serving::{Served, Serving},
};

impl Serving {
    /// Before a switch: says which interfaces are ours, and attaches those
    /// that are new.
    pub(crate) fn prepare_interfaces(&mut self, next: &Served, resolution: &Resolution) -> Result<(), Failure> {
        let wanted = wanted(next);
        // Until the switch both revisions hold.
        let mut node = ours(next, resolution);
        let mut peers = peers(&[&next.state.config().node.encap_source]);
        if let Some(served) = &self.served {
            node = both(node, ours(served, resolution));
            let sources = [
                &next.state.config().node.encap_source,
                &served.state.config().node.encap_source,
            ];
            peers = self::peers(&sources);
        }
        self.write_ours(&node, &peers)?;
        for interface in wanted {
            if let Err(problem) = self.attach(interface, resolution) {
                // An interface that was ours before may be away for a while:
                // it is followed. A new one must be there.
                let known = self.served.as_ref().is_some_and(|served| {
                    served
                        .state
                        .config()
                        .node
                        .interfaces
                        .iter()
                        .any(|known| known.name == interface.name)
                });
                if !known {
                    return Err(problem);
                }
                self.problems.insert(interface.name.clone(), problem.message);
            }
        }
        Ok(())
    }

    /// Attaches what should be attached and is not: interfaces that came back,
    /// or links that somebody detached. Tells how many it attached.
    pub fn tend_interfaces(&mut self, resolution: &Resolution) -> usize {
        let Some(served) = self.served.take() else {
            return 0;
        };
        let mut attached = 0;
        for interface in wanted(&served) {
            let problem = match self.attach(interface, resolution) {
                Ok(again) => {
                    attached += usize::from(again);
                    let link = resolution.links.get(&interface.name);
                    link.filter(|link| !link.up)
                        .map(|_| format!("{} is down: nothing comes in there", interface.name))
                }
                Err(failure) => Some(failure.message),
            };
            self.note_problem(&interface.name, problem);
        }
        self.served = Some(served);
        self.settle_interfaces(resolution);
        attached
    }

    /// Says once what is new of an interface.
    fn note_problem(&mut self, interface: &str, problem: Option<String>) {
        if self.problems.get(interface) == problem.as_ref() {
            return;
        }
        if let Some(problem) = problem {
            event!(error, NotAttached, interface, problem, "interface");
            self.problems.insert(interface.to_owned(), problem);
        } else {
            event!(info, InterfaceWell, interface, "interface is well again");
            self.problems.remove(interface);
        }
    }

    /// Interfaces of `links` whose program somebody took off.
    #[must_use]
    pub fn links_cut(&self, links: &BTreeMap<String, Link>) -> bool {
        let Some(served) = &self.served else {
            return false;
        };
        let kernel = self.publisher.kernel();
        let mut wanted = wanted(served).filter(|interface| links.contains_key(&interface.name));
        wanted.any(|interface| {
            let facts = kernel.link(&interface.name).ok().flatten();
            facts.is_some_and(|facts| facts.ifindex == 0)
        })
    }

    /// After a switch, or a failed one: NODE and PEERS are those of what
    /// is served, and the program goes off interfaces that are not ours any
    /// more, or that an operator detached.
    pub(crate) fn settle_interfaces(&mut self, resolution: &Resolution) {
        let Some(served) = &self.served else {
            return;
        };
        let source = &served.state.config().node.encap_source;
        let (node, peers) = (ours(served, resolution), peers(&[source]));
        // What is as it was is left to the sentinel, which says who changed it.
        if !self.sentinel.has_written(&node, &peers)
            && let Err(error) = self.write_ours(&node, &peers)
        {
            event!(error, MapNotWritten, %error, "NODE and PEERS could not be written");
        }
        let Some(served) = &self.served else {
            return;
        };
        let stay: BTreeSet<String> = wanted(served).map(|interface| interface.name.clone()).collect();
        let kernel = self.publisher.kernel_mut();
        for name in kernel.linked_interfaces() {
            if stay.contains(&name) {
                continue;
            }
            match kernel.detach(&name) {
                Ok(()) => event!(info, Detached, interface = name, "detached"),
                Err(error) => event!(error, DetachFailed, interface = name, %error, "could not be detached"),
            }
            self.problems.remove(&name);
        }
    }

    /// Says in the kernel what is ours.
    fn write_ours(&mut self, node: &Node, peers: &Peers) -> Result<(), KernelError> {
        let kernel = self.publisher.kernel_mut();
        kernel.set_node(node)?;
        kernel.set_peers(peers)?;
        self.sentinel.wrote(node, peers);
        Ok(())
    }

    /// Whether it had to be attached.
    fn attach(&mut self, interface: &Interface, resolution: &Resolution) -> Result<bool, Failure> {
        let known = self.problems.get(&interface.name).cloned();
        self.keep_links()?;
        let kernel = self.publisher.kernel_mut();
        let Some(link) = resolution.links.get(&interface.name) else {
            let ours = kernel.link(&interface.name)?.filter(|facts| facts.ifindex != 0);
            let mut links = resolution.links.iter();
            return Err(ours
                .and_then(|facts| links.find(|(_, link)| link.ifindex == facts.ifindex))
                .map_or_else(
                    || not_attached(interface, "there is no such interface"),
                    |(name, _)| renamed(interface, name),
                ));
        };
        let mut detached = false;
        match kernel.link(&interface.name)? {
            Some(facts) if facts.ifindex == link.ifindex => {
                if !kernel.is_balancer(facts.program_id)? {
                    event!(
                        error,
                        ProgramReplaced,
                        interface = interface.name,
                        "another program than the pinned one; putting it on"
                    );
                    kernel.renew_link(&interface.name)?;
                    let found = format!("{} had another program than the pinned one", interface.name);
                    self.sentinel.note(Event::ProgramReplaced, found, true);
                }
                if link.xdp.is_none_or(|mode| mode == interface.mode) {
                    return Ok(false);
                }
                // Another mode: off and on again, as the plan said.
                kernel.detach(&interface.name)?;
                detached = true;
            }
            // Its interface is gone or it was detached: a link cannot move.
            Some(facts) => {
                event!(
                    warn,
                    LinkLost,
                    interface = interface.name,
                    was = facts.ifindex,
                    is = link.ifindex,
                    "the link led elsewhere, or was cut; attaching anew"
                );
                kernel.forget_link(&interface.name)?;
                if facts.ifindex == 0 {
                    let found = format!("the program was taken off {}", interface.name);
                    self.sentinel.note(Event::LinkLost, found, true);
                }
            }
            None => {}
        }
        if let Some(id) = link.xdp_program.filter(|_| !detached)
            && !kernel.is_balancer(id)?
        {
            // Who holds it is looked up once.
            return Err(taken(interface, id, known));
        }
        match kernel.attach(&interface.name, link.ifindex, interface.mode) {
            Ok(()) => {
                event!(
                    info,
                    Attached,
                    interface = interface.name,
                    ifindex = link.ifindex,
                    "attached"
                );
                Ok(true)
            }
            Err(error) => Err(not_attached(interface, &failure::chain(&error))),
        }
    }
}

/// The configured interfaces that no operator detached.
fn wanted(served: &Served) -> impl Iterator<Item = &Interface> {
    let content = &served.state.state.content;
    let interfaces = content.config.node.interfaces.iter();
    interfaces.filter(|interface| !content.overrides.detached.contains(&interface.name))
}

/// ICMP errors that each CPU may send in a second (RFC 1812 §4.3.2.8 asks for a
/// limit): what is too big is dropped in any case, and one answer is enough for
/// a client.
const ANSWERS_PER_SECOND: u32 = 100;

fn ours(served: &Served, resolution: &Resolution) -> Node {
    let source = &served.state.config().node.encap_source;
    let mut ours = Node {
        source_v4: source.v4.map(agent::prefix_v4).unwrap_or_default(),
        source_v6: source.v6.map(agent::prefix_v6).unwrap_or_default(),
        answers_per_second: ANSWERS_PER_SECOND,
        ..Node::default()
    };
    let interfaces = served.state.config().node.interfaces.iter().take(MAX_INTERFACES);
    for (place, interface) in ours.ifindex.iter_mut().zip(interfaces) {
        *place = resolution.links.get(&interface.name).map_or(0, |link| link.ifindex);
    }
    ours
}

/// The interfaces of `first`, then those of `second` that are not among them. A
/// source that only `second` has goes on until it is gone.
fn both(first: Node, second: Node) -> Node {
    let more = second
        .ifindex
        .into_iter()
        .filter(|ifindex| !first.ifindex.contains(ifindex));
    let all = first.ifindex.into_iter().filter(|ifindex| *ifindex != 0).chain(more);
    let mut both = Node {
        ifindex: [0; MAX_INTERFACES],
        ..first
    };
    if first.source_v4 == PrefixV4::default() {
        both.source_v4 = second.source_v4;
    }
    if first.source_v6 == PrefixV6::default() {
        both.source_v6 = second.source_v6;
    }
    for (place, ifindex) in both.ifindex.iter_mut().zip(all) {
        *place = ifindex;
    }
    both
}

/// The agent pinned here takes what this balancer sends.
fn peers(sources: &[&EncapSource]) -> Peers {
    agent::peers(sources.iter().flat_map(|source| source.prefixes()))
}

/// The program stays where it is: packets of a renamed interface are still for
/// the same VIPs.
fn renamed(interface: &Interface, name: &str) -> Failure {
    Failure {
        code: "HF3011".to_owned(),
        message: format!(
            "{} is named {name} now: the program stays on it, and the next interface that is named {} takes over",
            interface.name, interface.name
        ),
        fix: Some(format!(
            "ip link set {name} name {}, or name it {name} in node.interfaces",
            interface.name
        )),
        exit: 1,
    }
}

fn taken(interface: &Interface, id: u32, known: Option<String>) -> Failure {
    let head = format!("{}: another XDP program is attached: program {id} ", interface.name);
    let message = known.filter(|known| known.starts_with(&head)).unwrap_or_else(|| {
        format!(
            "{}: another XDP program is attached: {}. It is not replaced",
            interface.name,
            Foreign::of(id)
        )
    });
    Failure {
        code: "HF3012".to_owned(),
        message,
        fix: Some(format!(
            "stop what attached it, then it is attached by itself; bpftool prog show id {id}"
        )),
        exit: 1,
    }
}

fn not_attached(interface: &Interface, why: &str) -> Failure {
    Failure {
        code: "HF3009".to_owned(),
        message: format!("{}: the program is not attached: {why}", interface.name),
        fix: Some(format!("ip link show {}; bpftool net", interface.name)),
        exit: 1,
    }
}
