use proptest::prelude::*;

use super::*;
use crate::{
    digest::Digest,
    plan::samples::{any_content, plan, plan_to},
};

fn text() -> String {
    String::from_utf8(export(&plan())).expect("JSON is UTF-8")
}

proptest! {
    #[test]
    fn exported_plan_is_imported_as_it_was(base in any_content(), target in any_content()) {
        let plan = plan_to(Some(&base), target, &["vip/a"]);
        prop_assert_eq!(import(&export(&plan)).expect("our own export"), plan);
    }

    /// A byte that is altered makes another plan or none, never the same one.
    #[test]
    fn altered_byte_is_never_the_same_plan(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = export(&plan());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = import(&bytes) {
            prop_assert_ne!(other.digest(), plan().digest());
        }
    }

    #[test]
    fn cut_file_is_refused(at in any::<prop::sample::Index>()) {
        let bytes = export(&plan());
        prop_assert!(import(&bytes[..at.index(bytes.len())]).is_err());
    }
}

#[test]
fn export_is_one_line_that_starts_with_the_statement() {
    let text = text();
    assert!(text.starts_with("{\"about\":\"lab on lb1: generation 41 "));
    assert!(text.contains("\"kind\":\"Plan\""));
    assert_eq!(text.find('\n'), Some(text.len() - 1));
}

#[test]
fn whitespace_is_refused_where_it_was_put() {
    let spaced = text().replacen("\"author\":", "\"author\": ", 1);
    let at = spaced.find("\"author\": ").expect("an author") + "\"author\":".len();
    assert!(matches!(import(spaced.as_bytes()), Err(PlanFileError::NotCanonical { at: found }) if found == at));
}

#[test]
fn missing_or_second_newline_is_refused() {
    let text = text();
    for altered in [text.trim_end().to_owned(), format!("{text}\n")] {
        assert!(matches!(
            import(altered.as_bytes()),
            Err(PlanFileError::NotCanonical { .. })
        ));
    }
}

#[test]
fn bytes_after_the_plan_are_refused() {
    let altered = format!("{}{}", text(), text());
    assert!(matches!(import(altered.as_bytes()), Err(PlanFileError::NotJson(_))));
}

#[test]
fn unknown_key_is_refused_by_its_name() {
    let altered = text().replacen("\"author\":", "\"approved\":true,\"author\":", 1);
    let Err(PlanFileError::NotAPlan(cause)) = import(altered.as_bytes()) else {
        panic!("an unknown key was taken");
    };
    assert!(cause.to_string().contains("`approved`"));
}

#[test]
fn unknown_key_deep_inside_is_refused() {
    let altered = text().replacen("\"slotsMoved\":", "\"extra\":1,\"slotsMoved\":", 1);
    assert_ne!(altered, text());
    assert!(matches!(
        import(altered.as_bytes()),
        Err(PlanFileError::NotCanonical { .. })
    ));
}

#[test]
fn double_key_is_refused() {
    let altered = text().replacen("\"author\":", "\"author\":\"root\",\"author\":", 1);
    assert!(matches!(
        import(altered.as_bytes()),
        Err(PlanFileError::NotCanonical { .. })
    ));
}

#[test]
fn other_kinds_and_versions_are_told_apart() {
    let kind = text().replacen("\"kind\":\"Plan\"", "\"kind\":\"Status\"", 1);
    assert!(matches!(import(kind.as_bytes()), Err(PlanFileError::Kind { found }) if found == "Status"));
    let version = text().replacen("holdfast/v1", "holdfast/v9", 1);
    assert!(matches!(import(version.as_bytes()), Err(PlanFileError::Version { found }) if found == "holdfast/v9"));
    assert!(matches!(import(b"[]"), Err(PlanFileError::NotADocument)));
    assert!(matches!(import(b"{}"), Err(PlanFileError::NotADocument)));
    assert!(matches!(import(b""), Err(PlanFileError::NotJson(_))));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    assert!(matches!(
        import("[".repeat(1 << 20).as_bytes()),
        Err(PlanFileError::NotJson(_))
    ));
}

#[test]
fn too_long_a_file_is_refused_before_it_is_read() {
    let bytes = vec![b' '; MAX_PLAN_BYTES + 1];
    assert!(matches!(import(&bytes), Err(PlanFileError::TooLong { .. })));
}

#[test]
fn plans_with_other_bytes_have_other_digests() {
    let mut other = plan();
    other.author = "uid 1001".to_owned();
    assert_ne!(Digest::of(&export(&other)), Digest::of(&export(&plan())));
    assert_ne!(other.digest(), plan().digest());
}
