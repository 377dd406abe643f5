//! Drift: what somebody else changed of what is ours, in the kernel and on the
//! disk. It is found by comparing with what was published and written, named in an
//! event, put right, counted, and journaled. What was *meant* to be changed goes
//! through a plan, and is what is compared with.

mod interfaces;

use std::collections::BTreeMap;

use lb_common::abi::{agent::Peers, chunk::ChunkId, flows::Seconds, node::Node};

use self::interfaces::Interfaces;
use super::Serving;
use crate::{
    api::model::{Failure, KeyFile, Mode},
    clock::Now,
    event,
    events::Event,
    kernel::{Kernel as _, KernelError, aya::ChunkPins, bpffs},
    startup::hash_key,
    store::Entry,
};

/// The same drift again is journaled after so long, [`Seconds`]: two that fight for
/// a hook do not fill the disk.
const SAID_AGAIN: Seconds = 10;

/// So many of a kind are journaled in that time.
const ALIKE: usize = 10;

/// So many wait for a journal that does not take them.
const FOUND: usize = 64;

/// Of what is healed, the name.
const KEY_FILE: &str = "the file of the hash key";

/// What the sentinel compares with, and what it has not journaled yet.
#[derive(Default)]
pub struct Sentinel {
    /// What was written last.
    node: Option<Node>,
    peers: Option<Peers>,
    /// Packets that the program got, as of the last look.
    received: u64,
    found: Vec<Drift>,
    /// What was journaled a moment ago.
    said: Vec<Said>,
    interfaces: Interfaces,
    /// The file of the hash key.
    hash_key: KeyFile,
    /// The next look at slots begins here, if the last one had no time for all.
    next_slot: Option<ChunkId>,
    /// Looks at slots take so long that one has no time for all.
    is_slow: bool,
    /// Why something could not be put right, by what it is.
    failing: BTreeMap<&'static str, String>,
}

struct Said {
    at: Seconds,
    kind: String,
    found: String,
}

/// Something that somebody else changed.
#[derive(Debug)]
struct Drift {
    what: Event,
    found: String,
    healed: bool,
}

impl Drift {
    /// The same for the same thing again: numbers of slots and counts are others each
    /// time.
    fn kind(&self) -> String {
        let words = self.found.split(|one: char| one.is_ascii_digit() || ", ".contains(one));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Sentinel {
    /// What cannot be put right, for people.
    pub fn failing(&self) -> Option<String> {
        let mut failing = self.failing.iter();
        failing
            .next()
            .map(|(what, why)| format!("{what} cannot be put right: {why}"))
    }

    /// Slots are looked at by the sentinel only: where each waits for a grace period (as in
    /// 6.1), whoever asks for a status would keep all others waiting.
    pub const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// To be journaled with the next look. The event is whoever's who found it.
    pub fn note(&mut self, what: Event, found: String, healed: bool) {
        self.found.push(Drift { what, found, healed });
    }

    /// It, or enough like it, was journaled a moment ago.
    fn is_said(&self, drift: &Drift) -> bool {
        let kind = drift.kind();
        let alike = self.said.iter().filter(|said| said.kind == kind).count();
        alike >= ALIKE || self.said.iter().any(|said| said.found == drift.found)
    }

    /// NODE and PEERS are written so.
    pub const fn wrote(&mut self, node: &Node, peers: &Peers) {
        self.node = Some(*node);
        self.peers = Some(*peers);
    }

    /// NODE and PEERS were last written so.
    pub fn has_written(&self, node: &Node, peers: &Peers) -> bool {
        self.node.as_ref() == Some(node) && self.peers.as_ref() == Some(peers)
    }

    /// Packets that the program got in all: less than before is no traffic.
    pub fn count(&mut self, received: u64) {
        let before = std::mem::replace(&mut self.received, received);
        if received < before {
            let found = format!("COUNTERS went back from {before} packets to {received}");
            event!(error, CountersCleared, before, now = received, "COUNTERS went back");
            self.note(Event::CountersCleared, found, false);
        }
    }
}

impl Serving {
    /// ACTIVE leads again to what is served, if it does not. Reads eight bytes of a
    /// mapping, so it can be looked at often.
    pub fn mend_active(&mut self) {
        if self.publisher.active_is_ours() {
            return;
        }
        let was = self.publisher.kernel().active();
        self.publisher.restore_active();
        let root = was.root();
        event!(
            error,
            ActiveOverwritten,
            root,
            "somebody overwrote ACTIVE; it is as it was"
        );
        let found = format!("ACTIVE led to root {root} instead of what was published");
        self.sentinel.note(Event::ActiveOverwritten, found, true);
    }

    /// Looks at all that is ours, and puts right what is not as it was; at slots as long
    /// as there is `time_left`, and goes on there the next time. Says whether there was
    /// something.
    pub fn mend(&mut self, now: Now, time_left: &dyn Fn() -> bool) -> bool {
        // For a journal that took nothing.
        let waiting = self.sentinel.found.len();
        self.mend_active();
        let pins = self.mend_pins();
        self.healed("pins", pins);
        let maps = self.mend_maps();
        self.healed("maps", maps);
        let chunks = self.mend_chunks(time_left);
        self.healed("chunks", chunks);
        let store = self.mend_store(now);
        self.healed("the store's file", store);
        let key = self.mend_journal_key();
        self.healed("the file of the journal's key", key);
        let key = self.mend_hash_key(now);
        self.healed(KEY_FILE, key);
        if self.served.is_some() && self.sentinel.hash_key == KeyFile::Other {
            // Said as long as it lasts: at the next boot nobody could tell which one was meant.
            let why =
                "it has another key than the one in use, which stays in use; to put that into it: holdfast recover";
            self.sentinel.failing.insert(KEY_FILE, why.to_owned());
        }
        self.keep_hash_key();
        let found = self.sentinel.found.len() > waiting;
        self.journal_drift(now);
        found
    }

    /// Says once why something cannot be put right.
    pub(crate) fn healed(&mut self, what: &'static str, healed: Result<(), Failure>) {
        let Err(failure) = healed else {
            self.sentinel.failing.remove(what);
            return;
        };
        let Failure { code, message, .. } = failure;
        if self.sentinel.failing.get(what) == Some(&message) {
            return;
        }
        event!(
            error,
            NotHealed,
            what,
            holdfast.code = code,
            reason = message,
            "could not be put right yet"
        );
        self.sentinel
            .note(Event::NotHealed, format!("{what}: {message}"), false);
        self.sentinel.failing.insert(what, message);
    }

    fn mend_pins(&mut self) -> Result<(), Failure> {
        if bpffs::is_read_only(&self.pin_dir) {
            bpffs::make_writable(&self.pin_dir)?;
            event!(
                error,
                PinLost,
                "the file system of the pins was read-only; it is mounted anew, to be written to"
            );
            let found = "the file system of the pins was mounted read-only".to_owned();
            self.sentinel.note(Event::PinLost, found, true);
        }
        let kernel = self.publisher.kernel_mut();
        let mut again = match kernel.pin_again() {
            Ok(again) => again,
            Err(KernelError::InUse { path }) => return Err(KernelError::InUse { path }.into()),
            // The bpffs itself may be gone.
            Err(_) => {
                bpffs::prepare(&self.pin_dir)?;
                kernel.pin_again()?
            }
        };
        self.keep_links()?;
        let chunks = self.publisher.chunks();
        let kernel = self.publisher.kernel();
        let lost = match kernel.pin_chunks_again(&chunks)? {
            ChunkPins::Whole { again } => again.len(),
            // What is published anew is pinned.
            ChunkPins::Lost(error) => {
                if !self.sentinel.failing.contains_key("pins") {
                    event!(error, PinLost, %error, "pins of chunks were removed; publishing it anew");
                }
                self.publisher.forget_shared();
                self.publish_again(&self.past.clone())?;
                chunks.len()
            }
        };
        if lost > 0 {
            again.push(format!("{lost} of chunks"));
        }
        if !again.is_empty() {
            let pins = again.join(", ");
            event!(error, PinLost, pins, "pins were removed; pinned again");
            self.sentinel
                .note(Event::PinLost, format!("pins were removed: {pins}"), true);
        }
        Ok(())
    }

    /// Pins links again that somebody unpinned.
    pub(crate) fn keep_links(&mut self) -> Result<(), KernelError> {
        for pin in self.publisher.kernel_mut().pin_links_again()? {
            event!(error, PinLost, pin, "the pin of a link was removed; pinned again");
            self.sentinel.note(Event::PinLost, format!("{pin} was unpinned"), true);
        }
        Ok(())
    }

    fn mend_maps(&mut self) -> Result<(), Failure> {
        let kernel = self.publisher.kernel_mut();
        let mut changed = Vec::new();
        let (called, wanted) = (kernel.called()?, kernel.to_be_called()?);
        if called != wanted {
            kernel.call_again()?;
            changed.push("PROGRAMS");
        }
        if let Some(node) = self.sentinel.node
            && kernel.node()? != node
        {
            kernel.set_node(&node)?;
            changed.push("NODE");
        }
        if let Some(peers) = self.sentinel.peers
            && kernel.peers()? != peers
        {
            kernel.set_peers(&peers)?;
            changed.push("PEERS");
        }
        for map in changed {
            event!(
                error,
                MapOverwritten,
                map,
                "somebody changed a map of ours; it is as it was"
            );
            self.sentinel
                .note(Event::MapOverwritten, format!("{map} was changed"), true);
        }
        Ok(())
    }

    fn mend_chunks(&mut self, time_left: &dyn Fn() -> bool) -> Result<(), Failure> {
        let from = self.sentinel.next_slot.unwrap_or(0);
        let (damaged, next) = self.publisher.damage_from(from, time_left)?;
        self.sentinel.is_slow = from != 0 || next.is_some();
        self.sentinel.next_slot = next;
        if damaged.is_empty() || self.served.is_none() {
            return Ok(());
        }
        let slots: Vec<String> = damaged.iter().map(ToString::to_string).collect();
        let slots = slots.join(", ");
        if !self.sentinel.failing.contains_key("chunks") {
            event!(
                error,
                ChunkLost,
                slots,
                "slots of CHUNKS were changed; publishing the same revision anew"
            );
        }
        self.publish_again(&self.past.clone())?;
        let found = format!("slots of CHUNKS were emptied or overwritten: {slots}");
        self.sentinel.note(Event::ChunkLost, found, true);
        Ok(())
    }

    /// The journal is whole again on the disk; but whoever took it meant something,
    /// so changes wait for an operator. So they do where somebody wrote into it.
    fn mend_store(&mut self, now: Now) -> Result<(), Failure> {
        let Some(store) = self.store.as_mut() else {
            return Ok(());
        };
        let path = store.path().display().to_string();
        if store.is_in_place() {
            if self.mode == Mode::ReadOnly || store.ends_as_written() {
                return Ok(());
            }
            event!(error, StoreTaken, path, "somebody else wrote into the store");
            self.sentinel
                .note(Event::StoreTaken, format!("{path} is not as it was written"), false);
            let reason = format!(
                "{path} is not as the daemon wrote it: somebody else wrote into it while the daemon ran; changes wait \
                 for `holdfast recover`"
            );
            self.become_read_only(reason);
            return Ok(());
        }
        // Whether or not the disk takes it again.
        let entry = (self.mode != Mode::ReadOnly).then(|| {
            let reason =
                format!("{path} was removed or replaced while the daemon ran; changes wait for `holdfast recover`");
            self.become_read_only(reason.clone());
            Entry::ReadOnly { reason }
        });
        let Some(store) = self.store.as_mut() else {
            return Ok(());
        };
        store.put_back(now.time)?;
        event!(
            error,
            StoreTaken,
            path,
            "the store's file was removed or replaced; it is written again"
        );
        self.sentinel
            .note(Event::StoreTaken, format!("{path} was removed or replaced"), true);
        if let Some(entry) = entry {
            store.append(&entry, AUTHOR, now.time)?;
        }
        Ok(())
    }

    /// Nobody else has the key: a start would make another one, that nobody handed over to.
    fn mend_journal_key(&mut self) -> Result<(), Failure> {
        let Some(store) = &self.store else { return Ok(()) };
        if store.is_in_place() && store.keep_key()? {
            event!(
                error,
                JournalKeyTaken,
                "the key of the journal's heads was removed; it is written again"
            );
            let found = "the key of the journal's heads was removed".to_owned();
            self.sentinel.note(Event::JournalKeyTaken, found, true);
        }
        Ok(())
    }

    /// One that has another key is said and not touched: somebody may have meant
    /// it, and `recover` puts it right.
    fn mend_hash_key(&mut self, now: Now) -> Result<(), Failure> {
        let found = self.hash_key_file(None)?;
        let before = std::mem::replace(&mut self.sentinel.hash_key, found);
        let Some(served) = self.served.as_ref().filter(|_| found != KeyFile::Same) else {
            return Ok(());
        };
        let path = &served.state.config().node.hash_key_file;
        if found == KeyFile::Other {
            if before != KeyFile::Other {
                let path = path.display().to_string();
                event!(
                    error,
                    HashKeyTaken,
                    path,
                    "the file of the hash key has another key than the one in use"
                );
                let found = format!("{path} has another key than the one in use");
                self.sentinel.note(Event::HashKeyTaken, found, false);
            }
            return Ok(());
        }
        let key = self.publisher.kernel().hash_key()?;
        hash_key::restore(path, &key, now.time).map_err(|source| crate::failure::hash_key(path, &source))?;
        let path = path.display().to_string();
        event!(
            error,
            HashKeyTaken,
            path,
            "the file of the hash key was removed; it is written again"
        );
        self.sentinel
            .note(Event::HashKeyTaken, format!("{path} was removed"), true);
        Ok(())
    }

    /// The copy has the key in use, whatever becomes of the file.
    pub(crate) fn keep_hash_key(&mut self) {
        let kept = || -> Result<(), Failure> {
            let key = self.publisher.kernel().hash_key()?;
            let copy = hash_key::copy(&self.state_dir);
            hash_key::keep(&self.state_dir, &key).map_err(|source| crate::failure::hash_key(&copy, &source))
        };
        if self.served.is_some() {
            let kept = kept();
            self.healed("the copy of the hash key", kept);
        }
    }

    fn journal_drift(&mut self, now: Now) {
        self.sentinel
            .said
            .retain(|said| now.coarse.wrapping_sub(said.at) < SAID_AGAIN);
        for drift in std::mem::take(&mut self.sentinel.found) {
            if self.sentinel.is_said(&drift) {
                continue;
            }
            let Some(store) = &mut self.store else { continue };
            let entry = Entry::Drift {
                what: drift.what.name().to_owned(),
                found: drift.found.clone(),
                healed: drift.healed,
            };
            match store.append(&entry, AUTHOR, now.time) {
                Ok(_) => {
                    let (at, kind, found) = (now.coarse, drift.kind(), drift.found);
                    self.sentinel.said.push(Said { at, kind, found });
                }
                Err(error) => {
                    self.signing.not_written(&error);
                    // There may be room later.
                    if self.sentinel.found.len() < FOUND {
                        self.sentinel.found.push(drift);
                    }
                }
            }
        }
    }
}

/// Who writes what the daemon does by itself.
pub(super) const AUTHOR: &str = "holdfastd";
