//! Another build's programs take over from the pinned ones, with the same maps,
//! and links updated in place: no packet meets half a balancer.
//!
//! A prog array empties when its last descriptor or pin goes, whoever still
//! runs, so the new programs bring a PROGRAMS of their own, and the old one keeps
//! its pin until nothing runs that calls through it. All that is new is pinned in
//! `next/` first. The *decision* is one rename, `next/balancer` to
//! `prog/balancer`; before it a start goes back, after it a start goes on
//! ([`settle`]). Links are updated before, and name whole balancers all the time.

use std::{
    borrow::Cow,
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use lb_common::abi::ABI_VERSION;

use super::{
    KernelError,
    aya::{CALLED, MAPS},
    carry::Shapes,
    found::FoundRoot,
    pins::{self, BALANCER, map_path, open_pin, program_error, program_path},
    sys,
};

/// The programs of a balancer, as `cargo xtask build` made them.
#[derive(Clone, Debug)]
pub struct Object(Cow<'static, [u8]>);

impl Object {
    /// The one this binary was built with.
    #[must_use]
    pub const fn built_in() -> Self {
        Self(Cow::Borrowed(BALANCER))
    }

    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self(Cow::Owned(fs::read(path)?)))
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What its maps are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn shapes(&self) -> Result<Shapes, KernelError> {
        let parsed = aya_obj::Object::parse(self.bytes())
            .map_err(|error| pins::load_error(aya::EbpfError::ParseError(error)))?;
        let shapes = MAPS.iter().filter_map(|name| {
            let map = parsed.maps.get(*name)?;
            let shape = sys::MapShape {
                kind: map.map_type(),
                key_bytes: map.key_size(),
                value_bytes: map.value_size(),
                entries: map.max_entries(),
            };
            Some((*name, shape))
        });
        Ok(shapes.collect())
    }

    /// It has this build's layout.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_of_this_layout(&self) -> Result<bool, KernelError> {
        Ok(self.shapes()? == Self::built_in().shapes()?)
    }
}

/// One step of an upgrade; a daemon may end after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An interface's link gets the new program.
    Link(String),
    /// No packet is in the old programs any more.
    Grace,
    /// A pin of a program in `prog/` is the new one; of `balancer` last.
    Program(&'static str),
    /// The pin of PROGRAMS is the new one; the old array empties.
    Calls,
    /// `next/` is gone.
    End,
}

fn next(directory: &Path) -> PathBuf {
    directory.join("next")
}

/// Loads and pins the new programs in `next/`, and says what is to be done from
/// there. What is served is as it was.
///
/// # Errors
/// When the kernel refuses them; `next/` is gone then.
pub fn prepare(object: &Object, directory: &Path) -> Result<Vec<Step>, KernelError> {
    let next = next(directory);
    discard(&next)?;
    pins::make_directory(&next)?;
    let maps = MAPS.map(|name| match name {
        "PROGRAMS" => (name, next.join(name)),
        shared => (shared, map_path(directory, shared)),
    });
    if let Err(error) = pins::load_and_pin(object.bytes(), "balancer", &CALLED, &next, &maps) {
        discard(&next)?;
        return Err(error);
    }
    let links = pins::held_links(directory).into_keys().map(Step::Link);
    let programs = CALLED.into_iter().chain(["balancer"]).map(Step::Program);
    Ok(links
        .chain([Step::Grace])
        .chain(programs)
        .chain([Step::Calls, Step::End])
        .collect())
}

/// Takes one step.
///
/// # Errors
/// When the kernel refuses it. What is served is a whole balancer all the same.
pub fn take(step: &Step, directory: &Path) -> Result<(), KernelError> {
    let next = next(directory);
    match step {
        Step::Link(interface) => put_on(&pins::link_path(directory, interface), &next.join("balancer")),
        Step::Grace => grace(),
        Step::Program(name) => rename(&next.join(name), &program_path(directory, name)),
        Step::Calls => rename(&next.join("PROGRAMS"), &map_path(directory, "PROGRAMS")),
        Step::End => fs::remove_dir(&next).map_err(KernelError::call("rmdir")),
    }
}

/// Ends an upgrade that was cut short, one way or the other: back before the
/// decision, on after it.
///
/// # Errors
/// When the kernel refuses; the next start tries again.
pub fn settle(directory: &Path) -> Result<(), KernelError> {
    let next = next(directory);
    if !next.exists() {
        return Ok(());
    }
    let pinned = program_path(directory, "balancer");
    if !pinned.exists() {
        // Somebody removed it: what there is of the new one may be all there is.
        return Ok(());
    }
    // Either way the pinned balancer is the one to be, on all links.
    for interface in pins::held_links(directory).into_keys() {
        put_on(&pins::link_path(directory, &interface), &pinned)?;
    }
    grace()?;
    if calls_through(&pinned, &next.join("PROGRAMS"))? {
        rename(&next.join("PROGRAMS"), &map_path(directory, "PROGRAMS"))?;
        crate::event!(
            warn,
            UpgradeSettled,
            "an upgrade of the program was cut short: finished"
        );
    } else {
        crate::event!(
            warn,
            UpgradeSettled,
            "an upgrade of the program was cut short: gone back"
        );
    }
    discard(&next)
}

/// The pinned program uses the pinned map.
pub(super) fn calls_through(program: &Path, map: &Path) -> Result<bool, KernelError> {
    if !map.exists() {
        return Ok(false);
    }
    let map = sys::map_id(open_pin(map)?.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
    let program = open_pin(program)?;
    let used = sys::program_maps(program.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
    Ok(used.contains(&map))
}

/// How this build's layout differs from what is pinned; `None`: it does not.
///
/// # Errors
/// When a map cannot be asked, or the object not read.
pub fn misfit(object: &Object, directory: &Path) -> Result<Option<String>, KernelError> {
    let wanted = object.shapes()?;
    for name in MAPS {
        let pin = map_path(directory, name);
        let Some(wanted) = wanted.get(name).filter(|_| pin.exists()) else {
            continue;
        };
        let found = sys::map_shape(open_pin(&pin)?.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
        if found != *wanted {
            return Ok(Some(format!("{name} is {found}, this build has {wanted}")));
        }
    }
    let version = serving(directory).map(|(abi, _)| abi);
    Ok(version
        .filter(|version| *version != ABI_VERSION)
        .map(|_| format!("this build's is version {ABI_VERSION}")))
}

/// What serves below `directory`: the layout's version and the generation. `None`:
/// nothing is published, or it cannot be read.
#[must_use]
pub fn serving(directory: &Path) -> Option<(u32, u64)> {
    let root = FoundRoot::read(directory)?;
    Some((root.header().abi, root.header().generation))
}

/// Puts a pinned program on a pinned link, if it is not there yet. A link that is
/// attached to nothing is left to those who attach.
pub(super) fn put_on(link: &Path, program: &Path) -> Result<(), KernelError> {
    let link = open_pin(link)?;
    let program = pins::open_program(program)?;
    let facts = sys::link_facts(link.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
    if facts.ifindex == 0 || facts.program_id == program.info().map_err(program_error)?.id() {
        return Ok(());
    }
    let program = program.fd().map_err(program_error)?;
    sys::update_link(link.as_fd(), program.as_fd()).map_err(KernelError::call("BPF_LINK_UPDATE"))
}

/// Waits until no packet is in a program that it found before this call.
pub(super) fn grace() -> Result<(), KernelError> {
    let chunk = sys::create_chunk().map_err(KernelError::call("BPF_MAP_CREATE"))?;
    let outer = sys::create_waiting(chunk.as_fd()).map_err(KernelError::call("BPF_MAP_CREATE"))?;
    sys::update_slots(outer.as_fd(), &[(0, chunk.as_fd())]).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
}

fn rename(from: &Path, to: &Path) -> Result<(), KernelError> {
    fs::rename(from, to).map_err(KernelError::call("rename"))
}

/// The programs first: their array must not empty under them.
fn discard(next: &Path) -> Result<(), KernelError> {
    let Ok(entries) = fs::read_dir(next) else {
        return Ok(());
    };
    let mut pins: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pins.sort_by_key(|pin| pin.ends_with("PROGRAMS"));
    for pin in pins {
        fs::remove_file(&pin).map_err(KernelError::call("unlink"))?;
    }
    fs::remove_dir(next).map_err(KernelError::call("rmdir"))
}
