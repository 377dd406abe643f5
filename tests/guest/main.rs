//! The first process of a virtual machine: mounts what there is to mount, builds
//! the rig's network, and does what it is asked over the serial line until the
//! power goes. If it ends, the kernel panics, which ends the machine.

mod attempts;
mod balancer;
mod boot;
mod unit;

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use support::vm::wire::{Answer, Request};

use crate::balancer::Balancer;

/// The second serial port; the first is the console.
const WIRE: &str = "/dev/ttyS1";

fn main() -> Result<ExitCode> {
    if env::args().nth(1).as_deref() == Some(attempts::WIPE) {
        return Ok(attempts::wipe_inherited());
    }
    boot::mount()?;
    let wire = boot::open_raw(WIRE)?;
    let mut requests = BufReader::new(wire.try_clone()?).lines();
    let prepared = boot::load_modules()
        .and_then(|()| boot::mount_disk())
        .and_then(|()| Balancer::build());
    let mut balancer = match prepared {
        Ok(balancer) => balancer,
        Err(error) => {
            say(&wire, &Answer::Failed(format!("{error:?}")))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    say(&wire, &Answer::Booted(boot::booted()?))?;
    while let Some(request) = requests.next().transpose()? {
        let request: Request = serde_json::from_str(&request).context(request)?;
        if let Request::ApplyWithoutEnd { first } = request {
            for weight in first.. {
                let applied = balancer.apply(weight, &["-o".to_owned(), "json".to_owned()]);
                answer(&wire, &balancer, applied.map(Answer::Ended))?;
            }
        }
        let answered = balancer.answer(request);
        answer(&wire, &balancer, answered)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(wire: &File, balancer: &Balancer, answered: Result<Answer>) -> Result<()> {
    let answer = answered.unwrap_or_else(|error| Answer::Failed(format!("{error:?}\n{}", balancer.log())));
    say(wire, &answer)
}

fn say(mut wire: &File, answer: &Answer) -> Result<()> {
    let line = format!("{}\n", serde_json::to_string(answer)?);
    Ok(wire.write_all(line.as_bytes())?)
}
