//! The guard in the real kernel: LSM programs that refuse to others what the daemon alone does
//! with its maps, links and pins (`guard.rs` of lb-ebpf).
//!
//! Nothing of it is pinned. Its links are descriptors of this process, so the guard ends with it,
//! whatever ends it: a host without a daemon can always be repaired.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        linux::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, RingBuf},
    programs::Lsm,
};
use lb_common::abi::guard::{Deed, GuardSetting, Guarded, Refusal, directory};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{
    KernelError,
    btf::Btf,
    pins::{self, GUARD, Plain, map_error, program_error},
    sys,
};

/// Where the kernel says what its types are.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Where it says which security modules are on; on securityfs.
pub const MODULES: &str = "/sys/kernel/security/lsm";

/// The programs and the hooks that they are for.
const HOOKS: [(&str, &str); 10] = [
    ("guard_bpf", "bpf"),
    ("guard_bpf_map", "bpf_map"),
    ("guard_mmap_file", "mmap_file"),
    ("guard_inode_unlink", "inode_unlink"),
    ("guard_inode_rmdir", "inode_rmdir"),
    ("guard_inode_rename", "inode_rename"),
    ("guard_sb_umount", "sb_umount"),
    ("guard_sb_mount", "sb_mount"),
    ("guard_move_mount", "move_mount"),
    ("guard_sb_remount", "sb_remount"),
];

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error("the kernel does not say what its types are ({BTF})")]
    NoTypes(#[source] io::Error),
    #[error("{BTF} cannot be understood")]
    BadTypes,
    #[error("this kernel has no member {1} in struct {0}")]
    NoMember(&'static str, &'static str),
    /// The kernel takes the programs, and never calls them.
    #[error("`bpf` is not among the security modules that are on")]
    NotCalled,
    #[error("{0} cannot be looked at")]
    Place(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl GuardError {
    /// With what lies under it, in one line.
    #[must_use]
    pub fn whole(&self) -> String {
        let said = crate::failure::chain(self);
        // A verifier's log is long, and its end says what was wrong.
        said.lines()
            .rfind(|line| !line.trim().is_empty())
            .map_or_else(String::new, |last| {
                let first = said.lines().next().unwrap_or_default();
                if first == last {
                    first.to_owned()
                } else {
                    format!("{first} … {last}")
                }
            })
    }
}

/// The programs, loaded: the verifier has let them pass.
pub struct Loaded {
    ebpf: Ebpf,
    setting: GuardSetting,
    /// Of the pins.
    directory: fs::File,
    place: Place,
}

impl Loaded {
    /// For the pins in `directory`.
    ///
    /// # Errors
    /// When the kernel is none that can have a guard.
    pub fn load(directory: &Path) -> Result<Self, GuardError> {
        let bytes = fs::read(BTF).map_err(GuardError::NoTypes)?;
        let place = |error: io::Error| GuardError::Place(directory.to_owned(), error);
        let opened = fs::File::open(directory).map_err(place)?;
        let found = Place::of(&opened, Path::new("")).map_err(place)?;
        let setting = setting(&Btf::parse(&bytes).ok_or(GuardError::BadTypes)?, found.device)?;
        let types = aya::Btf::parse(&bytes, aya::Endianness::default()).map_err(|_| GuardError::BadTypes)?;
        let value = Plain(setting);
        let mut loader = EbpfLoader::new();
        loader.override_global("SETTING", &value, true);
        let mut ebpf = loader.load(GUARD).map_err(pins::load_error)?;
        for (name, hook) in HOOKS {
            program(&mut ebpf, name)?.load(hook, &types).map_err(program_error)?;
        }
        Ok(Self {
            ebpf,
            setting,
            directory: opened,
            place: found,
        })
    }

    /// From now on, until it is dropped or this process ends.
    ///
    /// # Errors
    /// When the kernel does not attach the programs, or does not call them. Nothing is refused
    /// to anybody then.
    pub fn attach(mut self) -> Result<Guard, GuardError> {
        let mut own = BTreeSet::new();
        for (name, _) in HOOKS {
            let program = program(&mut self.ebpf, name)?;
            let fd = program.fd().map_err(program_error)?;
            own.extend(sys::program_maps(fd.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?);
            program.attach().map_err(program_error)?;
        }
        let take = |ebpf: &mut Ebpf, name| ebpf.take_map(name).ok_or(KernelError::Missing(name));
        let owner: Array<MapData, u64> = Array::try_from(take(&mut self.ebpf, "OWNER")?).map_err(map_error)?;
        let guard = Guard {
            guarded: HashMap::try_from(take(&mut self.ebpf, "GUARDED")?).map_err(map_error)?,
            places: HashMap::try_from(take(&mut self.ebpf, "PLACES")?).map_err(map_error)?,
            directories: HashMap::try_from(take(&mut self.ebpf, "DIRECTORIES")?).map_err(map_error)?,
            refusals: Array::try_from(take(&mut self.ebpf, "REFUSALS")?).map_err(map_error)?,
            told: RingBuf::try_from(take(&mut self.ebpf, "TOLD")?).map_err(map_error)?,
            own,
            known: Known::default(),
            place: self.place,
            _attached: self.ebpf,
        };
        sys::say_password(self.setting.password, self.directory.as_fd())
            .map_err(KernelError::call("BPF_MAP_LOOKUP_ELEM"))?;
        if owner.get(&0, 0).map_err(map_error)? == 0 {
            return Err(GuardError::NotCalled);
        }
        Ok(guard)
    }
}

/// The guard, on. Dropped, it is off.
pub struct Guard {
    guarded: HashMap<MapData, Plain<Guarded>, u32>,
    places: HashMap<MapData, u64, u32>,
    directories: HashMap<MapData, u64, u32>,
    refusals: Array<MapData, u64>,
    told: RingBuf<MapData>,
    /// Ids of its own maps.
    own: BTreeSet<u32>,
    known: Known,
    place: Place,
    /// Holds the links.
    _attached: Ebpf,
}

/// Where pins are: the file system, and the mount of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// As `MKDEV` of the kernel's `include/linux/kdev_t.h`.
    device: u32,
    /// 0 where the kernel does not say (before 5.8).
    mount: u64,
}

impl Place {
    /// Of a path below a directory, or of the directory itself.
    fn of(directory: impl AsFd, path: &Path) -> io::Result<Self> {
        let facts = statx(directory, path, AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        Ok(Self {
            device: facts.stx_dev_major << 20 | facts.stx_dev_minor,
            mount: facts.stx_mnt_id,
        })
    }
}

/// What it guards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    /// By the name of the pin.
    objects: BTreeMap<Guarded, String>,
    directories: BTreeMap<u64, u32>,
}

impl Guard {
    /// It guards the place where `directory` is now. False: something was mounted over it, or it
    /// was unmounted and mounted anew.
    #[must_use]
    pub fn is_for(&self, directory: &Path) -> bool {
        // One that is not there is made anew, and looked at again then.
        Place::of(CWD, directory).map_or(true, |place| place == self.place)
    }

    /// Guards what is pinned in `directory` now, and nothing else.
    ///
    /// # Errors
    /// When a pin cannot be looked at, or the kernel refuses.
    pub fn follow(&mut self, directory: &Path) -> Result<(), GuardError> {
        let now = Known {
            objects: self.objects(directory)?,
            directories: directories(directory)?,
        };
        for (number, what) in &now.directories {
            if self.known.directories.get(number) != Some(what) {
                self.directories.insert(number, what, 0).map_err(map_error)?;
            }
        }
        let fresh = now
            .objects
            .keys()
            .filter(|object| !self.known.objects.contains_key(object));
        for object in fresh {
            self.guarded.insert(Plain(*object), 0, 0).map_err(map_error)?;
        }
        if now.objects != self.known.objects {
            // A guarded map that is opened tells where it is.
            drop(pinned(&directory.join("maps"))?);
        }
        for number in self
            .known
            .directories
            .keys()
            .filter(|number| !now.directories.contains_key(number))
        {
            self.directories.remove(number).map_err(map_error)?;
        }
        for object in self
            .known
            .objects
            .keys()
            .filter(|object| !now.objects.contains_key(object))
        {
            self.guarded.remove(&Plain(*object)).map_err(map_error)?;
        }
        self.forget_places(&now)?;
        self.known = now;
        Ok(())
    }

    /// Of maps that are not guarded any more.
    fn forget_places(&mut self, now: &Known) -> Result<(), GuardError> {
        if now.objects == self.known.objects {
            return Ok(());
        }
        let places = self.places.iter().collect::<Result<Vec<_>, _>>().map_err(map_error)?;
        for (place, id) in places {
            if !now.objects.contains_key(&Guarded { kind: Guarded::MAP, id }) {
                self.places.remove(&place).map_err(map_error)?;
            }
        }
        Ok(())
    }

    fn objects(&self, directory: &Path) -> Result<BTreeMap<Guarded, String>, GuardError> {
        let map = |id| Guarded { kind: Guarded::MAP, id };
        let own = self.own.iter().map(|&id| (map(id), "the guard's own map".to_owned()));
        let mut objects: BTreeMap<Guarded, String> = own.collect();
        for (name, pin) in pinned(&directory.join("maps"))? {
            let id = sys::map_id(pin.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
            objects.insert(map(id), format!("maps/{name}"));
        }
        for (name, pin) in pinned(&directory.join("links"))? {
            let facts = sys::link_facts(pin.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?;
            let link = Guarded {
                kind: Guarded::LINK,
                id: facts.id,
            };
            objects.insert(link, format!("links/{name}"));
        }
        Ok(objects)
    }

    /// How often each was refused since it is on.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn refused(&self) -> Result<BTreeMap<Deed, u64>, GuardError> {
        let of = |deed: Deed| Ok((deed, self.refusals.get(&(deed as u32), 0).map_err(map_error)?));
        Deed::ALL.into_iter().map(of).collect()
    }

    /// What was refused since it was asked last, oldest first.
    pub fn told(&mut self) -> Vec<Refused> {
        let mut refused = Vec::new();
        while let Some(item) = self.told.next() {
            if let Ok(refusal) = bytemuck::try_pod_read_unaligned::<Refusal>(&item) {
                refused.extend(self.known.refused(&refusal));
            }
        }
        refused
    }
}

/// Something that was refused, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub deed: Deed,
    pub command: String,
    pub pid: u32,
    pub uid: u32,
    /// What it would have been done to.
    pub object: String,
}

impl Known {
    fn refused(&self, refusal: &Refusal) -> Option<Refused> {
        let command = refusal.command.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut named = self.objects.iter().filter(|(object, _)| object.id == refusal.object);
        let deed = *Deed::ALL.get(refusal.deed as usize)?;
        let kind = if deed.is_of_a_link() {
            Guarded::LINK
        } else {
            Guarded::MAP
        };
        let named = named.find(|(object, _)| object.kind == kind);
        Some(Refused {
            deed,
            command: String::from_utf8_lossy(command).into_owned(),
            pid: refusal.pid,
            uid: refusal.uid,
            object: named.map_or_else(|| "pins".to_owned(), |(_, name)| name.clone()),
        })
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Lsm, KernelError> {
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
    program.try_into().map_err(program_error)
}

/// Everything that is pinned in a directory; nothing, if it is not there.
fn pinned(directory: &Path) -> Result<Vec<(String, OwnedFd)>, GuardError> {
    let here = |error| GuardError::Place(directory.to_owned(), error);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(here)?,
    };
    // What is no pin (a directory, a link to nothing) is not the daemon's, and must not
    // keep what is from being guarded.
    let open = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((name, sys::open_pin(&entry.path()).ok()?))
    };
    let entries = entries.collect::<io::Result<Vec<_>>>().map_err(here)?;
    Ok(entries.into_iter().filter_map(open).collect())
}

/// Directories of pins and those that they are in, by the number of the inode.
fn directories(directory: &Path) -> Result<BTreeMap<u64, u32>, GuardError> {
    let here = |path: &Path| {
        let path = path.to_owned();
        move |error| GuardError::Place(path, error)
    };
    let top = fs::metadata(directory).map_err(here(directory))?;
    let mut found = BTreeMap::new();
    for above in directory.ancestors().skip(1) {
        match fs::metadata(above) {
            Ok(facts) if facts.st_dev() == top.st_dev() => found.insert(facts.st_ino(), directory::ABOVE),
            Ok(_) | Err(_) => break,
        };
    }
    found.insert(top.st_ino(), directory::OURS);
    // Two deep: `beside` has a set of its own. What is in them are pins, thousands of them.
    for parent in [directory.to_owned(), directory.join("beside")] {
        let Ok(entries) = fs::read_dir(&parent) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let facts = entry.metadata().map_err(here(&entry.path()))?;
                found.insert(facts.st_ino(), directory::OURS);
            }
        }
    }
    Ok(found)
}

fn setting(btf: &Btf<'_>, device: u32) -> Result<GuardSetting, GuardError> {
    let of = |name, member| btf.offset(name, member).ok_or(GuardError::NoMember(name, member));
    Ok(GuardSetting {
        // Never zero, which is what is asked for by accident.
        password: fastrand::u64(1..),
        device,
        task_files: of("task_struct", "files")?,
        files_fdt: of("files_struct", "fdt")?,
        fdt_max: of("fdtable", "max_fds")?,
        fdt_files: of("fdtable", "fd")?,
        file_path: of("file", "f_path")?,
        path_mount: of("path", "mnt")?,
        path_dentry: of("path", "dentry")?,
        file_private: of("file", "private_data")?,
        map_id: of("bpf_map", "id")?,
        link_id: of("bpf_link", "id")?,
        inode_sb: of("inode", "i_sb")?,
        inode_number: of("inode", "i_ino")?,
        sb_device: of("super_block", "s_dev")?,
        dentry_inode: of("dentry", "d_inode")?,
        vfsmount_sb: of("vfsmount", "mnt_sb")?,
        mount_mnt: of("mount", "mnt")?,
        mount_parent: of("mount", "mnt_parent")?,
        mount_point: of("mount", "mnt_mountpoint")?,
        mount_group: of("mount", "mnt_group_id")?,
        mount_master: of("mount", "mnt_master")?,
        unused: 0,
    })
}
