//! What can be typed, and what becomes of what cannot.

use clap::{CommandFactory, Parser};

use crate::cli::{
    args::{Cli, Format},
    error::Exit,
    usage_exit,
};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn definition_of_the_arguments_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_documented_command_parses() {
    let lines = "\
        holdfast status
        holdfast --socket /run/s status -o wide
        holdfast plan -f config.yaml
        holdfast plan -f config.yaml --remove vip/dns --remove backend/web/be5 --out p.plan --detailed-exitcode
        holdfast diff -f config.yaml
        holdfast diff --from 40
        holdfast diff --from 40 --to 41
        holdfast apply p.plan
        holdfast apply -f config.yaml -m why
        holdfast apply -f - --remove pool/x
        holdfast rollback
        holdfast rollback 40 -m why
        holdfast history -o yaml
        holdfast show 41
        holdfast show p.plan
        holdfast vip list
        holdfast vip show web4
        holdfast pool list
        holdfast pool show web
        holdfast backend list
        holdfast backend show web/be1
        holdfast attach lb0 lb1
        holdfast detach lb0
        holdfast why 198.51.100.7 40000 203.0.113.10 443 tcp -j
        holdfast why 2001:db8::7 40000 2001:db8::10 443 udp
        holdfast config check config.yaml
        holdfast config schema
        holdfast config init --environment lab --interface eth0
        holdfast bpf dump
        holdfast bpf verify
        holdfast journal list
        holdfast completions bash
        holdfast man --out /tmp
        holdfast agent run --interface eth0 --from 10.255.0.0/16 --pin-dir /sys/fs/bpf/a
        holdfast agent run --interface eth0 --from 10.255.0.0/16 --from 10.1.0.1/32 --pin-dir P --mode generic
        holdfast --no-color status";
    for line in lines.lines() {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn usage_errors_exit_with_64() {
    let lines = "\
        holdfast
        holdfast wipe-everything
        holdfast status --frobnicate
        holdfast status -o xml
        holdfast status -j -o yaml
        holdfast plan
        holdfast plan -f c.yaml --remove dns
        holdfast diff
        holdfast diff --to 41
        holdfast diff -f c.yaml --from 40
        holdfast apply
        holdfast apply p.plan -f c.yaml
        holdfast apply p.plan --remove vip/dns
        holdfast rollback latest
        holdfast attach
        holdfast backend show be1
        holdfast why 198.51.100.7 40000 203.0.113.10 443
        holdfast why 198.51.100.7 40000 203.0.113.10 443 icmp
        holdfast why 198.51.100.7 70000 203.0.113.10 443 tcp
        holdfast agent run --interface eth0 --pin-dir P
        holdfast agent run --interface eth0 --from 10.255.0.0 --pin-dir P
        holdfast vip";
    for line in lines.lines() {
        let error = parse(line).expect_err(line);
        assert_eq!(usage_exit(&error), Exit::Usage, "{line}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for line in [
        "holdfast --help",
        "holdfast apply --help",
        "holdfast vip -h",
        "holdfast --version",
    ] {
        let shown = parse(line).expect_err("clap hands help over as an error");
        assert_eq!(usage_exit(&shown), Exit::Done, "{line}");
    }
}

#[test]
fn help_of_a_command_begins_with_examples() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} says what it does");
        if command.has_subcommands() {
            command.get_subcommands().for_each(|below| check(below, &path));
        } else if path.split_whitespace().count() == 2 {
            let first = command.get_before_help().expect("it has examples").to_string();
            assert!(first.starts_with("Examples:\n  holdfast "), "{path}");
        }
    }
    check(&Cli::command(), "");
}

#[test]
fn short_j_is_json() {
    let format = |line| parse(line).expect("it parses").globals.format();
    assert_eq!(format("holdfast status -j"), Format::Json);
    assert_eq!(format("holdfast -o wide status"), Format::Wide);
    assert_eq!(format("holdfast status"), Format::Table);
}
