//! Reading a request's body within the limits.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::config::Limits;

/// Reads it whole. Most requests have none, and most bodies are one frame: neither copies.
pub(super) async fn read(body: Incoming, limits: &Limits) -> Result<Bytes, StatusCode> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // Refused by what it announces, before a byte of it is taken.
    if body.size_hint().lower() > limits.body_bytes.0 as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    // The timer is registered only when the body does not come at once.
    match tokio::time::timeout(limits.body_timeout.0, collect(body, limits.body_bytes.0)).await {
        Ok(read) => read,
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, StatusCode> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Broken off, or badly framed: nobody is left to read the answer, but it ends the request properly.
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing to policies
        if first.len() + all.len() + data.len() > limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
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
