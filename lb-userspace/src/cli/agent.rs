//! `holdfast agent run`: needs no daemon, and leaves none behind.

use std::{error::Error as _, io, path::PathBuf};

use serde::Serialize;

use super::{
    args,
    error::{Error, Exit},
    terminal::Terminal,
    text::fields,
};
use crate::{
    agent::{self, AgentError, AgentReport},
    api::model::{Document, Failure, Kind},
    config::XdpMode,
};

/// The agent that is attached.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    interface: String,
    ifindex: u32,
    mode: XdpMode,
    prog_id: u32,
    pin: PathBuf,
}

impl Kind for Agent {
    const KIND: &'static str = "Agent";
}

pub(super) fn agent(command: &args::Agent, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    match command {
        args::Agent::Run(args) => {
            let report = agent::run(&args.interface, &args.from, &args.pin_dir, args.mode.into())?;
            terminal.answer(&Document::new(described(report)), |agent, _| text(agent))?;
            Ok(Exit::Done)
        }
    }
}

fn described(report: AgentReport) -> Agent {
    let AgentReport {
        interface,
        ifindex,
        mode,
        program_id,
        pin,
    } = report;
    Agent {
        interface,
        ifindex,
        mode,
        prog_id: program_id,
        pin,
    }
}

fn text(agent: &Agent) -> String {
    fields([
        ("Interface", format!("{} (ifindex {})", agent.interface, agent.ifindex)),
        ("Mode", agent.mode.name().to_owned()),
        ("Prog id", agent.prog_id.to_string()),
        ("Pin", agent.pin.display().to_string()),
    ])
}

/// What the command line says of it; `message` has the root cause in it.
pub(super) fn failure(error: &AgentError, message: String) -> Failure {
    let (code, fix, exit) = match error {
        AgentError::Prefixes(_) => ("HF5002", None, Exit::Usage),
        AgentError::NoInterface(_) => ("HF5010", Some("ip link"), Exit::Failed),
        AgentError::Kernel(_) if is_permission_denied(error) => {
            ("HF5003", Some("run the command as root"), Exit::Denied)
        }
        AgentError::Kernel(_) => ("HF3001", None, Exit::Failed),
    };
    Failure {
        code: code.to_owned(),
        message,
        fix: fix.map(str::to_owned),
        exit: exit as u8,
    }
}

/// Some cause of it is `EPERM` or `EACCES`.
fn is_permission_denied(error: &AgentError) -> bool {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::PermissionDenied;
        }
        cause = at.source();
    }
    false
}
