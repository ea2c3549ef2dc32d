//! Limits on the number of connections: what the system allows, and what one address may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::data::network;

/// Open files other than client connections: databases, watched folders, calls to other servers.
const OTHER_FILES: usize = 256;

/// The possible number of connections, after raising the process's limit of open files.
pub(super) fn open_files(connections: usize) -> usize {
    let wanted = connections.saturating_add(OTHER_FILES);
    // If the limit cannot be read, it is ignored.
    let allowed =
        rlimit::increase_nofile_limit(wanted as u64).map_or(wanted, |allowed| usize::try_from(allowed).unwrap_or(wanted));
    let places = connections.min(allowed.saturating_sub(OTHER_FILES).max(allowed / 2)).max(1);
    if places < connections {
        tracing::warn!(
            allowed,
            places,
            "fewer connections than `limits.max_connections`: the system allows no more open files (ulimit -n)"
        );
    }
    places
}

/// Connections by address.
pub(super) struct Peers {
    pub(super) most: AtomicUsize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection of an address, counted until this is dropped.
pub(super) struct Peer {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Peers {
    pub(super) fn new(most: usize) -> Peers {
        Peers { most: AtomicUsize::new(most), open: Mutex::default() }
    }

    /// One more connection of this address; `None` if it has too many.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Peer> {
        let address = network::caller(address).addr();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        if *count >= self.most.load(Relaxed) {
            return None;
        }
        *count += 1;
        Some(Peer { peers: Arc::clone(self), address })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}
