//! Every way to the daemon and every command, each with the worst that it takes,
//! by somebody whom nobody approves: what is served is never less.
//!
//! The lists are the product's own: a route or a command that is new, a key of a
//! body or an option that is, fails here until it says how it is tried.

mod commands;
mod glass;
mod inputs;
mod routes;
mod served;
mod site;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use clap::CommandFactory as _;
use holdfast::cli::args::Cli;
use serde_json::Value;
use support::api;

use self::{commands::COMMANDS, routes::ROUTES, served::More, site::Site};
pub use self::{
    inputs::dropped,
    site::{adding, digest_of, plan_of},
};
use super::people::{
    Person::{self, Ann, Root},
    ensure_flat,
};

#[test]
fn no_route_takes_anything_from_what_is_served_by_an_admins_word() -> Result<()> {
    tries_every_route(Ann)
}

#[test]
fn no_route_takes_anything_from_what_is_served_by_roots_word() -> Result<()> {
    tries_every_route(Root)
}

#[test]
fn no_command_takes_anything_from_what_is_served_by_an_admins_word() -> Result<()> {
    tries_every_command(Ann)
}

#[test]
fn no_command_takes_anything_from_what_is_served_by_roots_word() -> Result<()> {
    tries_every_command(Root)
}

fn tries_every_route(who: Person) -> Result<()> {
    let mut site = Site::build(who)?;
    let document = api::ask(site.socket(), "GET", "/v1/openapi.json", &Value::Null)?.body;
    let paths = document["paths"].as_object().context("paths")?;
    let mut known: BTreeSet<&str> = ROUTES.iter().map(|(path, _)| *path).collect();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().context("methods")? {
            if method == "get" {
                looks(&mut site, path)?;
                continue;
            }
            println!("== {method} {path}");
            let entry = ROUTES.iter().find(|(of, _)| of == path);
            let (_, tries) = entry.with_context(|| format!("{method} {path} is new: say how it is tried"))?;
            known.remove(path.as_str());
            site.tried.clear();
            tries(&mut site).with_context(|| format!("{method} {path}"))?;
            site.check(path, More::Nothing)?;
            for key in keys_of(&document, operation) {
                ensure!(site.tried.contains(&key), "{path}: {key} was not tried");
            }
        }
    }
    ensure!(known.is_empty(), "no routes any more: {known:?}");
    println!("{} refusals: {:?}", site.refused, site.codes);
    ensure_flat(site.load)
}

/// Every key that a body of this operation may have.
fn keys_of(document: &Value, operation: &Value) -> Vec<String> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')),
        None => Some(schema),
    };
    let keys = schema.and_then(|schema| schema["properties"].as_object());
    keys.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// What is asked by GET.
fn looks(site: &mut Site, path: &str) -> Result<()> {
    let waiting = if path.contains("{digest}") {
        digest_of(&site.removal()?)?
    } else {
        String::new()
    };
    let path = path.replace("{digest}", &waiting).replace("{number}", "1");
    let query = match path.as_str() {
        "/v1/why" => "?src=198.51.100.7&sport=1&dst=203.0.113.10&dport=443&proto=tcp",
        _ => "",
    };
    let answer = api::ask_as(
        site.who.uid(),
        site.socket(),
        "GET",
        &format!("{path}{query}"),
        &Value::Null,
    )?;
    ensure!(answer.is_success(), "GET {path}: {answer:?}");
    site.check(&format!("GET {path}"), More::Nothing)
}

fn tries_every_command(who: Person) -> Result<()> {
    let mut site = Site::build(who)?;
    let mut leaves = Vec::new();
    find_leaves(&Cli::command(), "", &mut leaves);
    let mut known: BTreeSet<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    for (name, options) in leaves {
        println!("== holdfast {name}");
        let entry = COMMANDS.iter().find(|(of, _)| *of == name);
        let (_, tries) = entry.with_context(|| format!("holdfast {name} is new: say how it is tried"))?;
        known.remove(name.as_str());
        site.tried.clear();
        tries.on(&mut site).with_context(|| format!("holdfast {name}"))?;
        site.check(&name, More::Nothing)?;
        for option in options {
            ensure!(
                site.tried.contains(&option),
                "holdfast {name}: --{option} was not tried"
            );
        }
    }
    ensure!(known.is_empty(), "no commands any more: {known:?}");
    println!("{} refusals: {:?}", site.refused, site.codes);
    ensure_flat(site.load)
}

/// All commands that have none below them, hidden ones too, and their options.
fn find_leaves(command: &clap::Command, before: &str, found: &mut Vec<(String, Vec<String>)>) {
    for sub in command.get_subcommands() {
        let name = format!("{before}{}", sub.get_name());
        if sub.has_subcommands() {
            find_leaves(sub, &format!("{name} "), found);
        } else {
            let own = sub.get_arguments().filter(|argument| !argument.is_global_set());
            let options = own.filter_map(clap::Arg::get_long).map(str::to_owned);
            found.push((name, options.collect()));
        }
    }
}
