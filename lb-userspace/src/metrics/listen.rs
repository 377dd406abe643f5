//! `holdfastd --metrics ADDRESS`: the metrics over TCP, and nothing else.
//! Bounded in connections and in time: whoever can reach the port cannot hold
//! the daemon.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{
    api::{backing::Backing, metrics_router},
    event,
    events::Seldom,
};

/// Connections served at once; further ones wait in the backlog.
const CONNECTIONS: usize = 8;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A scrape of Prometheus ends after ten seconds by default.
const LIFETIME: Duration = Duration::from_mins(1);
/// When no connection can be accepted, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the address; a daemon that cannot does not start.
///
/// # Errors
/// When somebody else has it, or it is not an address of this host.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until it is aborted.
pub async fn serve(listener: TcpListener, backing: Arc<dyn Backing>) {
    let router = metrics_router(backing);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut refusals = Seldom::default();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                if let Some(times) = refusals.say(Instant::now()) {
                    event!(warn, NoConnection, %error, times, "cannot accept a connection for metrics");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        use hyper::service::Service as _;
        service.call(request.map(axum::body::Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LIFETIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics broke off"),
        Err(_) => tracing::debug!("a connection for metrics outlived its time"),
    }
}
