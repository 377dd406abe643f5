use std::collections::BTreeSet;

use super::Code;

const REFUSALS: &str = include_str!("../../../../docs/refusals.md");

#[test]
fn every_code_has_its_section_in_the_document() {
    for code in Code::ALL {
        let heading = format!("\n### {code} ");
        assert!(
            REFUSALS.contains(&heading),
            "docs/refusals.md has no section about {code}"
        );
    }
}

#[test]
fn every_section_of_the_document_has_a_code() {
    let known: BTreeSet<&str> = Code::ALL
        .map(Code::as_str)
        .into_iter()
        .chain(crate::approval::CODES)
        .chain(crate::store::StoreError::CODES)
        .collect();
    let documented: BTreeSet<&str> = REFUSALS
        .lines()
        .filter_map(|line| line.strip_prefix("### ")?.split_whitespace().next())
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn no_two_codes_are_the_same() {
    let distinct: BTreeSet<&str> = Code::ALL.map(Code::as_str).into_iter().collect();
    assert_eq!(distinct.len(), Code::ALL.len());
}
