//! Runs what a document says, in its order, on the machines of a site.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use super::{BALANCER, Block, Role, Way, ensure_shown};
use crate::{daemon::Outcome, machine::Machine, process::Process, terminal::Screen};

/// What stays works within this, and what is to end ends.
const SOON: Duration = Duration::from_secs(30);

/// A walk through documents. What stays, stays until it is dropped.
#[derive(Debug)]
pub struct Walk<'a> {
    /// Ended before their machines go.
    staying: Vec<Process>,
    machines: &'a BTreeMap<String, Machine>,
    last: Option<Outcome>,
    /// Commands that ran.
    pub ran: Vec<String>,
    /// Commands that did not, each with who runs it, or why nobody does.
    pub left: Vec<(String, Role)>,
}

impl<'a> Walk<'a> {
    #[must_use]
    pub const fn on(machines: &'a BTreeMap<String, Machine>) -> Self {
        Self {
            staying: Vec::new(),
            machines,
            last: None,
            ran: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Something runs that stays.
    #[must_use]
    pub const fn serves(&self) -> bool {
        !self.staying.is_empty()
    }

    /// Does what a block says.
    ///
    /// # Errors
    /// If a command ends otherwise than it should, or prints something else.
    pub fn take(&mut self, block: &Block) -> Result<()> {
        match &block.role {
            Role::Commands { on, user, exit, way } => {
                let commands = block.commands();
                ensure!(!commands.is_empty(), "a fence without a command");
                for machine in self.chosen(on)? {
                    for command in &commands {
                        println!("{}: {command}", user.as_deref().unwrap_or(machine.name()));
                        self.command(machine, user.as_deref(), command, *exit, way)
                            .with_context(|| format!("{} on {}", command, machine.name()))?;
                    }
                }
                self.ran.extend(commands);
            }
            Role::Elsewhere(_) | Role::Unrun(_) => {
                let commands = block.commands().into_iter();
                self.left.extend(commands.map(|command| (command, block.role.clone())));
            }
            Role::File(name) => fs::write(self.machine(BALANCER)?.home().join(name), &block.text)?,
            Role::Shown => {
                let last = self.last.as_ref().context("no command ran before")?;
                ensure_shown(&block.text, &last.said())?;
            }
            Role::Example if block.is_configuration() => self.check(&block.text)?,
            Role::Example => {}
        }
        Ok(())
    }

    /// A configuration that is shown is one.
    fn check(&self, text: &str) -> Result<()> {
        let machine = self.machine(BALANCER)?;
        fs::write(machine.home().join("example.yaml"), text)?;
        let outcome = machine.run("holdfast config check example.yaml")?;
        ensure!(outcome.code == Some(0), "{}", outcome.said());
        Ok(())
    }

    fn machine(&self, name: &str) -> Result<&'a Machine> {
        self.machines.get(name).with_context(|| format!("no machine {name}"))
    }

    fn chosen(&self, on: &str) -> Result<Vec<&'a Machine>> {
        if on == "backends" {
            return Ok(self
                .machines
                .values()
                .filter(|machine| machine.name() != BALANCER)
                .collect());
        }
        Ok(vec![self.machine(on)?])
    }

    fn command(&mut self, machine: &Machine, user: Option<&str>, command: &str, exit: i32, way: &Way) -> Result<()> {
        ensure!(
            user.is_none() || *way == Way::Ends,
            "only root's commands stay, or are typed to"
        );
        match way {
            Way::Ends => {
                let outcome = match user {
                    Some(user) => machine.run_as(user, command)?,
                    None => machine.run(command)?,
                };
                println!("{}", outcome.said());
                ensure!(
                    outcome.code == Some(exit),
                    "it ended with {:?}, not {exit}\n{}",
                    outcome.code,
                    outcome.said()
                );
                self.last = Some(outcome);
                Ok(())
            }
            Way::Stays(until) => {
                let mut process = machine.start(command)?;
                process.wait_ready(until, SOON, || {
                    machine.run(until).is_ok_and(|outcome| outcome.code == Some(0))
                })?;
                self.staying.push(process);
                Ok(())
            }
            Way::Keys { keys, after } => {
                let mut screen = Screen::open(&machine.shell(&format!("exec {command}")))?;
                screen.wait_for(after)?;
                screen.press(keys.as_bytes())?;
                let ended = screen.ended(SOON)?;
                if ended.code() != Some(exit) {
                    bail!("it ended with {ended}\n{}", screen.text());
                }
                Ok(())
            }
        }
    }
}
