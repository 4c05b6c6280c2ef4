//! Answers that stay open: how many there may be, and their end when the hub stops.

use crate::problem::Problem;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Open streams and waiting pulls at the same time. Each holds a connection and at most one page of events.
const MAX_OPEN: usize = 256;

/// All of them.
#[derive(Clone)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    closing: CancellationToken,
}

/// The right to stay open; given back when dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Streams {
    pub(crate) fn new(closing: CancellationToken) -> Streams {
        Streams { places: Arc::new(Semaphore::new(MAX_OPEN)), closing }
    }

    /// Takes a place.
    pub(crate) fn enter(&self) -> Result<Place, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| {
            Problem::unavailable(format!("{MAX_OPEN} streams are open already; pull /v1/events/feed without `wait`"))
        })
    }

    /// Resolves when the hub stops: an open answer must not hold that up.
    pub(crate) async fn closing(&self) {
        self.closing.cancelled().await;
    }
}
