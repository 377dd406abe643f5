//! What the facts mean. Each finding says what was measured, why it matters,
//! and the command that puts it right.

mod guard;
mod network;

use std::{path::Path, time::Duration};

use super::{
    Diagnosis, Finding, Level,
    facts::{Directory, Facts, Network},
};

/// The oldest kernel whose bpf_link carries XDP programs.
const OLDEST_KERNEL: (u32, u32) = (5, 10);
/// Bits of `linux/capability.h`.
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;
/// Memory is charged to the cgroup from this kernel on, not to memlock.
const NO_MEMLOCK: (u32, u32) = (5, 11);
const LEAST_MEMLOCK: u64 = 512 << 20;
const LEAST_FILES: u64 = 1024;
const LITTLE_SPACE: u64 = 256 << 20;
const NO_SPACE: u64 = 16 << 20;
const SLOW_SYNC: Duration = Duration::from_millis(500);

/// Judges all of it, host first.
#[must_use]
pub fn judge(facts: &Facts) -> Diagnosis {
    let mut findings = vec![
        kernel(facts),
        finding_if(
            facts.btf,
            "btf",
            "/sys/kernel/btf/vmlinux",
            Level::Warn,
            "tools cannot show types of maps; a kernel with CONFIG_DEBUG_INFO_BTF has it",
            None,
        ),
        privilege(facts),
        memlock(facts),
        files(facts),
        bpffs(facts),
        jit(facts),
        clock(facts),
        guard::judge(facts),
        daemon(facts),
    ];
    findings.extend(directory(&facts.state));
    findings.extend(permissions(facts));
    if let Some(asked) = &facts.network {
        findings.extend(neighbour_limits(facts, asked));
        for interface in &asked.config.node.interfaces {
            findings.extend(network::interface(asked, interface));
        }
        findings.extend(network::backends(asked));
        findings.extend(network::vips(asked));
    }
    Diagnosis { findings }
}

fn ok(check: &'static str, object: &str, measured: impl Into<String>) -> Finding {
    Finding {
        check,
        object: object.to_owned(),
        level: Level::Ok,
        measured: measured.into(),
        why: None,
        fix: None,
    }
}

fn bad(
    level: Level,
    check: &'static str,
    object: &str,
    measured: impl Into<String>,
    why: &str,
    fix: Option<String>,
) -> Finding {
    Finding {
        level,
        why: Some(why.to_owned()),
        fix,
        ..ok(check, object, measured)
    }
}

fn finding_if(well: bool, check: &'static str, object: &str, level: Level, why: &str, fix: Option<String>) -> Finding {
    if well {
        ok(check, object, "there")
    } else {
        bad(level, check, object, "missing", why, fix)
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts) -> Finding {
    let release = facts.kernel.as_deref().unwrap_or("unknown");
    match version(release) {
        Some(version) if version >= OLDEST_KERNEL => ok("kernel", "", release),
        Some(_) => bad(
            Level::Fail,
            "kernel",
            "",
            release,
            "Linux 5.10 is the first with links for XDP and batched updates of maps of maps",
            None,
        ),
        None => bad(Level::Unknown, "kernel", "", release, "its version is not known", None),
    }
}

fn privilege(facts: &Facts) -> Finding {
    let (check, why) = (
        "privilege",
        "holdfastd loads programs and attaches them: CAP_BPF and CAP_NET_ADMIN, or root",
    );
    match facts.capabilities {
        Some(bits) if bits & NET_ADMIN != 0 && bits & (BPF | SYS_ADMIN) != 0 => {
            ok(check, "", "CAP_BPF and CAP_NET_ADMIN")
        }
        // The daemon has its own; whoever asks needs none.
        Some(bits) if facts.daemon => ok(check, "", format!("{bits:#x} of this shell; the daemon runs")),
        Some(bits) => bad(
            Level::Fail,
            check,
            "",
            format!("{bits:#x}"),
            why,
            Some("sudo holdfast doctor".to_owned()),
        ),
        None => bad(Level::Unknown, check, "", "not known", why, None),
    }
}

fn memlock(facts: &Facts) -> Finding {
    let (check, why) = ("memlock", "before Linux 5.11 maps are charged to RLIMIT_MEMLOCK");
    let charged = facts
        .kernel
        .as_deref()
        .and_then(version)
        .is_some_and(|version| version < NO_MEMLOCK);
    match facts.memlock {
        Some(limit) if charged && limit < LEAST_MEMLOCK => {
            let fix = "ulimit -l unlimited".to_owned();
            bad(Level::Fail, check, "", format!("{limit} bytes"), why, Some(fix))
        }
        Some(u64::MAX) => ok(check, "", "unlimited"),
        Some(limit) if charged => ok(check, "", format!("{limit} bytes")),
        Some(limit) => ok(check, "", format!("{limit} bytes, which this kernel does not ask for")),
        None => bad(Level::Unknown, check, "", "not known", why, None),
    }
}

fn files(facts: &Facts) -> Finding {
    let (check, why) = (
        "open-files",
        "a publish holds up to 256 chunks open, and clients have connections",
    );
    match facts.files {
        Some(limit) if limit < LEAST_FILES => bad(
            Level::Warn,
            check,
            "",
            format!("{limit} for this shell"),
            why,
            Some(format!("ulimit -n {LEAST_FILES}")),
        ),
        Some(limit) => ok(check, "", format!("{limit} for this shell")),
        None => bad(Level::Unknown, check, "", "not known", why, None),
    }
}

fn bpffs(facts: &Facts) -> Finding {
    let path = facts.pin_dir.display().to_string();
    let (check, why) = (
        "bpffs",
        "programs and maps are pinned there, so that they outlive the daemon",
    );
    match facts.bpffs {
        Some(true) => ok(check, &path, "a bpffs"),
        // The daemon mounts one below where it may.
        Some(false) => bad(
            Level::Warn,
            check,
            &path,
            "not a bpffs; the daemon mounts one at its start",
            why,
            Some("mount -t bpf bpf /sys/fs/bpf".to_owned()),
        ),
        None => bad(Level::Unknown, check, &path, "not known", why, None),
    }
}

fn jit(facts: &Facts) -> Finding {
    let (check, why) = ("jit", "interpreted, the program is several times slower");
    match facts.jit {
        Some(0) => bad(
            Level::Warn,
            check,
            "",
            "net.core.bpf_jit_enable is 0",
            why,
            Some("sysctl -w net.core.bpf_jit_enable=1".to_owned()),
        ),
        Some(_) => ok(check, "", "on"),
        None => bad(
            Level::Unknown,
            check,
            "",
            "net.core.bpf_jit_enable cannot be read here",
            why,
            None,
        ),
    }
}

fn clock(facts: &Facts) -> Finding {
    let (check, why) = (
        "clock",
        "approvals and confirmations expire by it, and logs of hosts are compared",
    );
    match facts.clock {
        Some(true) => ok(check, "", "synchronised"),
        Some(false) => bad(
            Level::Warn,
            check,
            "",
            "nobody keeps it right",
            why,
            Some("systemctl enable --now systemd-timesyncd".to_owned()),
        ),
        None => bad(Level::Unknown, check, "", "not known", why, None),
    }
}

fn daemon(facts: &Facts) -> Finding {
    let why = "what is served and attached was looked for without it";
    if facts.daemon {
        ok("daemon", "", "answers")
    } else {
        let fix = "systemctl status holdfastd".to_owned();
        bad(Level::Unknown, "daemon", "", "does not answer", why, Some(fix))
    }
}

fn directory(state: &Directory) -> Vec<Finding> {
    let path = state.path.display().to_string();
    let Some(mode) = state.mode else {
        let fix = format!("install -d -m 0700 {path}");
        let why = "the journal is kept there; the daemon makes it at its first start";
        return vec![bad(Level::Unknown, "state", &path, "does not exist", why, Some(fix))];
    };
    let mut findings = vec![private("state", &state.path, mode, 0o077, "0700")];
    let why = "a change that cannot be journaled is refused";
    findings.push(match state.free {
        Some(free) if free < NO_SPACE => bad(
            Level::Fail,
            "disk-space",
            &path,
            mib(free),
            why,
            Some(format!("df {path}")),
        ),
        Some(free) if free < LITTLE_SPACE => bad(
            Level::Warn,
            "disk-space",
            &path,
            mib(free),
            why,
            Some(format!("df {path}")),
        ),
        Some(free) => ok("disk-space", &path, mib(free)),
        None => bad(Level::Unknown, "disk-space", &path, "not known", why, None),
    });
    findings.push(match &state.sync {
        Some(Ok(took)) if *took > SLOW_SYNC => {
            let why = "each change waits for the journal twice";
            bad(Level::Warn, "disk-sync", &path, format!("{took:.1?}"), why, None)
        }
        Some(Ok(took)) => ok("disk-sync", &path, format!("{took:.1?}")),
        Some(Err(error)) => bad(
            Level::Fail,
            "disk-sync",
            &path,
            error.clone(),
            why,
            Some(format!("ls -ld {path}; df {path}")),
        ),
        None => bad(Level::Unknown, "disk-sync", &path, "not tried", why, None),
    });
    findings
}

fn mib(bytes: u64) -> String {
    format!("{} MiB free", bytes >> 20)
}

fn private(check: &'static str, path: &Path, mode: u32, forbidden: u32, right: &str) -> Finding {
    let path = path.display().to_string();
    let measured = format!("mode {mode:04o}");
    if mode & forbidden == 0 {
        return ok(check, &path, measured);
    }
    let why = "others than its owner can use it";
    bad(
        Level::Warn,
        check,
        &path,
        measured,
        why,
        Some(format!("chmod {right} {path}")),
    )
}

fn permissions(facts: &Facts) -> Vec<Finding> {
    let key = facts.hash_key.as_ref();
    let socket = facts.socket.as_ref();
    let key = key.map(|(path, mode)| private("hash-key", path, *mode, 0o077, "0600"));
    let socket = socket.map(|(path, mode)| private("socket", path, *mode, 0o007, "0660"));
    key.into_iter().chain(socket).collect()
}

fn neighbour_limits(facts: &Facts, network: &Network) -> Vec<Finding> {
    let why = "each backend's next hop needs an entry, and so do all others this host talks to";
    let backends = || network.config.pools.iter().flat_map(|pool| &pool.backends);
    let families = [("ipv4", true), ("ipv6", false)]
        .into_iter()
        .zip(facts.neighbour_limits);
    families
        .filter_map(|((family, v4), limit)| {
            let needed = backends().filter(|backend| backend.address.is_ipv4() == v4).count() as u64;
            let limit = limit.filter(|_| needed > 0)?;
            let measured = format!("room for {limit}, {needed} backends");
            Some(if limit < needed * 2 {
                let fix = format!("sysctl -w net.{family}.neigh.default.gc_thresh3={}", needed * 4);
                bad(Level::Warn, "neighbour-limit", family, measured, why, Some(fix))
            } else {
                ok("neighbour-limit", family, measured)
            })
        })
        .collect()
}
