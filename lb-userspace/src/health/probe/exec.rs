//! A program ends with exit code 0. No shell; nothing of the daemon's
//! environment but PATH.

use std::{net::IpAddr, os::unix::process::ExitStatusExt as _, process::Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{net::unix::pipe, process::Command};

use super::ProbeError;
use crate::revision::BackendId;

/// Bytes of output that are kept; the rest is read and forgotten, so that the
/// program does not wait for a reader.
const KEPT: usize = 4096;

/// Characters of the first line that are shown.
const SHOWN: usize = 200;

/// Where programs that a check's program calls are looked for, if the daemon
/// itself was started without a PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub async fn check(command: &[String], backend: &BackendId, address: IpAddr) -> Result<(), ProbeError> {
    let [program, arguments @ ..] = command else {
        return Err(ProbeError::Question("there is no command"));
    };
    let (reader, writer) = std::io::pipe()?;
    let mut started = Command::new(program);
    started
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .env("HOLDFAST_POOL", &backend.pool)
        .env("HOLDFAST_BACKEND", &backend.backend)
        .env("HOLDFAST_ADDRESS", address.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let child = started.spawn();
    // Its copies of the pipe's other end: without them the pipe ends with the
    // program.
    drop(started);
    let mut child = child.map_err(|error| ProbeError::Program {
        program: program.clone(),
        error,
    })?;
    let _group = Group::of(child.id());
    let reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut said = Vec::new();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            readable = reader.readable() => {
                readable?;
                // All ends were closed, but the program runs on.
                if !read_on(&reader, &mut said) {
                    break child.wait().await?;
                }
            }
        }
    };
    read_on(&reader, &mut said);
    if status.success() {
        return Ok(());
    }
    let said = first_line(&said);
    Err(match (status.code(), status.signal()) {
        (Some(code), _) => ProbeError::Exit { code, said },
        (None, signal) => ProbeError::Signal {
            signal: signal.unwrap_or_default(),
            said,
        },
    })
}

/// Takes what is there; false at the end.
fn read_on(reader: &pipe::Receiver, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0; KEPT];
    loop {
        match reader.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => {
                let room = KEPT - said.len();
                said.extend_from_slice(&buffer[..read.min(room)]);
                // One turn of a program that never stops talking is enough.
                if read < KEPT {
                    return true;
                }
            }
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        if said.len() == KEPT {
            return true;
        }
    }
}

fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let printable = line.unwrap_or_default().chars().filter(|letter| !letter.is_control());
    printable.take(SHOWN).collect()
}

/// The program and whatever it started; ended when dropped, at the timeout as
/// after its end.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|id| Pid::from_raw(id.cast_signed())))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Nobody is left of most of them.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}
