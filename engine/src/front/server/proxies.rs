//! Proxies in front of the gateway, which say for whom they ask. Their header only counts on connections from trusted proxies,
//! and then only the part that trusted proxies wrote: the client may have written everything before it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::data::network;
use crate::services::config::{ForwardedHeader, Listeners};

pub(super) struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
    /// Whether a warning about an unreadable header was already logged.
    complained: AtomicBool,
    /// Whether a warning about an untrusted proxy, or one that does not write the configured header, was already logged.
    warned: AtomicBool,
}

/// The origin of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) remote: SocketAddr,
    /// See [`ConnInfo::direct`](super::ConnInfo::direct).
    pub(super) direct: bool,
}

/// Whether a field that proxies write says that the request was forwarded.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(is_of_proxies)
}

/// Whether proxies write a field of this name.
pub(super) fn is_of_proxies(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes().first() {
        Some(b'x') => {
            name.starts_with("x-forwarded")
                || matches!(
                    name,
                    "x-real-ip"
                        | "x-client-ip"
                        | "x-cluster-client-ip"
                        | "x-envoy-external-address"
                        | "x-original-forwarded-for"
                        | "x-original-host"
                        | "x-originating-ip"
                        | "x-remote-ip"
                        | "x-proxyuser-ip"
                )
        }
        Some(b'f') => matches!(name, "forwarded" | "fastly-client-ip"),
        Some(b'v') => name == "via",
        Some(b't') => name == "true-client-ip",
        Some(b'c') => name == "cf-connecting-ip",
        _ => false,
    }
}

/// A proxy's header does not name the origin of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Unreadable;

impl Proxies {
    pub(super) fn new(listeners: &Listeners) -> Proxies {
        let trusted = listeners.trusted_proxies.iter().map(|network| network.0).collect();
        Proxies {
            trusted,
            header: listeners.forwarded_header,
            complained: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        network::within(&self.trusted, address)
    }

    /// The origin of a request, and whether it is certain.
    pub(super) fn origin(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<Origin, Unreadable> {
        let remote = self.remote(peer, headers)?;
        // A trusted proxy names the client. If a proxy on another machine names its own loopback address, that does not mean this
        // machine.
        if remote != peer {
            let direct = !remote.ip().to_canonical().is_loopback() || peer.ip().to_canonical().is_loopback();
            return Ok(Origin { remote, direct });
        }
        let direct = !is_forwarded(headers);
        if !direct && is_near(peer.ip()) && !self.warned.swap(true, Relaxed) {
            let proxy = peer.ip();
            if self.trusts(proxy) {
                tracing::warn!(%proxy, "requests of this trusted proxy do not name their client in the field of \
                                        `listeners.forwarded_header`: all count as the proxy's own");
            } else {
                tracing::warn!(%proxy, "requests come through a proxy that is not in `listeners.trusted_proxies`: limits, \
                                        policies and logs count all of them as its own. If it is your proxy, name it there");
            }
        }
        Ok(Origin { remote, direct })
    }

    /// The address from which a request comes: the last address on its way that is not a trusted proxy's, or the first one if all
    /// are.
    pub(super) fn remote(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<SocketAddr, Unreadable> {
        if self.trusted.is_empty() || !self.trusts(peer.ip()) {
            return Ok(peer);
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        // Several fields of the name are one list (RFC 9110, section 5.3).
        let fields: Result<Vec<&str>, _> = headers.get_all(name).iter().map(http::HeaderValue::to_str).collect();
        let read = fields.map_err(|_| Unreadable).and_then(|fields| {
            let list = fields.join(",");
            match self.header {
                // The proxy asks for itself.
                _ if list.trim().is_empty() => Ok(peer),
                ForwardedHeader::XForwardedFor => self.last_untrusted(peer, list.rsplit(',').map(|hop| address(hop.trim()))),
                ForwardedHeader::Forwarded => {
                    let hops = forwarded(&list).ok_or(Unreadable)?;
                    self.last_untrusted(peer, hops.iter().rev().map(|hop| address(hop.as_deref()?)))
                }
            }
        });
        if read.is_err() && !self.complained.swap(true, Relaxed) {
            let proxy = peer.ip();
            tracing::warn!(%proxy, "`{name}` of a trusted proxy does not name addresses; this and further requests are answered \
                                    with 400");
        }
        read
    }

    /// `hops` from the latest to the first; `None` for one that is not an address. Only those written by trusted proxies are
    /// examined.
    fn last_untrusted(&self, peer: SocketAddr, hops: impl Iterator<Item = Option<SocketAddr>>) -> Result<SocketAddr, Unreadable> {
        let mut remote = peer;
        for hop in hops {
            remote = hop.ok_or(Unreadable)?;
            if !self.trusts(remote.ip()) {
                break;
            }
        }
        Ok(remote)
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. Without a port it is 0.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).and_then(|text| text.parse::<Ipv6Addr>().ok());
    bare.map(|address| SocketAddr::new(address.into(), 0)).or_else(|| text.parse().ok())
}

/// Whether an address belongs to this machine or its neighbourhood, as a proxy's does. A header from a stranger is no reason to
/// warn.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The `for` of each element of a `Forwarded` field (RFC 7239, section 4), strictly by the grammar: a quoted text may contain
/// separators, and the client controls some of it (`host`). `None` if it does not follow the grammar.
pub(crate) fn forwarded(list: &str) -> Option<Vec<Option<String>>> {
    let mut hops = Vec::new();
    let mut rest = list;
    loop {
        let mut hop = None;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            // An element, or the part between two semicolons, may be empty.
            if !rest.starts_with([',', ';']) && !rest.is_empty() {
                let (name, value, after) = pair(rest)?;
                if name.eq_ignore_ascii_case("for") && hop.replace(value).is_some() {
                    return None;
                }
                rest = after.trim_start_matches([' ', '\t']);
            }
            match rest.strip_prefix(';') {
                Some(after) => rest = after,
                None => break,
            }
        }
        hops.push(hop);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(hops),
        }
    }
}

/// `name=token` or `name="text"`, and what comes after it.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        // Colons and brackets should be quoted, but some proxies omit the quotes.
        let end = rest.bytes().position(|b| !(is_token(b) || matches!(b, b':' | b'[' | b']'))).unwrap_or(rest.len());
        return (end > 0).then(|| (name, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::config::units::Network;

    fn remote(header: ForwardedHeader, peer: &str, fields: &[(&str, &str)]) -> Result<String, Unreadable> {
        let trusted_proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| Network::parse(text).unwrap()).to_vec();
        let proxies = Proxies::new(&Listeners { trusted_proxies, forwarded_header: header, ..Listeners::default() });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        proxies.remote(SocketAddr::new(peer.parse().unwrap(), 9), &headers).map(|remote| remote.ip().to_string())
    }

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        let xff = |peer: &str, values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            remote(ForwardedHeader::XForwardedFor, peer, &fields).map_err(|_| ())
        };
        for (peer, values, expected) in [
            // From anybody else it does not count.
            ("192.0.2.9", &["203.0.113.1"][..], Ok("192.0.2.9")),
            ("192.0.2.9", &["10.0.0.1"], Ok("192.0.2.9")),
            ("192.0.2.9", &["nonsense"], Ok("192.0.2.9")),
            ("10.0.0.1", &["203.0.113.1"], Ok("203.0.113.1")),
            ("::ffff:10.0.0.1", &["203.0.113.1"], Ok("203.0.113.1")),
            ("2001:db8:1::7", &["2001:db8:2::1"], Ok("2001:db8:2::1")),
            ("10.0.0.1", &["203.0.113.1:443"], Ok("203.0.113.1")),
            ("10.0.0.1", &["[2001:db8:2::1]:443"], Ok("2001:db8:2::1")),
            ("10.0.0.1", &["[2001:db8:2::1]"], Ok("2001:db8:2::1")),
            // The client's own words come first.
            ("10.0.0.1", &["127.0.0.1, 203.0.113.1"], Ok("203.0.113.1")),
            ("10.0.0.1", &["10.0.0.2, 203.0.113.1, 10.0.0.3"], Ok("203.0.113.1")),
            ("10.0.0.1", &["127.0.0.1", "203.0.113.1"], Ok("203.0.113.1")),
            ("10.0.0.1", &["<script>,,\t, 203.0.113.1"], Ok("203.0.113.1")),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Ok("10.0.0.3")),
            ("10.0.0.1", &[], Ok("10.0.0.1")),
            ("10.0.0.1", &[""], Ok("10.0.0.1")),
            // An unusable header does not fall back to the proxy's address, which may be allowed more.
            ("10.0.0.1", &["unknown"], Err(())),
            ("10.0.0.1", &["203.0.113.1, unknown"], Err(())),
            ("10.0.0.1", &["203.0.113.1,"], Err(())),
            ("10.0.0.1", &["203.0.113.1 203.0.113.2"], Err(())),
            ("10.0.0.1", &["203.0.113.1:"], Err(())),
            ("10.0.0.1", &["0203.0.113.1"], Err(())),
            ("10.0.0.1", &["nonsense, 10.0.0.3"], Err(())),
        ] {
            assert_eq!(xff(peer, values).as_deref().map_err(|_| ()), expected, "{peer} {values:?}");
        }
        let other = [("forwarded", "for=203.0.113.1")];
        assert_eq!(remote(ForwardedHeader::XForwardedFor, "10.0.0.1", &other).as_deref(), Ok("10.0.0.1"), "not the one it sets");
    }

    #[test]
    fn a_request_is_direct_only_when_no_proxy_hides_who_asks() {
        for (trusted, peer, fields, expected) in [
            (&["127.0.0.0/8"][..], "127.0.0.1", &[][..], true),
            (&["127.0.0.0/8"], "127.0.0.1", &[("x-forwarded-for", "203.0.113.1")], true),
            // A client on the proxy's machine, which is this one or another.
            (&["127.0.0.2/32"], "127.0.0.2", &[("x-forwarded-for", "127.0.0.1")], true),
            (&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-for", "127.0.0.1")], false),
            (&["10.0.0.0/8"], "10.0.0.1", &[("x-forwarded-for", "::ffff:127.0.0.1")], false),
            // The configured field is missing, but another is present.
            (&["127.0.0.0/8"], "127.0.0.1", &[("forwarded", "for=203.0.113.1")], false),
            (&["127.0.0.0/8"], "127.0.0.1", &[("x-forwarded-for", ""), ("via", "1.1 x")], false),
            (&[], "127.0.0.1", &[], true),
            (&[], "127.0.0.1", &[("x-forwarded-for", "203.0.113.1")], false),
            (&[], "127.0.0.1", &[("x-forwarded-for", "127.0.0.1")], false),
            (&[], "::1", &[("x-forwarded-proto", "https")], false),
            (&[], "::1", &[("x-forwarded", "a")], false),
            (&[], "127.0.0.1", &[("x-real-ip", "a")], false),
            (&[], "127.0.0.1", &[("true-client-ip", "a")], false),
            (&[], "192.0.2.1", &[("forwarded", "for=a")], false),
            (&[], "192.0.2.1", &[("x-other", "a")], true),
        ] {
            let trusted_proxies = trusted.iter().map(|text| Network::parse(text).unwrap()).collect();
            let proxies = Proxies::new(&Listeners { trusted_proxies, ..Listeners::default() });
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            let origin = proxies.origin(SocketAddr::new(peer.parse().unwrap(), 9), &headers).unwrap();
            assert_eq!(origin.direct, expected, "{trusted:?} {peer} {fields:?}");
        }
    }

    #[test]
    fn forwarded_is_read_to_the_letter() {
        for (value, expected) in [
            ("for=203.0.113.1", Ok("203.0.113.1")),
            ("For=203.0.113.1;proto=https;by=10.0.0.1", Ok("203.0.113.1")),
            (r#"for="[2001:db8:2::1]:4711""#, Ok("2001:db8:2::1")),
            (r#"proto=http; for="203.0.113.1:80" ; host=x"#, Ok("203.0.113.1")),
            ("for=[2001:db8:2::1]:80", Ok("2001:db8:2::1")),
            ("for=127.0.0.1, for=203.0.113.1, for=10.0.0.2", Ok("203.0.113.1")),
            ("for=_hidden, for=203.0.113.1", Ok("203.0.113.1")),
            // This looks like an element but is part of a host name.
            (r#"for=203.0.113.1;host="a, for=192.0.2.66;b=""#, Ok("203.0.113.1")),
            (r#"for=203.0.113.1;host="a\", for=192.0.2.66""#, Ok("203.0.113.1")),
            // A quoted text that the client opened and the proxy closed.
            (r#"for=192.0.2.66;a=", for="203.0.113.1""#, Err(())),
            (r#"for=192.0.2.66;a=", for=203.0.113.1"#, Err(())),
            ("for=203.0.113.1, proto=https", Err(())),
            ("for=unknown", Err(())),
            ("for=_hidden", Err(())),
            ("for=203.0.113.1;for=203.0.113.2", Err(())),
            ("203.0.113.1", Err(())),
            ("for=", Err(())),
            ("for=203.0.113.1 x", Err(())),
        ] {
            let found = remote(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]);
            assert_eq!(found.as_deref().map_err(|_| ()), expected, "{value}");
        }
    }
}
