//! Functions on URIs and the encodings that travel in them.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::utf8_percent_encode;

use super::{Function, function};
use crate::data::encoding::COMPONENT;
use crate::data::encoding::{self, Encoding};
use crate::data::json;
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("url_encode", &["text"], 1, "percent-encoded except letters, digits and `-._~` (RFC 3986)", |args| {
        Value::from(utf8_percent_encode(&args[0].as_text(), COMPONENT).to_string())
    }),
    function(
        "url_decode",
        &["text"],
        1,
        "with percent-escapes decoded; undefined if one is broken or the result is not UTF-8",
        |args| Value::from(encoding::percent_decode(&args[0].as_text()).and_then(|bytes| String::from_utf8(bytes).ok())),
    ),
    function("form_encode", &["text"], 1, "encoded as a form value: like `url_encode`, with `+` for blanks", |args| {
        Value::from(Encoding::Form.encode(args[0].as_text().as_bytes()))
    }),
    function("form_decode", &["text"], 1, "a decoded form value; undefined if an escape is broken", |args| {
        Value::from(Encoding::Form.decode(&args[0].as_text()).and_then(|bytes| String::from_utf8(bytes).ok()))
    }),
    function(
        "with_query",
        &["uri", "json { \"name\"?: value }"],
        2,
        "the URI with parameters added to its query, before its fragment; empty values are left out, an array gives several \
            parameters",
        |args| {
            let uri = args[0].as_text();
            let (front, fragment) = match uri.split_once('#') {
                Some((front, fragment)) => (front, Some(fragment)),
                None => (&*uri, None),
            };
            let mut out = String::from(front);
            let mut mark = match front.split_once('?') {
                None => "?",
                Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
                Some(_) => "&",
            };
            for pair in pairs(&args[1]) {
                out.push_str(mark);
                out.push_str(&pair);
                mark = "&";
            }
            if let Some(fragment) = fragment {
                out.push('#');
                out.push_str(fragment);
            }
            Value::from(out)
        },
    ),
    function(
        "with_fragment",
        &["uri", "json { \"name\"?: value }"],
        2,
        "the URI with parameters added to its fragment; empty values are left out, an array gives several parameters",
        |args| {
            let mut out = args[0].as_text().into_owned();
            let mut mark = match out.split_once('#') {
                None => "#",
                Some((_, fragment)) if fragment.is_empty() || fragment.ends_with('&') => "",
                Some(_) => "&",
            };
            for pair in pairs(&args[1]) {
                out.push_str(mark);
                out.push_str(&pair);
                mark = "&";
            }
            Value::from(out)
        },
    ),
    function("base64", &["text"], 1, "Base64 of the text's UTF-8 (RFC 4648, section 4)", |args| {
        Value::from(STANDARD.encode(&*args[0].as_text()))
    }),
    function("base64url", &["text"], 1, "base64url of the text's UTF-8, without padding (RFC 4648, section 5)", |args| {
        Value::from(URL_SAFE_NO_PAD.encode(&*args[0].as_text()))
    }),
    function("hex", &["text"], 1, "hexadecimal digits of the text's UTF-8, lower case", |args| {
        Value::from(hex::encode(&*args[0].as_text()))
    }),
];

/// `name=value` of each member, percent-encoded.
fn pairs(parameters: &Value) -> Vec<String> {
    let document = json::document(parameters);
    let members = document.as_deref().and_then(serde_json::Value::as_object).into_iter().flatten();
    let mut pairs = Vec::new();
    for (name, value) in members {
        for value in json::list_or_value(value).values().iter().filter(|value| !value.is_empty()) {
            let mut out = String::new();
            let _ = write!(out, "{}={}", utf8_percent_encode(name, COMPONENT), utf8_percent_encode(&value.as_text(), COMPONENT));
            pairs.push(out);
        }
    }
    pairs
}
