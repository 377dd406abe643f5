//! Follows the system calls of all threads of a process, and kills it at one of
//! them, or makes one fail.
//!
//! One count goes over all threads, so that with k = 1, 2, … every point of an
//! operation is reached (a thread's own count, as strace keeps one, cannot say
//! where an operation of several threads is). All of ptrace(2) is done by one thread,
//! which looks at nobody else's children. When it ends, the kernel lets go of
//! what it followed.
//!
//! For processes of x86-64 alone: registers are read by name.

mod calls;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

pub use calls::{Call, Described, Effect};

/// To seize all threads of a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done to a process, and when; points are counted from 1.
#[derive(Clone, Copy, Debug)]
pub enum Strike {
    /// SIGKILL at the n-th point.
    Kill { nth: usize, points: Points },
    /// The n-th call that may fail does, with one of its errors; the next one with
    /// another, if `turn` is one more.
    Fail { nth: usize, turn: usize },
}

/// Where a process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// Before each call that can leave something behind, and after each rehearsal. Of
    /// the bytes that go to a file one after the other: before the first and the
    /// second, and before what comes next.
    Telling,
    /// Before each call and after it.
    All,
}

/// What a process did while it was followed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Points that were passed or reached.
    pub points: usize,
    /// The call at the point that was asked for.
    pub struck: Option<Described>,
    /// Files and directories that were synced, by their last name.
    pub synced: BTreeSet<String>,
    /// With what it failed.
    pub errno: Option<i32>,
    /// It ended by itself.
    pub ended: bool,
}

/// A process that is followed.
#[derive(Debug)]
pub struct Trace {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Trace {
    /// Follows a process that runs, or one that has stopped itself and then becomes
    /// another program: of that, calls count from its first.
    pub fn start(process: u32, strike: Strike) -> Result<Self> {
        let process = Pid::from_raw(i32::try_from(process)?);
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (begun, begins) = mpsc::channel();
        let follow = move || {
            let mut tracer = Tracer::seize(process, strike)?;
            begun.send(()).context("nobody waits")?;
            tracer.follow(&told)
        };
        let thread = thread::Builder::new().name("tracer".to_owned()).spawn(follow)?;
        if begins.recv_timeout(PATIENCE).is_err() && thread.is_finished() {
            let ended = thread.join().map_err(|_| anyhow!("the tracer panicked"))?;
            return Err(ended.err().unwrap_or_else(|| anyhow!("the process ended")));
        }
        Ok(Self { stop, thread })
    }

    /// The process was killed, or ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets go of the process, if it is there. `poke` makes it do something, so
    /// that it is seen.
    pub fn end(self, poke: impl FnOnce()) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        if !self.is_over() {
            poke();
        }
        self.join()
    }

    /// Waits until it was killed, or ends.
    pub fn join(self) -> Result<Seen> {
        self.thread.join().map_err(|_| anyhow!("the tracer panicked"))?
    }
}

struct Tracer {
    process: Pid,
    strike: Strike,
    seen: Seen,
    /// Calls that threads are in.
    inside: BTreeMap<Pid, Call>,
    /// The thread whose call is to fail, and with what.
    failing: Option<(Pid, i32)>,
    /// The file that got bytes last, and how often in a row.
    row: Option<(u64, usize)>,
    /// Calls count.
    counts: bool,
    /// It was killed, or ended, before all of its threads were followed.
    over: bool,
}

impl Tracer {
    fn seize(process: Pid, strike: Strike) -> Result<Self> {
        let mut tracer = Self {
            process,
            strike,
            seen: Seen::default(),
            inside: BTreeMap::new(),
            failing: None,
            row: None,
            counts: !is_stopped(process)?,
            over: false,
        };
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEEXIT;
        let mut seized = BTreeSet::new();
        // Until there is no thread that is new.
        'new: loop {
            let mut news = 0;
            for thread in threads(process)? {
                if !seized.insert(thread) {
                    continue;
                }
                match ptrace::seize(thread, options) {
                    Ok(()) => {
                        ptrace::interrupt(thread).context("interrupting")?;
                        news += 1;
                    }
                    // It came from one that was seized, or is gone.
                    Err(Errno::EPERM | Errno::ESRCH) => {}
                    Err(error) => return Err(error).context("seizing"),
                }
            }
            for _ in 0..news {
                if !tracer.next(&AtomicBool::new(false))? {
                    tracer.over = true;
                    break 'new;
                }
            }
            if news == 0 {
                break;
            }
        }
        if !tracer.counts && !tracer.over {
            kill(process, Signal::SIGCONT)?;
        }
        Ok(tracer)
    }

    fn follow(&mut self, stop: &AtomicBool) -> Result<Seen> {
        while !self.over && self.next(stop)? {}
        Ok(std::mem::take(&mut self.seen))
    }

    /// Waits for the next stop and goes on from it; false: that is all.
    fn next(&mut self, stop: &AtomicBool) -> Result<bool> {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = match waitpid(None::<Pid>, Some(flags)) {
            Ok(status) => status,
            Err(Errno::ECHILD) => {
                self.seen.ended = true;
                return Ok(false);
            }
            Err(Errno::EINTR) => return Ok(true),
            Err(error) => return Err(error).context("waiting for a traced process"),
        };
        let (thread, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                if stop.load(Ordering::Relaxed) && self.failing.is_none() {
                    return Ok(false);
                }
                if self.counts && !self.at_call(thread)? {
                    return Ok(false);
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                if event == Event::EXIT && thread == self.process {
                    self.seen.ended = true;
                    return Ok(false);
                }
                self.counts |= event == Event::EXEC;
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) | WaitStatus::Continued(_) | WaitStatus::StillAlive => {
                return Ok(true);
            }
        };
        match ptrace::syscall(thread, signal) {
            // Somebody else killed it.
            Ok(()) | Err(Errno::ESRCH) => Ok(true),
            Err(error) => Err(error).context("going on"),
        }
    }

    /// A thread is at the entry or exit of a call; false: the process was killed.
    fn at_call(&mut self, thread: Pid) -> Result<bool> {
        let info = match ptrace::syscall_info(thread) {
            Ok(info) => info,
            Err(Errno::ESRCH) => return Ok(true),
            Err(error) => return Err(error).context("asking about a call"),
        };
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                let registers = ptrace::getregs(thread)?;
                let call = Call {
                    number: registers.orig_rax.cast_signed(),
                    arguments: [
                        registers.rdi,
                        registers.rsi,
                        registers.rdx,
                        registers.r10,
                        registers.r8,
                        registers.r9,
                    ],
                };
                self.inside.insert(thread, call);
                self.enter(thread, call)
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => self.leave(thread),
            _ => Ok(true),
        }
    }

    fn enter(&mut self, thread: Pid, call: Call) -> Result<bool> {
        if let Some(file) = call.synced(self.process) {
            self.seen.synced.insert(file);
        }
        match self.strike {
            Strike::Kill { nth, points } => {
                let is_point = points == Points::All || self.tells(&call);
                if is_point && self.pass(nth, &call) {
                    kill(self.process, Signal::SIGKILL)?;
                    return Ok(false);
                }
            }
            Strike::Fail { nth, turn } => {
                let errors = call.failures(self.process);
                if !errors.is_empty() && self.pass(nth, &call) {
                    let errno = errors[turn % errors.len()];
                    self.seen.errno = Some(errno);
                    self.failing = Some((thread, errno));
                    // No call has this number, so that nothing is done.
                    let mut registers = ptrace::getregs(thread)?;
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(thread, registers)?;
                }
            }
        }
        Ok(true)
    }

    fn leave(&mut self, thread: Pid) -> Result<bool> {
        let call = self.inside.remove(&thread);
        if let Some((_, errno)) = self.failing.take_if(|(failing, _)| *failing == thread) {
            let mut registers = ptrace::getregs(thread)?;
            registers.rax = i64::from(-errno).cast_unsigned();
            ptrace::setregs(thread, registers)?;
        }
        if let (Strike::Kill { nth, points }, Some(call)) = (self.strike, call) {
            let is_point = points == Points::All || call.is_rehearsal();
            if is_point && self.pass(nth, &call) {
                kill(self.process, Signal::SIGKILL)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts a point; true: it is the one.
    fn pass(&mut self, nth: usize, call: &Call) -> bool {
        self.seen.points += 1;
        let reached = self.seen.points == nth;
        if reached {
            self.seen.struck = Some(call.described(self.process));
        }
        reached
    }

    fn tells(&mut self, call: &Call) -> bool {
        match (call.effect(self.process), self.row) {
            (Effect::Nothing, _) => false,
            (Effect::Bytes { file }, Some((last, times))) if file == last => {
                self.row = Some((file, times + 1));
                times < 2
            }
            (Effect::Bytes { file }, _) => {
                self.row = Some((file, 1));
                true
            }
            (Effect::Something, _) => {
                self.row = None;
                true
            }
        }
    }
}

/// Events of ptrace(2).
struct Event;

impl Event {
    const EXEC: i32 = libc::PTRACE_EVENT_EXEC;
    const EXIT: i32 = libc::PTRACE_EVENT_EXIT;
}

fn threads(process: Pid) -> Result<Vec<Pid>> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).with_context(|| format!("process {process}"))?;
    let names = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok()?.parse().ok());
    Ok(names.map(Pid::from_raw).collect())
}

/// It has stopped itself.
pub fn is_stopped(process: Pid) -> Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let state = stat.rsplit_once(") ").context("no state")?.1;
    Ok(state.starts_with('T'))
}
