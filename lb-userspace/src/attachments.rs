//! Which interfaces carry the program: attached before a switch that needs
//! them, detached after one that lets them go, and followed when they come and
//! go by themselves.

mod problem;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{
    agent::{Peers, PrefixV4, PrefixV6},
    node::{MAX_INTERFACES, Node},
};

pub use self::problem::Problem;
use crate::{
    agent,
    api::model::{Failure, InterfaceState},
    config::{EncapSource, Interface},
    event,
    events::Event,
    failure,
    kernel::{KernelError, sys::LinkFacts},
    neighbours::{Link, Resolution},
    serving::{Served, Serving},
};

/// When links were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Before the writer's lock was had: something may have been attached since.
    Before,
    /// Under the lock.
    Now,
}

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
            self.keep_links()?;
            if let Err(problem) = self.attach(interface, resolution, Looked::Before) {
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
                    return Err(problem.failure);
                }
                self.note_problem(&interface.name, Some(problem));
            }
        }
        Ok(())
    }

    /// Attaches what should be attached and is not: interfaces that came back,
    /// or links that somebody detached. Tells how many it attached.
    pub fn tend_interfaces(&mut self, resolution: &Resolution, looked: Looked) -> usize {
        let Some(served) = self.served.take() else {
            return 0;
        };
        let mut attached = 0;
        for interface in wanted(&served) {
            // Without its pin our own link looks like somebody else's. The sentinel says why it
            // cannot be pinned, and tries again.
            if self.keep_links().is_err() {
                break;
            }
            let problem = match self.attach(interface, resolution, looked) {
                Ok(again) => {
                    attached += usize::from(again);
                    let link = resolution.links.get(&interface.name);
                    link.and_then(|link| {
                        self.sentinel.carries(&interface.name, link.ifindex);
                        Problem::down(interface, link)
                    })
                }
                Err(problem) => Some(problem),
            };
            self.note_problem(&interface.name, problem);
        }
        self.served = Some(served);
        self.settle_interfaces(resolution);
        attached
    }

    /// Says once what is new of an interface.
    fn note_problem(&mut self, interface: &str, problem: Option<Problem>) {
        let message = problem.as_ref().map(Problem::message);
        let known = self.problems.get(interface).map(Problem::message);
        if known != message {
            if let Some(problem) = message {
                event!(error, NotAttached, interface, problem, "interface");
            } else {
                event!(info, InterfaceWell, interface, "interface is well again");
            }
        }
        self.sentinel.interface_is(interface, message);
        match problem {
            Some(problem) => self.problems.insert(interface.to_owned(), problem),
            None => self.problems.remove(interface),
        };
    }

    /// Interfaces of `links` that have not the program of the link that should be there: one
    /// that was moved to another network namespace keeps its number and its program.
    #[must_use]
    pub fn has_strays(&self, links: &BTreeMap<String, Link>) -> bool {
        let mut wanted = self.served.iter().flat_map(wanted);
        wanted.any(|interface| {
            let facts = self.publisher.kernel().link(&interface.name).ok().flatten();
            let pair = facts.zip(links.get(&interface.name));
            pair.is_some_and(|(facts, link)| facts.ifindex == link.ifindex && self.is_stray(&facts, link))
        })
    }

    /// The link is on another interface than the one that has its number here.
    fn is_stray(&self, facts: &LinkFacts, link: &Link) -> bool {
        let kernel = self.publisher.kernel();
        // Both while one takes the other's place.
        let is_ours = |id| id == facts.program_id || kernel.is_balancer(id).unwrap_or(true);
        link.bare || link.xdp_program.is_some_and(|id| !is_ours(id))
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
        self.problems.retain(|name, _| stay.contains(name));
        self.sentinel.keep_interfaces(&stay);
        let kernel = self.publisher.kernel_mut();
        for name in kernel.linked_interfaces() {
            if stay.contains(&name) {
                continue;
            }
            match kernel.detach(&name) {
                Ok(()) => event!(info, Detached, interface = name, "detached"),
                Err(error) => event!(error, DetachFailed, interface = name, %error, "could not be detached"),
            }
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
    fn attach(&mut self, interface: &Interface, resolution: &Resolution, looked: Looked) -> Result<bool, Problem> {
        let name = &interface.name;
        let facts = self.publisher.kernel().link(name)?;
        let Some(link) = resolution.links.get(name) else {
            return Err(self.missing(interface, facts, resolution));
        };
        let Some(facts) = facts else {
            return self.put_on(interface, link).map(|()| true);
        };
        let stays = facts.ifindex == link.ifindex && (looked == Looked::Before || !self.is_stray(&facts, link));
        if stays {
            return self.keep_on(interface, link, &facts);
        }
        // A link cannot move.
        let lost = self.lost(interface, &facts, link);
        if let Some(found) = &lost {
            event!(
                warn,
                LinkLost,
                interface = name,
                was = facts.ifindex,
                is = link.ifindex,
                found,
                "the link was cut, or leads elsewhere; attaching anew"
            );
        }
        let forgotten = self.publisher.kernel_mut().forget_link(name);
        let done = forgotten
            .map_err(Problem::from)
            .and_then(|()| self.put_on(interface, link));
        if let Some(found) = lost {
            self.sentinel.note(Event::LinkLost, found, done.is_ok());
        }
        done.map(|()| true)
    }

    /// There is none of this name.
    fn missing(&self, interface: &Interface, facts: Option<LinkFacts>, resolution: &Resolution) -> Problem {
        let Some(facts) = facts.filter(|facts| facts.ifindex != 0) else {
            return Problem::not_attached(interface, "there is no such interface");
        };
        let kernel = self.publisher.kernel();
        let has_own = |name: &str| {
            let own = kernel.link(name).ok().flatten();
            own.is_some_and(|own| own.ifindex == facts.ifindex)
        };
        let mut links = resolution.links.iter();
        // In another network namespace the number is another's here, or nobody's.
        links
            .find(|(name, link)| link.ifindex == facts.ifindex && !has_own(name) && !self.is_stray(&facts, link))
            .map_or_else(
                || Problem::not_attached(interface, "it is in another network namespace"),
                |(name, _)| Problem::renamed(interface, name),
            )
    }

    /// How the program came off; `None`: that was said when it happened.
    fn lost(&self, interface: &Interface, facts: &LinkFacts, link: &Link) -> Option<String> {
        let name = &interface.name;
        let known = self.problems.get(name);
        if known.is_some_and(|known| known.state == InterfaceState::NotAttached) {
            return None;
        }
        Some(match (facts.ifindex, self.sentinel.carried(name)) {
            (0, Some(was)) if was == link.ifindex => format!("the program was taken off {name}"),
            (0, Some(_)) => format!("{name} was deleted, and made anew"),
            (0, None) => format!("the program was taken off {name}, or {name} was made anew, before the daemon began"),
            (was, _) if was == link.ifindex => {
                format!("{name} is another interface of the same number: the program is not on it")
            }
            (was, _) => format!("{name} is another interface: number {}, and was {was}", link.ifindex),
        })
    }

    /// Its link is where it should be: so are program and mode. Whether it had to be attached.
    fn keep_on(&mut self, interface: &Interface, link: &Link, facts: &LinkFacts) -> Result<bool, Problem> {
        let name = &interface.name;
        let kernel = self.publisher.kernel_mut();
        if !kernel.is_balancer(facts.program_id)? {
            event!(
                error,
                ProgramReplaced,
                interface = name,
                "another program than the pinned one; putting it on"
            );
            let renewed = kernel.renew_link(name);
            let found = format!("{name} had another program than the pinned one");
            // One that cannot be renewed is tried again each second.
            if renewed.is_ok() || !self.problems.contains_key(name) {
                self.sentinel.note(Event::ProgramReplaced, found, renewed.is_ok());
            }
            renewed?;
        }
        if link.xdp.is_none_or(|mode| mode == interface.mode) {
            return Ok(false);
        }
        // Another mode: off and on again, as the plan said.
        self.publisher.kernel_mut().detach(name)?;
        self.put_on_free(interface, link)?;
        Ok(true)
    }

    /// Attaches it, unless somebody else's program is there.
    fn put_on(&mut self, interface: &Interface, link: &Link) -> Result<(), Problem> {
        if let Some(id) = link.xdp_program
            && !self.publisher.kernel().is_balancer(id)?
        {
            return Err(Problem::taken(interface, id, self.problems.get(&interface.name)));
        }
        self.put_on_free(interface, link)
    }

    fn put_on_free(&mut self, interface: &Interface, link: &Link) -> Result<(), Problem> {
        let kernel = self.publisher.kernel_mut();
        kernel
            .attach(&interface.name, link.ifindex, interface.mode)
            .map_err(|error| Problem::not_attached(interface, &failure::chain(&error)))?;
        event!(
            info,
            Attached,
            interface = interface.name,
            ifindex = link.ifindex,
            "attached"
        );
        Ok(())
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
