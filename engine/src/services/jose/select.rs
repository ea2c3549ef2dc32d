//! Selects the keys that may have signed a token from what a policy was given: a JWK, a JWK set, a certificate, a public key.

use serde_json::Value as Json;

use super::{Header, text};
use crate::data::certificate::Certificate;
use crate::data::value::Value;
use crate::services::keys::PublicKey;

/// Most keys of a set to examine.
const MOST: usize = 64;

/// The purpose of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To verify (`use: sig`).
    Verify,
    /// To encrypt (`use: enc`).
    Encrypt,
}

/// The keys in a value that match a header. An error if the value is not a key.
pub fn keys(value: &Value, header: &Header, wanted: Use) -> Result<Vec<PublicKey>, &'static str> {
    match value {
        Value::Certificate(certificate) => one(PublicKey::from_certificate(certificate).ok()),
        Value::List(values) => {
            let mut all = Vec::new();
            for value in values.iter().take(MOST) {
                all.extend(keys(value, header, wanted)?);
            }
            Ok(all)
        }
        other => {
            let json = match other {
                // A key given as text must be unambiguous.
                Value::Text(text) => crate::data::json::read_unique(text.as_bytes()).ok().map(Into::into),
                other => crate::data::json::document(other),
            };
            if let Some(json) = json.filter(|json| json.is_object()) {
                return Ok(of_json(&json, header, wanted));
            }
            let text = other.as_text();
            if text.contains("BEGIN PUBLIC KEY") {
                return one(PublicKey::from_pem(&text).ok());
            }
            one(Certificate::from_text(&text).ok().and_then(|certificate| PublicKey::from_certificate(&certificate).ok()))
        }
    }
}

fn one(key: Option<PublicKey>) -> Result<Vec<PublicKey>, &'static str> {
    key.map(|key| vec![key]).ok_or("the key is not a JWK, JWK set, certificate or public key")
}

fn of_json(json: &Json, header: &Header, wanted: Use) -> Vec<PublicKey> {
    let single = std::slice::from_ref(json);
    let set = json.get("keys").and_then(Json::as_array).map_or(single, Vec::as_slice);
    set.iter().take(MOST).filter(|jwk| fits(jwk, header, wanted)).filter_map(|jwk| PublicKey::from_jwk(jwk).ok()).collect()
}

/// Whether a JWK may be the key that a header names (RFC 7517, section 4).
fn fits(jwk: &Json, header: &Header, wanted: Use) -> bool {
    let member = |name: &str| jwk.get(name).and_then(Json::as_str);
    let used = match wanted {
        Use::Verify => member("use").is_none_or(|word| word == "sig"),
        Use::Encrypt => member("use").is_none_or(|word| word == "enc"),
    };
    let named = match (member("kid"), text(header, "kid")) {
        (Some(own), Some(meant)) => own == meant,
        _ => true,
    };
    let algorithm = match (member("alg"), text(header, "alg")) {
        (Some(own), Some(meant)) => own == meant,
        _ => true,
    };
    let operations = jwk.get("key_ops").and_then(Json::as_array);
    let allowed =
        |words: &[&str]| operations.is_none_or(|ops| ops.iter().any(|op| words.iter().any(|word| op.as_str() == Some(word))));
    used && named
        && algorithm
        && match wanted {
            Use::Verify => allowed(&["verify"]),
            Use::Encrypt => allowed(&["encrypt", "wrapKey"]),
        }
}
