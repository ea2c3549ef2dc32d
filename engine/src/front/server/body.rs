//! Reading a request's body within the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::services::config::Limits;

/// Bytes that bodies may take at the same time: on all connections and, as a share of that, on one. A limit for a single body is
/// not enough, because one client can begin many.
pub(super) struct Memory {
    used: AtomicUsize,
    pub(super) most: AtomicUsize,
    above: Option<Arc<Memory>>,
}

impl Memory {
    /// For a server.
    pub(super) fn new(most: usize) -> Arc<Memory> {
        Arc::new(Memory { used: AtomicUsize::new(0), most: AtomicUsize::new(most), above: None })
    }

    /// For a connection of it.
    pub(super) fn share(self: &Arc<Self>, most: usize) -> Arc<Memory> {
        Arc::new(Memory { used: AtomicUsize::new(0), most: AtomicUsize::new(most), above: Some(Arc::clone(self)) })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.most.load(Relaxed));
        if self.used.fetch_update(Relaxed, Relaxed, fits).is_err() {
            return false;
        }
        let taken = self.above.as_ref().is_none_or(|above| above.take(bytes));
        if !taken {
            self.used.fetch_sub(bytes, Relaxed);
        }
        taken
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(above) = &self.above {
            above.give_back(bytes);
        }
    }
}

/// The bytes of a body, reserved until this is dropped.
pub(super) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Held {
    fn more(&mut self, bytes: usize) -> Result<(), StatusCode> {
        if !self.memory.take(bytes) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

/// Reads the whole body. Most requests have none, and most bodies are one frame; neither copies.
pub(super) async fn read(body: Incoming, limits: &Limits, memory: &Arc<Memory>) -> Result<(Bytes, Option<Held>), StatusCode> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    // Refused by its announced length, before a byte is read.
    if body.size_hint().lower() > limits.body_bytes.0 as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    // The timer is only registered if the body does not come at once.
    let mut held = Held { memory: Arc::clone(memory), bytes: 0 };
    match tokio::time::timeout(limits.body_timeout.0, collect(body, limits.body_bytes.0, &mut held)).await {
        Ok(read) => read.map(|body| (body, Some(held))),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

async fn collect(mut body: Incoming, limit: usize, held: &mut Held) -> Result<Bytes, StatusCode> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Aborted or badly framed: nobody will read the answer, but it ends the request properly.
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else { continue }; // policies do not see trailers
        if first.len() + all.len() + data.len() > limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        held.more(data.len())?;
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.reserve(first.len() + data.len());
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
