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

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use self::{icmp::Echoes, socket::Path, tls::Connectors};
use super::{Target, tunnel::Tunnel};
use crate::{config::Check, revision::BackendId};

pub use self::error::ProbeError;

/// Programs that run at once; each is a process, and often several.
const PROGRAMS_AT_ONCE: usize = 32;

/// What checks share: sockets for echo requests, TLS configurations, the way
/// through the tunnel, and turns of programs.
#[derive(Default)]
pub struct Prober {
    tunnel: Option<Arc<Tunnel>>,
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
    /// Checks that are to go through the encapsulation go through this tunnel;
    /// without one they end in [`ProbeError::NoTunnel`].
    #[must_use]
    pub fn new(tunnel: Option<Arc<Tunnel>>) -> Self {
        Self {
            tunnel,
            ..Self::default()
        }
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
        let path = Path::of(target, self.tunnel.as_deref())?;
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
