//! A command on a real terminal of 80 by 24.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};

use crate::wait;

const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// What is to be seen is seen within this.
const SEEN: Duration = Duration::from_secs(15);

/// A terminal with a command in it, which is ended with it.
#[derive(Debug)]
pub struct Screen {
    near: File,
    /// Held open, so that the terminal outlives the command.
    _far: File,
    drawn: Arc<Mutex<Drawn>>,
    child: Child,
}

/// What came from the command.
struct Drawn {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parser.screen().contents())
    }
}

impl Screen {
    /// Starts the command in a session of its own, with the terminal as its
    /// controlling one: Ctrl-C is a key.
    pub fn open(command: &Command) -> Result<Self> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        tcsetwinsize(&near, SIZE)?;
        let name = ptsname(&near, Vec::new())?.into_string()?;
        let far = File::options().read(true).write(true).open(name)?;
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let child = session
            .stdin(Stdio::from(far.try_clone()?))
            .stdout(Stdio::from(far.try_clone()?))
            .stderr(Stdio::from(far.try_clone()?))
            .spawn()
            .context("running setsid")?;
        let drawn = Arc::new(Mutex::new(Drawn {
            parser: vt100::Parser::new(SIZE.ws_row, SIZE.ws_col, 0),
            bytes: Vec::new(),
        }));
        let near = File::from(near);
        let (mut from, written) = (near.try_clone()?, Arc::clone(&drawn));
        // Ends when the other end is closed.
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let mut drawn = lock(&written);
                drawn.parser.process(&buffer[..length]);
                drawn.bytes.extend(&buffer[..length]);
            }
        });
        Ok(Self {
            near,
            _far: far,
            drawn,
            child,
        })
    }

    /// What is to be seen.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.drawn).parser.screen().contents()
    }

    /// The same row by row, where a long line is many.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        lock(&self.drawn).parser.screen().rows(0, SIZE.ws_col).collect()
    }

    /// All that was written to it, control codes included.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&lock(&self.drawn).bytes).into_owned()
    }

    /// The screen is the one that the shell had, and its cursor is seen.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        let drawn = lock(&self.drawn);
        let screen = drawn.parser.screen();
        !screen.alternate_screen() && !screen.hide_cursor()
    }

    /// How keys are treated.
    pub fn modes(&self) -> Result<Termios> {
        Ok(tcgetattr(&self.near)?)
    }

    pub fn wait_for(&self, part: &str) -> Result<()> {
        wait::until(SEEN, part, || self.text().contains(part).then_some(())).with_context(|| self.text())
    }

    pub fn press(&mut self, keys: &[u8]) -> Result<()> {
        Ok(self.near.write_all(keys)?)
    }

    /// Waits until the command has ended.
    pub fn ended(&mut self, at_most: Duration) -> Result<ExitStatus> {
        wait::until(at_most, "the end of a command", || self.child.try_wait().ok()?).with_context(|| self.text())
    }
}

fn lock(drawn: &Mutex<Drawn>) -> MutexGuard<'_, Drawn> {
    drawn.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The session ends with its terminal's Ctrl-C, else with what waits for it.
        self.near.write_all(b"\x03").ok();
        if self.ended(Duration::from_secs(2)).is_err()
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop))
        {
            eprintln!("warning: a terminal's command: {error}");
        }
    }
}
