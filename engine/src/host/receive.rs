//! From HTTP to the request that policies see.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header, request::Parts, uri::Authority};
use smol_str::SmolStr;

use crate::request::Request;
use crate::routing::fields;
use crate::server::ConnInfo;

/// Makes the request. Refused is what has no certain target: several hosts, or none where the protocol wants one (RFC 9112, section 3.2).
pub(super) fn request(head: Parts, body: Bytes, conn: &ConnInfo) -> Result<Request, StatusCode> {
    let Parts { method, uri, version, mut headers, .. } = head;
    let (host, port) = target(uri.authority(), &headers, version, conn)?;
    fields::remove_nominated(&mut headers);
    if version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    let mut request = Request::new(method, SmolStr::new(uri.path()));
    request.version = version;
    request.secure = conn.secure;
    request.host = host;
    request.port = port;
    request.query = uri.query().map(SmolStr::new).unwrap_or_default();
    request.remote = conn.remote;
    request.client_certificate.clone_from(&conn.client_certificate);
    request.started = Instant::now();
    request.message.headers = headers;
    request.message.received = true;
    request.message.set_body(body);
    Ok(request)
}

/// Host and port that the client addressed.
fn target(
    authority: Option<&Authority>,
    headers: &HeaderMap,
    version: Version,
    conn: &ConnInfo,
) -> Result<(SmolStr, u16), StatusCode> {
    let own_port = conn.local.port();
    if let Some(authority) = authority {
        return Ok((bare(authority.host()), authority.port_u16().unwrap_or(default_port(conn))));
    }
    let mut fields = headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => field,
        (None, _) if version < Version::HTTP_11 => return Ok((SmolStr::from(conn.local.ip().to_string()), own_port)),
        _ => return Err(StatusCode::BAD_REQUEST),
    };
    let text = field.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
    if text.is_empty() {
        return Ok((SmolStr::from(conn.local.ip().to_string()), own_port));
    }
    if let Some((host, port)) = plain(text) {
        return Ok((SmolStr::new(host), port.unwrap_or(default_port(conn))));
    }
    let authority: Authority = text.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    if text.contains('@') {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok((bare(authority.host()), authority.port_u16().unwrap_or(default_port(conn))))
}

/// The usual case, `name` or `name:port`, without the full reading of an authority.
fn plain(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port.parse().ok()?)),
        Some(_) => return None,
        None => (text, None),
    };
    let named = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    named.then_some((host, port))
}

fn default_port(conn: &ConnInfo) -> u16 {
    if conn.secure { 443 } else { 80 }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> SmolStr {
    SmolStr::new(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

/// HTTP/2 may split the cookie field; readers of it expect one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (fields.next(), fields.next()) {
        let mut joined = first.as_bytes().to_vec();
        for field in std::iter::once(second).chain(fields) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(field.as_bytes());
        }
        if let Ok(joined) = HeaderValue::from_bytes(&joined) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(secure: bool) -> ConnInfo {
        let local = "127.0.0.1:8443".parse().unwrap();
        ConnInfo { remote: "10.0.0.9:1234".parse().unwrap(), local, secure, client_certificate: None }
    }

    fn parts(uri: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::get(uri).version(version);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_target_is_what_the_client_addressed() {
        for (uri, version, fields, secure, expected) in [
            ("/a?x=1", Version::HTTP_11, &[("host", "gw.example:8443")][..], true, Some(("gw.example", 8443))),
            ("/a", Version::HTTP_11, &[("host", "gw.example")], true, Some(("gw.example", 443))),
            ("/a", Version::HTTP_11, &[("host", "gw.example")], false, Some(("gw.example", 80))),
            ("/a", Version::HTTP_11, &[("host", "[::1]:8443")], true, Some(("::1", 8443))),
            ("/a", Version::HTTP_11, &[("host", "")], true, Some(("127.0.0.1", 8443))),
            ("/a", Version::HTTP_10, &[], false, Some(("127.0.0.1", 8443))),
            ("https://h2.example/a", Version::HTTP_2, &[], true, Some(("h2.example", 443))),
            ("http://abs.example:81/a", Version::HTTP_11, &[("host", "other")], false, Some(("abs.example", 81))),
            ("/a", Version::HTTP_11, &[], false, None),
            ("/a", Version::HTTP_11, &[("host", "a"), ("host", "b")], false, None),
            ("/a", Version::HTTP_11, &[("host", "user@evil")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a b")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a/b")], false, None),
        ] {
            let found = request(parts(uri, version, fields), Bytes::new(), &conn(secure));
            let found = found.as_ref().ok().map(|request| (request.host.as_str(), request.port));
            assert_eq!(found, expected, "{uri} {fields:?}");
        }
    }

    #[test]
    fn split_cookies_are_joined() {
        let head = parts("https://h/a", Version::HTTP_2, &[("cookie", "a=1"), ("cookie", "b=2")]);
        let request = request(head, Bytes::new(), &conn(true)).unwrap();
        assert_eq!(request.message.header("cookie"), Some("a=1; b=2"));
        assert_eq!(request.message.headers.get_all("cookie").iter().count(), 1);
    }
}
