//! Looks whether the API's socket is still where it was made. Who removes it, as a
//! cleaner of temporary files does, would lock everybody out of a daemon that is well.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::UnixListener,
    sync::mpsc::{self, Permit},
};

use super::Daemon;
use crate::{
    api::socket::{BindError, Place},
    event,
    events::Event,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Of what is healed, the name.
const SOCKET: &str = "the API's socket";

/// Looks for ever. Another socket goes to whoever accepts connections.
pub async fn watch(daemon: Arc<Daemon>, place: Arc<Place>, further: mpsc::Sender<UnixListener>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(LOOK).await;
        if place.is_ours() {
            if std::mem::take(&mut failing) {
                daemon.serving.lock().await.healed(SOCKET, Ok(()));
            }
            continue;
        }
        let Ok(permit) = further.reserve().await else {
            // The daemon ends: nobody accepts any more.
            return std::future::pending().await;
        };
        let made = tokio::task::block_in_place(|| make_again(&place, permit));
        // The lock may be held for a while; the socket is there already.
        let mut serving = daemon.serving.lock().await;
        failing = made.is_err();
        match made {
            Ok(()) => {
                let found = format!("{} was removed or replaced", place.path().display());
                serving.sentinel.note(Event::SocketTaken, found, true);
                serving.healed(SOCKET, Ok(()));
            }
            Err(error) => serving.healed(SOCKET, Err(error.into())),
        }
    }
}

fn make_again(place: &Place, permit: Permit<'_, UnixListener>) -> Result<(), BindError> {
    permit.send(place.bind_again()?);
    let path = place.path().display().to_string();
    event!(
        error,
        SocketTaken,
        path,
        "the API's socket was removed or replaced; another is in its place"
    );
    Ok(())
}
