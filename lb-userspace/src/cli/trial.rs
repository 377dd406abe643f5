//! `holdfast confirm|abort`, and waiting for one of them.

use std::{env, net::IpAddr, time::Duration};

use super::{
    args, change,
    error::{Error, Exit},
    terminal::Terminal,
};
use crate::{
    api::{client::Client, model::Applied},
    config::seconds::Seconds,
    neighbours,
};

/// Given to somebody who may lose the way to this host.
const FOR_SHELLS: Seconds = Seconds(120);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// The daemon may be restarted meanwhile.
const AWAY: u32 = 20;

pub(super) async fn confirm(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let confirmed = terminal.patiently("confirming", client.confirm()).await?;
    terminal.answer(&confirmed, |applied, _| applied.notes.join("\n"))?;
    Ok(Exit::Done)
}

pub(super) async fn abort(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let back = terminal.patiently("taking back", client.abort()).await?;
    terminal.answer(&back, change::applied_text)?;
    Ok(Exit::Done)
}

/// Until somebody ends the trial, or time does.
pub(super) async fn wait(applied: &Applied, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let mut away = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let status = match client.status().await {
            Ok(status) => status.body,
            Err(_) if away < AWAY => {
                away += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        away = 0;
        if status.generation != applied.generation {
            let back = status.taken_back.filter(|back| back.generation == applied.generation);
            let why = back.map_or_else(String::new, |back| format!(" ({})", back.cause));
            terminal.say(&format!(
                "generation {} was taken back{why}: serving generation {}",
                applied.generation, status.generation
            ))?;
            return Ok(Exit::RolledBack);
        }
        if status.trial.is_none() {
            terminal.say(&format!("generation {} is confirmed", applied.generation))?;
            return Ok(Exit::Done);
        }
    }
}

/// Whoever attaches the program to the interface of the own shell tries it first.
pub(super) async fn for_attach(args: &args::Interfaces, terminal: &mut Terminal<'_>) -> Result<args::Trial, Error> {
    let asked = args.trial;
    let Some(own) = shell_address(&env::var("SSH_CONNECTION").unwrap_or_default()) else {
        return Ok(asked);
    };
    // Whether it is can only be guessed if the kernel does not answer.
    let Ok(carrying) = neighbours::carrying(own).await else {
        return Ok(asked);
    };
    let Some(interface) = carrying.filter(|interface| args.interfaces.contains(interface)) else {
        return Ok(asked);
    };
    let within = asked.confirm_within.unwrap_or(FOR_SHELLS);
    terminal.say(&format!(
        "▲ your shell comes in by {interface} ({own}): unless you run `holdfast confirm` within {within}, the program is \
         taken off again"
    ))?;
    Ok(args::Trial {
        confirm_within: Some(within),
        ..asked
    })
}

/// `SSH_CONNECTION` (ssh(1)): client address and port, server address and port.
fn shell_address(connection: &str) -> Option<IpAddr> {
    connection.split(' ').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::shell_address;

    #[test]
    fn own_address_of_a_shell_is_the_third_word() {
        assert_eq!(
            shell_address("198.51.100.7 50022 10.0.0.2 22"),
            Some("10.0.0.2".parse().expect("an address"))
        );
        assert_eq!(
            shell_address("2001:db8::7 50022 2001:db8::2 22"),
            Some("2001:db8::2".parse().expect("an address"))
        );
        assert_eq!(shell_address(""), None);
    }
}
