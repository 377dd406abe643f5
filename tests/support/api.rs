//! The API of the daemon, asked by code of our own.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Gid, Uid};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    /// A string if it is not JSON.
    pub body: Value,
}

impl Answer {
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status == 200
    }
}

/// Asks as this process's user. `body` may be null: then there is none.
pub fn ask(socket: &Path, method: &str, path: &str, body: &Value) -> Result<Answer> {
    over(UnixStream::connect(socket)?, method, path, body)
}

/// The same as another user.
pub fn ask_as(uid: u32, socket: &Path, method: &str, path: &str, body: &Value) -> Result<Answer> {
    // The kernel notes who connects by the thread that does.
    let stream = thread::scope(|scope| {
        let connecting = scope.spawn(|| -> Result<UnixStream> {
            if uid != 0 {
                let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
                rustix::thread::set_thread_groups(&[])?;
                rustix::thread::set_thread_res_gid(group, group, group)?;
                rustix::thread::set_thread_res_uid(user, user, user)?;
            }
            Ok(UnixStream::connect(socket)?)
        });
        connecting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    over(stream, method, path, body)
}

fn over(mut stream: UnixStream, method: &str, path: &str, body: &Value) -> Result<Answer> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    // By HTTP/1.0 the body ends with the connection, in no chunks.
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: holdfast\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split_whitespace().nth(1).context("an answer without a status")?;
    let mut types = head.lines().filter_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-type: ")
            .map(str::to_owned)
    });
    Ok(Answer {
        status: status.parse()?,
        content_type: types.next_back().context("an answer without a type")?,
        body: serde_json::from_str(body).unwrap_or_else(|_| json!(body)),
    })
}
