//! Signed and encrypted tokens in compact form: JWS (RFC 7515), JWE (RFC 7516), and which key matches a token (RFC 7517). A token
//! never decides how it is checked: the caller chooses the algorithms, and `none` is not one of them. An encrypted token does not
//! show who made it until the signed token inside is verified.

pub mod content;
pub mod jwe;
pub mod jws;
pub mod select;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

/// Longest accepted token.
pub const MAX_TOKEN: usize = 1 << 20;

/// A header's members.
pub type Header = Map<String, Json>;

/// Why a token is not accepted. For logs; never sent to a client.
pub type Refusal = &'static str;

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    // Strictly, without padding (RFC 7515, section 2).
    URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part of the token is not base64url")
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn header(part: &str) -> Result<Header, Refusal> {
    match crate::data::json::read_unique(&decode(part)?) {
        Ok(Json::Object(header)) => {
            // RFC 7515, section 4.1.11: critical extensions must be understood, and none is supported.
            if header.contains_key("crit") {
                return Err("the token has critical extensions");
            }
            // RFC 7797: the signed bytes would not be the decoded ones.
            if header.get("b64").is_some_and(|b64| *b64 != Json::Bool(true)) {
                return Err("the token's payload is not encoded");
            }
            Ok(header)
        }
        _ => Err("the token's header is not a JSON object, or has a name twice"),
    }
}

/// The last second of the year 9999; a later date is an attack.
const LAST_DATE: f64 = 253_402_300_799.0;

/// A date in a token (`NumericDate`, RFC 7519, section 2): seconds, perhaps with a fraction. `None` if it is not a number,
/// negative, or after the year 9999.
pub fn date(json: &Json) -> Option<f64> {
    json.as_f64().filter(|seconds| (0.0..=LAST_DATE).contains(seconds))
}

/// A header's member, if it is a text.
pub fn text<'h>(header: &'h Header, name: &str) -> Option<&'h str> {
    header.get(name).and_then(Json::as_str)
}
