//! Serves connections of the unix socket, bounded in number and in time: a
//! client that is slow, silent or gone cannot hold the daemon.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Body, http::StatusCode, response::IntoResponse as _};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{net::UnixStream, sync::Semaphore};

use super::{
    auth::Peer,
    backing::Backing,
    model::{Document, Failure},
    places::{Full, Place, Places},
    roles::Accounts,
    routes,
    socket::Doors,
};
use crate::{event, events::Seldom};

/// How long a client may take to send the head of a request, the first or the
/// next one on its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last, however it is used. It bounds a client that
/// does not read its answer; an apply goes on without it.
const LIFETIME: Duration = Duration::from_mins(2);

/// Connections that are told why they are turned away, at once, and for how
/// long their request is waited for.
const FAREWELLS: usize = 64;
const HEARING: Duration = Duration::from_secs(1);

/// How long requests under way may take to finish at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, as when descriptors
/// have run out: without it, the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is ready, then lets requests under way finish.
///
/// # Errors
/// None today; a listener that cannot be used at all will be one.
pub async fn serve(
    doors: impl Into<Doors>,
    backing: Arc<dyn Backing>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_router(doors, routes::router(backing), shutdown).await
}

pub(super) async fn serve_router(
    doors: impl Into<Doors>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut doors = doors.into();
    let places = Places::default();
    let mut refusals = Seldom::default();
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    let daemon_uid = rustix::process::geteuid().as_raw();
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&mut doors, &places, daemon_uid) => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            // Of a flood, the most are not even told.
            Ok((stream, _, Err(full))) => {
                if let Ok(turn) = Arc::clone(&farewells).try_acquire_owned() {
                    tokio::spawn(async move {
                        turn_away(stream, full).await;
                        drop(turn);
                    });
                }
            }
            Ok((stream, peer, Ok(place))) => {
                let connection = converse(stream, peer, router.clone(), graceful.watcher());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                if let Some(times) = refusals.say(Instant::now()) {
                    event!(warn, NoConnection, %error, times, "cannot accept a connection on the API's socket");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(doors);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        event!(
            warn,
            ConnectionsCut,
            "connections to the API were cut at the end of the daemon"
        );
    }
    Ok(())
}

/// A connection, and its place, if there is one for whoever it is. None waits
/// in the backlog: there, a flood would stand before root.
async fn accept(
    doors: &mut Doors,
    places: &Places,
    daemon_uid: u32,
) -> io::Result<(UnixStream, Peer, Result<Place, Full>)> {
    let stream = doors.accept().await?;
    let peer = Peer::of(&stream, &Accounts::read())?;
    let place = places.take(peer.uid, peer.is_privileged(daemon_uid));
    Ok((stream, peer, place))
}

/// Answers one request with the reason why no other is answered.
async fn turn_away(stream: UnixStream, full: Full) {
    let service = service_fn(move |_: Request<Incoming>| async move {
        let failure = Document::new(Failure {
            code: "HF5013".to_owned(),
            message: full.to_string(),
            fix: Some("end some, or try again in a while".to_owned()),
            exit: 5,
        });
        let answer = (StatusCode::SERVICE_UNAVAILABLE, Json(failure)).into_response();
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEARING)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let told = tokio::time::timeout(HEARING, connection).await;
    tracing::debug!(%full, ?told, "a connection to the API was turned away");
}

/// One connection, from its first request to its last.
async fn converse(stream: UnixStream, peer: Peer, router: Router, watcher: Watcher) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        routes.call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LIFETIME, watcher.watch(connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the API broke off"),
        Err(_) => tracing::debug!("a connection to the API outlived its time"),
    }
}
