//! A command of a document cannot hide from its test.

use super::{BALANCER, Role, Way, blocks, ensure_shown};

const DOCUMENT: &str = "\
Text with `code`.

```
first --with x \\
  --and y
second    # why
```

<!-- run: on be1 -->
```
third
```

<!-- run: stays until holdfast status -->
```
holdfastd
```

<!-- run: on be2; keys Ctrl-C after % of; exit 130 -->
```
watch
```

<!-- run: not, nobody has one -->
```
fourth
```

```yaml
a: 1
```
";

#[test]
fn commands_are_found_with_where_and_how_they_run() {
    let found = blocks("d.md", DOCUMENT).expect("a document");
    assert_eq!(found.len(), 6);
    assert_eq!(found[0].commands(), ["first --with x    --and y", "second    # why"]);
    assert_eq!(found[0].place(), "d.md:3");
    let on = |index: usize| {
        let Role::Commands {
            on,
            user: None,
            exit: 0,
            way,
        } = &found[index].role
        else {
            panic!("{:?}", found[index].role);
        };
        (on.as_str(), way.clone())
    };
    assert_eq!(on(0), (BALANCER, Way::Ends));
    assert_eq!(on(1), ("be1", Way::Ends));
    assert_eq!(on(2), (BALANCER, Way::Stays("holdfast status".to_owned())));
    let interrupted = Role::Commands {
        on: "be2".to_owned(),
        user: None,
        exit: 130,
        way: Way::Keys {
            keys: "\x03".to_owned(),
            after: "% of".to_owned(),
        },
    };
    assert_eq!(found[3].role, interrupted);
    assert_eq!(found[4].role, Role::Unrun("nobody has one".to_owned()));
    assert_eq!(found[5].role, Role::Example);
}

#[test]
fn what_would_hide_a_command_is_an_error() {
    for (text, said) in [
        ("```\nopen\n", "no end"),
        ("text\n\n    holdfast status\n", "fence"),
        ("<!-- run: on be1 -->\ntext\n```\na\n```\n", "for no fence"),
        ("<!-- run: sometimes -->\n```\na\n```\n", "says nothing"),
        ("<!-- run: not -->\n```\na\n```\n", "no reason"),
        ("<!-- run: exit many -->\n```\na\n```\n", "exit code"),
    ] {
        let error = blocks("d.md", text).expect_err(text);
        assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
    }
}

#[test]
fn output_is_the_same_but_for_numbers_spaces_and_what_is_left_out() {
    let printed = "POOL  NAME  SLOTS\nweb   be2   16,384\nweb   be3   3\nprogram 7 digest sha256:ab\n";
    for shown in [
        "POOL NAME SLOTS\nweb be2 1",
        "web  be3  99",
        "program 12 digest …",
        "POOL …\nprogram 1 …",
    ] {
        ensure_shown(shown, printed).expect(shown);
    }
    for shown in [
        "web be4 1",
        "web be3 3\nweb be2 1",
        "program x digest …",
        "web be2",
        "\n",
    ] {
        ensure_shown(shown, printed).expect_err(shown);
    }
}

#[test]
fn command_of_a_user_is_found_with_the_user() {
    let found = blocks("d.md", "<!-- run: as ann; exit 3 -->\n```\nholdfast status\n```\n").expect("a document");
    let Role::Commands { on, user, exit, .. } = &found[0].role else {
        panic!("{found:?}");
    };
    assert_eq!((on.as_str(), user.as_deref(), *exit), (BALANCER, Some("ann"), 3));
}
