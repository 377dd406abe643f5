//! What a system call can do outside of the process that makes it.

use std::{fmt, fs};

use nix::unistd::Pid;

/// A system call at its entry.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub number: i64,
    pub arguments: [u64; 6],
}

/// What is left of a call when its process is killed right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: killing before it is killing after the last call that left something.
    Nothing,
    /// Bytes in a file.
    Bytes { file: u64 },
    /// Anything else, and whatever is not known here.
    Something,
}

/// Calls that read, wait, or change what goes with the process: its memory,
/// threads, signals, descriptors, locks, and objects that nothing names but a
/// descriptor. What is not here counts as changing something.
const HARMLESS: &[i64] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_brk,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_futex,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_lstat,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_read,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_uname,
    libc::SYS_wait4,
];

/// Commands of bpf(2) as the kernel numbers them (`enum bpf_cmd`).
pub mod bpf {
    pub const MAP_CREATE: u64 = 0;
    pub const MAP_LOOKUP_ELEM: u64 = 1;
    pub const MAP_UPDATE_ELEM: u64 = 2;
    pub const MAP_GET_NEXT_KEY: u64 = 4;
    pub const PROG_LOAD: u64 = 5;
    pub const OBJ_PIN: u64 = 6;
    pub const OBJ_GET: u64 = 7;
    pub const PROG_TEST_RUN: u64 = 10;
    pub const PROG_GET_NEXT_ID: u64 = 11;
    pub const PROG_GET_FD_BY_ID: u64 = 13;
    pub const MAP_GET_FD_BY_ID: u64 = 14;
    pub const OBJ_GET_INFO_BY_FD: u64 = 15;
    pub const BTF_LOAD: u64 = 18;
    pub const MAP_FREEZE: u64 = 22;
    pub const MAP_LOOKUP_BATCH: u64 = 24;
    pub const MAP_UPDATE_BATCH: u64 = 26;
    pub const LINK_CREATE: u64 = 28;
    pub const LINK_UPDATE: u64 = 29;
    pub const LINK_GET_FD_BY_ID: u64 = 30;

    /// They read, or make what only a descriptor names. Maps are made so, too, but
    /// where a chunk begins is worth a look of its own.
    pub const HARMLESS: &[u64] = &[
        MAP_LOOKUP_ELEM,
        MAP_GET_NEXT_KEY,
        PROG_LOAD,
        OBJ_GET,
        PROG_GET_NEXT_ID,
        PROG_GET_FD_BY_ID,
        MAP_GET_FD_BY_ID,
        OBJ_GET_INFO_BY_FD,
        BTF_LOAD,
        MAP_LOOKUP_BATCH,
        LINK_GET_FD_BY_ID,
    ];
}

impl Call {
    /// What it leaves behind; `process` is who makes it.
    #[must_use]
    pub fn effect(&self, process: Pid) -> Effect {
        let [first, second, third, ..] = self.arguments;
        match self.number {
            libc::SYS_bpf if bpf::HARMLESS.contains(&first) => Effect::Nothing,
            libc::SYS_openat if !is_for_making(third) => Effect::Nothing,
            libc::SYS_open if !is_for_making(second) => Effect::Nothing,
            libc::SYS_write | libc::SYS_pwrite64 => self.effect_of_write(process),
            number if HARMLESS.contains(&number) => Effect::Nothing,
            _ => Effect::Something,
        }
    }

    fn effect_of_write(&self, process: Pid) -> Effect {
        // What is printed is the log's.
        if matches!(self.arguments[0], 1 | 2) {
            return Effect::Nothing;
        }
        match self.file(process) {
            Some(file) if file.starts_with("anon_inode:") || file.starts_with("pipe:") => Effect::Nothing,
            Some(file) if file.starts_with("socket:") => Effect::Something,
            Some(_) | None => Effect::Bytes {
                file: self.arguments[0],
            },
        }
    }

    /// The file or directory that it syncs, by its last name.
    #[must_use]
    pub fn synced(&self, process: Pid) -> Option<String> {
        let syncs = matches!(self.number, libc::SYS_fsync | libc::SYS_fdatasync);
        let file = self.file(process).filter(|_| syncs)?;
        file.rsplit('/').next().map(str::to_owned)
    }

    /// What its first argument is a descriptor of.
    fn file(&self, process: Pid) -> Option<String> {
        let link = fs::read_link(format!("/proc/{process}/fd/{}", self.arguments[0])).ok()?;
        Some(link.to_string_lossy().into_owned())
    }

    /// It runs packets through a program: what comes next may be the switch, a
    /// store into a mapping, which no system call shows.
    #[must_use]
    pub const fn is_rehearsal(&self) -> bool {
        self.number == libc::SYS_bpf && self.arguments[0] == bpf::PROG_TEST_RUN
    }

    /// The errors that it may well end with one day, each of another cause; none:
    /// its failure is not tried.
    #[must_use]
    pub fn failures(&self, process: Pid) -> &'static [i32] {
        use libc::{E2BIG, EBUSY, EDQUOT, EIO, EMFILE, ENOMEM, ENOSPC, EPERM, EROFS};
        let [first, second, third, ..] = self.arguments;
        match self.number {
            libc::SYS_write | libc::SYS_pwrite64 => match self.effect_of_write(process) {
                Effect::Bytes { .. } => &[ENOSPC, EIO, EDQUOT],
                Effect::Nothing | Effect::Something => &[],
            },
            libc::SYS_fsync | libc::SYS_fdatasync => &[EIO, ENOSPC, EDQUOT],
            libc::SYS_ftruncate | libc::SYS_fallocate => &[EIO, ENOSPC],
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => &[ENOSPC, EIO, EROFS],
            libc::SYS_unlink | libc::SYS_unlinkat | libc::SYS_rmdir => &[EROFS, EIO],
            libc::SYS_mkdir | libc::SYS_mkdirat => &[ENOSPC, EROFS],
            libc::SYS_open if is_for_making(second) => &[EROFS, ENOSPC, EMFILE],
            libc::SYS_openat if is_for_making(third) => &[EROFS, ENOSPC, EMFILE],
            // A mapping of a file or map, not of memory.
            libc::SYS_mmap if self.arguments[4].cast_signed() as i32 >= 0 => &[ENOMEM],
            libc::SYS_bpf => match first {
                bpf::MAP_CREATE | bpf::PROG_LOAD | bpf::LINK_CREATE | bpf::LINK_UPDATE => &[ENOMEM, EPERM],
                bpf::MAP_UPDATE_ELEM | bpf::MAP_UPDATE_BATCH => &[E2BIG, ENOMEM],
                bpf::MAP_FREEZE => &[EBUSY, EPERM],
                bpf::OBJ_PIN => &[ENOSPC, EPERM],
                bpf::PROG_TEST_RUN => &[ENOMEM],
                _ => &[],
            },
            _ => &[],
        }
    }

    /// For messages: its name, and of what.
    #[must_use]
    pub fn described(&self, process: Pid) -> Described {
        let name = match self.number {
            libc::SYS_bpf => format!("bpf({})", bpf_name(self.arguments[0])),
            number => NAMES
                .iter()
                .find(|(of, _)| *of == number)
                .map_or_else(|| format!("system call {number}"), |(_, name)| (*name).to_owned()),
        };
        let of_a_descriptor = matches!(
            self.number,
            libc::SYS_write
                | libc::SYS_pwrite64
                | libc::SYS_fsync
                | libc::SYS_fdatasync
                | libc::SYS_ftruncate
                | libc::SYS_fchown
                | libc::SYS_sendto
        );
        let file = self.file(process).filter(|_| of_a_descriptor);
        Described { name, file }
    }
}

/// A call, for people.
#[derive(Clone, Debug)]
pub struct Described {
    name: String,
    file: Option<String>,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().and_then(|file| file.rsplit('/').next());
        // Each socket has a number of its own.
        let file = file.map(|file| file.split(":[").next().unwrap_or(file));
        match file {
            Some(file) => write!(f, "{} of {file}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

const fn is_for_making(flags: u64) -> bool {
    flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0
}

fn bpf_name(command: u64) -> String {
    let name = match command {
        bpf::MAP_CREATE => "map create",
        bpf::MAP_UPDATE_ELEM => "map update",
        bpf::PROG_LOAD => "prog load",
        bpf::OBJ_PIN => "obj pin",
        bpf::PROG_TEST_RUN => "prog test run",
        bpf::MAP_FREEZE => "map freeze",
        bpf::MAP_UPDATE_BATCH => "map update batch",
        bpf::LINK_CREATE => "link create",
        bpf::LINK_UPDATE => "link update",
        other => return format!("command {other}"),
    };
    name.to_owned()
}

const NAMES: &[(i64, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_open, "open"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_bind, "bind"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_ioctl, "ioctl"),
];
