//! Rules about `access`.

use super::Judge;
use crate::config::{
    Access, Subject,
    file::{FileAccess, Text},
    limits::MAX_SUBJECTS,
    place::Place,
    problem::Problem,
};

/// Naming somebody twice changes nothing.
pub fn access(judge: &mut Judge, file: Option<&FileAccess>) -> Option<Access> {
    let file = file?;
    Some(Access {
        viewer: subjects(judge, &file.viewer),
        operator: subjects(judge, &file.operator),
        approver: subjects(judge, &file.approver),
        admin: subjects(judge, &file.admin),
    })
}

fn subjects(judge: &mut Judge, written: &[Text]) -> Vec<Subject> {
    judge.at_most("entries of a role", MAX_SUBJECTS, written, |text| text);
    let mut subjects = Vec::new();
    for text in written {
        match text.value.parse() {
            Ok(subject) => subjects.push(subject),
            Err(_) => judge.refuse(Problem::SubjectInvalid(text.value.clone()), Place::of(text)),
        }
    }
    subjects.sort();
    subjects.dedup();
    subjects
}
