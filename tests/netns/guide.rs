//! The documents' commands, as they are written, in their order, on machines
//! that have the documents' names and addresses; under streams.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser as _, error::ErrorKind};
use holdfast::cli::args::Cli;
use support::{
    addresses::Family,
    config::STREAMS,
    guide::{Block, Role, Site, Walk, blocks, read},
    streams::{Load, LoadShape},
    topology::Topology,
};

/// References: their commands need a balancer that serves, and no order.
const REFERENCES: [&str; 4] = [
    "docs/configuration.md",
    "docs/metrics.md",
    "docs/events.md",
    "docs/recovery.md",
];

/// What a test of another level runs; it says so, too.
const LEVELS: [&str; 1] = ["packages"];

/// Documents that name commands in sentences.
const SENTENCES: [&str; 9] = [
    "README.md",
    "docs/approvals.md",
    "docs/configuration.md",
    "docs/events.md",
    "docs/failures.md",
    "docs/metrics.md",
    "docs/operating.md",
    "docs/recovery.md",
    "docs/refusals.md",
];

const OPEN: usize = 24;
const SOON: Duration = Duration::from_secs(20);

/// Streams to the guide's VIP, in both families where it has both.
struct Streams(Vec<Load>);

impl Streams {
    fn open(site: &Site) -> Result<Self> {
        let web6 = "[2001:db8::10]:443".parse()?;
        let targets = [(STREAMS.v4(), Family::V4), (web6, Family::V6)];
        let loads = targets.map(|(target, family)| {
            let shape = LoadShape::long_lived(target, Topology::client_addresses(family), OPEN);
            let load = Load::start(&site.rig.network.client, shape)?;
            load.wait(SOON, "open streams", |report| {
                report.open().filter(|record| record.backend.is_some()).count() == OPEN
            })?;
            Ok(load)
        });
        Ok(Self(loads.into_iter().collect::<Result<_>>()?))
    }

    /// None broke but those of this backend, and all of the others go on.
    fn ensure_unbroken(&self, but_of: Option<&str>) -> Result<()> {
        for load in &self.0 {
            let before = load.report();
            let report = load.wait(SOON, "streams that go on", |report| {
                let pairs = before.records.iter().zip(&report.records);
                let mut open = pairs.filter(|(_, after)| after.ending.is_none() && after.backend.as_deref() != but_of);
                open.all(|(before, after)| after.bytes > before.bytes)
            })?;
            let broken = report.broken().filter(|record| record.backend.as_deref() != but_of);
            let broken: Vec<_> = broken.collect();
            ensure!(broken.is_empty(), "{} broke: {broken:?}", broken.len());
        }
        Ok(())
    }
}

/// Walks through a document; streams are open as soon as something serves.
fn walk(walk: &mut Walk<'_>, site: &Site, blocks: &[Block]) -> Result<()> {
    let mut streams = None;
    // Whose connections the guide says that they break.
    let mut broken = None;
    for block in blocks {
        walk.take(block).with_context(|| {
            let log = site.machines.get("balancer").map(support::machine::Machine::log);
            format!("{}\n{}", block.place(), log.unwrap_or_default())
        })?;
        let commands = block.commands();
        if commands.iter().any(|command| command.contains("--deadline 20s")) {
            broken = Some("be2");
        }
        if streams.is_none() && walk.serves() {
            streams = Some(Streams::open(site).with_context(|| block.place())?);
        }
        if let Some(streams) = &streams {
            streams.ensure_unbroken(broken).with_context(|| block.place())?;
        }
    }
    ensure!(streams.is_some(), "nothing ever served");
    Ok(())
}

/// All that is not run here is run by a level that there is, or has a reason;
/// all else ran.
fn ensure_all_ran(walk: &Walk<'_>, blocks: &[Block]) -> Result<()> {
    let is_command = |block: &&Block| matches!(block.role, Role::Commands { .. } | Role::Elsewhere(_) | Role::Unrun(_));
    let written = blocks.iter().filter(is_command).flat_map(Block::commands).count();
    assert_eq!(walk.ran.len() + walk.left.len(), written, "commands were passed over");
    for (command, role) in &walk.left {
        println!("not here: {command} ({role:?})");
        if let Role::Elsewhere(level) = role {
            ensure!(LEVELS.contains(&level.as_str()), "{command}: no level {level}");
        }
    }
    Ok(())
}

#[test]
fn each_command_of_the_operators_guide_does_what_the_guide_says() -> Result<()> {
    let site = Site::build()?;
    let blocks = read("docs/operating.md")?;
    let mut through = Walk::on(&site.machines);
    walk(&mut through, &site, &blocks)?;
    ensure_all_ran(&through, &blocks)?;
    ensure!(through.ran.len() > 60, "only {} commands", through.ran.len());
    Ok(())
}

#[test]
fn first_configuration_of_the_readme_does_what_it_says() -> Result<()> {
    let site = Site::build()?;
    prepare(&site)?;
    let blocks = read("README.md")?;
    let mut through = Walk::on(&site.machines);
    walk(&mut through, &site, &blocks)?;
    ensure_all_ran(&through, &blocks)
}

#[test]
fn sessions_of_a_team_end_as_the_document_says() -> Result<()> {
    let site = Site::build()?;
    prepare(&site)?;
    let balancer = site.machines.get("balancer").context("a balancer")?;
    let accounts = balancer.run(ACCOUNTS)?;
    ensure!(accounts.code == Some(0), "{}", accounts.said());
    let mut through = Walk::on(&site.machines);
    let blocks = read("docs/approvals.md")?;
    let serves = blocks.iter().position(|block| block.text.starts_with("holdfastd "));
    let (before, after) = blocks.split_at(serves.context("nothing is started")? + 1);
    for block in before {
        through.take(block).with_context(|| block.place())?;
    }
    // As the package has it for its group.
    let opened = balancer.run("chmod 0666 /run/holdfast/holdfastd.sock")?;
    ensure!(opened.code == Some(0), "{}", opened.said());
    walk(&mut through, &site, after)?;
    ensure_all_ran(&through, &blocks)?;
    ensure!(through.ran.len() > 20, "only {} commands", through.ran.len());
    Ok(())
}

/// What a host has before its team comes.
const ACCOUNTS: &str = "\
set -e
mkdir -p /run/commands
cp \"$(command -v holdfast)\" /run/commands/
number=70010
for user in ann ben cy; do
    number=$((number + 1))
    echo \"$user:x:$number:$number::/run/$user:/bin/sh\" >> /etc/passwd
    echo \"$user:x:$number:\" >> /etc/group
    install -d -o $number -g $number /run/$user
done";

#[test]
fn commands_of_the_references_do_what_they_say() -> Result<()> {
    let site = Site::build()?;
    prepare(&site)?;
    let mut through = Walk::on(&site.machines);
    walk(&mut through, &site, &blocks("start", START)?)?;
    for document in REFERENCES {
        let mut through = Walk::on(&site.machines);
        let blocks = read(document)?;
        for block in &blocks {
            through.take(block).with_context(|| block.place())?;
        }
        ensure_all_ran(&through, &blocks)?;
        ensure!(
            !through.ran.is_empty() || !through.left.is_empty(),
            "{document} has no command"
        );
    }
    Ok(())
}

/// What the guide does before anything serves.
fn prepare(site: &Site) -> Result<()> {
    let guide = read("docs/operating.md")?;
    let mut walk = Walk::on(&site.machines);
    let on_backends = |block: &&Block| matches!(&block.role, Role::Commands { on, .. } if on == "backends");
    for block in guide.iter().filter(on_backends) {
        walk.take(block).with_context(|| block.place())?;
    }
    ensure!(!walk.ran.is_empty(), "the guide says nothing of backends");
    Ok(())
}

const START: &str = "\
```
holdfast config init --environment lab --interface lb0 > config.yaml
```
<!-- run: stays until holdfast status -->
```
holdfastd --config config.yaml
```
";

/// Words in sentences that stand for something, and something.
const STAND_FOR: [(&str, &str); 3] = [
    ("POOL/NAME", "web/be1"),
    ("FILE", "config.yaml"),
    ("SRC SPORT DST DPORT PROTO", "198.51.100.7 40000 203.0.113.10 443 tcp"),
];

#[test]
fn each_command_in_a_sentence_is_one_that_the_command_line_knows() -> Result<()> {
    let mut found = 0;
    for document in SENTENCES {
        for command in in_sentences(document)? {
            let filled = STAND_FOR
                .iter()
                .fold(command.clone(), |filled, (word, with)| filled.replace(word, with));
            if let Err(error) = Cli::try_parse_from(filled.split_whitespace()) {
                // A sentence may leave out what the command is about.
                let is_short = matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                );
                ensure!(is_short, "{document}: `{command}`: {error}");
            }
            found += 1;
        }
    }
    ensure!(found > 40, "only {found} commands were found");
    Ok(())
}

/// What stands in backquotes outside of fences and begins with `holdfast`.
fn in_sentences(document: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = fs::read_to_string(&path).with_context(|| document.to_owned())?;
    let outside: String = text.split("```").step_by(2).collect();
    let spans = outside.split('`').skip(1).step_by(2);
    let words = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(words.filter(|span| span.starts_with("holdfast ")).collect())
}
