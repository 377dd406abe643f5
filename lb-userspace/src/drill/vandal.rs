//! What somebody with root does to the kernel's objects: by bpftool(8) where it
//! is installed, else by the same calls.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use super::error::{DrillError, Result};
use crate::kernel::sys;

/// bpftool(8) can be run here.
static BPFTOOL: LazyLock<bool> = LazyLock::new(|| {
    let version = Command::new("bpftool").arg("version").stdin(Stdio::null()).output();
    version.is_ok_and(|output| output.status.success())
});

/// Pins of a daemon.
#[derive(Clone, Debug)]
pub struct Pins(pub PathBuf);

/// Which object bpftool(8) is to find.
enum Of<'a> {
    Pin(&'a Path),
    Id(u32),
}

impl Pins {
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.0.join("maps").join(name)
    }

    /// Deletes an entry.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn delete(&self, map: &str, key: u32) -> Result<()> {
        let path = self.map(map);
        if *BPFTOOL {
            return bpftool(
                &["map", "delete"],
                &Of::Pin(&path),
                &[&["key"][..], &hex(&key.to_ne_bytes())].concat(),
            );
        }
        let map = sys::open_pin(&path).map_err(failed(&path))?;
        sys::delete_entry(map.as_fd(), key).map_err(failed(&path))
    }

    /// Overwrites an entry.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn update(&self, map: &str, key: u32, value: &[u8]) -> Result<()> {
        let path = self.map(map);
        if *BPFTOOL {
            return bpftool(&["map", "update"], &Of::Pin(&path), &key_and_value(key, value));
        }
        let map = sys::open_pin(&path).map_err(failed(&path))?;
        sys::write_value(map.as_fd(), key, value).map_err(failed(&path))
    }

    /// The value of an entry; empty: there is none.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn value(&self, map: &str, key: u32) -> Result<Vec<u8>> {
        let path = self.map(map);
        let map = sys::open_pin(&path).map_err(failed(&path))?;
        match sys::read_value(map.as_fd(), key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(failed(&path)),
        }
    }

    /// Cuts the link of an interface.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn detach(&self, interface: &str) -> Result<()> {
        let path = self.0.join("links").join(crate::kernel::bpffs::pin_name(interface));
        if *BPFTOOL {
            return bpftool(&["link", "detach"], &Of::Pin(&path), &[]);
        }
        let link = sys::open_pin(&path).map_err(failed(&path))?;
        sys::detach_link(link.as_fd()).map_err(failed(&path))
    }

    /// What is pinned, by paths below the directory.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let mut found = Vec::new();
        let directories = fs::read_dir(&self.0).into_iter().flatten().filter_map(io::Result::ok);
        for directory in directories {
            let pins = fs::read_dir(directory.path()).into_iter().flatten();
            found.extend(pins.filter_map(io::Result::ok).map(|pin| {
                let (of, name) = (directory.file_name(), pin.file_name());
                format!("{}/{}", of.display(), name.display())
            }));
        }
        found.sort();
        found
    }

    /// Removes all pins of a kind: `maps`, `links`, `prog`, `chunks`.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn remove(&self, kind: &str) -> Result<()> {
        let directory = self.0.join(kind);
        for pin in fs::read_dir(&directory).map_err(failed(&directory))? {
            let pin = pin.map_err(failed(&directory))?.path();
            fs::remove_file(&pin).map_err(failed(&pin))?;
        }
        Ok(())
    }
}

/// Overwrites a line of the chunk of that id; the kernel has to refuse it.
///
/// # Errors
/// When it does.
pub fn update_chunk(id: u32, line: u32, value: &[u8]) -> Result<()> {
    if *BPFTOOL {
        return bpftool(&["map", "update"], &Of::Id(id), &key_and_value(line, value));
    }
    let chunk = sys::map_by_id(id).map_err(DrillError::io("opening a chunk"))?;
    sys::write_value(chunk.as_fd(), line, value).map_err(DrillError::io("writing a chunk"))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DrillError {
    DrillError::io(path.display().to_string())
}

fn hex(bytes: &[u8]) -> Vec<&'static str> {
    let mut words = vec!["hex"];
    words.extend(bytes.iter().map(|byte| HEX[usize::from(*byte)].as_str()));
    words
}

/// bpftool(8) takes one word for each byte.
static HEX: LazyLock<Vec<String>> = LazyLock::new(|| (0..=u8::MAX).map(|byte| format!("{byte:02x}")).collect());

fn key_and_value(key: u32, value: &[u8]) -> Vec<&'static str> {
    [&["key"][..], &hex(&key.to_ne_bytes()), &["value"][..], &hex(value)].concat()
}

fn bpftool(what: &[&str], of: &Of<'_>, words: &[&str]) -> Result<()> {
    let mut command = Command::new("bpftool");
    command.args(what);
    match of {
        Of::Pin(path) => command.arg("pinned").arg(path),
        Of::Id(id) => command.args(["id", &id.to_string()]),
    };
    let output = command.args(words).stdin(Stdio::null()).output();
    let output = output.map_err(DrillError::io("running bpftool"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(DrillError::Command {
        command: format!("bpftool {}", what.join(" ")),
        code: super::site::ending(output.status),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
