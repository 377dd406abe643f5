//! What has to hold after every start: nothing is left of what was cut short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::AsFd as _,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use lb_common::abi::chunk::CHUNK_SLOTS;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::site::{Served, Side, Site};

/// Everything in the state directory, while no transaction is under way.
const STATE: [&str; 5] = [
    "hash.key.copy",
    "holdfast.db",
    "holdfast.lock",
    "journal.key",
    "journal.key.pub",
];

const PROGRAMS: [&str; 4] = ["agent", "balancer", "odd", "plain"];

/// The agent's maps are among them.
const MAPS: [&str; 11] = [
    "ACTIVE",
    "AGENT_COUNTERS",
    "ANSWERS",
    "CHUNKS",
    "COUNTERS",
    "FLOWS",
    "HASH_KEY",
    "NODE",
    "PATH_MTU",
    "PEERS",
    "PROGRAMS",
];

/// Totals of an earlier layout, where there was one.
const CARRIED: &str = "CARRIED";

/// Ids of the links by interface: another id is another attachment, and packets in
/// between passed by.
pub type Links = BTreeMap<String, u32>;

impl Site {
    /// All is well, and nothing is left over. Says what serves.
    pub fn ensure_clear(&self) -> Result<Served> {
        let served = self.served()?;
        self.run(&["journal", "verify"])?;
        ensure!(!self.has_pending()?, "an intent has no outcome");
        ensure!(
            names(self.state())? == STATE.map(str::to_owned).into(),
            "the state directory has {:?}",
            names(self.state())?
        );
        self.ensure_pins_exact(&served)?;
        Ok(served)
    }

    fn ensure_pins_exact(&self, served: &Served) -> Result<()> {
        let pins = &self.installation.pins;
        let below = |folder: &str| names(&pins.join(folder));
        let folders = ["chunks", "links", "maps", "prog"].map(str::to_owned);
        ensure!(names(pins)? == folders.into(), "pins are {:?}", names(pins)?);
        ensure!(
            below("prog")? == PROGRAMS.map(str::to_owned).into(),
            "programs are {:?}",
            below("prog")?
        );
        let mut maps = below("maps")?;
        maps.remove(CARRIED);
        ensure!(maps == MAPS.map(str::to_owned).into(), "maps are {maps:?}");
        ensure!(below("links")? == served.attached, "links are {:?}", below("links")?);
        // The map that empty slots hold has no pin.
        let installed = self.installed()?;
        let pinned: BTreeSet<u32> = below("chunks")?
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?;
        let strays: Vec<_> = pinned.difference(&installed).collect();
        ensure!(strays.is_empty(), "pins of chunks that are in no slot: {strays:?}");
        let unpinned = installed.difference(&pinned).count();
        ensure!(
            !pinned.is_empty() && unpinned <= 1,
            "{unpinned} maps in slots are not pinned"
        );
        Ok(())
    }

    /// Ids of all maps in slots.
    fn installed(&self) -> Result<BTreeSet<u32>> {
        let chunks = sys::open_pin(&self.installation.pins.join("maps/CHUNKS"))?;
        let slots = 1..u16::try_from(CHUNK_SLOTS)?;
        let ids = slots.filter_map(|slot| sys::map_id_in_slot(chunks.as_fd(), slot).transpose());
        Ok(ids.collect::<std::io::Result<_>>()?)
    }

    pub fn links(&self) -> Result<Links> {
        let pins = self.installation.pins.join("links");
        let names = names(&pins)?.into_iter();
        let ids = names.map(|name| {
            let facts = sys::link_facts(sys::open_pin(&pins.join(&name))?.as_fd())?;
            ensure!(facts.ifindex != 0, "the link of {name} is attached to nothing");
            Ok((name, facts.id))
        });
        ids.collect()
    }

    /// Ids of the programs that links have.
    pub fn programs(&self) -> Result<BTreeSet<u32>> {
        let pins = self.installation.pins.join("links");
        let names = names(&pins)?.into_iter();
        let ids = names.map(|name| Ok(sys::link_facts(sys::open_pin(&pins.join(name))?.as_fd())?.program_id));
        ids.collect()
    }

    /// The last intent or revision of the journal has no outcome.
    pub fn has_pending(&self) -> Result<bool> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Connection::open_with_flags(self.state().join("holdfast.db"), flags)?;
        store.busy_timeout(std::time::Duration::from_secs(10))?;
        let kind = store
            .query_row(
                "SELECT kind FROM journal WHERE kind IN ('intent', 'revision', 'outcome') ORDER BY seq DESC LIMIT 1",
                [],
                |row| row.get::<_, String>(0),
            )
            .optional()?;
        // A journal that begins with what was recovered has none of them.
        Ok(kind.is_some_and(|kind| kind != "outcome"))
    }

    /// The revision with this next hop serves, and the journal says so.
    pub fn is_recorded(&self, hop: u8) -> bool {
        // Of a daemon that was killed the store may be as its next one has to find it.
        self.has_hop(hop) && self.has_pending().is_ok_and(|pending| !pending)
    }

    /// Packets go to this next hop.
    pub fn has_hop(&self, hop: u8) -> bool {
        self.traffic.last().is_some_and(|sent| sent.hop == hop)
    }

    /// How often a daemon said that it is read-only.
    pub fn times_read_only(&self) -> Result<usize> {
        self.logged("event=\"ReadOnly\"")
    }

    /// How many errors daemons said.
    pub fn errors(&self) -> Result<usize> {
        self.logged(" ERROR ")
    }

    fn logged(&self, words: &str) -> Result<usize> {
        let log = fs::read_to_string(&self.installation.log)?;
        Ok(log.matches(words).count())
    }

    /// The side that does not serve.
    pub fn side_to_come(&self) -> Result<Side> {
        Ok(Side::of(self.traffic.last().context("nothing has arrived")?).other())
    }

    /// Applies the other configuration, without any trouble.
    pub fn ensure_applies(&self, served: &Served) -> Result<Served> {
        let side = served.side.other();
        self.write(side)?;
        let path = self.installation.config.to_string_lossy();
        self.run(&["apply", "-f", &path]).context("a further apply")?;
        let aim = Served {
            generation: served.generation + 1,
            side,
            ..served.clone()
        };
        let now = self.served()?;
        ensure!(
            now.is(&aim, served),
            "after a further apply {now:?} serves, not {aim:?}"
        );
        Ok(now)
    }
}

fn names(directory: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
