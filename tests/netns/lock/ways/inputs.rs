//! What takes something away if it is applied: files that somebody may write.

use super::site::REMOVED;

/// What is written otherwise, and how.
pub type Edit = (&'static str, fn(&str) -> String);

pub const FILES: [Edit; 34] = [
    ("nothing", |_| String::new()),
    ("no objects", |yaml| without_objects(yaml, "")),
    ("no objects, all named", |yaml| without_objects(yaml, ALL)),
    ("the VIP with streams gone", |yaml| gone(yaml, "web4", "vip/web4")),
    ("a quiet VIP gone", |yaml| gone(yaml, "raw4", "vip/raw4")),
    ("a VIP gone that was just added", |yaml| gone(yaml, "new4", "vip/new4")),
    ("a VIP gone, and not named", |yaml| dropped(yaml, "name: raw4,")),
    ("half of the file", |yaml| {
        yaml[..yaml.find("  - { name: http4").unwrap_or_default()].to_owned()
    }),
    ("a VIP at another port", |yaml| {
        yaml.replacen("port: 443, ", "port: 444, ", 1)
    }),
    ("a quiet VIP at another port", |yaml| {
        yaml.replacen("port: 9000, ", "port: 9001, ", 1)
    }),
    ("a VIP at another pool", |yaml| {
        yaml.replacen("protocol: tcp, pool: web", "protocol: tcp, pool: dns", 1)
    }),
    ("a VIP in maint", |yaml| {
        yaml.replacen("hash: fast", "hash: fast, state: maint", 1)
    }),
    ("a VIP hashed otherwise", |yaml| {
        yaml.replacen("hash: fast", "hash: siphash", 1)
    }),
    ("a VIP with another affinity", |yaml| {
        yaml.replacen("affinity: tuple", "affinity: source", 1)
    }),
    ("a backend gone", |yaml| backend_gone(yaml, "be1")),
    ("a backend elsewhere", |yaml| {
        let (before, after) = yaml.split_once("name: be1, address: \"").unwrap_or_default();
        let (_, after) = after.split_once('"').unwrap_or_default();
        format!("{before}name: be1, address: \"198.51.100.99\"{after}")
    }),
    ("a backend in maint", |yaml| {
        yaml.replacen("state: ready", "state: maint", 1)
    }),
    ("a backend drained", |yaml| {
        yaml.replacen("state: ready", "state: drain", 1)
    }),
    ("a backend without weight", |yaml| {
        yaml.replacen("weight: 100", "weight: 0", 1)
    }),
    ("a backend with hardly any", |yaml| {
        yaml.replacen("weight: 100", "weight: 1", 1)
    }),
    ("a backend with all the weight", |yaml| {
        yaml.replacen("weight: 100", "weight: 60000", 1)
    }),
    ("all backends without weight", |yaml| {
        yaml.replace("weight: 100", "weight: 0")
    }),
    ("all backends drained", |yaml| {
        yaml.replace("state: ready", "state: drain")
    }),
    ("a pool reached otherwise", |yaml| {
        yaml.replacen("encap: ipip", "encap: gue", 1)
    }),
    ("checks of a port where nobody is", |yaml| {
        yaml.replacen("encap: ipip", "encap: ipip\n    health: { tcp: { port: 1 } }", 1)
    }),
    ("drains of a second", |yaml| {
        yaml.replacen("encap: ipip", "encap: ipip\n    drain: { idle: 1s, deadline: 2s }", 1)
    }),
    ("another environment", |yaml| {
        yaml.replacen("environment: lab", "environment: production", 1)
    }),
    ("an interface in another mode", |yaml| {
        yaml.replacen("mode: native", "mode: generic", 1)
    }),
    ("no interface", |yaml| {
        dropped(yaml, "mode: native").replacen("interfaces:", "interfaces: []", 1)
    }),
    ("other outer addresses", |yaml| {
        yaml.replacen(
            "encapSource: { v4: 10.255.0.0/16",
            "encapSource: { v4: 10.254.0.0/16",
            1,
        )
    }),
    ("no approvals", |yaml| {
        yaml.replacen("remove: 2, drain: 1", "remove: 0, drain: 0", 1)
    }),
    ("no approvals, and a VIP gone", |yaml| {
        gone(yaml, "raw4", "vip/raw4").replacen("remove: 2, drain: 1", "remove: 0, drain: 0", 1)
    }),
    ("no protection", |yaml| {
        dropped(&dropped(yaml, "protection:"), "approvals:")
    }),
    ("other people", |yaml| {
        let access = "access: { admin: [\"uid:70011\"], approver: [\"uid:70011\", \"uid:70012\"] }";
        format!("{}{access}\n", dropped(yaml, "access:"))
    }),
];

const ALL: &str = "vip/web4, vip/http4, vip/raw4, vip/dns4, vip/web6, vip/http6, vip/new4, pool/web, pool/dns, \
     backend/web/be1, backend/web/be2, backend/web/be3, backend/web/be4, \
     backend/dns/be1, backend/dns/be2, backend/dns/be3, backend/dns/be4";

/// Without the lines that have this in them.
pub fn dropped(yaml: &str, words: &str) -> String {
    let left = yaml.lines().filter(|line| !line.contains(words));
    left.flat_map(|line| [line, "\n"]).collect()
}

/// Without a VIP, and it is named.
pub fn gone(yaml: &str, vip: &str, named: &str) -> String {
    naming(&dropped(yaml, &format!("name: {vip},")), named)
}

fn naming(yaml: &str, named: &str) -> String {
    yaml.replacen(REMOVED, &format!("{REMOVED}, {named}"), 1)
}

fn backend_gone(yaml: &str, name: &str) -> String {
    let line = yaml.lines().find(|line| line.contains(&format!("name: {name},")));
    let without = yaml.replacen(&format!("{}\n", line.unwrap_or_default()), "", 1);
    naming(&without, &format!("backend/web/{name}"))
}

fn without_objects(yaml: &str, named: &str) -> String {
    let (before, after) = yaml.split_once("pools:").unwrap_or_default();
    let (_, after) = after.split_once("protection:").unwrap_or_default();
    let text = format!("{before}pools: []\nvips: []\nprotection:{after}");
    if named.is_empty() { text } else { naming(&text, named) }
}
