//! Rules about `node`.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Judge, Seen};
use crate::config::{
    EncapSource, Interface, Node,
    file::{FileEncapSource, FileInterface, FileNode},
    limits::MAX_INTERFACES,
    place::Place,
    problem::Problem,
};

/// The node, and what other rules need of it.
pub struct JudgedNode {
    pub node: Option<Node>,
    /// Of `encapSource`, those that are well-formed.
    pub sources: Vec<(IpNet, Place)>,
}

pub fn node(judge: &mut Judge, file: &FileNode) -> JudgedNode {
    let interfaces = interfaces(judge, file);
    let mut sources = Vec::new();
    let encap_source = match &file.encap_source {
        Some(file) => encap_source(judge, file, &mut sources),
        None => Some(EncapSource::default()),
    };
    let hash_key_file = judge.path(&file.hash_key_file);
    JudgedNode {
        sources,
        node: encap_source
            .zip(hash_key_file)
            .map(|(encap_source, hash_key_file)| Node {
                interfaces,
                encap_source,
                hash_key_file,
                guard: file.guard.unwrap_or(false),
            }),
    }
}

fn encap_source(judge: &mut Judge, file: &FileEncapSource, sources: &mut Vec<(IpNet, Place)>) -> Option<EncapSource> {
    // Outer: judged without an error; inner: it is written.
    let v4: Option<Option<Ipv4Net>> = match &file.v4 {
        Some(text) => judge.prefix(text).map(|prefix| {
            sources.push((IpNet::V4(prefix), Place::of(text)));
            Some(prefix)
        }),
        None => Some(None),
    };
    let v6: Option<Option<Ipv6Net>> = match &file.v6 {
        Some(text) => judge.prefix(text).map(|prefix| {
            sources.push((IpNet::V6(prefix), Place::of(text)));
            Some(prefix)
        }),
        None => Some(None),
    };
    Some(EncapSource { v4: v4?, v6: v6? })
}

fn interfaces(judge: &mut Judge, file: &FileNode) -> Vec<Interface> {
    let written = &file.interfaces.value;
    if written.is_empty() {
        judge.refuse(
            Problem::NoneGiven("node.interfaces".to_owned(), "interface"),
            Place::of(&file.interfaces),
        );
    }
    judge.at_most("interfaces", MAX_INTERFACES, written, |interface| &interface.name);
    let mut seen = Seen::new();
    for interface in written {
        judge.unique_name(&mut seen, "interface", &interface.name);
    }
    written.iter().filter_map(|file| interface(judge, file)).collect()
}

fn interface(judge: &mut Judge, file: &FileInterface) -> Option<Interface> {
    let name = judge.interface_name(&file.name);
    let mode = judge.word_or_default("mode", file.mode.as_ref());
    Some(Interface {
        name: name?,
        mode: mode?,
    })
}
