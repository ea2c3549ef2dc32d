//! From HTTP to the request that policies see.

use std::net::Ipv6Addr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header, request::Parts, uri::Authority};
use smol_str::SmolStr;

use crate::front::server::ConnInfo;
use crate::policy::request::Request;
use crate::services::outbound::fields;
use crate::services::telemetry::Correlation;

/// Why a request is refused before any policy sees it. Never contains the request's own text.
pub(super) type Refusal = &'static str;

/// Builds the request. Refuses a request without a clear target, because two readers could understand it differently: several
/// hosts, none although the protocol requires one (RFC 9112, section 3.2), or a target with another host than the `Host` field.
pub(super) fn request(
    head: &mut Parts,
    body: Bytes,
    conn: &ConnInfo,
    correlation: &Correlation,
) -> Result<Box<Request>, Refusal> {
    let Parts { method, uri, version, headers, .. } = head;
    let version = *version;
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return Err("the target's scheme is neither http nor https");
    }
    let (host, port) = target(uri.authority(), headers, version, conn)?;
    fields::remove_nominated(headers);
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
    // What is made in a box that is there need not be moved into it.
    let request = Box::new_uninit();
    let (method, headers) = (std::mem::take(method), std::mem::take(headers));
    let mut request = Box::write(request, Request::of(method, uri.path(), headers, body, correlation.clone()));
    request.message.received = true;
    request.version = version;
    request.secure = conn.secure;
    request.host = host;
    request.port = port;
    request.query = uri.query().map(SmolStr::new).unwrap_or_default();
    request.remote = conn.remote;
    request.client_certificate.clone_from(&conn.client_certificate);
    Ok(request)
}

/// Host and port that the client addressed.
fn target(
    authority: Option<&Authority>,
    headers: &HeaderMap,
    version: Version,
    conn: &ConnInfo,
) -> Result<(SmolStr, u16), Refusal> {
    let own = || (SmolStr::from(conn.local.ip().to_string()), conn.local.port());
    let place = |text: &str| {
        let (host, port) = place(text).ok_or("the host of the request is not a host name or address with an optional port")?;
        Ok((SmolStr::new(host), port.unwrap_or(default_port(conn))))
    };
    let mut fields = headers.iter().filter(|(name, _)| *name == header::HOST);
    let field = match (fields.next(), fields.next()) {
        (Some((_, field)), None) => Some(field.to_str().map_err(|_| "the header field `host` cannot be read")?),
        (None, _) => None,
        _ => return Err("there is more than one header field `host`"),
    };
    match (authority, field) {
        (None, Some("")) => Ok(own()),
        (None, Some(field)) => place(field),
        (None, None) if version < Version::HTTP_11 => Ok(own()),
        (None, None) => Err("there is no header field `host`"),
        (Some(_), None) if version == Version::HTTP_11 => Err("there is no header field `host`"),
        (Some(authority), None) => place(authority.as_str()),
        (Some(authority), Some(field)) => {
            let found = place(authority.as_str())?;
            let named = place(field)?;
            if !found.0.eq_ignore_ascii_case(&named.0) || found.1 != named.1 {
                return Err("the request's target and its header field `host` name different hosts");
            }
            Ok(found)
        }
    }
}

/// `name`, `name:port`, `[address]:port`, the address without its brackets. No user, no path, no invalid port (RFC 9110, sections
/// 4.2.4 and 7.2).
fn place(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, rest)
        }
        None => {
            let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            let (host, rest) = text.split_at(text.as_bytes().iter().take_while(|byte| named(byte)).count());
            if host.is_empty() {
                return None;
            }
            (host, rest)
        }
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':').filter(|port| port.len() <= 5)?;
    let port = digits.bytes().try_fold(0, |port, byte| byte.is_ascii_digit().then(|| port * 10 + u32::from(byte - b'0')))?;
    Some((host, Some(u16::try_from(port).ok().filter(|port| *port > 0)?)))
}

fn default_port(conn: &ConnInfo) -> u16 {
    if conn.secure { 443 } else { 80 }
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
        ConnInfo { remote: "10.0.0.9:1234".parse().unwrap(), local, secure, direct: true, client_certificate: None }
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
            ("https://h2.example/a", Version::HTTP_2, &[("host", "H2.example:443")], true, Some(("h2.example", 443))),
            ("https://h2.example/a", Version::HTTP_2, &[("host", "other")], true, None),
            ("https://h2.example/a", Version::HTTP_2, &[("host", "h2.example"), ("host", "h2.example")], true, None),
            ("https://user@h2.example/a", Version::HTTP_2, &[], true, None),
            ("https://h2.example:0/a", Version::HTTP_2, &[], true, None),
            ("/a", Version::HTTP_2, &[("host", "h2.example")], true, Some(("h2.example", 443))),
            ("/a", Version::HTTP_2, &[], true, None),
            ("http://abs.example:81/a", Version::HTTP_11, &[("host", "abs.example:81")], false, Some(("abs.example", 81))),
            ("http://abs.example:80/a", Version::HTTP_11, &[("host", "ABS.example")], false, Some(("abs.example", 80))),
            // Another reader might use the other one.
            ("http://abs.example:81/a", Version::HTTP_11, &[("host", "other")], false, None),
            ("http://abs.example:81/a", Version::HTTP_11, &[("host", "abs.example")], false, None),
            ("http://abs.example/a", Version::HTTP_11, &[("host", "")], false, None),
            ("http://abs.example/a", Version::HTTP_11, &[], false, None),
            ("http://user@abs.example/a", Version::HTTP_11, &[("host", "user@abs.example")], false, None),
            ("http://user:pw@abs.example/a", Version::HTTP_11, &[("host", "abs.example")], false, None),
            ("ftp://abs.example/a", Version::HTTP_11, &[("host", "abs.example")], false, None),
            ("/a", Version::HTTP_10, &[("host", "a"), ("host", "a")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw_1.example.")], false, Some(("gw_1.example.", 80))),
            ("/a", Version::HTTP_11, &[("host", "gw.example:")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:0")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:65536")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:99999999999999999999")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:+80")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:80a")], false, None),
            ("/a", Version::HTTP_11, &[("host", "gw.example:80:80")], false, None),
            ("/a", Version::HTTP_11, &[("host", ":80")], false, None),
            ("/a", Version::HTTP_11, &[("host", "::1")], false, None),
            ("/a", Version::HTTP_11, &[("host", "[::1")], false, None),
            ("/a", Version::HTTP_11, &[("host", "[::1]80")], false, None),
            ("/a", Version::HTTP_11, &[("host", "[nonsense]")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a,b")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a%2eb")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a?b")], false, None),
            ("/a", Version::HTTP_11, &[], false, None),
            ("/a", Version::HTTP_11, &[("host", "a"), ("host", "b")], false, None),
            ("/a", Version::HTTP_11, &[("host", "user@evil")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a b")], false, None),
            ("/a", Version::HTTP_11, &[("host", "a/b")], false, None),
        ] {
            let found = request(&mut parts(uri, version, fields), Bytes::new(), &conn(secure), &Correlation::new());
            let found = found.as_ref().ok().map(|request| (request.host.as_str(), request.port));
            assert_eq!(found, expected, "{uri} {fields:?}");
        }
    }

    #[test]
    fn split_cookies_are_joined() {
        let mut head = parts("https://h/a", Version::HTTP_2, &[("cookie", "a=1"), ("cookie", "b=2")]);
        let request = request(&mut head, Bytes::new(), &conn(true), &Correlation::new()).unwrap();
        assert_eq!(request.message.header(&http::header::COOKIE).as_deref(), Some("a=1; b=2"));
        assert_eq!(request.message.headers.get_all("cookie").iter().count(), 1);
    }
}
