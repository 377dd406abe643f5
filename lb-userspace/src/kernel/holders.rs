//! Whose a foreign program is: its name, the processes that hold it or its
//! link, and where they are pinned. Looked up for people, never relied on.

use std::{
    collections::BTreeSet,
    fmt, fs,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use aya::programs::loaded_programs;

use super::sys;

/// A program of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub id: u32,
    /// As it was loaded with; the kernel may keep it to itself.
    pub name: Option<String>,
    /// Process ids with their commands.
    pub holders: BTreeSet<(u32, String)>,
    pub pins: Vec<PathBuf>,
}

impl Foreign {
    /// What can be found out about a program now.
    #[must_use]
    pub fn of(id: u32) -> Self {
        let known = loaded_programs().flatten().find(|program| program.id() == id);
        let name = known.and_then(|program| program.name_as_str().map(str::to_owned));
        let mut pins = Vec::new();
        let mut left = MOST_PINS;
        find_pins(Path::new("/sys/fs/bpf"), id, &mut left, &mut pins);
        Self {
            id,
            name: name.filter(|name| !name.is_empty()),
            holders: holders(id),
            pins,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("without a name");
        write!(f, "program {} ({name})", self.id)?;
        for (pid, command) in &self.holders {
            write!(f, ", held by {command} (pid {pid})")?;
        }
        for pin in &self.pins {
            write!(f, ", pinned at {}", pin.display())?;
        }
        if self.holders.is_empty() && self.pins.is_empty() {
            write!(f, ", held by no process that can be seen")?;
        }
        Ok(())
    }
}

/// Pins that are looked at; a host has a few hundred.
const MOST_PINS: usize = 4096;

/// Descriptors of programs, and of links, say which program they are of (proc(5),
/// `/proc/PID/fdinfo`).
fn names(fdinfo: &str, id: u32) -> bool {
    let id = id.to_string();
    let mut lines = fdinfo.lines().filter_map(|line| line.strip_prefix("prog_id:"));
    lines.any(|found| found.trim() == id)
}

fn holders(id: u32) -> BTreeSet<(u32, String)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let holding = pids.filter(|pid| {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
            return false;
        };
        let mut told = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        told.any(|fdinfo| names(&fdinfo, id))
    });
    holding
        .map(|pid| {
            let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, command.trim().to_owned())
        })
        .collect()
}

fn find_pins(directory: &Path, id: u32, left: &mut usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_pins(&path, id, left, found);
        } else if let Ok(object) = sys::open_pin(&path) {
            let fdinfo = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()));
            if fdinfo.is_ok_and(|fdinfo| names(&fdinfo, id)) {
                found.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn descriptor_of_a_link_or_a_program_names_its_program() {
        let link = "pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_tag:\tabcd\nprog_id:\t41\nifindex:\t2\n";
        assert!(names(link, 41));
        assert!(!names(link, 4));
        assert!(!names("link_id:\t41\nmap_id:\t41\n", 41));
    }
}
