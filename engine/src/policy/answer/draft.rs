//! Answers that a policy has drafted.

use http::{HeaderMap, HeaderName, header};

use crate::data::message::Message;
use crate::data::value::Value;

/// Fields that describe one body or one redirect; another answer does not take them over.
pub const OF_ONE_ANSWER: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::LOCATION, header::ETAG, header::LAST_MODIFIED];

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

impl Draft {
    /// Its fields beside those that policies put on the response: its own win, cookies add up.
    pub fn beside(&self, mut headers: HeaderMap) -> HeaderMap {
        for name in self.headers.keys().filter(|name| *name != header::SET_COOKIE) {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }

    /// The answer as a message, with these fields beside its own.
    pub fn message(&self, beside: HeaderMap) -> Message {
        let mut message = Message::default();
        message.headers = self.beside(beside);
        message.status = Some(self.status);
        message.set_body(self.body.clone());
        message
    }

    /// Keeps the fields of the draft that this one replaces, unless they describe what it replaces, or it has them too.
    pub fn keep(&mut self, former: Draft) {
        let mut kept = former.headers;
        OF_ONE_ANSWER.iter().for_each(|name| drop(kept.remove(name)));
        let cookies: Vec<_> = kept.get_all(header::SET_COOKIE).iter().cloned().collect();
        kept.remove(header::SET_COOKIE);
        for name in self.headers.keys() {
            kept.remove(name);
        }
        // A cookie that is set again is set once.
        let name = |field: &http::HeaderValue| field.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
        let own: Vec<_> = self.headers.get_all(header::SET_COOKIE).iter().map(name).collect();
        for cookie in cookies.into_iter().filter(|cookie| !own.contains(&name(cookie))) {
            kept.append(header::SET_COOKIE, cookie);
        }
        for (name, value) in &self.headers {
            kept.append(name.clone(), value.clone());
        }
        self.headers = kept;
    }
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
