//! Every subcommand, by what it may do: only those that show a plan first hand
//! one in.

use std::collections::BTreeMap;

use clap::CommandFactory as _;

use super::{Bench, CONFIG, Cli};

/// What a command may do to what is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Hands in a plan, whole, with the digest of what was shown.
    Applies,
    /// Ends a trial.
    EndsTrial,
    /// Changes what stands against plans, and nothing that is served.
    Lock,
    /// Looks, or plans.
    Looks,
    /// Never asks the daemon to change anything: files, terminals, backends.
    Elsewhere,
}

/// Of every leaf of the command line, and how it is tried here.
const WAYS: [(&str, Way, &str); 55] = [
    ("status", Way::Looks, ""),
    ("plan", Way::Looks, "plan -f CONFIG"),
    ("preview", Way::Looks, "preview PLAN"),
    ("diff", Way::Looks, ""),
    ("apply", Way::Applies, "apply -f CONFIG"),
    ("confirm", Way::EndsTrial, "confirm"),
    ("abort", Way::EndsTrial, "abort"),
    ("rollback", Way::Applies, "rollback"),
    ("approve", Way::Lock, "approve PLAN --out OUT"),
    ("reject", Way::Lock, "reject DIGEST"),
    ("withdraw", Way::Lock, "withdraw DIGEST"),
    ("approvals", Way::Looks, "approvals"),
    ("hold", Way::Lock, "hold"),
    ("resume", Way::Lock, "resume"),
    ("break-glass", Way::Lock, "break-glass -m why"),
    ("recover", Way::Lock, "recover"),
    ("undelete", Way::Applies, "undelete vip/dns"),
    ("wipe", Way::Applies, "wipe --environment lab"),
    ("why-refused", Way::Looks, ""),
    ("history", Way::Looks, ""),
    ("show", Way::Looks, ""),
    ("vip list", Way::Looks, ""),
    ("vip show", Way::Looks, ""),
    ("vip ready", Way::Applies, "vip ready web4"),
    ("vip maint", Way::Applies, "vip maint web4"),
    ("vip reset", Way::Applies, "vip reset web4"),
    ("pool list", Way::Looks, ""),
    ("pool show", Way::Looks, ""),
    ("backend list", Way::Looks, ""),
    ("backend show", Way::Looks, ""),
    ("backend drain", Way::Applies, "backend drain web/be1"),
    ("backend maint", Way::Applies, "backend maint web/be1"),
    ("backend ready", Way::Applies, "backend ready web/be1"),
    ("backend weight", Way::Applies, "backend weight web/be1 50"),
    ("backend reset", Way::Applies, "backend reset web/be1"),
    ("attach", Way::Applies, "attach lb0"),
    ("detach", Way::Applies, ""),
    ("why", Way::Looks, ""),
    ("config check", Way::Elsewhere, ""),
    ("config schema", Way::Elsewhere, ""),
    ("config init", Way::Elsewhere, ""),
    ("export prometheus-rules", Way::Elsewhere, ""),
    ("export grafana", Way::Elsewhere, ""),
    ("export openapi", Way::Elsewhere, ""),
    ("man", Way::Elsewhere, ""),
    ("bpf dump", Way::Looks, ""),
    ("bpf verify", Way::Looks, ""),
    ("journal list", Way::Looks, ""),
    ("journal verify", Way::Looks, ""),
    ("journal export", Way::Looks, ""),
    ("agent run", Way::Elsewhere, ""),
    ("top", Way::Looks, ""),
    ("doctor", Way::Looks, ""),
    ("drill", Way::Elsewhere, "drill --list"),
    ("completions", Way::Elsewhere, ""),
];

fn leaves(command: &clap::Command, before: &str, found: &mut Vec<String>) {
    for sub in command.get_subcommands() {
        let name = format!("{before}{}", sub.get_name());
        if sub.has_subcommands() {
            leaves(sub, &format!("{name} "), found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn every_command_says_what_it_may_do() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "", &mut found);
    let mut known: Vec<&str> = WAYS.iter().map(|(name, ..)| *name).collect();
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, known, "a command that is new has to say what it may do");
}

#[tokio::test]
async fn only_commands_that_show_a_plan_hand_one_in_and_it_is_that_plan() {
    let mut tried: BTreeMap<bool, usize> = BTreeMap::new();
    for (name, way, command) in WAYS.iter().filter(|(_, _, command)| !command.is_empty()) {
        let bench = Bench::new();
        let (config, plan) = (bench.file("config.yaml", CONFIG), bench.path("p.plan"));
        assert_eq!(bench.run(&["plan", "-f", &config, "--out", &plan]).await.exit, 0);
        let out = bench.path("out");
        let words: Vec<&str> = command
            .split(' ')
            .map(|word| match word {
                "CONFIG" => &config,
                "PLAN" => &plan,
                "OUT" => &out,
                "DIGEST" => crate::api::fake::DIGEST,
                other => other,
            })
            .collect();
        let ran = bench.run(&words).await;
        let applied = bench.fake.applied.lock().expect("no panic");
        let applies = *way == Way::Applies;
        assert_eq!(applied.len(), usize::from(applies), "{name}: {ran:?}");
        assert!(applied.iter().all(|of| of.digest == of.plan.digest()), "{name}");
        *tried.entry(applies).or_default() += 1;
    }
    assert!(tried[&true] >= 10 && tried[&false] >= 8, "{tried:?}");
}
