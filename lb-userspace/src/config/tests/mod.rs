//! Tests of the configuration: the contract, each rule, odd files, the schema.

mod document;
mod files;
mod health;
mod mutations;
mod protection;
mod rendering;
mod rules;
mod schema;
mod syntax;
mod values;

use super::{Code, ConfigErrors, parse};

/// The smallest configuration with everything in it, as outsiders write it.
pub const CONTRACT: &str = r#"apiVersion: holdfast/v1
environment: lab
node: { interfaces: [{ name: lb0, mode: native }], encapSource: { v4: 10.255.0.0/16 }, hashKeyFile: /var/lib/holdfast/hash.key }
pools: [{ name: web, encap: ipip, table: minmove, backends: [{ name: be1, address: 10.0.1.11, weight: 100,
          nextHop: { mac: "02:00:00:00:00:11", interface: lb0 } }] }]        # nextHop optional
vips:  [{ name: web4, address: 203.0.113.10, port: 443, protocol: tcp, pool: web }]
"#;

/// The contract with one part replaced, which must be there.
#[track_caller]
pub fn with(part: &str, replacement: &str) -> String {
    assert!(CONTRACT.contains(part), "the contract holds no `{part}`");
    CONTRACT.replacen(part, replacement, 1)
}

/// `one` of each number below `count`, one behind the other.
pub fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

#[track_caller]
pub fn refused(text: &str) -> ConfigErrors {
    match parse("test.yaml", text) {
        Ok(parsed) => panic!("taken, but should be refused: {parsed:?}"),
        Err(errors) => errors,
    }
}

/// Code, line and column of every error, in the order of the text.
#[track_caller]
pub fn errors_of(text: &str) -> Vec<(Code, u32, u32)> {
    let placed = |place: Option<super::place::Place>| place.map_or((0, 0), |place| (place.line, place.column));
    refused(text)
        .iter()
        .map(|error| (error.problem.code(), placed(error.place).0, placed(error.place).1))
        .collect()
}

/// The codes of every error, in the order of the text.
#[track_caller]
pub fn codes_of(text: &str) -> Vec<Code> {
    errors_of(text).into_iter().map(|(code, ..)| code).collect()
}
