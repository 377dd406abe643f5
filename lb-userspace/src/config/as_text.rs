//! Values that are stored as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    MacAddr, Milliseconds, ObjectName, Percent, Seconds, Statuses, Subject,
    limits::{MAC_PATTERN, MILLISECONDS_PATTERN, PERCENT_PATTERN, SECONDS_PATTERN, STATUSES_PATTERN, SUBJECT_PATTERN},
};

/// Of any object; whether one may have that name is the rules' business.
const OBJECT_NAME_PATTERN: &str = "^((vip|pool)/[^/]+|backend/[^/]+/[^/]+)$";

/// Serializes a type by its text, of which its schema tells the pattern.
macro_rules! serde_as_text {
    ($($name:ident: $pattern:expr),+ $(,)?) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )+};
}

serde_as_text!(
    MacAddr: MAC_PATTERN,
    Milliseconds: MILLISECONDS_PATTERN,
    ObjectName: OBJECT_NAME_PATTERN,
    Percent: PERCENT_PATTERN,
    Seconds: SECONDS_PATTERN,
    Statuses: STATUSES_PATTERN,
    Subject: SUBJECT_PATTERN,
);
