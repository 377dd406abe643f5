//! Rules about `node`.

use ipnet::Ipv4Net;

use super::{Judge, Seen};
use crate::config::{
    EncapSource, Interface, Node,
    file::{FileInterface, FileNode},
    limits::MAX_INTERFACES,
    place::Place,
    problem::Problem,
};

/// The node, and what other rules need of it.
pub struct JudgedNode {
    pub node: Option<Node>,
    pub source: Option<(Ipv4Net, Place)>,
}

pub fn node(judge: &mut Judge, file: &FileNode) -> JudgedNode {
    let interfaces = interfaces(judge, file);
    let source = judge.prefix(&file.encap_source.v4);
    let hash_key_file = judge.path(&file.hash_key_file);
    JudgedNode {
        source: source.map(|v4| (v4, Place::of(&file.encap_source.v4))),
        node: source.zip(hash_key_file).map(|(v4, hash_key_file)| Node {
            interfaces,
            encap_source: EncapSource { v4 },
            hash_key_file,
        }),
    }
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
