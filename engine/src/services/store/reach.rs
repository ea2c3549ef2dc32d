//! Whether a server can be reached at all. A pool tries to connect until its time is over, so while a server is down every request would
//! wait that long. Here one asks for all: what cannot connect soon ends at once, with all that wait for the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::StoreError;

/// A connection that takes longer than this is asked about.
pub(super) const SOON: Duration = Duration::from_millis(250);
/// How long an answer counts. Then the next request finds out anew.
const KNOWN_FOR: Duration = Duration::from_millis(500);

/// What is known.
#[derive(Default)]
pub(super) struct Reach {
    down: Mutex<Option<(Instant, StoreError)>>,
    /// It was found to be down just now.
    pub(super) lost: Notify,
    /// Held by the one who asks.
    pub(super) asking: tokio::sync::Mutex<()>,
}

impl Reach {
    /// An error if the server was found to be down a moment ago.
    pub(super) fn known(&self) -> Result<(), StoreError> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match &*down {
            Some((since, error)) if since.elapsed() < KNOWN_FOR => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// It is down, for this reason.
    pub(super) fn is_down(&self, error: StoreError) -> StoreError {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), error.clone()));
        self.lost.notify_waiters();
        error
    }
}
