//! Every verdict has a test and a line for the operator.

use super::{File, Violation, source::has_word};

const DEFINED_IN: &str = "lb-common/src/verdict.rs";
const GUIDE: &str = "docs/verdicts.md";
const TESTS: &str = "tests/";
const ENUMS: [&str; 2] = ["Verdict", "AgentVerdict"];

/// Judges the whole repository, because a verdict's test and its line are
/// elsewhere than its definition.
pub fn check(files: &[File]) -> Vec<Violation> {
    let Some(defined) = files.iter().find(|file| file.path == DEFINED_IN) else {
        return vec![at(1, "is missing, and with it every verdict")];
    };
    let guide = files
        .iter()
        .find(|file| file.path == GUIDE)
        .map_or("", |file| file.text.as_str());
    let tests: Vec<&File> = files.iter().filter(|file| is_test(file)).collect();

    let mut found = Vec::new();
    for name in ENUMS {
        let variants = variants(&defined.text, name);
        if variants.is_empty() {
            found.push(at(1, &format!("no variants of {name} found; has the macro changed?")));
        }
        for (line, variant) in variants {
            if !tests
                .iter()
                .any(|file| file.text.lines().any(|line| has_word(line, variant)))
            {
                found.push(at(line, &format!("{name}::{variant} has no row under {TESTS}")));
            }
            let row = format!("| `{variant}` |");
            if !guide.lines().any(|line| line.starts_with(&row)) {
                found.push(at(
                    line,
                    &format!("{name}::{variant} has no line in the tables of {GUIDE}"),
                ));
            }
        }
    }
    found
}

fn is_test(file: &File) -> bool {
    file.path.starts_with(TESTS) && file.is("rs")
}

fn at(line: usize, message: &str) -> Violation {
    Violation {
        path: DEFINED_IN.to_owned(),
        line,
        message: message.to_owned(),
    }
}

/// Variants of an enum in the macro `verdicts!`, with their line.
fn variants<'a>(text: &'a str, name: &str) -> Vec<(usize, &'a str)> {
    let opening = format!("{name} {{");
    text.lines()
        .zip(1..)
        .skip_while(|(line, _)| line.trim() != opening)
        .skip(1)
        .take_while(|(line, _)| line.trim() != "}")
        .filter_map(|(line, number)| {
            let variant = line.trim().strip_suffix(',')?;
            variant.chars().all(char::is_alphanumeric).then_some((number, variant))
        })
        .collect()
}
