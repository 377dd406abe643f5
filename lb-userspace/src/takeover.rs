//! At a start: this build's programs take over from the pinned ones, if they
//! are other ones, load, and do with every VIP what the revision says.

use crate::{
    failure,
    kernel::{Kernel as _, KernelError, aya::KernelBalancer},
    publish::{AdoptError, Adopted, Publisher},
    rehearsal,
};

/// Why the pinned programs go on although they are of another build; `None`:
/// they are of this one now.
pub fn take_over(
    publisher: &mut Publisher<KernelBalancer>,
    adopted: &Result<Option<Adopted>, AdoptError>,
) -> Option<String> {
    match attempt(publisher, adopted) {
        Ok(()) => None,
        Err(problem) => {
            crate::event!(error, TakeoverRefused, problem, "the program of another build goes on");
            Some(problem)
        }
    }
}

fn attempt(
    publisher: &mut Publisher<KernelBalancer>,
    adopted: &Result<Option<Adopted>, AdoptError>,
) -> Result<(), String> {
    let kernel = publisher.kernel_mut();
    if let Some(refusal) = kernel.refusal() {
        return Err(refused(refusal));
    }
    let unsaid = |error: KernelError| failure::chain(&error);
    if kernel.programs_are_ours().map_err(unsaid)? {
        return Ok(());
    }
    match adopted {
        Ok(Some(adopted)) => rehearsal::rehearse_all(kernel, kernel.active(), &adopted.revision)
            .map_err(|objection| format!("this build's program failed the rehearsal: {objection}"))?,
        Ok(None) => {}
        Err(_) => return Err("what is served cannot be read back, so nothing can be rehearsed".to_owned()),
    }
    let before = kernel.program_id().map_err(unsaid)?;
    kernel
        .upgrade(usize::MAX)
        .map_err(|error| format!("this build's program did not take over: {}", failure::chain(&error)))?;
    let after = kernel.program_id().map_err(unsaid)?;
    tracing::info!(before, after, "this build's program took over");
    Ok(())
}

/// The verifier's last words are those that say why.
pub fn refused(refusal: &KernelError) -> String {
    const LINES: usize = 3;
    let said = failure::chain(refusal);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(LINES).max(1).min(lines.len())..].join("; ");
    let head = lines.first().copied().unwrap_or_default();
    crate::event!(error, TakeoverRefused, said, "the verifier");
    format!("the kernel refuses this build's program, and the pinned one goes on: {head} {tail}")
}
