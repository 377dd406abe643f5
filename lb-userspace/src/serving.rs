//! What is served, and the one writer of it. Every change comes through here:
//! plans, revisions, interfaces. The clock and the next hops are arguments.

mod apply;
mod footing;
mod lock;
mod past;
mod plan;
mod preview;
mod publish;
mod record;
mod recover;
mod revise;
mod sentinel;
mod settle;
mod signing;
mod trial;

#[cfg(test)]
pub(crate) use self::apply::Permit;
pub(crate) use self::footing::Footing;
pub use self::{apply::Asked, plan::Wish};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    activity::Activity,
    api::model::{Applied, Failure, Mode, TakenBack},
    arrivals::Arrivals,
    attachments::Problem,
    confirm::OnTrial,
    digest::Digest,
    drain::Blind,
    kernel::aya::KernelBalancer,
    layout::Layout,
    metrics::Tally,
    past::Past,
    plan::blast::Expense,
    publish::Publisher,
    reports::FileJudged,
    revision::Revision,
    store::{By, Store},
};

pub use sentinel::Sentinel;
pub use signing::Signing;

/// The one writer.
pub struct Serving {
    pub(crate) publisher: Publisher<KernelBalancer>,
    /// `None`: it cannot be used, and the mode is read-only.
    pub(crate) store: Option<Store>,
    pub(crate) served: Option<Served>,
    pub(crate) mode: Mode,
    pub(crate) mode_reason: Option<String>,
    /// Of the configuration file at the start; the running generation's after.
    pub(crate) environment: String,
    pub(crate) config_file: PathBuf,
    /// As it was given; `publisher` knows how it is reached.
    pub(crate) pin_dir: PathBuf,
    /// Of interfaces that should have the program, and are not well.
    pub(crate) problems: BTreeMap<String, Problem>,
    /// Flows in dirty slots that found no room.
    pub(crate) blind: Blind,
    /// There may be entries in FLOWS that nobody needs.
    pub(crate) swept: bool,
    /// What `status` found the configuration file to mean.
    pub(crate) file_judged: Option<FileJudged>,
    /// For metrics.
    pub(crate) tally: Tally,
    /// Why the program of another build goes on.
    pub(crate) program_problem: Option<String>,
    /// The served generation, while it is on trial.
    pub(crate) on_trial: Option<OnTrial>,
    /// The kernel's boot id.
    pub(crate) boot: String,
    /// This host's name; plans are bound to it.
    pub(crate) host: String,
    /// Of the journal's heads.
    pub(crate) signing: Signing,
    /// What is live now.
    pub(crate) activity: Activity,
    /// And by which interface it may come in.
    pub(crate) arrivals: Arrivals,
    /// The generation that the served one took back.
    pub(crate) taken_back: Option<TakenBack>,
    pub(crate) state_dir: PathBuf,
    /// What the kernel remembers of before.
    pub(crate) past: Past,
    /// The kernel does not remember it yet.
    pub(crate) past_is_new: bool,
    /// What somebody else may change.
    pub(crate) sentinel: Sentinel,
}

/// What the kernel serves.
pub struct Served {
    pub generation: u64,
    pub revision: u64,
    /// Of the generation's content.
    pub digest: Digest,
    pub state: Revision,
    /// As it was published; `None`: by another daemon.
    pub layout: Option<Layout>,
}

/// What it took to open the lock for a change, and what the change spends.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    pub expense: Option<Expense>,
    /// One name for each person.
    pub approved_by: Vec<String>,
    /// The glass was broken, and had to be.
    pub glass: bool,
    /// Pools of which nothing is left, as was measured: that their VIPs drop is
    /// no surprise.
    pub emptied: BTreeSet<String>,
}

/// Which change a publish is for.
pub enum Purpose {
    /// A new generation.
    Generation {
        plan_digest: Option<Digest>,
        cause: String,
        message: Option<String>,
        /// On trial for so many seconds.
        confirm_within: Option<u32>,
        by: Option<By>,
        opened: Opened,
    },
    /// The running generation once more, because of something else.
    Revision { cause: String },
}

impl Serving {
    /// A hold is somebody's word, read-only is the daemon's own.
    pub(crate) fn mode_now(&self) -> (Mode, Option<String>) {
        let hold = self.store.as_ref().and_then(|store| store.lock().hold());
        match (self.mode, hold) {
            (Mode::Normal, Some(hold)) => {
                let why = hold.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                (Mode::Hold, Some(format!("by {}{why}", hold.who)))
            }
            (Mode::Normal | Mode::Hold | Mode::ReadOnly, _) => (self.mode, self.mode_reason.clone()),
        }
    }

    fn check_writable(&self) -> Result<(), Failure> {
        self.footing().check_writable()
    }
}

const fn unchanged(served: &Served) -> Applied {
    Applied {
        generation: served.generation,
        revision: served.revision,
        digest: served.digest,
        unchanged: true,
        chunks_written: 0,
        chunks_shared: 0,
        publish_us: 0,
        effects: Vec::new(),
        confirm_until: None,
        preview: None,
        notes: Vec::new(),
    }
}
