//! How large the programs are, and what the verifier had to follow.

use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::ProgramInfo;
use holdfast::kernel::aya::PROGRAM_PINS;
use serde::Serialize;

use crate::goals::{self, Goal};

/// Bytes of one BPF instruction.
const INSTRUCTION: u32 = 8;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramFacts {
    pub name: String,
    /// Instructions the verifier followed until it was content.
    pub verified: u32,
    pub verified_goal: Option<Goal>,
    /// Instructions once map lookups were inlined.
    pub translated: u32,
    pub translated_goal: Option<Goal>,
    /// Bytes of machine code.
    pub machine_bytes: u32,
}

/// The programs pinned below `directory`; only the fast path has goals.
pub fn of_site(directory: &Path) -> Result<Vec<ProgramFacts>> {
    let facts = |name: &str| of_pin(name, &directory.join("prog").join(name));
    let mut balancer = facts("balancer")?;
    balancer.verified_goal = Some(goals::of_verified(balancer.verified));
    balancer.translated_goal = Some(goals::of_translated(balancer.translated));
    let others = PROGRAM_PINS.iter().filter(|name| **name != "balancer");
    let others = others.map(|name| facts(name)).collect::<Result<Vec<_>>>()?;
    Ok([vec![balancer], others].concat())
}

pub fn of_pin(name: &str, path: &Path) -> Result<ProgramFacts> {
    let program = ProgramInfo::from_pin(path).with_context(|| format!("opening {}", path.display()))?;
    let unknown = "the kernel does not say how large a program is";
    Ok(ProgramFacts {
        name: name.to_owned(),
        verified: program.verified_instruction_count().context(unknown)?,
        verified_goal: None,
        translated: program.size_translated().context(unknown)? / INSTRUCTION,
        translated_goal: None,
        machine_bytes: program.size_jitted(),
    })
}
