//! Each rule, kept and broken.

use super::{File, promises, rules, source::code, verdicts};

fn messages(path: &str, text: &str) -> Vec<String> {
    let file = File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    rules::check(&file).iter().map(ToString::to_string).collect()
}

fn broken(path: &str, text: &str, line: usize, part: &str) {
    let found = messages(path, text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{path}:{line}: ")), "{found:?}");
    assert!(found[0].contains(part), "{found:?}");
}

fn kept(path: &str, text: &str) {
    assert_eq!(messages(path, text), Vec::<String>::new());
}

#[test]
fn unsafe_in_an_unlisted_file_is_found() {
    let text = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() }\n}\n";
    broken("lb-common/src/path.rs", text, 3, "UNSAFE_ALLOWED");
    kept("lb-ebpf/src/view.rs", text);
}

#[test]
fn warning_of_the_daemon_without_an_event_is_found() {
    let text = "fn f() {\n    tracing::warn!(\"it is late\");\n}\n";
    broken("lb-userspace/src/daemon.rs", text, 2, "without an event");
    kept("xtask/src/main.rs", text);
    kept(
        "lb-userspace/src/daemon.rs",
        "fn f() {\n    event!(warn, Late, \"it is late\");\n}\n",
    );
}

#[test]
fn another_way_to_a_switch_is_found() {
    let text = "fn f() {\n    self.change(&target)\n}\n";
    broken("lb-userspace/src/daemon/lock.rs", text, 2, "leads to a switch");
    kept("lb-userspace/src/serving/trial.rs", text);
    let text = "fn f() {\n    serving.apply(request)\n}\n";
    broken("lb-userspace/src/daemon/lock.rs", text, 2, "leads to a switch");
    kept("lb-userspace/src/daemon/requests.rs", text);
}

#[test]
fn unsafe_block_without_reason_is_found() {
    broken("lb-ebpf/src/view.rs", "fn f() {\n    unsafe { g() }\n}\n", 2, "SAFETY");
    broken(
        "lb-ebpf/src/view.rs",
        "struct A;\nunsafe impl Sync for A {}\n",
        2,
        "SAFETY",
    );
}

#[test]
fn reason_of_an_earlier_statement_does_not_count() {
    let text = "fn f() {\n    // SAFETY: it is.\n    unsafe { g() };\n    unsafe { h() };\n}\n";
    broken("lb-ebpf/src/view.rs", text, 4, "SAFETY");
}

#[test]
fn reason_may_stand_above_the_whole_statement() {
    kept(
        "lb-ebpf/src/view.rs",
        "fn f() {\n    // SAFETY: it is,\n    // truly.\n    #[cold]\n    let x =\n        unsafe { g() };\n}\n",
    );
}

#[test]
fn unsafe_in_prose_strings_and_longer_words_is_not_code() {
    kept(
        "lb-common/src/path.rs",
        "#![deny(unsafe_code)]\n// unsafe { }\nconst A: &str = \"unsafe { }\";\nconst B: &str = r#\"unsafe \" { }\"#;\n",
    );
}

#[test]
fn characters_and_lifetimes_do_not_hide_code() {
    let text = "fn f<'a>(x: &'a str) { g('\"', '\\'', x); unsafe { h() } }\n";
    broken("lb-ebpf/src/view.rs", text, 1, "SAFETY");
}

#[test]
fn block_comments_nest_and_keep_line_numbers() {
    let text = "/* a /* b\n*/ unsafe */\nlet x = 1;\n";
    assert_eq!(code(text).lines().nth(2), Some("let x = 1;"));
    assert!(!code(text).contains("unsafe"));
}

#[test]
fn pod_struct_without_a_size_assert_is_found() {
    let text = "#[derive(Clone, Pod)]\n#[repr(C)]\npub struct Line {\n    pub a: u32,\n}\n";
    broken("lb-common/src/abi/chunk.rs", text, 3, "size_of::<Line>()");
    kept("lb-common/src/wire.rs", text);
    let asserted = format!("{text}const _: () = assert!(size_of::<Line>() == 4);\n");
    kept("lb-common/src/abi/chunk.rs", &asserted);
}

#[test]
fn struct_that_is_not_pod_needs_no_size_assert() {
    kept(
        "lb-common/src/abi/chunk.rs",
        "#[derive(Clone)]\npub struct Line {\n    pub a: u32,\n}\n",
    );
}

#[test]
fn file_over_the_limit_is_found() {
    broken("docs/long.md", &"line\n".repeat(501), 501, "500 are the limit");
    kept("docs/long.md", &"line\n".repeat(500));
    kept("tests/data/golden.md", &"line\n".repeat(501));
}

#[test]
fn unfinished_code_is_found() {
    broken("lb-common/src/path.rs", "fn f() {\n    todo!()\n}\n", 2, "finish it");
    broken(
        "lb-common/src/path.rs",
        "fn f() {\n    unimplemented!()\n}\n",
        2,
        "finish it",
    );
}

#[test]
fn allowed_lint_is_found() {
    broken("lb-common/src/path.rs", "#[allow(dead_code)]\nfn f() {}\n", 1, "expect");
    kept(
        "lb-common/src/path.rs",
        "#[expect(dead_code, reason = \"soon\")]\nfn f() {}\n",
    );
}

#[test]
fn path_of_a_machine_is_found_in_any_file() {
    let path = format!("see {}someone/holdfast\n", concat!("/ho", "me/"));
    broken("README.md", &path, 1, "somebody's machine");
    kept("README.md", &format!("https://example.org{}\n", concat!("/ho", "me/")));
}

fn repository(test: &str, guide: &str) -> Vec<String> {
    let definition = "verdicts! {\n    Verdict {\n        /// Sent.\n        ForwardTx,\n    }\n}\n\
                      verdicts! {\n    AgentVerdict {\n        /// Untouched.\n        PassUntrusted,\n    }\n}\n";
    let files = [
        ("lb-common/src/verdict.rs", definition),
        ("tests/rows/rows.rs", test),
        ("docs/verdicts.md", guide),
    ]
    .map(|(path, text)| File {
        path: path.to_owned(),
        text: text.to_owned(),
    });
    verdicts::check(&files).iter().map(ToString::to_string).collect()
}

#[test]
fn verdict_without_a_row_or_a_line_is_found() {
    let guide = "| `ForwardTx` | sent |\n| `PassUntrusted` | passed |\n";
    let test = "Verdict::ForwardTx, AgentVerdict::PassUntrusted";
    assert_eq!(repository(test, guide), Vec::<String>::new());

    let found = repository("Verdict::ForwardTxOther, AgentVerdict::PassUntrusted", guide);
    assert_eq!(
        found,
        ["lb-common/src/verdict.rs:4: Verdict::ForwardTx has no row under tests/"]
    );

    let found = repository(test, "| `ForwardTx` | sent |\nand PassUntrusted\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("docs/verdicts.md"), "{found:?}");
}

fn promised(rows: &str) -> Vec<String> {
    let page = format!("| promise | enforced by |\n|---|---|\n{rows}");
    let tests =
        "#[test]\nfn it_holds() {}\n#[tokio::test(start_paused = true)]\nasync fn so_does_this() {}\nfn helper() {}\n";
    let files = [("RELIABILITY.md", page.as_str()), ("tests/netns/a.rs", tests)].map(|(path, text)| File {
        path: path.to_owned(),
        text: text.to_owned(),
    });
    promises::check(&files).iter().map(ToString::to_string).collect()
}

#[test]
fn promise_without_a_test_that_is_there_is_found() {
    assert_eq!(
        promised("| all is well | netns `a::it_holds`, `so_does_this` |\n"),
        Vec::<String>::new()
    );
    let gone = promised("| all is well | netns `a::it_held` |\n");
    assert_eq!(gone, ["RELIABILITY.md:3: there is no test it_held"]);
    let helper = promised("| all is well | `helper` |\n");
    assert_eq!(helper, ["RELIABILITY.md:3: there is no test helper"]);
    let none = promised("| all is well | somebody looked |\n");
    assert_eq!(none, ["RELIABILITY.md:3: a promise without a test"]);
    assert_eq!(promised("").len(), 1);
    assert_eq!(promises::check(&[]).len(), 1);
}
