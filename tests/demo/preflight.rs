//! What the demo needs of this host, each with how to get it.

use std::{fs, path::Path, process::Command};

use support::{daemon::Binaries, pass};

/// Something that is missing.
pub struct Missing {
    pub what: &'static str,
    pub fix: &'static str,
}

/// Oldest kernel on which the programs load.
const OLDEST_KERNEL: (u32, u32) = (5, 10);
/// `CAP_SYS_ADMIN`, as a bit of an effective set (capabilities(7)).
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Everything that is missing, at once.
pub fn missing() -> Vec<Missing> {
    let checks: [(bool, &'static str, &'static str); 8] = [
        (
            is_privileged(),
            "not root: namespaces and XDP programs need CAP_SYS_ADMIN",
            "sudo -E cargo xtask demo",
        ),
        (
            kernel().is_some_and(|version| version >= OLDEST_KERNEL),
            "the kernel is older than 5.10",
            "run it on a newer kernel, in a virtual machine for one",
        ),
        (
            Path::new("/sys/kernel/btf/vmlinux").exists(),
            "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
            "use a distribution's kernel; all current ones have it",
        ),
        (
            knows_filesystem("bpf"),
            "the kernel has no BPF file system (CONFIG_BPF_SYSCALL)",
            "use a distribution's kernel; all current ones have it",
        ),
        (has_ip(), "`ip` is not there", "apt-get install iproute2"),
        (
            has_ssh_keygen(),
            "`ssh-keygen` is not there: people approve with its keys",
            "apt-get install openssh-client",
        ),
        (
            Binaries::find().is_ok(),
            "holdfastd and holdfast are not built",
            "cargo xtask build",
        ),
        (
            pass::object().exists(),
            "the XDP programs are not built",
            "cargo xtask build",
        ),
    ];
    let failed = checks.into_iter().filter(|(holds, _, _)| !holds);
    failed.map(|(_, what, fix)| Missing { what, fix }).collect()
}

fn is_privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|set| set & CAP_SYS_ADMIN != 0)
}

/// Major and minor of the running kernel.
fn kernel() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn knows_filesystem(name: &str) -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().last() == Some(name))
}

fn has_ip() -> bool {
    Command::new("ip")
        .arg("-V")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn has_ssh_keygen() -> bool {
    // It knows no option that does nothing; without a terminal it ends at once.
    Command::new("ssh-keygen").arg("-?").output().is_ok()
}
