//! What systemd is told (sd_notify(3)): that the daemon is ready, how it is,
//! and that it lives. Without systemd nobody is told anything.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

use super::Daemon;
use crate::{clock::Now, event, headline::Headline};

/// How often the headline is made anew, at most.
const HEADLINE: Duration = Duration::from_secs(2);

/// What was said last.
#[derive(Default)]
pub struct Said {
    headline: String,
    at: Option<Instant>,
    /// Saying it failed, and that was logged.
    failed: bool,
    /// Nobody took it that the daemon is ready.
    owes_ready: bool,
}

/// Where somebody listens.
fn listener() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET")
}

/// Says it, or fails at once: whoever listens may not read any more (a stopped
/// systemd), and the daemon must not wait for them.
fn send(to: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    let lines = lines.join("\n");
    socket.send_to_addr(lines.as_bytes(), &address).map(drop)
}

fn say(said: &mut Said, states: &[NotifyState<'_>]) {
    let Some(listener) = listener() else {
        return;
    };
    let mut states = states.to_vec();
    if said.owes_ready {
        states.push(NotifyState::Ready);
    }
    match send(&listener, &states) {
        Ok(()) => (said.failed, said.owes_ready) = (false, false),
        Err(error) => {
            said.owes_ready = states.iter().any(|state| matches!(state, NotifyState::Ready));
            said.headline.clear();
            if !std::mem::replace(&mut said.failed, true) {
                event!(warn, WatchdogOff, %error, "systemd cannot be told that the daemon lives");
            }
        }
    }
}

impl Daemon {
    /// It serves, and answers.
    pub async fn say_ready(&self) {
        self.say_with(&[NotifyState::Ready]).await;
    }

    /// Called by the loop that follows the network, after each turn: whoever
    /// holds the writer's lock for ever, or hangs in a look, stops this.
    pub async fn say_alive(&self) {
        self.say_with(&[NotifyState::Watchdog]).await;
    }

    pub async fn say_stopping(&self) {
        let states = [
            NotifyState::Stopping,
            NotifyState::Status("stopping; the kernel goes on forwarding"),
        ];
        say(&mut *self.said.lock().await, &states);
    }

    async fn say_with(&self, states: &[NotifyState<'_>]) {
        if listener().is_none() {
            return;
        }
        let mut said = self.said.lock().await;
        let due = said.at.is_none_or(|at| at.elapsed() >= HEADLINE);
        if due {
            said.at = Some(Instant::now());
            let headline = self.headline().await;
            if headline != said.headline {
                said.headline.clone_from(&headline);
                let status = NotifyState::Status(&headline);
                say(&mut said, &[states, &[status]].concat());
                return;
            }
        }
        say(&mut said, states);
    }

    /// The first line of `holdfast status`.
    async fn headline(&self) -> String {
        self.judge_file().await;
        let resolution = self.resolution.read().await;
        let serving = self.serving.lock().await;
        let served = serving.served.as_ref();
        let interfaces = served.map_or_else(Vec::new, |served| serving.interfaces(served, &resolution));
        let damage = serving.damage().unwrap_or_else(|failure| Some(failure.message));
        let out_of_sync = serving.known_out_of_sync();
        let now = Now::read();
        let (trial, lock) = (serving.trial_status(now), serving.lock_status(now));
        let (mode, mode_reason) = serving.mode_now();
        let headline = Headline {
            generation: served.map_or(0, |served| served.generation),
            revision: served.map_or(0, |served| served.revision),
            digest: served.map_or_else(|| crate::digest::Digest::of(b""), |served| served.digest),
            mode,
            mode_reason: mode_reason.as_deref(),
            damage: damage.as_deref(),
            interfaces: &interfaces,
            out_of_sync: out_of_sync.as_deref(),
            trial: trial.as_ref(),
            lock: &lock,
        };
        headline.text().1.replace('\n', " ")
    }
}

/// On SIGHUP the configuration file is read again, and only compared: nothing
/// is applied by a signal.
pub async fn reload_on_hangup(daemon: Arc<Daemon>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangups.recv().await.is_some() {
        if let Ok(since) = NotifyState::monotonic_usec_now() {
            say(&mut *daemon.said.lock().await, &[NotifyState::Reloading, since]);
        }
        daemon.judge_file().await;
        let out_of_sync = daemon.serving.lock().await.known_out_of_sync();
        match out_of_sync {
            None => event!(info, Reloaded, "the configuration file means what is served"),
            Some(why) => event!(
                warn,
                Reloaded,
                why,
                "the configuration file was compared; plan and apply it"
            ),
        }
        daemon.say_ready().await;
    }
}

/// For [`Daemon`].
pub type Saying = Mutex<Said>;
