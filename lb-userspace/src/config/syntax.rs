//! Text to `FileConfig`: YAML within limits, errors in our own words.

use serde::Deserialize;
use serde_saphyr::{
    Error, Options,
    options::{MergeKeyPolicy, NonFiniteFloatPolicy},
};

use super::{
    errors::{ConfigError, Found},
    file::FileConfig,
    limits::MAX_FILE_BYTES,
    place::Place,
    problem::Problem,
};

/// Mappings and lists inside each other; the format needs six.
const MAX_DEPTH: usize = 16;

/// Values, keys, lists and mappings. `MAX_VIPS` and `MAX_BACKENDS` with all
/// their keys are three quarters of it.
const MAX_NODES: usize = 1_000_000;

/// Anchors and aliases are for a MAC address or a backend named twice, not
/// for writing programs: what they expand to is bounded.
const MAX_ALIASES: usize = 4096;
const MAX_REPLAYED: usize = 200_000;

/// Reads the structure; the one error is the first there is.
pub(super) fn read(text: &str) -> Result<FileConfig, Found> {
    if text.len() > MAX_FILE_BYTES {
        let bytes = text.len() as u64;
        return Err(ConfigError::of_file(Problem::FileTooLarge { bytes }).into());
    }
    if let Some(offset) = text.find('\0') {
        return Err(ConfigError::at(Problem::FileHoldsNul, Place::of_byte(offset, text)).into());
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|cause| {
        let place = Place::of_syntax(cause.location(), text);
        let problem = if is_empty(text) {
            Problem::DocumentEmpty
        } else {
            explain(cause)
        };
        ConfigError::at(problem, place).into()
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_REPLAYED,
            max_recorded_anchor_bytes: MAX_FILE_BYTES,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES,
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
            max_replay_stack_depth: MAX_DEPTH,
        },
        emit_comments: false,
        merge_keys: MergeKeyPolicy::Error,
        // A tag would change what a value means behind the reader's back.
        reject_unsupported_tags: true,
        // 0443 is octal to some and decimal to others: neither is guessed.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // Not a number, said by the rule about numbers.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// Nothing, or a mapping of nothing.
fn is_empty(text: &str) -> bool {
    if text
        .lines()
        .all(|line| matches!(line.trim_start().chars().next(), None | Some('#')))
    {
        return true;
    }
    serde_saphyr::from_str_with_options::<Option<Nothing>>(text, options()).is_ok()
}

/// A mapping without keys; parsing ends at the first one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What the parser found, in the words of this project.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's errors are many, grow, and are all about the YAML itself"
)]
fn explain(cause: Error) -> Problem {
    match cause {
        // What an alias stands for is judged like what is written out.
        Error::AliasError { error, .. } => explain(*error),
        Error::SerdeUnknownField { field, expected, .. } => Problem::UnknownKey {
            key: field,
            known: expected,
        },
        Error::SerdeMissingField { field, .. } => Problem::MissingKey(field),
        Error::DuplicateMappingKey { key, .. } => Problem::DuplicateKey(key.unwrap_or_default()),
        Error::MultipleDocuments { .. } => Problem::SecondDocument,
        Error::MergeKeyNotAllowed { .. } => Problem::MergeKey,
        Error::Unexpected { expected, .. } => Problem::WrongType {
            found: "another kind of value".to_owned(),
            wanted: kind_of_node(expected).to_owned(),
        },
        Error::NullIntoString { .. } => Problem::WrongType {
            found: "nothing".to_owned(),
            wanted: "text".to_owned(),
        },
        Error::SerdeInvalidType {
            unexpected, expected, ..
        } => Problem::WrongType {
            found: unexpected,
            wanted: expected,
        },
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::RecursiveReferencesRequireWeakTypes { .. } => Problem::YamlTooComplex(Box::new(cause)),
        cause => Problem::YamlSyntax(Box::new(cause)),
    }
}

/// The parser names what it wants by the event that would begin it.
fn kind_of_node(event: &'static str) -> &'static str {
    match event {
        "mapping start" => "a mapping",
        "sequence start" => "a list",
        "string scalar" => "text",
        other => other,
    }
}
