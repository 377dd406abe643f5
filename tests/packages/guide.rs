//! The documents' commands that need a package and systemd, as they are written,
//! under streams.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use support::{
    guest::Guest,
    guide::{self, Role, read},
    rig::Layout,
    topology::Shape,
};

use crate::host::{Host, SOON, ensure_progress, ensure_whole};

/// With the documents' names.
const PACKAGES: [(u32, &str); 2] = [(1, "holdfast_0.1.0-1_amd64.deb"), (2, "holdfast_0.1.0-2_amd64.deb")];

/// Ends the package, and with it everything that could be asked.
const LAST: &str = "dpkg --purge holdfast";

/// Commands of this level, in their order, with their places.
fn commands(document: &'static str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for block in read(document)? {
        if block.role == Role::Elsewhere("packages".to_owned()) {
            found.extend(block.commands().into_iter().map(|command| (block.place(), command)));
        }
    }
    Ok(found)
}

fn run(guest: &Guest, command: &str) -> Result<String> {
    println!("{command}");
    guest.must(&["sh", "-c", &format!("cd /srv && {command}")])
}

#[test]
fn commands_of_the_guide_that_need_a_package_break_no_connection() -> Result<()> {
    let host = Host::make(&Layout::of(Shape::OneArm, guide::BACKENDS))?;
    guide::number(&host.rig)?;
    let guest = host.boot()?;
    for (revision, name) in PACKAGES {
        let from = host.disk.path(&format!("/srv/holdfast_{revision}.deb"));
        fs::copy(from, host.disk.path(&format!("/srv/{name}")))?;
    }
    let mut commands_in_order = commands("docs/operating.md")?;
    let last = commands_in_order.pop().context("no command")?;
    ensure!(last.1 == LAST, "the guide ends with {last:?}");
    commands_in_order.extend(commands("docs/events.md")?);
    commands_in_order.push(last);

    let mut load = None;
    for (place, command) in &commands_in_order {
        let printed = run(&guest, command).with_context(|| place.clone())?;
        if command.starts_with("journalctl") {
            ensure!(printed.contains("switched"), "{place}: {printed}");
        }
        if load.is_none() && command.contains("enable --now") {
            ensure!(
                guest.unit("holdfastd", "ActiveState")? == "active",
                "{place}: it is not ready"
            );
            load = Some(host.open_streams().with_context(|| place.clone())?);
        }
        let Some(load) = &load else { continue };
        if command != LAST {
            guest
                .wait(SOON, &["holdfast", "status"])
                .with_context(|| place.clone())?;
        }
        ensure_progress(load, command).with_context(|| place.clone())?;
    }
    ensure_whole(&load.context("nothing ever served")?.stop()?)
}
