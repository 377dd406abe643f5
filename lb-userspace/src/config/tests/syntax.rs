//! Structure: keys, types, YAML itself, and text that means harm.

use std::time::{Duration, Instant};

use super::{CONTRACT, codes_of, errors_of, many, refused, with};
use crate::config::{Code, limits::MAX_FILE_BYTES, parse};

/// Far above what a loaded machine needs, far below what a person waits.
const BOUNDED: Duration = Duration::from_secs(20);

#[test]
fn empty_documents_are_known_as_such() {
    for text in [
        "",
        " \n\t\n",
        "# only a comment\n",
        "{}",
        "---\n",
        "--- {}\n",
        "\u{feff}",
        "null\n",
        "~",
    ] {
        let errors = refused(text);
        assert!(errors.is_empty_document(), "{text:?}: {errors}");
    }
    for text in ["[]", "x", "apiVersion: holdfast/v1\n", "{"] {
        assert!(!refused(text).is_empty_document(), "{text:?}");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known() {
    let text = with("protocol: tcp", "protcol: tcp");
    assert_eq!(errors_of(&text), [(Code::UnknownKey, 6, 57)]);
    let message = refused(&text).to_string();
    assert!(
        message.contains("unknown key `protcol` (did you mean `protocol`?)"),
        "{message}"
    );
    let message = refused(&with("protocol: tcp", "banana: tcp")).to_string();
    assert!(
        message.contains("keys here: name, address, port, protocol, pool"),
        "{message}"
    );
    // Keys of a mapping inside another one are as strict.
    assert_eq!(codes_of(&with("mac: ", "macs: ")), [Code::UnknownKey]);
    assert_eq!(codes_of(&with("v4: ", "v5: ")), [Code::UnknownKey]);
    assert_eq!(codes_of(&with("hashKeyFile", "hash_key_file")), [Code::UnknownKey]);
}

#[test]
fn missing_and_double_keys_are_refused() {
    assert_eq!(codes_of(&with("environment: lab\n", "")), [Code::MissingKey]);
    assert_eq!(codes_of(&with("port: 443, ", "")), [Code::MissingKey]);
    assert_eq!(
        errors_of(&with("port: 443", "port: 443, port: 80")),
        [(Code::DuplicateKey, 6, 57)]
    );
    assert_eq!(
        codes_of(&format!("{CONTRACT}environment: prod\n")),
        [Code::DuplicateKey]
    );
}

#[test]
fn file_cut_off_between_its_lists_is_refused() {
    let cut = CONTRACT.split("vips:").next().unwrap();
    assert_eq!(codes_of(cut), [Code::MissingKey]);
    assert_eq!(codes_of(&format!("{cut}vips:\n")), [Code::WrongType]);
}

#[test]
fn wrong_types_are_refused() {
    let wrong = [
        with("environment: lab", "environment: [lab]"),
        with("environment: lab", "environment:"),
        with("vips:  [", "vips: x #"),
        with("port: 443", "port: [443]"),
        with("port: 443", "port: { a: 1 }"),
        with("name: web4", "name: { a: b }"),
        with("{ v4: 10.255.0.0/16 }", "10.255.0.0/16"),
        with("nextHop: {", "nextHop: #{").replace("#{ mac", "~ #{ mac"),
        "[]".to_owned(),
        "text".to_owned(),
    ];
    for text in wrong {
        let codes = codes_of(&text);
        assert!(
            codes == [Code::WrongType] || codes == [Code::YamlSyntax],
            "{text}: {codes:?}"
        );
    }
    let message = refused(&with("vips:  [", "vips: x #")).to_string();
    assert!(message.contains("where a list belongs"), "{message}");
}

#[test]
fn text_that_is_not_yaml_is_refused_with_its_place() {
    assert_eq!(errors_of("node: {\n"), [(Code::YamlSyntax, 1, 7)]);
    assert_eq!(
        codes_of(&with("environment: lab", "environment: \"lab")),
        [Code::YamlSyntax]
    );
    assert_eq!(
        codes_of(&with("environment: lab", "\tenvironment: lab")),
        [Code::YamlSyntax]
    );
    assert_eq!(codes_of(&format!("{CONTRACT}---\na: b\n")), [Code::YamlSyntax]);
    assert_eq!(
        codes_of(&with("mode: native", "<<: { mode: native }")),
        [Code::YamlSyntax]
    );
    assert_eq!(
        codes_of(&with("environment: lab", "environment: !secret lab")),
        [Code::YamlSyntax]
    );
    assert_eq!(
        codes_of(&with("environment: lab", "environment: *lab")),
        [Code::YamlSyntax]
    );
}

#[test]
fn byte_order_mark_is_ignored_and_nul_is_refused() {
    assert_eq!(
        parse("x", &format!("\u{feff}{CONTRACT}")).unwrap(),
        parse("x", CONTRACT).unwrap()
    );
    assert_eq!(errors_of("apiVersion: holdfast/v1\n\nx\0"), [(Code::FileNotText, 3, 2)]);
}

#[test]
fn aliases_mean_what_they_name() {
    let text = with("environment: lab", "environment: &name web").replace("pool: web }", "pool: *name }");
    assert_eq!(parse("x", &text).unwrap().config.vips[0].pool, "web");
    // An error is shown where the alias is used.
    let text = with("environment: lab", "environment: &name lab").replace("pool: web }", "pool: *name }");
    assert_eq!(errors_of(&text), [(Code::UnknownPool, 6, 78)]);
}

#[test]
fn aliases_that_expand_too_far_are_refused() {
    let backends = many(200, |at| format!("{{ name: b{at}, address: 10.0.0.{at} }}, "));
    let sharing = |pools: usize| {
        let head = CONTRACT.split("pools:").next().unwrap();
        let more = many(pools, |at| format!("- {{ name: p{at}, backends: *b }}\n"));
        format!("{head}pools:\n- {{ name: p, backends: &b [{backends}] }}\n{more}vips: []\n")
    };
    assert_eq!(parse("x", &sharing(10)).unwrap().config.objects().count(), 11 * 201);
    assert_eq!(codes_of(&sharing(1000)), [Code::YamlTooComplex]);
}

#[test]
fn text_that_means_harm_is_refused_in_bounded_time() {
    let laughs = (1..10).fold("a0: &a0 [x, x]\n".to_owned(), |text, at| {
        let one = at - 1;
        format!("{text}a{at}: &a{at} [{}]\n", vec![format!("*a{one}"); 10].join(", "))
    });
    let harmful = [
        ("laughs", laughs),
        ("lists", "[".repeat(4_000_000)),
        ("mappings", "{a: ".repeat(1_000_000)),
        ("blocks", "- ".repeat(2_000_000)),
        ("text", "a".repeat(MAX_FILE_BYTES)),
        (
            "keys",
            format!("{CONTRACT}{}", many(300_000, |at| format!("k{at}: 1\n"))),
        ),
        ("documents", "---\n".repeat(1_000_000)),
        ("anchors", many(200_000, |at| format!("- &a{at} x\n"))),
        ("comments", "#\n".repeat(2_000_000)),
        ("quotes", format!("environment: \"{}\"", "\\u0041".repeat(600_000))),
        ("entries", format!("{CONTRACT}removed: [{}]", "a,".repeat(400_000))),
        (
            "more entries",
            format!("{CONTRACT}removed: [{}]", "a,".repeat(2_000_000)),
        ),
        ("itself", "removed: &a [*a]\n".to_owned()),
    ];
    for (what, text) in harmful {
        let begin = Instant::now();
        let errors = refused(&text);
        assert!(!errors.to_string().is_empty());
        assert!(begin.elapsed() < BOUNDED, "{what} took {:?}", begin.elapsed());
    }
}

#[test]
fn text_over_the_limit_is_refused_unread() {
    let padded = |bytes: usize| format!("{CONTRACT}{}", "#".repeat(bytes - CONTRACT.len()));
    assert!(parse("x", &padded(MAX_FILE_BYTES)).is_ok());
    assert_eq!(codes_of(&padded(MAX_FILE_BYTES + 1)), [Code::FileTooLarge]);
}

#[test]
fn thousands_of_errors_are_counted_not_drawn() {
    let bad = many(9000, |at| {
        format!("  - {{ name: B{at}, address: x, port: 0, protocol: t, pool: p }}\n")
    });
    let text = format!("{}vips:\n{bad}", CONTRACT.split("vips:").next().unwrap());
    let begin = Instant::now();
    let errors = refused(&text);
    assert_eq!(errors.count(), 45_000);
    assert_eq!(errors.iter().count(), 1000);
    assert!(errors.to_string().ends_with("44950 more errors are not shown"));
    assert!(errors.render(false, 80).lines().count() < 1000);
    assert!(begin.elapsed() < BOUNDED);
}
