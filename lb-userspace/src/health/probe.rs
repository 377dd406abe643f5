//! Asks one backend once.

mod dns;
mod error;
mod exec;
mod http;
mod icmp;
mod socket;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

use std::{path::PathBuf, time::Duration};

use tokio::sync::{OnceCell, Semaphore};

use self::{icmp::Echoes, socket::Path, tls::Connectors};
use super::{
    Target, Via,
    tunnel::{Tunnel, TunnelError},
};
use crate::{config::Check, revision::BackendId};

pub use self::error::ProbeError;

/// Programs that run at once; each is a process, and often several.
const PROGRAMS_AT_ONCE: usize = 32;

/// What checks share: sockets for echo requests, TLS configurations, the way
/// through the tunnel, and turns of programs.
#[derive(Default)]
pub struct Prober {
    pin_dir: Option<PathBuf>,
    tunnel: OnceCell<Tunnel>,
    echoes: Echoes,
    connectors: Connectors,
    programs: Programs,
}

struct Programs(Semaphore);

impl Default for Programs {
    fn default() -> Self {
        Self(Semaphore::new(PROGRAMS_AT_ONCE))
    }
}

impl Prober {
    /// Checks that are to go through the encapsulation go through a tunnel of
    /// the daemon with these pins, opened for the first of them.
    #[must_use]
    pub fn new(pin_dir: PathBuf) -> Self {
        Self {
            pin_dir: Some(pin_dir),
            ..Self::default()
        }
    }

    /// Takes the tunnel away, if there is one: no more checks go through it.
    pub async fn close(&self) {
        if let Some(tunnel) = self.tunnel.get() {
            tunnel.close().await;
        }
    }

    /// A tunnel that cannot be had is asked for again by the next check.
    async fn tunnel(&self) -> Result<&Tunnel, ProbeError> {
        let pin_dir = self.pin_dir.as_ref();
        let pin_dir = pin_dir.ok_or(ProbeError::NoTunnel(TunnelError::Unwanted))?;
        let tunnel = self.tunnel.get_or_try_init(|| Tunnel::open(pin_dir)).await;
        tunnel.map_err(ProbeError::NoTunnel)
    }

    /// # Errors
    /// Why the backend did not pass.
    pub async fn probe(&self, backend: &BackendId, target: &Target) -> Result<(), ProbeError> {
        // Waiting for a turn is no fault of the backend's: its time begins
        // when its program does.
        let _turn = match *target.check {
            Check::Exec { .. } => self.programs.0.acquire().await.ok(),
            Check::Tcp { .. } | Check::Http { .. } | Check::Icmp {} | Check::Udp { .. } | Check::Dns { .. } => None,
        };
        let ended = tokio::time::timeout(target.timeout, self.ask(backend, target)).await;
        ended.unwrap_or(Err(ProbeError::TimedOut(target.timeout)))
    }

    async fn ask(&self, backend: &BackendId, target: &Target) -> Result<(), ProbeError> {
        if let Check::Exec { command } = &*target.check {
            return exec::check(command, backend, target.address).await;
        }
        let path = match target.via {
            Via::Direct => Path::direct(target.address),
            Via::Tunnel { vip, member } => Path::through(self.tunnel().await?, target.address, vip, member)?,
        };
        match &*target.check {
            Check::Tcp { port } => tcp::check(&path, *port).await,
            Check::Http {
                port,
                path: page,
                host,
                tls,
                status,
            } => {
                let request = http::Request {
                    port: *port,
                    page,
                    host: host.as_deref(),
                    status: *status,
                };
                http::check(&path, &request, self.connectors.of(*tls)?).await
            }
            Check::Icmp {} => self.echoes.check(&path).await,
            Check::Udp { port, send, expect } => udp::check(&path, *port, send.as_bytes(), expect.as_bytes()).await,
            Check::Dns { port, name, record } => dns::check(&path, *port, name, *record).await,
            Check::Exec { .. } => unreachable!("asked above"),
        }
    }
}

/// As people write it: `850ms`, `2s`.
fn words(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
