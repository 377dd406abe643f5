//! Values that are stored as they are written.

use serde::{Deserialize, Serialize};

use super::{MacAddr, Milliseconds, ObjectName, Percent, Seconds, Statuses, Subject};

/// Serializes a type by its text.
macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
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
    )+};
}

serde_as_text!(MacAddr, ObjectName, Seconds, Subject, Milliseconds, Percent, Statuses);
