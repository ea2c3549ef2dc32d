//! Heads of requests, forms, and addresses.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use portcullis_dsl::Sources;

use super::halves;
use crate::data::encoding::{Encoding, percent_decode};
use crate::data::message::{MAX_PARAMETERS, Message, Parameters};
use crate::data::path::{Form, folded, form};
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::request::Request;
use crate::policy::site::Site;
use crate::policy::vars::Selector;
use crate::services::Services;

/// No segment of an accepted path can lead up, however often a server decodes escapes.
pub(super) fn path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let folded = folded(&text);
    // The upper and lower case forms of one character may be three.
    assert!(folded.len() <= 9 * text.len() + 9);
    let Ok(found) = form(&text) else { return };
    let mut decoded = text.to_string();
    for _ in 0..6 {
        assert!(!decoded.split(['/', '\\']).any(|segment| segment == "." || segment == ".."), "{decoded}");
        decoded = String::from_utf8_lossy(&percent_decode(&decoded).unwrap_or_else(|| decoded.clone().into_bytes())).into_owned();
    }
    if found == Form::Plain {
        assert!(!text.contains("//") && !text.contains('\\') && !text.to_ascii_lowercase().contains("%2f"));
    }
}

/// A well-formed form stays the same when it is written and read again.
pub(super) fn parameters(data: &[u8]) {
    let read = Parameters::parse(data);
    assert!(read.pairs().len() <= MAX_PARAMETERS);
    let written = |(name, value): &(smol_str::SmolStr, smol_str::SmolStr)| {
        format!("{}={}", Encoding::Form.encode(name.as_bytes()), Encoding::Form.encode(value.as_bytes()))
    };
    let again = read.pairs().iter().map(written).collect::<Vec<_>>().join("&");
    let again = Parameters::parse(again.as_bytes());
    assert_eq!(again.pairs(), read.pairs());
    assert!(!again.is_malformed());
    assert!(read.pairs().iter().all(|(name, value)| !name.contains('\0') && !value.contains('\0')));
}

fn with_field(name: HeaderName, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

/// Names and values of cookies are parts of the field.
pub(super) fn cookies(data: &[u8]) {
    let mut message = Message::default();
    message.headers = with_field(header::COOKIE, data);
    let select = |text: &str| Selector::parse(text).map(|selector| selector.apply(&Value::Message(Arc::new(message.clone()))));
    for name in select("http.cookieNames").unwrap_or_default().values().iter().take(50) {
        let name = name.as_text();
        assert!(!name.contains([';', '\r', '\n']));
        if let Some(value) = select(&format!("http.cookies.{name}")) {
            assert!(!value.as_text().contains([';', '\r', '\n']));
        }
    }
}

/// Whatever a `Connection` field names, no connection field remains.
pub(super) fn fields(data: &[u8]) {
    let mut headers = with_field(header::CONNECTION, data);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("x"));
    crate::services::outbound::fields::remove_nominated(&mut headers);
    crate::services::outbound::fields::remove_connection_fields(&mut headers);
    assert!(headers.keys().all(|name| !crate::services::outbound::fields::is_of_connection(name)), "{headers:?}");
}

/// Decoded credentials are exactly what was encoded.
pub(super) fn basic(data: &[u8]) {
    use crate::data::basic::credentials;
    if let Ok(Some((user, password))) = credentials(&with_field(header::AUTHORIZATION, data)) {
        assert!(!user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control));
        let field = format!("Basic {}", Encoding::Base64.encode(format!("{user}:{password}").as_bytes()));
        let again = credentials(&with_field(header::AUTHORIZATION, field.as_bytes()));
        assert!(matches!(again, Ok(Some((same, word))) if same == user && word == password));
    }
}

/// An address stays the same when it is written and read again.
pub(super) fn forwarded(data: &[u8]) {
    use crate::front::server::proxies;
    let text = String::from_utf8_lossy(data);
    for hop in proxies::forwarded(&text).into_iter().flatten().flatten() {
        assert!(hop.len() <= text.len());
    }
    for part in text.split(',') {
        if let Some(address) = proxies::address(part.trim()) {
            assert_eq!(proxies::address(&address.to_string()), Some(address));
            assert_eq!(proxies::address(&address.ip().to_string()).map(|again| again.ip()), Some(address.ip()));
        }
    }
}

/// A matching origin is the allowed one, or ends like it.
pub(super) fn origin(data: &[u8]) {
    let (allowed, origin) = halves(data);
    if crate::policy::assertions::traffic::cors::fits(&allowed, &origin) {
        let end = allowed.split_once("://*.").map_or(allowed.as_str(), |(_, end)| end);
        assert!(origin.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase()));
    }
}

/// Encoded text decodes to itself; decoded text is not longer than its source.
pub(super) fn encodings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in ["base64", "base64url", "hex", "url", "form"] {
        let Some(encoding) = Encoding::named(name) else { continue };
        let written = encoding.encode(data);
        assert!(written.is_ascii());
        assert_eq!(encoding.decode(&written).as_deref(), Some(data), "{name}");
        assert!(encoding.decode(&text).is_none_or(|bytes| bytes.len() <= text.len()), "{name}");
    }
}

fn nowhere() -> Ctx {
    static SITE: OnceLock<Option<Arc<Site>>> = OnceLock::new();
    let site = SITE.get_or_init(|| Site::build(Sources::default(), Arc::new(Services::default()), "", &[]).0.map(Arc::new));
    let site = site.clone().expect("a site without policies");
    Ctx::new(site, Request::new(http::Method::GET, "/"), "fuzz".into())
}

/// Added parameters change nothing before the query of an address, and can be read back unchanged.
pub(super) fn uri(data: &[u8]) {
    let (uri, value) = halves(data);
    let ctx = nowhere();
    for name in ["with_query", "with_fragment"] {
        let Some(function) = crate::policy::function::get(name) else { continue };
        let args = [Value::from(uri.as_str()), Value::json(serde_json::json!({ "state": value }))];
        let made = function.call(&crate::policy::function::Args(&args), &ctx).as_text().into_owned();
        let (Ok(before), Ok(after)) = (url::Url::parse(&uri), url::Url::parse(&made)) else { continue };
        assert_eq!((before.scheme(), before.host_str(), before.port()), (after.scheme(), after.host_str(), after.port()));
        // An address with an opaque path may or may not keep a blank before the query.
        assert_eq!(before.path().trim_end(), after.path().trim_end());
        if name == "with_query" && !value.is_empty() {
            assert!(after.query_pairs().any(|(name, found)| name == "state" && found == value), "{made}");
        }
    }
}

/// For every target the answer is yes or a reason, and no private address passes if these are not allowed.
pub(super) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(uri) = text.trim().parse::<Uri>() else { return };
    let settings = crate::services::config::Outbound { private_targets: false, ..crate::services::config::Outbound::default() };
    let Ok(targets) = crate::services::outbound::Targets::new(&settings) else { return };
    if targets.check(&uri).is_ok() {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        assert!(
            host.parse::<std::net::IpAddr>().is_ok_and(|address| !address.is_loopback())
                || host.parse::<std::net::IpAddr>().is_err()
        );
    }
}

/// A line that requests a command.
pub(super) fn control(data: &[u8]) {
    if let Ok((_, inputs)) = crate::front::host::control::question(&String::from_utf8_lossy(data)) {
        assert!(inputs.len() <= data.len());
    }
}
