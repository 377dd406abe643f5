//! Why an interface that should have the program is not well.

use crate::{
    api::model::{Failure, InterfaceState},
    config::Interface,
    kernel::{KernelError, holders::Foreign},
    neighbours::Link,
};

/// What is wrong with an interface, and what that makes of it.
#[derive(Clone, Debug)]
pub struct Problem {
    pub state: InterfaceState,
    pub failure: Failure,
}

impl Problem {
    /// For people.
    pub fn message(&self) -> &str {
        &self.failure.message
    }

    /// The program stays where it is: packets of a renamed interface are still for
    /// the same VIPs.
    pub fn renamed(interface: &Interface, name: &str) -> Self {
        Self {
            state: InterfaceState::Renamed,
            failure: Failure {
                code: "HF3011".to_owned(),
                message: format!(
                    "{} is named {name} now: the program stays on it, and the next interface that is named {} takes over",
                    interface.name, interface.name
                ),
                fix: Some(format!(
                    "ip link set {name} name {}, or name it {name} in node.interfaces",
                    interface.name
                )),
                exit: 1,
            },
        }
    }

    /// Who holds it is looked up once: `known` is what was wrong a moment ago.
    pub fn taken(interface: &Interface, id: u32, known: Option<&Self>) -> Self {
        let head = format!("{}: another XDP program is attached: program {id} ", interface.name);
        let known = known.map(Self::message).filter(|known| known.starts_with(&head));
        let message = known.map_or_else(
            || {
                format!(
                    "{}: another XDP program is attached: {}. It is not replaced",
                    interface.name,
                    Foreign::of(id)
                )
            },
            str::to_owned,
        );
        failed(
            "HF3012",
            message,
            format!("stop what attached it, then it is attached by itself; bpftool prog show id {id}"),
        )
    }

    pub fn not_attached(interface: &Interface, why: &str) -> Self {
        failed(
            "HF3009",
            format!("{}: the program is not attached: {why}", interface.name),
            format!("ip link show {}; bpftool net", interface.name),
        )
    }

    /// It has the program, and no packets.
    pub fn down(interface: &Interface, link: &Link) -> Option<Self> {
        let down = || Self {
            state: InterfaceState::Down,
            ..failed(
                "HF3009",
                format!("{} is down: nothing comes in there", interface.name),
                format!("ip link show {}", interface.name),
            )
        };
        (!link.up).then(down)
    }
}

impl From<KernelError> for Problem {
    fn from(error: KernelError) -> Self {
        Self {
            state: InterfaceState::NotAttached,
            failure: error.into(),
        }
    }
}

fn failed(code: &str, message: String, fix: String) -> Problem {
    Problem {
        state: InterfaceState::NotAttached,
        failure: Failure {
            code: code.to_owned(),
            message,
            fix: Some(fix),
            exit: 1,
        },
    }
}
