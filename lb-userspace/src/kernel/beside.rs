//! Maps of another layout take over, side by side: a complete set of maps and
//! programs is made and published into in `beside/`, while the pinned one serves.
//!
//! The *decision* is one rename: `beside/maps` and `maps` change places. Nothing of
//! the new set has met a packet before it, so a start that finds no decision throws
//! the new set away, and one that finds it goes on ([`settle`]): the chunks' pins
//! change places, links are updated one by one, and when no packet is in the old
//! programs any more, what they counted and noted last is carried over. All the time
//! links name whole balancers, each with a whole set of maps. That `prog/balancer`
//! does not use the pinned maps says that the decision was taken and the end was not
//! reached; so programs change places last.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    KernelError,
    aya::KernelBalancer,
    carry::{self, FlowsCarried},
    found::FoundRoot,
    pins::{self, map_path, program_path},
    upgrade::{self, Object},
};

/// One step, after the new set was made and published into; a daemon may end after
/// each, and each may be taken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Maps change places: the decision.
    Maps,
    /// Pins of chunks change places.
    Chunks,
    /// An interface's link gets the new program.
    Link(String),
    /// No packet is in the old programs any more.
    Grace,
    /// What they counted and noted last is carried over.
    Rest,
    /// Programs change places.
    Programs,
    /// The old set is gone.
    End,
}

/// Where the other set is.
pub(super) fn set(directory: &Path) -> PathBuf {
    directory.join("beside")
}

/// Takes the pins below `directory` for this process, until the file is closed.
///
/// # Errors
/// When another daemon has them.
pub fn lock(directory: &Path) -> Result<fs::File, KernelError> {
    pins::lock(directory)
}

/// Makes a complete set, in which nothing is published, beside the pinned one.
///
/// # Errors
/// When the kernel refuses.
pub fn make(object: &Object, directory: &Path) -> Result<KernelBalancer, KernelError> {
    discard(directory)?;
    let set = set(directory);
    pins::make_directory(&set)?;
    pins::make_directories(&set)?;
    carry::share(object, directory, &set)?;
    KernelBalancer::open(&set, object.clone())
}

/// Carries over what packets need from the first one on.
///
/// # Errors
/// When a map cannot be opened.
pub fn carry_flows(directory: &Path) -> Result<(), KernelError> {
    if let Some(flows) = FlowsCarried::open(directory, &set(directory))? {
        flows.pass();
    }
    Ok(())
}

/// What is to be done once the new set is ready.
#[must_use]
pub fn steps(directory: &Path) -> Vec<Step> {
    [Step::Maps].into_iter().chain(rest(directory)).collect()
}

/// After the decision.
fn rest(directory: &Path) -> impl Iterator<Item = Step> {
    let links = pins::held_links(directory).into_keys().map(Step::Link);
    let last = [Step::Grace, Step::Rest, Step::Programs, Step::End];
    [Step::Chunks].into_iter().chain(links).chain(last)
}

/// Takes one step.
///
/// # Errors
/// When the kernel refuses it. What serves is whole all the same.
pub fn take(step: &Step, directory: &Path) -> Result<(), KernelError> {
    let set = set(directory);
    match step {
        Step::Maps => exchange(directory, "maps"),
        Step::Chunks if has_chunks_of_root(directory) => Ok(()),
        Step::Chunks => exchange(directory, "chunks"),
        Step::Link(interface) => put_on(directory, interface),
        Step::Grace => upgrade::grace(),
        Step::Rest => {
            if let Some(flows) = FlowsCarried::open(&set, directory)? {
                flows.pass();
            }
            carry::totals(&set, directory)
        }
        Step::Programs => exchange(directory, "prog"),
        Step::End => discard(directory),
    }
}

/// Ends a change that was cut short: back before the decision, on after it.
///
/// # Errors
/// When the kernel refuses; the next start tries again.
pub fn settle(directory: &Path) -> Result<(), KernelError> {
    if !set(directory).exists() {
        return Ok(());
    }
    if is_decided(directory)? {
        rest(directory).try_for_each(|step| take(&step, directory))?;
        crate::event!(
            warn,
            UpgradeSettled,
            "a change to maps of another layout was cut short: finished"
        );
        return Ok(());
    }
    discard(directory)?;
    crate::event!(
        warn,
        UpgradeSettled,
        "a change to maps of another layout was cut short: what was left beside is gone"
    );
    Ok(())
}

/// Throws away the set beside, the programs first: their array must not empty under
/// them.
///
/// # Errors
/// When a pin cannot be removed.
pub fn discard(directory: &Path) -> Result<(), KernelError> {
    let set = set(directory);
    for part in [set.join("prog"), set] {
        if part.exists() {
            fs::remove_dir_all(&part).map_err(KernelError::call("unlink"))?;
        }
    }
    Ok(())
}

/// The maps that are pinned are those of the set beside, which has not got its
/// programs' place yet.
fn is_decided(directory: &Path) -> Result<bool, KernelError> {
    let active = map_path(directory, "ACTIVE");
    let uses = |program: &Path| Ok(program.exists() && upgrade::calls_through(program, &active)?);
    Ok(!uses(&program_path(directory, "balancer"))? && uses(&program_path(&set(directory), "balancer"))?)
}

fn has_chunks_of_root(directory: &Path) -> bool {
    let root = FoundRoot::root_id(directory);
    root.is_some_and(|id| directory.join("chunks").join(id.to_string()).exists())
}

/// A flow may begin in the old program's last moment, and its second packet meet
/// the new one: flows are followed meanwhile.
fn put_on(directory: &Path, interface: &str) -> Result<(), KernelError> {
    let flows = FlowsCarried::open(&set(directory), directory)?;
    let program = program_path(&set(directory), "balancer");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some(flows) = &flows {
            flows.pass();
            scope.spawn(|| flows.follow(&over));
        }
        let put = upgrade::put_on(&pins::link_path(directory, interface), &program);
        over.store(true, Ordering::Relaxed);
        put
    })
}

/// Both names change what they stand for at once (kernel commit 9fc23c22e574, 5.16).
fn exchange(directory: &Path, part: &str) -> Result<(), KernelError> {
    let (here, there) = (directory.join(part), set(directory).join(part));
    renameat_with(CWD, &here, CWD, &there, RenameFlags::EXCHANGE)
        .map_err(|errno| KernelError::call("renameat2")(errno.into()))
}
