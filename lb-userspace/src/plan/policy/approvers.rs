//! That the approvals a configuration asks for can be given.

use super::{Code, Finding, Severity, finding};
use crate::plan::Content;

/// Fewer people could approve than it asks for, so nothing it locks could ever
/// be opened. What is so already is not this plan's.
pub fn too_few(running: Option<&Content>, target: &Content) -> Option<Finding> {
    let asked = |content: &Content| {
        let approvals = &content.config.protection.approvals;
        approvals.remove.max(approvals.drain) as usize
    };
    let people = |content: &Content| content.signers.people();
    let (needs, there) = (asked(target), people(target));
    let is_new = running.is_none_or(|running| (asked(running), people(running)) != (needs, there));
    (is_new && needs > there).then(|| {
        let message = format!("protection asks for {needs} approvals, and {there} people could give one");
        finding(Code::TooFewSigners, Severity::Refuse, message)
            .fix("name more people in the file of `protection.approvals.approvers`, or ask for fewer approvals")
    })
}
