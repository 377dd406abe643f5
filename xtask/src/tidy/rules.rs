//! Rules that one file can break by itself.

use super::{
    File, Violation,
    source::{code, has_word},
};

/// Files that may say `unsafe`, each for a reason. Everything that decides is
/// safe code; these touch memory or the kernel.
const UNSAFE_ALLOWED: [(&str, &str); 15] = [
    ("lb-ebpf/src/frame.rs", "reads and writes packet memory"),
    ("lb-ebpf/src/sample.rs", "copies packet bytes into a ring entry"),
    ("lb-ebpf/src/view.rs", "dereferences what a map lookup returned"),
    ("lb-ebpf/src/maps.rs", "calls map helpers of the kernel"),
    (
        "lb-ebpf/src/license.rs",
        "places the licence in the section where the kernel looks for it",
    ),
    ("lb-ebpf/src/rig.rs", "a program: its context and packet memory"),
    ("lb-ebpf/src/bench.rs", "programs: their context and a tail call"),
    ("lb-ebpf/src/balancer.rs", "a program: its context"),
    ("lb-ebpf/src/agent.rs", "a program: its context"),
    (
        "lb-ebpf/src/guard.rs",
        "programs: their context, map helpers and memory of the kernel",
    ),
    ("lb-userspace/src/kernel/pins.rs", "implements Pod of aya for ours"),
    (
        "lb-userspace/src/kernel/devices.rs",
        "makes a TUN device and packet sockets, which no library in use does",
    ),
    ("lb-userspace/src/kernel/mapped.rs", "maps what BPF maps hold"),
    (
        "lb-userspace/src/kernel/sys.rs",
        "calls bpf(2), which libc does not wrap",
    ),
    ("tests/guest/unit.rs", "makes system calls between fork and exec"),
];

/// Calls that lead to a switch, and the files that may make them: all ways to one
/// are these, and ARCHITECTURE.md lists them ("Who may").
const SWITCHES: [(&str, &[&str]); 6] = [
    // The chunks and ACTIVE themselves.
    (
        "ublisher.publish(",
        &[
            "lb-userspace/src/serving/publish.rs",
            // The revision that is served, once more.
            "lb-userspace/src/serving/past.rs",
            "lb-userspace/src/publish/tests.rs",
        ],
    ),
    ("Publisher::new(kernel).publish(", &["lb-userspace/src/relayout.rs"]),
    // A generation: a judged plan, a trial's end, a start.
    (
        "self.change(",
        &["lb-userspace/src/serving/apply.rs", "lb-userspace/src/serving/trial.rs"],
    ),
    (".change(&content", &["lb-userspace/src/startup.rs"]),
    (
        "serving.apply(",
        &[
            "lb-userspace/src/daemon/requests.rs",
            "lb-userspace/src/startup/first.rs",
        ],
    ),
    (
        "serving.take_back(",
        &["lb-userspace/src/daemon/trial.rs", "lb-userspace/src/startup.rs"],
    ),
];

/// Lines in a file of source or prose; beyond it, two ideas live in one file.
const MAX_LINES: usize = 500;

/// Where golden files of tests are, which are as long as they are.
const GOLDEN: &str = "tests/data/";

/// What may not be left in code, and what to write instead.
const FORBIDDEN: [(&str, &str); 4] = [
    ("todo!(", "finish it, or leave it out"),
    ("unimplemented!(", "finish it, or leave it out"),
    (
        "#[allow(",
        "write #[expect(…, reason = \"…\")], which is reported when it is no longer needed",
    ),
    (
        "#![allow(",
        "write #![expect(…, reason = \"…\")], which is reported when it is no longer needed",
    ),
];

/// How paths of a developer's machine start. Written in pieces, or this file
/// would break the rule itself.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
];

pub fn check(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(length(file));
    found.extend(machine_paths(file));
    if file.is("rs") {
        let code = code(&file.text);
        found.extend(unsafe_where_allowed(file, &code));
        found.extend(unsafe_with_reason(file, &code));
        found.extend(forbidden(file, &code));
        found.extend(warnings_are_events(file, &code));
        found.extend(switches_where_listed(file, &code));
        if file.path.starts_with("lb-common/src/abi/") {
            found.extend(layout_asserted(file, &code));
        }
    }
    found
}

fn violation(file: &File, line: usize, message: impl Into<String>) -> Violation {
    Violation {
        path: file.path.clone(),
        line,
        message: message.into(),
    }
}

/// Lines of a text with their number, counted from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

fn length(file: &File) -> Option<Violation> {
    let lines = file.text.lines().count();
    let judged = !file.path.starts_with(GOLDEN) && !file.is("json");
    (judged && lines > MAX_LINES).then(|| violation(file, lines, format!("{lines} lines; {MAX_LINES} are the limit")))
}

fn machine_paths(file: &File) -> impl Iterator<Item = Violation> {
    numbered(&file.text).filter_map(|(number, line)| {
        let start = MACHINE_PATHS.iter().find(|start| names_path(line, start))?;
        Some(violation(
            file,
            number,
            format!("a path of somebody's machine ({start}…)"),
        ))
    })
}

/// Whether a line names a path with this start; `a/home/` is not one.
fn names_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '}' | '~'))
    })
}

fn unsafe_where_allowed(file: &File, code: &str) -> Option<Violation> {
    if UNSAFE_ALLOWED.iter().any(|(path, _)| *path == file.path) {
        return None;
    }
    let (number, _) = numbered(code).find(|(_, line)| has_word(line, "unsafe"))?;
    let message = "`unsafe` outside the files that may hold it (UNSAFE_ALLOWED in xtask/src/tidy/rules.rs)";
    Some(violation(file, number, message))
}

fn unsafe_with_reason(file: &File, code: &str) -> Vec<Violation> {
    let written: Vec<&str> = file.text.lines().collect();
    let code: Vec<&str> = code.lines().collect();
    let opens = |line: &str| {
        let after = line.split_once("unsafe").map_or("", |(_, after)| after.trim_start());
        has_word(line, "unsafe") && (after.starts_with('{') || after.starts_with("impl"))
    };
    (0..code.len())
        .filter(|&at| opens(code[at]) && !reason_above(&written, &code, at))
        .map(|at| violation(file, at + 1, "`unsafe` without a `// SAFETY:` comment just before it"))
        .collect()
}

/// Looks upwards through the same statement, attributes and comments.
fn reason_above(written: &[&str], code: &[&str], at: usize) -> bool {
    for above in (0..at).rev() {
        if written[above].trim_start().starts_with("// SAFETY:") {
            return true;
        }
        let line = code[above].trim();
        let comment = line.is_empty() && !written[above].trim().is_empty();
        let same_statement = !line.is_empty() && !line.ends_with([';', '{', '}', ',']);
        if !comment && !same_statement && !line.starts_with("#[") {
            return false;
        }
    }
    false
}

fn forbidden(file: &File, code: &str) -> impl Iterator<Item = Violation> {
    numbered(code).filter_map(|(number, line)| {
        let (what, instead) = FORBIDDEN.iter().find(|(what, _)| line.contains(what))?;
        Some(violation(file, number, format!("`{what}`: {instead}")))
    })
}

/// What a daemon warns of has a stable name, an id and a line in the guide.
fn warnings_are_events(file: &File, code: &str) -> impl Iterator<Item = Violation> {
    let daemon = file.path.starts_with("lb-userspace/src/");
    numbered(code).filter(move |_| daemon).filter_map(|(number, line)| {
        let bare = ["tracing::warn!(", "tracing::error!("]
            .into_iter()
            .find(|bare| line.contains(bare))?;
        let message = format!("`{bare}…)` without an event: `event!(warn, NAME, …)`, docs/events.md");
        Some(violation(file, number, message))
    })
}

/// No module but the listed ones leads to a switch.
fn switches_where_listed(file: &File, code: &str) -> impl Iterator<Item = Violation> {
    let ours = file.path.starts_with("lb-userspace/src/");
    numbered(code).filter(move |_| ours).filter_map(|(number, line)| {
        let (call, _) = SWITCHES
            .iter()
            .find(|(call, files)| line.contains(call) && !files.contains(&file.path.as_str()))?;
        let message = format!("`{call}…)` leads to a switch: SWITCHES in xtask/src/tidy/rules.rs lists who may");
        Some(violation(file, number, message))
    })
}

/// A struct that crosses the kernel boundary must not change its size unseen.
fn layout_asserted(file: &File, code: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut derives_pod = false;
    for (number, line) in numbered(code) {
        let line = line.trim();
        if line.starts_with("#[derive(") {
            derives_pod = has_word(line, "Pod");
        } else if let Some(name) = line.strip_prefix("pub struct ").map(identifier) {
            let asserted = code.lines().any(|line| {
                line.contains("assert!(") && line.contains(&format!("size_of::<{name}>()")) && line.contains("==")
            });
            if derives_pod && !asserted {
                let message = format!("no `const _: () = assert!(size_of::<{name}>() == …)` in this file");
                found.push(violation(file, number, message));
            }
            derives_pod = false;
        }
    }
    found
}

fn identifier(text: &str) -> &str {
    let end = text
        .find(|next: char| !next.is_alphanumeric() && next != '_')
        .unwrap_or(text.len());
    &text[..end]
}
