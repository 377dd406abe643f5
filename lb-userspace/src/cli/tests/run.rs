//! Whole commands: what is on stdout, what on stderr, and the exit code.

use super::{Bench, CONFIG};

#[tokio::test]
async fn empty_file_is_refused_loudly_and_nothing_is_applied() {
    let bench = Bench::new();
    let file = bench.file("config.yaml", "");
    let ran = bench.run(&["apply", "-f", &file]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (3, ""));
    let line = "error[HF2000]: the candidate has 0 VIPs; 1 is serving. Nothing was changed.";
    assert_eq!(ran.err.lines().next(), Some(line), "{}", ran.err);
    assert!(ran.err.contains("name what may go with --remove"), "{}", ran.err);
    assert!(bench.fake.applied.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn apply_shows_the_plan_and_hands_back_the_same() {
    let bench = Bench::new();
    let file = bench.file("config.yaml", CONFIG);
    let ran = bench.run(&["apply", "-f", &file, "-m", "because"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.err.contains("weight 41 → 50"), "{}", ran.err);
    assert!(
        ran.out
            .starts_with("● SERVING generation 42 revision 44, digest 7f3a9c0a1b2c\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("note: be1: its next hop is not resolved yet"),
        "{}",
        ran.out
    );
    let applied = bench.fake.applied.lock().expect("no panic");
    assert_eq!(applied[0].message.as_deref(), Some("because"));
}

#[tokio::test]
async fn plan_kept_in_a_file_is_applied_as_it_was_shown() {
    let bench = Bench::new();
    let (file, kept) = (bench.file("config.yaml", CONFIG), bench.path("p.plan"));
    assert_eq!(bench.run(&["plan", "-f", &file, "--out", &kept]).await.exit, 0);
    let shown = bench.run(&["show", &kept]).await;
    assert!(shown.out.contains("weight 41 → 50"), "{}", shown.out);
    assert_eq!(bench.run(&["apply", &kept]).await.exit, 0);
    assert_eq!(bench.fake.applied.lock().expect("no panic").len(), 1);
    let altered = bench.file("q.plan", "{}");
    let ran = bench.run(&["apply", &altered]).await;
    assert!(ran.exit == 1 && ran.err.starts_with("error[HF5009]: "), "{ran:?}");
}

#[tokio::test]
async fn exit_codes_of_plan_say_what_it_found() {
    let bench = Bench::new();
    let (file, empty) = (
        bench.file("config.yaml", CONFIG),
        bench.file("empty.yaml", "# nothing\n"),
    );
    assert_eq!(bench.run(&["plan", "-f", &file]).await.exit, 0);
    assert_eq!(bench.run(&["plan", "-f", &file, "--detailed-exitcode"]).await.exit, 2);
    let refused = bench.run(&["plan", "-f", &empty]).await;
    assert_eq!(refused.exit, 3);
    assert!(
        refused.out.contains("HF2000"),
        "a plan's findings are its data: {refused:?}"
    );
}

#[tokio::test]
async fn errors_of_the_text_are_drawn_with_their_places() {
    let bench = Bench::new();
    let file = bench.file("config.yaml", &CONFIG.replace("pool: web ", "pool: wbe "));
    for command in [
        &["apply", "-f", &file][..],
        &["plan", "-f", &file],
        &["config", "check", &file],
    ] {
        let ran = bench.run(command).await;
        assert_eq!((ran.exit, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.starts_with("error[HF1"), "{}", ran.err);
        assert!(ran.err.contains("config.yaml:5"), "{}", ran.err);
    }
    assert_eq!(bench.run(&["diff", "-f", &file]).await.exit, 2, "1 means different");
}

#[tokio::test]
async fn diff_follows_diff_1() {
    let bench = Bench::new();
    let differs = bench.run(&["diff", "--from", "40"]).await;
    assert_eq!(differs.exit, 1);
    assert!(differs.out.contains("weight 40 → 41"), "{}", differs.out);
    assert_eq!(bench.run(&["diff", "--from", "41", "--to", "41"]).await.exit, 0);
    assert_eq!(bench.run(&["diff", "--from", "7"]).await.exit, 2);
}

#[tokio::test]
async fn rollback_and_attach_are_applied_and_a_detach_of_the_last_is_refused() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["rollback", "40", "-m", "be5 is slow"]).await.exit, 0);
    assert_eq!(bench.run(&["attach", "lb1"]).await.exit, 0);
    let refused = bench.run(&["detach", "lb0"]).await;
    assert_eq!(refused.exit, 3);
    assert!(refused.err.starts_with("error[HF2006]: "), "{}", refused.err);
    assert_eq!(bench.fake.applied.lock().expect("no panic").len(), 2);
}

#[tokio::test]
async fn unknown_object_names_those_there_are() {
    let ran = Bench::new().run(&["backend", "show", "web/be9"]).await;
    assert_eq!(ran.exit, 1);
    assert!(
        ran.err.contains("there is no backend `web/be9`; there are: web/be1"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn verification_that_fails_is_exit_1_with_its_checks() {
    let ran = Bench::new().run(&["bpf", "verify"]).await;
    assert_eq!(ran.exit, 1);
    assert!(
        ran.out.starts_with("▲ NOT VERIFIED") && ran.out.contains("chunk 3 differs"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn sample_configuration_passes_the_check() {
    let bench = Bench::new();
    let sample = bench.run(&["config", "init", "--interface", "eth1"]).await.out;
    let file = bench.file("config.yaml", &sample);
    assert_eq!(bench.run(&["config", "check", &file]).await.exit, 0);
}

#[tokio::test]
async fn manual_pages_and_completions_name_every_command() {
    let bench = Bench::new();
    let pages = bench.path("man1");
    assert_eq!(bench.run(&["man", "--out", &pages]).await.exit, 0);
    for page in ["holdfast.1", "holdfast-apply.1", "holdfast-vip-show.1"] {
        assert!(std::path::Path::new(&pages).join(page).is_file(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            bench.run(&["completions", shell]).await.out.contains("rollback"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn agent_on_no_interface_fails_before_it_loads_anything() {
    let bench = Bench::new();
    let pins = bench.path("pins");
    let args = [
        "agent",
        "run",
        "--interface",
        "none9",
        "--from",
        "10.255.0.0/16",
        "--pin-dir",
        &pins,
    ];
    let ran = bench.run(&args).await;
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(
        ran.err.starts_with("error[HF5010]: there is no interface none9"),
        "{}",
        ran.err
    );
    assert!(!std::path::Path::new(&pins).exists());
}

#[tokio::test]
async fn backends_are_changed_by_command_and_with_plan_they_are_not() {
    let bench = Bench::new();
    for command in ["drain", "ready", "maint", "reset"] {
        let ran = bench.run(&["backend", command, "web/be1", "-m", "why"]).await;
        assert_eq!(ran.exit, 0, "{command}: {ran:?}");
    }
    assert_eq!(bench.run(&["backend", "weight", "web/be1", "50"]).await.exit, 0);
    assert_eq!(bench.fake.applied.lock().expect("no panic").len(), 5);
    let planned = bench.run(&["backend", "weight", "web/be1", "50", "--plan", "-j"]).await;
    assert_eq!((planned.exit, &planned.json()["kind"]), (0, &serde_json::json!("Plan")));
    assert_eq!(bench.fake.applied.lock().expect("no panic").len(), 5);
    let unknown = bench.run(&["backend", "drain", "web/be9"]).await;
    assert!(
        unknown.exit == 1 && unknown.err.starts_with("error[HF5007]: "),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn waiting_for_a_drain_that_is_none_says_so_and_fails() {
    // The fake's backend is ready, whatever it is told.
    let ran = Bench::new().run(&["backend", "drain", "web/be1", "--wait"]).await;
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(
        ran.err.contains("error[HF5012]: web/be1 does not drain any more"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn journal_that_is_not_sound_ends_with_1_and_says_where() {
    let bench = Bench::new();
    let sound = bench.run(&["journal", "verify"]).await;
    assert_eq!(sound.exit, 0, "{sound:?}");
    assert!(sound.out.starts_with("● VERIFIED: 3 entries"), "{}", sound.out);
    assert!(sound.out.contains("▲ entry 3 is odd"), "{}", sound.out);
    assert!(sound.out.contains("head to keep elsewhere: 3:7f3a9c"), "{}", sound.out);
    // Another key; the plus in its fingerprint must arrive.
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBeoTe5cCDQVSWUXumsmgDJ26/RCW2yOYVhkUrO49jx6 nobody\n";
    let key = bench.file("key.pub", key);
    let damaged = bench.run(&["journal", "verify", "--key", &key]).await;
    assert_eq!(damaged.exit, 1, "{damaged:?}");
    assert!(damaged.out.starts_with("▲ NOT VERIFIED (HF4004): "), "{}", damaged.out);
    let none = bench.file("none.pub", "nothing");
    let refused = bench.run(&["journal", "verify", "--key", &none]).await;
    assert!(
        refused.exit == 1 && refused.err.starts_with("error[HF5006]: "),
        "{refused:?}"
    );
}

#[tokio::test]
async fn journal_is_exported_page_by_page_as_lines() {
    let bench = Bench::new();
    let ran = bench.run(&["journal", "export"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["journal"]["storeId"], "5a");
    assert_eq!(
        (&lines[1]["entry"]["seq"], &lines[2]["entry"]["seq"]),
        (&1.into(), &2.into())
    );
    assert_eq!((&lines[3]["end"]["seq"], lines.len()), (&2.into(), 4));
    // The fake's hashes are none.
    let file = bench.file("journal.jsonl", &ran.out);
    let judged = bench.run(&["journal", "verify", "--export", &file]).await;
    assert!(
        judged.exit == 1 && judged.out.contains("damaged at entry 1"),
        "{judged:?}"
    );
    let judged = bench.run(&["journal", "verify", "--file", &file]).await;
    assert!(
        judged.exit == 1 && judged.err.starts_with("error[HF4003]: "),
        "{judged:?}"
    );
}
