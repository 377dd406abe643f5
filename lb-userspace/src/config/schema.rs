//! The JSON Schema of the configuration file, for editors and other programs.
//!
//! It states keys, types, ranges and shapes. What ties objects to each other
//! (unique names, pools that exist) JSON Schema cannot say: `config check` does.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::file::FileConfig;

/// `anyOf` of an address.
pub fn address_formats() -> Value {
    json!([{ "format": "ipv4" }, { "format": "ipv6" }])
}

/// JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<FileConfig>()
        .to_value()
}
