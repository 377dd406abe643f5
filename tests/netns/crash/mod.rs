//! kill -9 at every system call, and every system call failed once: always one
//! whole generation, serving, and nothing left over after the next start.
//!
//! An operation is a value (`operations`), so that another one is a few lines. In
//! CI it is cut short at every so many of the points where something can be left
//! behind ([`Points::Telling`]), so that each takes some twenty seconds; the long run
//! takes all of them, then points before and after any call, and each error that a
//! call may end with.
#![cfg(target_arch = "x86_64")]

mod again;
mod clear;
mod disk;
mod failures;
mod operations;
mod rounds;
mod site;
mod traffic;

use std::env;

use anyhow::{Result, ensure};
use support::tracer::Points;

use self::{failures::fail_everywhere, operations::Operation, rounds::kill_everywhere};

fn is_long() -> bool {
    env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1")
}

/// Killed at its points, an operation leaves one generation.
fn killed(operation: &Operation) -> Result<()> {
    /// Of all calls of a start there are thousands; prime, so that it does not keep
    /// step with what comes again and again.
    const OF_ALL: usize = 17;
    let tally = kill_everywhere(operation, Points::Telling, if is_long() { 1 } else { operation.stride })?;
    ensure!(tally.rounds > 0, "the operation has no point");
    if is_long() {
        kill_everywhere(operation, Points::All, OF_ALL)?;
    }
    Ok(())
}

/// Of its calls one fails, each in its turn; in CI every so many, and with one of
/// its errors.
fn failed(operation: &Operation, stride: usize) -> Result<()> {
    const ERRORS: usize = 3;
    let (turns, stride) = if is_long() { (ERRORS, 1) } else { (1, stride) };
    for turn in 0..turns {
        let failures = fail_everywhere(operation, turn, stride)?;
        ensure!(failures.noticed > 0, "no failure is one of the operation: {failures}");
    }
    Ok(())
}

#[test]
fn first_start_killed_at_any_call_is_begun_anew() -> Result<()> {
    killed(&operations::FIRST_START)
}

#[test]
fn adoption_killed_at_any_call_is_noticed_by_nobody() -> Result<()> {
    killed(&operations::ADOPTION)
}

#[test]
fn start_that_serves_again_killed_at_any_call_serves_the_last_generation_next_time() -> Result<()> {
    killed(&operations::SERVING_AGAIN)
}

#[test]
fn apply_killed_at_any_call_leaves_one_generation() -> Result<()> {
    killed(&operations::APPLY)
}

#[test]
fn revision_killed_at_any_call_leaves_one_next_hop() -> Result<()> {
    killed(&operations::REVISION)
}

#[test]
fn rollback_killed_at_any_call_leaves_one_generation() -> Result<()> {
    killed(&operations::ROLLBACK)
}

#[test]
fn trial_whose_end_is_killed_at_any_call_is_on_or_over() -> Result<()> {
    killed(&operations::ABORT)
}

#[test]
fn detach_killed_at_any_call_leaves_interfaces_as_the_generation_says() -> Result<()> {
    killed(&operations::DETACH)
}

#[test]
fn attach_killed_at_any_call_leaves_interfaces_as_the_generation_says() -> Result<()> {
    killed(&operations::ATTACH)
}

#[test]
fn upgrade_killed_at_any_call_leaves_one_program() -> Result<()> {
    killed(&operations::UPGRADE)
}

#[test]
fn change_of_layout_killed_at_any_call_leaves_one_set_of_maps() -> Result<()> {
    killed(&operations::RELAYOUT)
}

#[test]
fn recover_killed_at_any_call_keeps_what_was_the_store_and_is_done_by_another() -> Result<()> {
    killed(&operations::RECOVER)
}

#[test]
fn recover_into_a_new_store_killed_at_any_call_is_done_by_another() -> Result<()> {
    killed(&operations::RECOVER_ANEW)
}

#[test]
fn apply_whose_calls_fail_is_whole_or_nothing_and_works_when_they_do_not() -> Result<()> {
    failed(&operations::APPLY, 8)
}

#[test]
fn revision_whose_calls_fail_comes_all_the_same() -> Result<()> {
    failed(&operations::REVISION, 10)
}

#[test]
fn recover_whose_calls_fail_is_read_only_and_works_when_they_do_not() -> Result<()> {
    failed(&operations::RECOVER, 14)
}

#[test]
fn adoption_whose_calls_fail_is_noticed_by_nobody() -> Result<()> {
    failed(&operations::ADOPTION, 13)
}

#[test]
fn first_start_whose_calls_fail_says_why_and_is_begun_anew() -> Result<()> {
    failed(&operations::FIRST_START, 37)
}

#[test]
fn rollback_whose_calls_fail_is_whole_or_nothing_and_works_when_they_do_not() -> Result<()> {
    failed(&operations::ROLLBACK, 26)
}

#[test]
fn upgrade_whose_calls_fail_leaves_what_served_and_is_done_by_the_next_start() -> Result<()> {
    failed(&operations::UPGRADE, 22)
}
