//! The documents that scripts rely on: what the contract names must be there,
//! under that name and of that type. More may be there.

use serde_json::{Value, json};

use super::Bench;

/// `found` has every key of `contract`, with a value of the same type; arrays
/// hold such elements, and objects with the key `*` such values.
fn assert_holds(found: &Value, contract: &Value, path: &str) {
    match (found, contract) {
        (Value::Object(found), Value::Object(contract)) => {
            for (key, expected) in contract {
                if key == "*" {
                    assert!(!found.is_empty(), "{path} is empty");
                    found
                        .iter()
                        .for_each(|(name, value)| assert_holds(value, expected, &format!("{path}.{name}")));
                } else {
                    let value = found.get(key).unwrap_or_else(|| panic!("{path}.{key} is missing"));
                    assert_holds(value, expected, &format!("{path}.{key}"));
                }
            }
        }
        (Value::Array(found), Value::Array(contract)) => {
            let Some(expected) = contract.first() else { return };
            assert!(!found.is_empty(), "{path} is empty");
            for value in found {
                assert_holds(value, expected, path);
            }
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => {}
        _ => panic!("{path} is {found}, not like {contract}"),
    }
}

#[tokio::test]
async fn status_holds_the_contract() {
    let contract = json!({
        "apiVersion": "", "kind": "", "environment": "", "generation": 0, "revision": 0, "digest": "", "inSync": true,
        "mode": "",
        "interfaces": [{"name": "", "ifindex": 0, "mode": "", "progId": 0}],
        "verdicts": {"*": {"packets": 0, "bytes": 0}},
        "vips": [{"name": "", "address": "", "port": 0, "protocol": "", "pool": "", "packets": 0, "bytes": 0}],
        "pools": [{"name": "", "tableDigest": "", "backends": [
            {"name": "", "address": "", "weight": 0, "state": "", "up": true, "packets": 0, "bytes": 0}]}],
    });
    let status = Bench::new().run(&["status", "-o", "json"]).await.json();
    assert_holds(&status, &contract, "status");
    assert_eq!(
        (&status["apiVersion"], &status["kind"]),
        (&json!("holdfast/v1"), &json!("Status"))
    );
    assert_eq!(status["mode"], "normal");
}

#[tokio::test]
async fn why_holds_the_contract() {
    let contract = json!({
        "kind": "", "vip": "", "pool": "", "slot": 0, "backend": "", "chain": [], "verdict": "", "generation": 0,
        "revision": 0,
    });
    let args = [
        "why",
        "198.51.100.7",
        "40000",
        "203.0.113.10",
        "443",
        "tcp",
        "-o",
        "json",
    ];
    let why = Bench::new().run(&args).await.json();
    assert_holds(&why, &contract, "why");
    assert_eq!((&why["kind"], &why["slot"]), (&json!("Why"), &json!(40_000)));
}

#[tokio::test]
async fn every_answer_is_one_document_on_one_line() {
    let bench = Bench::new();
    let commands: [(&[&str], &str); 13] = [
        (&["vip", "list"], "VipList"),
        (&["vip", "show", "web4"], "Vip"),
        (&["pool", "list"], "PoolList"),
        (&["pool", "show", "web"], "Pool"),
        (&["backend", "list"], "BackendList"),
        (&["backend", "show", "web/be1"], "Backend"),
        (&["history"], "History"),
        (&["show", "41"], "Generation"),
        (&["diff", "--from", "40"], "Diff"),
        (&["bpf", "dump"], "BpfDump"),
        (&["bpf", "verify"], "BpfVerify"),
        (&["journal", "list"], "Journal"),
        (&["journal", "verify"], "JournalVerify"),
    ];
    for (command, kind) in commands {
        let ran = bench.run(&[command, &["-j"]].concat()).await;
        assert_eq!(ran.out.lines().count(), 1, "{command:?}: {ran:?}");
        let document = ran.json();
        assert_eq!(
            (&document["apiVersion"], &document["kind"]),
            (&json!("holdfast/v1"), &json!(kind))
        );
    }
}

#[tokio::test]
async fn yaml_is_the_same_document() {
    let bench = Bench::new();
    let yaml = bench.run(&["status", "-o", "yaml"]).await.out;
    let parsed: Value = serde_saphyr::from_str(&yaml).expect("it is YAML");
    assert_eq!(parsed, bench.run(&["status", "-j"]).await.json());
}

#[tokio::test]
async fn failure_is_a_document_too() {
    let ran = Bench::new().run(&["show", "7", "-j"]).await;
    assert_eq!(ran.exit, 1);
    assert_eq!(
        (&ran.json()["kind"], &ran.json()["code"]),
        (&json!("Failure"), &json!("HF5004"))
    );
    assert!(ran.err.starts_with("error[HF5004]: "), "{}", ran.err);
}
