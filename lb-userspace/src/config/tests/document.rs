//! docs/configuration.md tells the truth.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::{Code, parse, schema};

const DOCUMENT: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn every_code_has_its_row_and_no_other_is_there() {
    let rows: Vec<&str> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| HF"))
        .map(|row| &row[..4])
        .collect();
    let codes: Vec<String> = Code::ALL.iter().map(|code| code.to_string()[2..].to_owned()).collect();
    assert_eq!(rows, codes);
}

#[test]
fn every_key_of_the_schema_is_explained() {
    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = value["properties"].as_object() {
            found.extend(properties.keys().cloned());
        }
    }
    let schema = schema();
    let mut found = BTreeSet::new();
    keys(&schema, &mut found);
    for object in schema["$defs"].as_object().unwrap().values() {
        keys(object, &mut found);
    }
    assert!(found.len() > 15);
    for key in found {
        let explained = DOCUMENT
            .lines()
            .any(|line| line.starts_with("| `") && line.contains(&format!("{key}`")));
        assert!(explained, "`{key}` has no row");
    }
}

#[test]
fn examples_are_configurations() {
    let examples: Vec<&str> = DOCUMENT
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse("docs/configuration.md", example).unwrap();
    }
}
