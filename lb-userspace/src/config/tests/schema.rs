//! The schema says what the parser does.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CONTRACT, with};
use crate::config::{
    Code,
    file::{
        FileAccess, FileApprovals, FileBackend, FileConfig, FileConfirm, FileDamping, FileDns, FileDrain,
        FileEncapSource, FileExec, FileHealth, FileHttp, FileIcmp, FileInterface, FileNextHop, FileNode, FilePool,
        FileProtection, FileRemovals, FileTcp, FileUdp, FileVelocity, FileVip,
    },
    parse, sample, schema,
};

/// The keys a struct's parser knows: those it names when it meets another.
fn keys_of<T: DeserializeOwned>() -> BTreeSet<String> {
    let error = serde_saphyr::from_str::<T>("noSuchKey: 1")
        .err()
        .expect("the key is unknown");
    let serde_saphyr::Error::SerdeUnknownField { expected, .. } = error.without_snippet() else {
        panic!("another error: {error}");
    };
    expected.iter().map(|key| (*key).to_owned()).collect()
}

fn object<'a>(schema: &'a Value, name: &str) -> &'a Value {
    if name.is_empty() {
        schema
    } else {
        &schema["$defs"][name]
    }
}

/// One without keys says nothing of them.
fn properties(object: &Value) -> serde_json::Map<String, Value> {
    object["properties"].as_object().cloned().unwrap_or_default()
}

#[test]
fn schema_lists_exactly_the_keys_the_parser_knows() {
    let schema = schema();
    let parsers = [
        ("", keys_of::<FileConfig>()),
        ("Node", keys_of::<FileNode>()),
        ("Interface", keys_of::<FileInterface>()),
        ("EncapSource", keys_of::<FileEncapSource>()),
        ("Pool", keys_of::<FilePool>()),
        ("Drain", keys_of::<FileDrain>()),
        ("Health", keys_of::<FileHealth>()),
        ("TcpCheck", keys_of::<FileTcp>()),
        ("HttpCheck", keys_of::<FileHttp>()),
        ("IcmpCheck", keys_of::<FileIcmp>()),
        ("UdpCheck", keys_of::<FileUdp>()),
        ("DnsCheck", keys_of::<FileDns>()),
        ("ExecCheck", keys_of::<FileExec>()),
        ("Velocity", keys_of::<FileVelocity>()),
        ("Damping", keys_of::<FileDamping>()),
        ("Backend", keys_of::<FileBackend>()),
        ("NextHop", keys_of::<FileNextHop>()),
        ("Vip", keys_of::<FileVip>()),
        ("Access", keys_of::<FileAccess>()),
        ("Protection", keys_of::<FileProtection>()),
        ("Removals", keys_of::<FileRemovals>()),
        ("Approvals", keys_of::<FileApprovals>()),
        ("Confirm", keys_of::<FileConfirm>()),
    ];
    for (name, keys) in &parsers {
        let object = object(&schema, name);
        let listed: BTreeSet<String> = properties(object).keys().cloned().collect();
        assert_eq!(listed, *keys, "{name}");
        assert_eq!(object["additionalProperties"], Value::Bool(false), "{name}");
        for (key, value) in &properties(object) {
            assert!(value["description"].is_string(), "{name}.{key} has no description");
        }
    }
    let objects = schema["$defs"]
        .as_object()
        .unwrap()
        .values()
        .filter(|def| def["type"] == "object");
    assert_eq!(
        objects.count() + 1,
        parsers.len(),
        "an object of the schema is not compared"
    );
}

#[test]
fn keys_the_schema_requires_are_those_the_parser_misses() {
    let schema = schema();
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    assert_eq!(required, ["apiVersion", "environment", "node", "pools", "vips"].into());
    let of = |name: &str| object(&schema, name)["required"].to_string();
    assert_eq!(of("Backend"), r#"["name","address"]"#);
    assert_eq!(of("Interface"), r#"["name"]"#);
    assert_eq!(of("Pool"), r#"["name","backends"]"#);
    assert_eq!(of("Vip"), r#"["name","address","port","protocol","pool"]"#);
    assert_eq!(of("Node"), r#"["interfaces","hashKeyFile"]"#);
    assert_eq!(of("NextHop"), r#"["mac","interface"]"#);
}

#[test]
fn ranges_of_the_schema_are_those_of_the_rules() {
    let schema = schema();
    for (object_name, key, written) in [("Backend", "weight", "weight: 100"), ("Vip", "port", "port: 443")] {
        let range = &object(&schema, object_name)["properties"][key];
        let (low, high) = (range["minimum"].as_i64().unwrap(), range["maximum"].as_i64().unwrap());
        let refused = |number: i64| {
            let parsed = parse("x", &with(written, &format!("{key}: {number}")));
            parsed.is_err_and(|errors| errors.code() == Code::NumberOutOfRange)
        };
        assert!(!refused(low) && !refused(high), "{key} {low} to {high}");
        assert!(refused(low - 1) && refused(high + 1), "{key} {low} to {high}");
    }
    assert_eq!(schema["properties"]["apiVersion"]["const"], "holdfast/v1");
    assert_eq!(schema["properties"]["pools"]["maxItems"], 1024);
    assert_eq!(schema["properties"]["vips"]["maxItems"], 16_384);
    assert_eq!(object(&schema, "Node")["properties"]["interfaces"]["minItems"], 1);
    assert_eq!(object(&schema, "Pool")["properties"]["backends"]["maxItems"], 2047);
}

#[test]
fn defaults_of_the_schema_are_those_of_the_parser() {
    let schema = schema();
    let default = |object_name: &str, key: &str| object(&schema, object_name)["properties"][key]["default"].to_string();
    let text = CONTRACT
        .replace("mode: native", &format!("mode: {}", default("Interface", "mode")))
        .replace("encap: ipip", &format!("encap: {}", default("Pool", "encap")))
        .replace(
            "table: minmove",
            &format!(
                "table: {}, drain: {{ idle: {}, deadline: {} }}",
                default("Pool", "table"),
                default("Drain", "idle"),
                default("Drain", "deadline")
            ),
        )
        .replace(
            "pool: web",
            &format!(
                "pool: web, affinity: {}, hash: {}",
                default("Vip", "affinity"),
                default("Vip", "hash")
            ),
        )
        .replace(
            "weight: 100",
            &format!(
                "weight: {}, state: {}",
                default("Backend", "weight"),
                default("Backend", "state")
            ),
        );
    let bare = CONTRACT
        .replace(", mode: native", "")
        .replace(", encap: ipip, table: minmove", "")
        .replace(", weight: 100", "");
    assert_eq!(parse("x", &text).unwrap(), parse("x", &bare).unwrap());
}

#[test]
fn sample_is_a_configuration() {
    let parsed = parse("sample.yaml", &sample("prod-ams", "eth0")).unwrap();
    assert_eq!(parsed.config.environment, "prod-ams");
    assert_eq!(parsed.config.node.interfaces[0].name, "eth0");
}

#[test]
fn sample_cannot_be_made_other_yaml_by_its_arguments() {
    let text = sample("a\nvips: []", "b\" }\n@ENVIRONMENT@");
    let codes: Vec<Code> = parse("x", &text)
        .unwrap_err()
        .iter()
        .map(|error| error.problem.code())
        .collect();
    assert_eq!(codes, [Code::NameInvalid, Code::InterfaceInvalid]);
}
