//! The configuration that `config init` prints.

/// A commented configuration to begin with: VIPs in addresses for documentation
/// (RFC 5737, RFC 3849), backends in private ones. It passes all rules if `environment` and `interface` are
/// well-formed; they are quoted, so that no text can become other YAML.
pub fn sample(environment: &str, interface: &str) -> String {
    SAMPLE
        .replace("@ENVIRONMENT@", &quoted(environment))
        .replace("@INTERFACE@", &quoted(interface))
}

/// A double-quoted YAML scalar: JSON strings are a subset of them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const SAMPLE: &str = include_str!("sample.yaml");
