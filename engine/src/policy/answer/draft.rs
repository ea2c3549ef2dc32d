//! Answers that a policy has drafted.

use crate::data::value::Value;

/// The answer that `Respond` or the error assertion drafted.
#[derive(Clone, Debug)]
pub struct Draft {
    /// HTTP status.
    pub status: u16,
    /// Header fields of this answer only.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: bytes::Bytes,
}

/// A value as a body.
pub fn body_bytes(body: Value) -> bytes::Bytes {
    match body {
        Value::Undefined => bytes::Bytes::new(),
        Value::Message(message) => message.body.clone(),
        Value::Json(json) => serde_json::to_vec(&*json).unwrap_or_default().into(),
        other => other.as_text().into_owned().into(),
    }
}
