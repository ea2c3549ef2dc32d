//! Places to wait in for something scarce. Each caller gets only some of them, so that one who floods the gateway waits for
//! himself, and whoever comes from elsewhere still finds a place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::network;

/// Between two lines in the log.
const QUIET: Duration = Duration::from_secs(10);

/// The places.
pub struct Places {
    what: String,
    /// Taken at a time.
    total: usize,
    /// Taken at a time by one caller.
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_caller: HashMap<IpNet, usize>,
    /// Refused since the last line in the log, and when that was.
    refused: usize,
    said: Option<Instant>,
}

/// A place; free again when it is dropped.
pub struct Place {
    places: Arc<Places>,
    caller: IpNet,
}

impl Places {
    /// `total` places, of which one caller gets `each` at most. `what` is waited for, in the words of the log.
    pub fn new(what: impl Into<String>, total: usize, each: usize) -> Arc<Places> {
        Arc::new(Places { what: what.into(), total, each, taken: Mutex::default() })
    }

    /// A place for this caller, unless there is none. A caller who holds none may use one of as many again, or a few of them
    /// could leave nothing for anybody else.
    pub fn enter(self: &Arc<Self>, caller: IpAddr) -> Option<Place> {
        let caller = network::caller(caller);
        let mut taken = self.taken();
        let own = taken.by_caller.get(&caller).copied().unwrap_or(0);
        let limit = if own == 0 { self.total * 2 } else { self.total };
        if own >= self.each || taken.total >= limit {
            taken.refused += 1;
            if taken.said.is_none_or(|said| said.elapsed() >= QUIET) {
                tracing::warn!(
                    refused = taken.refused,
                    waiting = taken.total,
                    last = %caller.addr(),
                    "too many wait for {}; further ones are told to come again",
                    self.what
                );
                (taken.refused, taken.said) = (0, Some(Instant::now()));
            }
            return None;
        }
        taken.total += 1;
        taken.by_caller.insert(caller, own + 1);
        drop(taken);
        Some(Place { places: Arc::clone(self), caller })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total -= 1;
        if let Some(own) = taken.by_caller.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}
