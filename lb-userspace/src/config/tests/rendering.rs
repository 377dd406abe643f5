//! What a person sees.

use super::{refused, with};

#[test]
fn one_line_form_is_what_editors_read() {
    let errors = refused(&with("port: 443", "port: 70000")).to_string();
    assert_eq!(
        errors,
        "test.yaml:6:52: error[HF1023]: port is 70000; it must be 1 to 65535"
    );
}

#[test]
fn drawing_shows_code_line_and_caret() {
    let drawn = refused(&with("port: 443", "port: 70000")).render(false, 120);
    assert!(drawn.contains("HF1023"), "{drawn}");
    assert!(drawn.contains("test.yaml:6:52"), "{drawn}");
    assert!(drawn.contains("port: 70000"), "{drawn}");
    let lines: Vec<&str> = drawn.lines().collect();
    let at = lines.iter().position(|line| line.contains("port: 70000")).unwrap();
    let value = lines[at].chars().position(|c| c == '7').unwrap();
    let below: Vec<char> = lines[at + 1].chars().collect();
    assert!("─┬".contains(below[value]), "{drawn}");
    assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
}

#[test]
fn colour_is_there_when_asked_for() {
    assert!(refused("{").render(true, 80).contains("\u{1b}["));
}

#[test]
fn text_of_the_file_cannot_write_to_the_terminal() {
    let errors = refused(&with("environment: lab", "environment: \"\\e[2J\"")).to_string();
    assert!(!errors.contains('\u{1b}'), "{errors:?}");
    assert!(errors.contains("\\u{1b}[2J"), "{errors}");
    let long = refused(&with("environment: lab", &format!("environment: {}", "A".repeat(5000)))).to_string();
    assert!(long.len() < 500, "{long}");
}
