//! Assertions that encode, hash, sign, encrypt, and compare secrets.

super::catalogue! {
    constant_time_equals,
    encode_decode,
    generate_hash,
    generate_hmac,
}

use std::borrow::Cow;

use crate::value::Value;

/// A value as the bytes that are encoded or hashed: a message's body as it travelled, everything else as UTF-8 text.
pub(crate) fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::Message(message) => Cow::Borrowed(&message.body),
        other => match other.as_text() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}
