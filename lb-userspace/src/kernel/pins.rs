//! The objects that are built in, and everything about pins: loading with
//! pinned maps, attaching with pinned links, opening again.
#![expect(unsafe_code, reason = "aya wants its own Pod, which is an unsafe trait")]

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, ProgramArray},
    programs::{Xdp, links::FdLink, xdp::XdpMode as AyaMode},
};
use aya_obj::programs::XdpAttachType;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    KernelError,
    bpffs::{self, pin_name},
    sys,
};
use crate::config::XdpMode;

/// As `cargo xtask build` made it.
#[cfg(not(feature = "relaid"))]
pub static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/balancer.o"));
/// As `cargo xtask build` made it.
#[cfg(feature = "relaid")]
pub static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/balancer-relaid.o"));
/// As `cargo xtask build` made it.
pub static AGENT: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/agent.o"));
/// As `cargo xtask build` made it.
pub static GUARD: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/guard.o"));

/// A value of ours as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

// SAFETY: bytemuck's Pod promises more than aya's asks for, and `Plain` is
// transparent.
unsafe impl<T: bytemuck::Pod> aya::Pod for Plain<T> {}

/// Loads an object with its maps pinned (or opened, where they are), and pins
/// its programs; the first of them last, as the one whose pin says that all is
/// there. The others are called from it, by their place in `called`. Programs go
/// below `programs`, each map to its path.
pub fn load_and_pin(
    object: &[u8],
    first: &'static str,
    called: &[&'static str],
    programs: &Path,
    maps: &[(&'static str, PathBuf)],
) -> Result<(), KernelError> {
    let mut loader = EbpfLoader::new();
    for (map, path) in maps {
        loader.map_pin_path(map, path.as_path());
    }
    let mut ebpf = loader.load(object).map_err(load_error)?;
    link_programs(&mut ebpf, called)?;
    program_mut(&mut ebpf, first)?.load().map_err(program_error)?;
    for name in called.iter().chain([&first]) {
        let pin = programs.join(name);
        // Of a load that was cut short, or of a program whose pin was removed.
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(KernelError::call("unlink")(error)),
            Ok(()) | Err(_) => {}
        }
        program_mut(&mut ebpf, name)?
            .pin(&pin)
            .map_err(|source| KernelError::Pin {
                path: pin,
                source: Box::new(source),
            })?;
    }
    Ok(())
}

/// Loads the programs that others call, and puts them into PROGRAMS.
pub fn link_programs(ebpf: &mut Ebpf, called: &[&'static str]) -> Result<(), KernelError> {
    for (index, name) in called.iter().enumerate() {
        let program = program_mut(ebpf, name)?;
        program.load().map_err(program_error)?;
        let program = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(program_error)?;
        let map = ebpf.map_mut("PROGRAMS").ok_or(KernelError::Missing("PROGRAMS"))?;
        let mut programs = ProgramArray::try_from(map).map_err(map_error)?;
        programs.set(index as u32, &program, 0).map_err(map_error)?;
    }
    Ok(())
}

pub fn attach(
    program: &mut Xdp,
    directory: &Path,
    interface: &str,
    ifindex: u32,
    mode: XdpMode,
) -> Result<(), KernelError> {
    let mode = match mode {
        XdpMode::Native => AyaMode::Driver,
        XdpMode::Generic => AyaMode::Skb,
    };
    let id = program.attach_to_if_index(ifindex, mode).map_err(program_error)?;
    let link = program.take_link(id).map_err(program_error)?;
    let link: FdLink = link.try_into().map_err(|_| KernelError::NoLink)?;
    let path = link_path(directory, interface);
    // The pin holds the link from here on; our descriptor may go.
    drop(link.pin(&path).map_err(|source| KernelError::Pin {
        path,
        source: Box::new(source),
    })?);
    Ok(())
}

pub fn link_at(pin: &Path) -> Result<Option<sys::LinkFacts>, KernelError> {
    match sys::open_pin(pin) {
        Ok(link) => sys::link_facts(link.as_fd())
            .map(Some)
            .map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KernelError::Call {
            call: "BPF_OBJ_GET",
            source,
        }),
    }
}

/// The directories of pins below one that is on a bpffs.
pub fn make_directories(directory: &Path) -> Result<(), KernelError> {
    ["prog", "maps", "links", "chunks"]
        .iter()
        .try_for_each(|part| make_directory(&directory.join(part)))
}

/// Takes the directory for this process, until it ends.
pub fn lock(directory: &Path) -> Result<fs::File, KernelError> {
    let lock = fs::File::open(directory).map_err(KernelError::call("open"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(KernelError::InUse {
            path: directory.to_owned(),
        }),
        Err(error) => Err(KernelError::Call {
            call: "flock",
            source: error.into(),
        }),
    }
}

/// Of the pin that has this name.
pub fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

/// A link by its descriptor, and the inode of its pin: another inode is another
/// object under its name.
#[derive(Debug)]
pub struct HeldLink {
    pub link: OwnedFd,
    pub inode: Option<u64>,
}

/// The links that are pinned, by interface.
pub fn held_links(directory: &Path) -> BTreeMap<String, HeldLink> {
    let Ok(entries) = fs::read_dir(directory.join("links")) else {
        return BTreeMap::new();
    };
    let pins = entries.filter_map(Result::ok);
    let links = pins.filter_map(|pin| {
        let link = HeldLink {
            link: sys::open_pin(&pin.path()).ok()?,
            inode: inode(&pin.path()),
        };
        Some((bpffs::interface_of(&pin.file_name().into_string().ok()?), link))
    });
    links.collect()
}

/// The program pinned at `pin`.
pub fn open_program(pin: &Path) -> Result<Xdp, KernelError> {
    Xdp::from_pin(pin, XdpAttachType::Interface).map_err(program_error)
}

pub fn make_directory(path: &Path) -> Result<(), KernelError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(KernelError::Bpffs {
            path: path.to_owned(),
            source: error,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub fn map_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("maps").join(name)
}

pub fn program_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("prog").join(name)
}

pub fn link_path(directory: &Path, interface: &str) -> PathBuf {
    directory.join("links").join(pin_name(interface))
}

pub fn open_pin(path: &Path) -> Result<OwnedFd, KernelError> {
    sys::open_pin(path).map_err(KernelError::call("BPF_OBJ_GET"))
}

/// A pinned map of the kind its name says.
pub fn open_map(directory: &Path, name: &str) -> Result<Map, KernelError> {
    let map = MapData::from_pin(map_path(directory, name)).map_err(map_error)?;
    Map::from_map_data(map).map_err(map_error)
}

pub fn program_mut<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut Xdp, KernelError> {
    ebpf.program_mut(name)
        .ok_or(KernelError::Missing(name))?
        .try_into()
        .map_err(program_error)
}

pub fn load_error(error: aya::EbpfError) -> KernelError {
    KernelError::Load(Box::new(error))
}

pub fn program_error(error: aya::programs::ProgramError) -> KernelError {
    KernelError::Program(Box::new(error))
}

pub fn map_error(error: aya::maps::MapError) -> KernelError {
    KernelError::Map(Box::new(error))
}
