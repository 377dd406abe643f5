//! Text for people: colors, numbers, tables, lists of fields.

use tabled::{
    builder::Builder,
    settings::{Alignment, Padding, Style, object::Columns},
};

/// What a color says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Caution,
    Bad,
    Heading,
}

/// Colors text, if colors are wanted (ECMA-48 SGR).
pub fn paint(color: bool, tone: Tone, text: &str) -> String {
    if !color {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Caution => "33",
        Tone::Bad => "31",
        Tone::Heading => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// `41870` as `41,870`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    alignment: Alignment,
}

/// A column of words.
pub const fn words(heading: &'static str) -> Column {
    Column {
        heading,
        alignment: Alignment::left(),
    }
}

/// A column of numbers.
pub const fn numbers(heading: &'static str) -> Column {
    Column {
        heading,
        alignment: Alignment::right(),
    }
}

/// A table without borders, as kubectl prints them. Cells beyond the columns
/// are left out, so that a row may hold more than a narrow table shows.
pub fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut builder = Builder::default();
    builder.push_record(columns.iter().map(|column| column.heading));
    for row in rows {
        builder.push_record(row.iter().take(columns.len()).map(|cell| plain(cell)));
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
    for (at, column) in columns.iter().enumerate() {
        table.modify(Columns::one(at), column.alignment);
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Spaces between columns.
const GAP: usize = 3;

/// One field a line, values under each other.
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<_> = fields.into_iter().collect();
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + GAP;
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{name:width$}{}", plain(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text without characters that a terminal would obey: messages, names of
/// users and plan files come from anybody.
pub fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(visible).collect()
}

/// What is not there.
pub const NONE: &str = "-";

/// The value, or [`NONE`].
pub fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::{count, fields, numbers, table, words};

    #[test]
    fn counts_are_grouped_by_thousands() {
        let shown: Vec<_> = [0, 999, 1_000, 41_870, 1_234_567].map(count).into();
        assert_eq!(shown, ["0", "999", "1,000", "41,870", "1,234,567"]);
    }

    #[test]
    fn table_has_no_borders_and_no_trailing_spaces() {
        let text = table(
            &[words("NAME"), numbers("PACKETS")],
            [
                vec!["web4".into(), "7".into(), "beyond".into()],
                vec!["d".into(), "1,000".into()],
            ],
        );
        assert_eq!(text, "NAME   PACKETS\nweb4         7\nd        1,000");
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        let text = table(&[words("MESSAGE")], [vec!["fine\u{1b}[2J\n".into()]]);
        assert_eq!(text, "MESSAGE\nfine\u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn values_of_fields_stand_under_each_other() {
        assert_eq!(
            fields([("VIP", "a".into()), ("Backend", "b".into())]),
            "VIP       a\nBackend   b"
        );
    }
}
