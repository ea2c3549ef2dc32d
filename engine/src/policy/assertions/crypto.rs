//! Assertions that encode, hash, sign, encrypt, and compare secrets.

super::catalogue! {
    constant_time_equals,
    create_jwk,
    decode_jwt,
    encode_decode,
    encode_jwt,
    generate_hash,
    generate_hmac,
}

use std::borrow::Cow;

use crate::data::value::Value;

/// The algorithms that sign a token, and those that lead to the key of an encrypted one.
const JWT_ALGORITHMS: &[&str] = &[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "dir",
    "RSA-OAEP",
    "RSA-OAEP-256",
];

/// A value as the bytes to encode or hash: a message's body unchanged, everything else as UTF-8 text.
pub(crate) fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::Message(message) => Cow::Borrowed(&message.body),
        other => match other.as_text() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}
