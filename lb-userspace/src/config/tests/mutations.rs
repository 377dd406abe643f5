//! Whatever happens to a file, it is taken or refused with a place in it.

use proptest::{prelude::*, sample::Index};

use super::CONTRACT;
use crate::config::{parse, sample};

/// One thing an editor, a disk or a cat on the keyboard does to a file.
#[derive(Clone, Debug)]
enum Mutation {
    Truncate(Index),
    Delete(Index, usize),
    Insert(Index, String),
    Repeat(Index, usize),
    DeleteLine(Index),
    SwapLines(Index, Index),
}

impl Mutation {
    fn apply(&self, text: &str) -> String {
        let boundary = |at: &Index| text.floor_char_boundary(at.index(text.len() + 1));
        let cut = |from: usize, length: usize| text.floor_char_boundary((from + length).min(text.len()));
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        match self {
            Self::Truncate(at) => text[..boundary(at)].to_owned(),
            Self::Delete(at, length) => {
                let from = boundary(at);
                format!("{}{}", &text[..from], &text[cut(from, *length).max(from)..])
            }
            Self::Insert(at, more) => {
                let at = boundary(at);
                format!("{}{more}{}", &text[..at], &text[at..])
            }
            Self::Repeat(at, length) => {
                let from = boundary(at);
                let to = cut(from, *length).max(from);
                format!("{}{}", &text[..to], &text[from..])
            }
            Self::DeleteLine(at) => {
                if !lines.is_empty() {
                    lines.remove(at.index(lines.len()));
                }
                lines.concat()
            }
            Self::SwapLines(a, b) => {
                if !lines.is_empty() {
                    let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                    lines.swap(a, b);
                }
                lines.concat()
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let tokens = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ": ",
        "- ",
        "\n",
        "\t",
        " ",
        "#",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: ",
        "!",
        "|",
        ">",
        "%",
        "---\n",
        "...\n",
        "?",
        "~",
        "-1",
        "4294967296",
        "1e6",
        ".nan",
        "é",
        "\u{feff}",
        "\u{7f}",
        "\0",
        "\r",
        "\r\n",
        "name: ",
        "removed: [vip/web4]\n",
        "2001:db8::1",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        any::<Index>().prop_map(Mutation::Truncate),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (any::<Index>(), prop_oneof![3 => tokens, 1 => any::<String>()])
            .prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<Index>(), 1_usize..80).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        any::<Index>().prop_map(Mutation::DeleteLine),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
    ]
}

proptest! {
    #[test]
    fn mutated_file_is_taken_or_refused_with_a_line_in_it(
        from_sample in any::<bool>(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let begin = if from_sample { sample("lab", "lb0") } else { CONTRACT.to_owned() };
        let text = mutations.iter().fold(begin, |text, mutation| mutation.apply(&text));
        if let Err(errors) = parse("test.yaml", &text) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(errors.iter().count() > 0);
            for error in errors.iter() {
                let place = error.place.expect("only errors about reading have no place");
                prop_assert!((1..=lines).contains(&(place.line as usize)), "{errors} in {text:?}");
                prop_assert!(place.column >= 1);
            }
            prop_assert!(!errors.to_string().is_empty());
            prop_assert!(errors.render(false, 100).contains("HF1"));
        }
    }
}
