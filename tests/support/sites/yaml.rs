//! A site as its configuration file.

use std::{fmt::Write as _, net::IpAddr, path::Path};

use etherparse::IpNumber;

use crate::config::UNPROTECTED;
use crate::oracle::{Affinity, Backend, Encap, Function, Pool, Prefix, Site, Vip};

/// The configuration file of a site.
#[must_use]
pub fn yaml(site: &Site, hash_key_file: &Path) -> String {
    let mut text = format!("apiVersion: holdfast/v1\nenvironment: lab\n{UNPROTECTED}\nnode:\n  interfaces:\n");
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all that is written");
    for interface in &site.interfaces {
        line(format!("    - {{ name: {} }}", interface.name));
    }
    let sources = [("v4", site.encap_source.v4), ("v6", site.encap_source.v6)];
    let sources: Vec<String> = sources
        .into_iter()
        .filter_map(|(family, prefix)| Some(format!("{family}: {}", in_prefix(prefix?))))
        .collect();
    if !sources.is_empty() {
        line(format!("  encapSource: {{ {} }}", sources.join(", ")));
    }
    line(format!("  hashKeyFile: {}\npools:", hash_key_file.display()));
    for Pool { name, encap, backends } in &site.pools {
        let encap = match encap {
            Encap::IpIp => "ipip",
            Encap::Gue => "gue",
            Encap::L2 => "l2",
        };
        line(format!("  - name: {name}\n    encap: {encap}\n    backends:"));
        for backend in backends {
            line(format!("      - {{ {} }}", in_pool(backend)));
        }
    }
    line("vips:".to_owned());
    for vip in &site.vips {
        line(format!("  - {{ {} }}", in_list(vip)));
    }
    text
}

fn in_prefix(Prefix { network, length }: Prefix) -> String {
    format!("\"{network}/{length}\"")
}

/// In quotes, where its colons would mean something.
fn in_quotes(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"{address}\""),
    }
}

fn in_pool(backend: &Backend) -> String {
    let Backend {
        name,
        address,
        weight,
        next_hop,
    } = backend;
    let next_hop = next_hop.as_ref().map_or_else(String::new, |hop| {
        let mac = hop.mac.map(|byte| format!("{byte:02x}")).join(":");
        format!(", nextHop: {{ mac: \"{mac}\", interface: {} }}", hop.interface)
    });
    let address = in_quotes(*address);
    format!("name: {name}, address: {address}, weight: {weight}{next_hop}")
}

fn in_list(vip: &Vip) -> String {
    let Vip {
        name,
        address,
        port,
        protocol,
        pool,
        affinity,
        hash,
        maint,
    } = vip;
    let address = in_quotes(*address);
    let protocol = if *protocol == IpNumber::TCP.0 { "tcp" } else { "udp" };
    // What is not said has its default.
    let affinity = match affinity {
        Affinity::Tuple => "",
        Affinity::Source => ", affinity: source",
    };
    let hash = match hash {
        Function::Fast => "",
        Function::SipHash => ", hash: siphash",
    };
    let state = if *maint { ", state: maint" } else { "" };
    format!("name: {name}, address: {address}, port: {port}, protocol: {protocol}, pool: {pool}{affinity}{hash}{state}")
}
