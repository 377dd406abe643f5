//! A sample on its way out: written by a thread of its own, a piece at a time,
//! and no faster than the client reads.

use std::{fmt, io};

use axum::body::Body;
use futures_util::stream;
use tokio::sync::mpsc::{self, Sender};

use super::Sample;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the client.
const WAITING: usize = 2;

/// The body of an answer.
pub fn body(sample: Sample) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            piece: String::with_capacity(PIECE),
            sender,
        };
        if sample.write(&mut pieces).and_then(|()| pieces.send()).is_err() {
            tracing::debug!("a scrape was broken off by its client");
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        let piece: String = receiver.recv().await?;
        Some((Ok::<_, io::Error>(piece), receiver))
    }))
}

struct Pieces {
    piece: String,
    sender: Sender<String>,
}

impl Pieces {
    fn send(&mut self) -> fmt::Result {
        let piece = std::mem::replace(&mut self.piece, String::with_capacity(PIECE));
        // It fails when the client is gone.
        self.sender.blocking_send(piece).map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.piece.len() + text.len() > PIECE {
            self.send()?;
        }
        self.piece.push_str(text);
        Ok(())
    }
}
