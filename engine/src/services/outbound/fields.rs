//! Which header fields of a message are forwarded to another server, and which of its answer come back.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::data::message::{Message, SINGLE_FIELDS, has_field};
use crate::services::config::Forwarded;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Fields of a connection rather than of a message (RFC 9110, section 7.6.1), or that the client writes itself: no policy can set
/// them.
const OF_CONNECTION: [HeaderName; 13] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    KEEP_ALIVE,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether a field belongs to the connection, so that no policy can set it on a call.
pub fn is_of_connection(name: &HeaderName) -> bool {
    OF_CONNECTION.contains(name)
}

/// Removes from a received message the fields that its sender declares for this connection only, and `Connection` itself. So the
/// sender cannot affect fields that policies add later.
pub fn remove_nominated(headers: &mut HeaderMap) {
    if !has_field(headers, &header::CONNECTION) {
        return;
    }
    let values: SmallVec<[HeaderValue; 1]> = headers.get_all(header::CONNECTION).iter().cloned().collect();
    headers.remove(header::CONNECTION);
    // Not read as one text: a non-ASCII byte must not hide the other names.
    for name in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
        // Nearly all clients send one of these two. `close` names no field.
        if name.eq_ignore_ascii_case(b"close") {
            continue;
        }
        let named = if name.eq_ignore_ascii_case(b"keep-alive") { Ok(KEEP_ALIVE) } else { HeaderName::from_bytes(name) };
        // Nobody may remove `Host`, because it names the target of the request.
        if let Ok(name) = named
            && name != header::HOST
            && has_field(headers, &name)
        {
            headers.remove(name);
        }
    }
}

/// Removes the fields of the connection, and those that the message declares to be. Policies could not read compressed answers,
/// so none are requested.
pub fn remove_connection_fields(headers: &mut HeaderMap) {
    remove_nominated(headers);
    for name in OF_CONNECTION.into_iter().chain([header::PROXY_AUTHORIZATION, header::ACCEPT_ENCODING]) {
        headers.remove(name);
    }
}

/// The fields of a message to forward. For a policy's own message: all of them. For a client's message: not those that are for
/// this gateway or pretend to come from it. `named` are fields that the policy still forwards.
pub fn sent_on(message: &Message, named: &[HeaderName], own: &OwnCookies<'_>) -> HeaderMap {
    if !message.received {
        return message.headers.clone();
    }
    let mut headers = HeaderMap::with_capacity(message.headers.len());
    for (name, value) in &message.headers {
        // Policies read the first of a single field; the next server must read the same.
        if SINGLE_FIELDS.contains(name) && headers.contains_key(name) {
            continue;
        }
        if message.placed.contains(name) || named.contains(name) {
            headers.append(name, value.clone());
        } else if *name == header::COOKIE {
            if let Some(value) = own.without(value, &message.placed_cookies) {
                headers.append(name, value);
            }
        } else if !is_for_gateway(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Prefixes of fields with which proxies tell the servers behind them who asks, how, and for what.
const ON_THE_WAY: [&str; 29] = [
    "cf-connecting-ip",
    "client-cert",
    "client-ip",
    "fastly-client-",
    "forwarded",
    "remote-",
    "ssl-",
    "true-client-ip",
    "x-amzn-mtls-",
    "x-appengine-",
    "x-arr-",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-envoy-",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-method-override",
    "x-original-",
    "x-proxyuser-",
    "x-real-ip",
    "x-remote-",
    "x-rewrite-",
    "x-ssl-",
    "x-tls-",
];

/// Whether a client's field is only for the gateway: credentials, and what servers believe from a gateway in front of them about
/// the client, or about a method or path other than the checked ones. Names with characters other than letters, digits and
/// hyphens count too, because many servers read `X_User` as `X-User`, which a policy may have set or removed.
fn is_for_gateway(name: &HeaderName) -> bool {
    let text = name.as_str();
    *name == header::AUTHORIZATION
        || *name == header::PROXY_AUTHORIZATION
        || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        || ON_THE_WAY.iter().any(|beginning| text.starts_with(beginning))
}

/// The fields that tell a server from whom a forwarded request comes: the address, the named host, the scheme. They contain only
/// what the gateway knows, so nobody in front of it can influence them.
pub fn forwarded(form: Forwarded, client: IpAddr, host: &str, scheme: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    let field = |name: &'static str, value: String| Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?));
    let fields = match form {
        Forwarded::Common => vec![
            field("x-forwarded-for", client.to_string()),
            field("x-forwarded-host", host.to_owned()),
            field("x-forwarded-proto", scheme.to_owned()),
        ],
        // RFC 7239, section 4: what has a colon is quoted, and an IPv6 address has brackets too.
        Forwarded::Standard => {
            let node = if client.is_ipv6() { format!("\"[{client}]\"") } else { client.to_string() };
            vec![field("forwarded", format!("for={node};host=\"{host}\";proto={scheme}"))]
        }
        Forwarded::Off => Vec::new(),
    };
    fields.into_iter().flatten().collect()
}

/// The gateway's own cookies: names, or prefixes of names with a `*`.
pub struct OwnCookies<'s> {
    /// Those set by its policies.
    pub policies: &'s [SmolStr],
    /// Those named by its settings.
    pub settings: &'s [String],
}

impl OwnCookies<'_> {
    /// Whether a cookie of this name is one of them. Ignores case, because some servers do.
    pub fn contain(&self, name: &[u8]) -> bool {
        let is = |own: &str| match own.strip_suffix('*') {
            Some(beginning) => name.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes())),
            None => name.eq_ignore_ascii_case(own.as_bytes()),
        };
        self.policies.iter().any(|own| is(own)) || self.settings.iter().any(|own| is(own))
    }

    /// A `Cookie` field without them, but with those that the policy set; `None` if nothing is left.
    fn without(&self, field: &HeaderValue, placed: &[SmolStr]) -> Option<HeaderValue> {
        let own = |pair: &&[u8]| {
            let name = name_of(pair);
            self.contain(name) && !placed.iter().any(|placed| placed.as_bytes() == name)
        };
        if !field.as_bytes().split(|byte| *byte == b';').any(|pair| own(&pair)) {
            return Some(field.clone());
        }
        let pairs = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !own(pair)).collect();
        if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok() }
    }

    /// Whether another server's `Set-Cookie` would set one of them. A cookie without a name counts as well, because a browser
    /// sends only its value, which may look like `name=value`.
    pub fn set_by(&self, field: &HeaderValue) -> bool {
        let pair = field.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let name = name_of(pair);
        name.is_empty() || !pair.contains(&b'=') || self.contain(name)
    }
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_client_takes_away_its_own_fields_only() {
        let mut map = headers(&[
            ("connection", "x-a, X-B"),
            ("connection", "close,host"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("x-c", "1"),
            ("host", "h"),
        ]);
        map.append(header::CONNECTION, HeaderValue::from_bytes(b"\xff, x-d").unwrap());
        map.insert("x-d", HeaderValue::from_static("1"));
        remove_nominated(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>().len(), 2, "{map:?}");
        assert!(map.contains_key("x-c") && map.contains_key("host"));
    }

    #[test]
    fn own_cookies_stay_here() {
        let (policies, settings) = (["sid".into(), "l7*".into()], ["old-*".to_owned()]);
        let own = OwnCookies { policies: &policies, settings: &settings };
        for (field, left) in [
            ("a=1; b=2", Some("a=1; b=2")),
            ("a=1;sid=2; b=3", Some("a=1; b=3")),
            ("sid=1", None),
            ("SID=1; l7x=2; old-3=4; l=5", Some("l=5")),
            (" sid = 1 ; a=2", Some("a=2")),
            ("sid", None),
            ("xsid=1", Some("xsid=1")),
        ] {
            let found = own.without(&HeaderValue::from_str(field).unwrap(), &[]);
            assert_eq!(found.as_ref().map(|field| field.to_str().unwrap()), left, "{field}");
        }
        let odd = own.without(&HeaderValue::from_bytes(b"a=\xff; sid=1").unwrap(), &[]);
        assert_eq!(odd.unwrap().as_bytes(), b"a=\xff");
        assert_eq!(own.without(&HeaderValue::from_static("sid=1"), &["sid".into()]).unwrap(), "sid=1");
        for (field, set) in [
            ("sid=1; Path=/", true),
            ("Sid=1", true),
            ("a=1; sid=2", false),
            ("=sid=1", true),
            ("sid", true),
            ("b=sid=1", false),
            ("l7=1", true),
        ] {
            assert_eq!(own.set_by(&HeaderValue::from_str(field).unwrap()), set, "{field}");
        }
    }

    #[test]
    fn what_is_read_once_is_sent_once() {
        let mut message = Message::default();
        message.received = true;
        let fields = [("content-type", "text/plain"), ("content-type", "application/json"), ("x-a", "1"), ("x-a", "2")];
        let more =
            [("user-agent", "a"), ("user-agent", "b"), ("referer", "https://a.example/"), ("referer", "https://b.example/")];
        for (name, value) in fields.into_iter().chain(more) {
            message.headers.append(name, HeaderValue::from_static(value));
        }
        let sent = sent_on(&message, &[], &OwnCookies { policies: &[], settings: &[] });
        assert_eq!(sent.get_all("content-type").iter().collect::<Vec<_>>(), ["text/plain"]);
        assert_eq!(sent.get_all("user-agent").iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(sent.get_all("referer").iter().collect::<Vec<_>>(), ["https://a.example/"]);
        assert_eq!(sent.get_all("x-a").iter().count(), 2);
    }

    #[test]
    fn what_is_for_the_gateway_stays_here() {
        for name in [
            "authorization",
            "proxy-authorization",
            "x_user",
            "x-user.name",
            "x-forwarded-for",
            "x-forwarded-client-cert",
            "forwarded",
            "x-real-ip",
            "client-cert",
            "client-cert-chain",
            "ssl-client-cert",
            "x-ssl-client-dn",
            "x-client-cert",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "true-client-ip",
            "remote-user",
            "x-remote-user",
        ] {
            assert!(is_for_gateway(&HeaderName::from_static(name)), "{name}");
        }
        for name in
            ["accept", "content-type", "x-user", "user-agent", "traceparent", "x-request-id", "cookie", "if-none-match", "via"]
        {
            assert!(!is_for_gateway(&HeaderName::from_static(name)), "{name}");
        }
    }
}
