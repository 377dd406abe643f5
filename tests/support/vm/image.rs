//! What a guest starts from: the built programs, what they are linked with, and
//! the kernel's modules, in the kernel's format for it
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::kernel::Kernel;
use crate::{daemon::Binaries, pass};

/// Where the guest's init finds modules.
pub const MODULES: &str = "/modules";
/// Where it finds the rig's programs.
pub const BPF: &str = "/usr/lib/holdfast";
/// Where programs are.
pub const PROGRAMS: &str = "/usr/bin";

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
/// Character device 5:1; standard output of init.
const CONSOLE: u32 = 0o020_600;

/// Directories that something is mounted on or written to.
const EMPTY: [&str; 10] = [
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr",
    "var",
    "var/lib",
    "var/lib/holdfast",
];

/// Writes the image of a kernel; `guest` is its first process.
pub fn write(kernel: &Kernel, guest: &Path, scratch: &Path, to: &Path) -> Result<()> {
    let mut archive = Archive::default();
    for directory in EMPTY {
        archive.directory(directory);
    }
    archive.add("dev/console", CONSOLE, &[], (5, 1));
    // The daemon asks who root is.
    archive.file("/etc/passwd", b"root:x:0:0:root:/:/bin/false\n");
    archive.file("/etc/group", b"root:x:0:\n");
    let binaries = Binaries::find()?;
    let ip = find("ip")?;
    let programs = [
        ("/init".to_owned(), guest.to_owned()),
        (format!("{PROGRAMS}/holdfastd"), binaries.holdfastd()),
        (format!("{PROGRAMS}/holdfast"), binaries.holdfast()),
        (format!("{PROGRAMS}/ip"), ip),
    ];
    let mut libraries = BTreeSet::new();
    for (inside, program) in &programs {
        archive.file(inside, &stripped(program, scratch)?);
        libraries.extend(linked(program)?);
    }
    for library in libraries {
        archive.file(&library, &read(Path::new(&library))?);
    }
    archive.file(&format!("{BPF}/rig.o"), &read(&pass::object())?);
    for module in kernel.modules()? {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("{MODULES}/{name}"), &read(&module)?);
    }
    fs::write(to, archive.end()).with_context(|| format!("writing {}", to.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn find(name: &str) -> Result<PathBuf> {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut candidates = folders.iter().map(|folder| Path::new(folder).join(name));
    candidates
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("there is no `{name}` on this machine"))
}

/// A program without its debug information, which is most of it.
fn stripped(program: &Path, scratch: &Path) -> Result<Vec<u8>> {
    let small = scratch.join("stripped");
    let status = Command::new("strip").arg("-o").arg(&small).arg(program).status();
    ensure!(
        status.context("running `strip` (Debian package binutils)")?.success(),
        "strip {}",
        program.display()
    );
    read(&small)
}

/// The files a program is linked with, by the names it asks for.
fn linked(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output().context("running `ldd`")?;
    ensure!(output.status.success(), "ldd {}", program.display());
    let listed = String::from_utf8(output.stdout)?;
    let mut files = Vec::new();
    for line in listed.lines() {
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader's
        // own path; the vDSO is no file.
        let wanted = line.split_once("=>").map_or(line, |(_, path)| path).trim();
        if wanted.starts_with("not found") {
            bail!("{}: {line}", program.display());
        }
        if let Some(path) = wanted.split(' ').next().filter(|path| path.starts_with('/')) {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

/// A cpio archive, "newc".
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// A file, and the directories it is in.
    fn file(&mut self, path: &str, content: &[u8]) {
        let path = path.trim_start_matches('/');
        let above: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for directory in above.iter().rev().filter_map(|directory| directory.to_str()) {
            self.directory(directory);
        }
        self.add(path, FILE, content, (0, 0));
    }

    fn directory(&mut self, path: &str) {
        if !path.is_empty() && self.directories.insert(path.to_owned()) {
            self.add(path, DIRECTORY, &[], (0, 0));
        }
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        self.entries += 1;
        let length = u32::try_from(content.len()).expect("files here are small");
        let name = u32::try_from(path.len() + 1).expect("paths are short");
        // Inode, mode, owner, group, links, time, size, device of the archive
        // (two), of the file (two), length of the name, checksum.
        let (major, minor) = device;
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, major, minor, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").into_bytes());
        }
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[], (0, 0));
        self.bytes
    }
}
