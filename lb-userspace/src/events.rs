//! Events that an operator acts on: each has a name that stays, and an id for
//! journald. `docs/events.md` says of each what it means and what to do.
//!
//! [`event!`](crate::event) logs one and counts it; `cargo xtask tidy` refuses
//! warnings and errors of the daemon that are not one.

mod seldom;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::seldom::Seldom;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal),+ $(,)?) => {
        /// An event. Names and ids are never used for something else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Event { $($(#[doc = $doc])+ $name),+ }

        impl Event {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// `HOLDFAST_EVENT` in the journal, `event` in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// `MESSAGE_ID` in the journal: `journalctl MESSAGE_ID=…`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }
        }

        static COUNTS: [AtomicU64; Event::ALL.len()] = [const { AtomicU64::new(0) }; Event::ALL.len()];
    };
}

events! {
    /// The daemon serves, and answers the command line.
    Ready = "e0c270b5be0d6bc43a78e996ffbd0a5b",
    /// The daemon ends; the kernel goes on forwarding.
    Stopped = "e27698e61895f087d8e4a58cf06465a2",
    /// Nothing was known: the configuration file became generation 1.
    FirstStart = "3983f9e741988a8fb26aaeb1e53ee3e3",
    /// The kernel served nothing, as after a reboot: the last generation is published again.
    ServedAgain = "4430147b25dd61773f7f29b28316aa1d",
    /// The kernel served already: the daemon took it over as it was.
    Adopted = "de1725dab5ca51e70de2e44d575171b8",
    /// Another generation or revision is served.
    Switched = "a2c32b6692eed85c12ab8d27f44bb22e",
    /// A plan that was to be applied was refused, and nothing was changed.
    PlanRefused = "1f1c861b55b71e0210b40897acbf03b1",
    /// A revision that nobody asked for could not be published; the one before is served.
    PublishFailed = "b4a274685959c859a8359cdbc6fec9d4",
    /// The daemon takes no changes until somebody settles why.
    ReadOnly = "6ff54fcdf12c4776fb94711a86ef0529",
    /// The daemon before ended between the switch and its record: the journal was completed.
    RolledForward = "d7c4d08d703f620fe98fcc1930a38f2b",
    /// The daemon before ended before a switch it had announced: nothing came of it.
    Discarded = "d857b495fa4f1ecf994cb93977efcb39",
    /// The journal could not be written.
    JournalFailed = "0f0e866126b38f71e4491f6932acc2f7",
    /// A part of what is served could not be read and is published anew.
    ChunkLost = "ff9719ff0661ee25e80bd3318a5f66bd",
    /// The kernel refuses to others to change what is ours there.
    GuardOn = "a79f97a2d7b1d3c0c44051575f881170",
    /// The kernel refuses it to nobody any more: another configuration is served.
    GuardOff = "b7ea3c620d8ce89daa714867f2d44251",
    /// The configuration asks for the guard, and this kernel has none to give; all else goes on.
    GuardUnavailable = "4614274ad5b777c952c24a00d8ab1622",
    /// Somebody wanted to change what is ours in the kernel, and was refused.
    GuardRefused = "00c97b0925c7074ea4c7ba5bf6cd717f",
    /// Somebody removed pins: what they held is pinned again.
    PinLost = "5e3dc8aedc9e6eca137cc97b91de4282",
    /// Somebody detached the program from an interface, or made the interface anew: it is attached again.
    LinkLost = "1e774fb634378c16479c0c011eace7c2",
    /// A link of ours had another program: ours is put on again.
    ProgramReplaced = "34615790bfa3454596bb631c979cd660",
    /// The program is on an interface.
    Attached = "9dad3836e2621d5a17f788b2489417fd",
    /// The program was taken off an interface.
    Detached = "a7ec21879a3afbb5fb1827bd6ac03199",
    /// An interface that should carry the program does not, or has another name, or is down.
    NotAttached = "b8136911d2fa3962db2bbd6f7d88078f",
    /// The program could not be taken off an interface.
    DetachFailed = "a9b53e05cff20379421c8a0973b89451",
    /// A map that says which interfaces and sources are ours could not be written.
    MapNotWritten = "3141dbe21077ff605681ae2b01242352",
    /// The kernel tells of no changes of the network: it is looked at once a second.
    NetlinkLost = "ea5a4e902fb621fc4034cf6f0da89652",
    /// Next hops or path MTUs could not be looked up.
    LookFailed = "b0817bafa768d3266cce65e3129ecffa",
    /// A connection to the API or for metrics could not be accepted.
    NoConnection = "35ffca19f49ae8eabc43eac47d1abe3e",
    /// Connections to the API were still open when the daemon ended.
    ConnectionsCut = "821dfb76a184a4a2179990e3966ad9cf",
    /// The program logs every packet and is slow.
    Tracing = "a067f16c988d7d68e9fa573c1f795f95",
    /// There was no hash key: one was made.
    HashKeyMade = "2783f3a540852a1237577ee3fe476bcd",
    /// SIGHUP: the configuration file was read again, and compared.
    Reloaded = "8bcc978ae85f4c87f022e88eb09f9291",
    /// This build's program could not take over: the pinned one, of another build, goes on.
    TakeoverRefused = "97ee977fdf868581dab2817b035d6f33",
    /// An upgrade of the program was cut short, and is finished or undone now.
    UpgradeSettled = "fd858ba68d611c51b38ce4ccb042058f",
    /// The daemon before ended while it sampled traffic: the usual program is on its interfaces again.
    SampleSettled = "52924a30cae58602c69fde184f9c6530",
    /// The pins were removed, and the host was not rebooted.
    PinsLost = "3dcb8d3997380360821caec592cc2202",
    /// What is served waits for `holdfast confirm`.
    OnTrial = "289d45c17fde5fc921b750070b877bd6",
    /// A generation on trial is worse than what was before, and is taken back.
    TrialWorse = "f478aa783b3bc74ce5e6544c36081909",
    /// A generation on trial gets less than half of the packets of before; it stays on trial.
    TrafficFell = "1eb418a2aeea10fefe7cde9129a0ba1f",
    /// A generation that nobody confirmed was taken back.
    TakenBack = "94f16dea1c5317acd161e9e70669a082",
    /// A generation that nobody confirmed could not be taken back yet; it is tried again.
    TakeBackFailed = "d56f370ed26af27bf5a9fab0dd0250c2",
    /// An interface that had a problem is well again.
    InterfaceWell = "4b887a611d000cb73d1f5b2fa2083935",
    /// Checks of a backend pass again: it gets its traffic back.
    BackendUp = "d689ed94b30fc4776a7db304a8745c9b",
    /// Checks of a backend fail: it gets no new flows, as far as the pool's rules let it.
    BackendDown = "447e1f7d02237c27b27000cce874f53e",
    /// A backend passes its checks and is held down: it came and went too often.
    BackendHeld = "6f66b3ac5176d93db546bad9d3d506eb",
    /// A pool serves otherwise than its checks say: suspicion, panic, fallback, floor or velocity.
    HealthNotFollowed = "8c8f8f117c92dc5793f9bd5de6e10f89",
    /// A pool follows its checks again.
    HealthFollowed = "1d1bb3afbb608a7b3006cf227bd72fc4",
    /// A part of the daemon ended, by a bug: the rest ends, too, and the kernel goes on.
    PartEnded = "54efe5346a89b07073a446ff0cfb73af",
    /// The part that runs checks ended, by a bug; the daemon ends, too.
    ChecksEnded = "9ca7dedc8e46c4de940d179b101dbfc4",
    /// systemd could not be told that the daemon lives.
    WatchdogOff = "00c592916140367ce6210d19bad51fc2",
    /// Checks through the encapsulation may not work, or left something behind.
    TunnelProblem = "dd3c743e179599dc341510b7b84e0acf",
    /// There was no key for the journal's heads: one was made.
    JournalKeyMade = "ca113995d1a3eee8d4688e4f5402b904",
    /// The journal's heads are signed with another key from now on.
    JournalKeyRotated = "91094662790c4a425233e069c3d48a40",
    /// The key in the state directory is not the journal's, and nobody handed over to it: nothing is signed.
    JournalKeyReplaced = "df2263aad8049b9a532c2f30c57587bd",
    /// The journal's head could not be signed; changes and traffic go on.
    HeadNotSigned = "e7ae65d254c509dc6a3ca091152fbd35",
    /// The journal is not what was written, or not what was signed.
    JournalAltered = "ffe649a959162d05315ee42bbab40be2",
    /// Somebody ended read-only: the journal says again what the kernel serves.
    Recovered = "107fc417ddfdf8c3802c3666d4030fc4",
    /// Somebody overwrote ACTIVE, which says what is served: it is as it was.
    ActiveOverwritten = "f6b9ae0db34e044394e0e0a4b79f799f",
    /// Somebody changed a map that says which interfaces, peers or programs are ours: it is as it was.
    MapOverwritten = "3b5bfa73600653f1ce20cf3d9c1eb381",
    /// Counters went back: somebody cleared or overwrote COUNTERS.
    CountersCleared = "28c0975920734eff04a0866f4d350b8c",
    /// Somebody removed or replaced the store's file while the daemon ran: it is written again, and the daemon is read-only.
    StoreTaken = "78abc72bcdcb0de685f6146249b11fff",
    /// Somebody removed or replaced the file of the hash key: it is written again.
    HashKeyTaken = "3734a324c96dcc7608a1f6d3ec25906f",
    /// Somebody removed or replaced the API's socket while the daemon ran: another is in its place.
    SocketTaken = "286f0801d2ee13f5941e91d225381229",
    /// Somebody removed the key of the journal's heads while the daemon ran: it is written again.
    JournalKeyTaken = "072d8cc60abf4ac69b1749e49587e0bb",
    /// What somebody changed in the kernel could not be put right yet; it is tried again.
    NotHealed = "53142ed551ea4341e25a02894385ce45",
    /// A plan waits for approvals.
    PlanKept = "b302e4dd1b800683c7c73589fe02c8d4",
    /// Somebody signed a plan that waits.
    PlanApproved = "c39f527d5d369be3070b665fb0e75b20",
    /// Somebody rejected a plan that waited.
    PlanRejected = "6cf9fa685edc329b920fa6086001d7b8",
    /// Somebody put changes on hold: no generation is made.
    Held = "40893c40361e90c13ebe1ffe3f619c13",
    /// Changes are taken again.
    Resumed = "325cec5581ffd5af364765be4a682064",
    /// Somebody broke the glass: for a while the lock is open.
    GlassBroken = "8a63c398868b612502691e8861ab6e99",
    /// The lock is shut again before its time.
    GlassMended = "e98ae4ad426d728365b3522f3bc1ef40",
}

/// Logs an event, at a level of tracing, and counts it:
/// `event!(warn, PlanRefused, author, "a plan was refused")`.
#[macro_export]
macro_rules! event {
    ($level:ident, $event:ident, $($rest:tt)+) => {{
        const EVENT: $crate::events::Event = $crate::events::Event::$event;
        $crate::events::count(EVENT);
        tracing::$level!(holdfast.event = EVENT.name(), message_id = EVENT.id(), $($rest)+);
    }};
}

/// For [`event!`](crate::event).
pub fn count(event: Event) {
    COUNTS[event as usize].fetch_add(1, Ordering::Relaxed);
}

/// How often each happened since the daemon was started.
pub fn counts() -> impl Iterator<Item = (Event, u64)> {
    Event::ALL
        .iter()
        .map(|event| (*event, COUNTS[*event as usize].load(Ordering::Relaxed)))
}

/// Events that say that somebody else changed what is ours in the kernel.
const DRIFT: [(&str, Event); 12] = [
    ("pin", Event::PinLost),
    ("link", Event::LinkLost),
    ("interface", Event::NotAttached),
    ("program", Event::ProgramReplaced),
    ("chunk", Event::ChunkLost),
    ("active", Event::ActiveOverwritten),
    ("map", Event::MapOverwritten),
    ("counters", Event::CountersCleared),
    ("store", Event::StoreTaken),
    ("hash-key", Event::HashKeyTaken),
    ("socket", Event::SocketTaken),
    ("journal-key", Event::JournalKeyTaken),
];

/// Of each kind of drift, how often it was found.
pub fn drift() -> impl Iterator<Item = (&'static str, u64)> {
    let of = |event: Event| COUNTS[event as usize].load(Ordering::Relaxed);
    DRIFT.into_iter().map(move |(kind, event)| (kind, of(event)))
}

#[cfg(test)]
mod tests;
