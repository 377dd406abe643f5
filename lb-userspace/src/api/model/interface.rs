//! What `status` says of interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::XdpMode;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    pub name: String,
    /// 0: there is no such interface now.
    pub ifindex: u32,
    /// The mode really got; absent: not attached.
    pub mode: Option<XdpMode>,
    /// Of the program attached; 0: none of ours.
    pub prog_id: u32,
    /// Absent: all is well.
    #[serde(default, skip_serializing_if = "InterfaceState::is_well")]
    pub state: InterfaceState,
    /// Why it is in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How an interface is that the configuration names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// It has the program and is up.
    #[default]
    Well,
    /// An operator took the program off.
    Detached,
    /// It has the program, and another name.
    Renamed,
    /// It has the program, and is down.
    Down,
    /// It should have the program and does not.
    NotAttached,
}

impl InterfaceState {
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self == Self::Well
    }

    /// Packets come in there.
    #[must_use]
    pub const fn brings_packets(self) -> bool {
        match self {
            Self::Well | Self::Renamed => true,
            Self::Detached | Self::Down | Self::NotAttached => false,
        }
    }
}
