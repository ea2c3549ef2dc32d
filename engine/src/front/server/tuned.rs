//! Limits that change while the gateway runs. A new connection has the current ones and keeps them to its end.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwap;
use hyper_util::server::conn::auto;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Memory;
use super::guard::Guards;
use super::outgoing::Streams;
use super::peers::{self, Peers};
use crate::services::config::Limits;

/// The limits of a connection, and the protocols that obey them.
pub(super) struct Tuned {
    pub(super) limits: Limits,
    /// For plain TCP: HTTP/2 begins with its preface, everything else is HTTP/1.
    pub(super) either: auto::Builder<Streams>,
    /// For TLS, where ALPN has chosen the protocol.
    pub(super) http1: auto::Builder<Streams>,
    pub(super) http2: auto::Builder<Streams>,
}

impl Tuned {
    pub(super) fn new(limits: Limits) -> Tuned {
        let mut builder = auto::Builder::new(Streams { patience: limits.write_timeout.0 });
        // A header that is a little too large is read, so that its answer can be that of the service; hyper itself answers one that is much
        // larger.
        let most = limits.header_bytes.0.saturating_mul(2);
        // No `pipeline_flush`: it holds an answer back while more bytes wait to be read, even if the answer (431, 400) is about
        // those bytes, or they are half a request.
        builder.http1().header_read_timeout(None).max_buf_size(most); // `guard` enforces the time limit
        builder
            .http2()
            .max_concurrent_streams(limits.http2_streams)
            .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX));
        let (http1, http2) = (builder.clone().http1_only(), builder.clone().http2_only());
        Tuned { limits, either: builder, http1, http2 }
    }
}

/// Changes the limits of a running server.
#[derive(Clone)]
pub struct Tuner {
    pub(super) tuned: Arc<ArcSwap<Tuned>>,
    pub(super) guards: Arc<Guards>,
    pub(super) memory: Arc<Memory>,
    pub(super) peers: Arc<Peers>,
    pub(super) permits: Arc<Semaphore>,
    /// How many connections there may be.
    pub(super) places: Arc<Mutex<usize>>,
}

impl Tuner {
    /// The limits that new connections have from now on. Must be called within a runtime.
    pub fn tune(&self, limits: &Limits) {
        self.tuned.store(Arc::new(Tuned::new(limits.clone())));
        self.guards.tune(limits);
        self.memory.most.store(limits.body_memory.0, Relaxed);
        self.peers.most.store(limits.connections_per_address, Relaxed);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = peers::open_files(limits.max_connections);
        let before = std::mem::replace(&mut *places, wanted);
        if wanted > before {
            self.permits.add_permits(wanted - before);
        }
        // The places that are taken go when their connections end.
        let permits = Arc::clone(&self.permits);
        let gone = self.permits.forget_permits(before.saturating_sub(wanted));
        let left = before.saturating_sub(wanted).saturating_sub(gone);
        if let Ok(left @ 1..) = u32::try_from(left) {
            // All at once, and in the queue before this returns: a connection that comes later waits behind them.
            let mut taken = Box::pin(permits.acquire_many_owned(left));
            match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(taken) => taken.into_iter().for_each(OwnedSemaphorePermit::forget),
                Poll::Pending => {
                    drop(tokio::spawn(async move { taken.await.into_iter().for_each(OwnedSemaphorePermit::forget) }))
                }
            }
        }
    }
}
