//! What may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::{CallError, Failed};
use crate::config::Outbound as Settings;

/// Hosts that may and may not be called.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
    private: bool,
}

/// `host`, `host:port`, `*.domain`, `*.domain:port`.
#[derive(Clone, Debug)]
struct Pattern {
    host: String,
    below: bool,
    port: Option<u16>,
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let text = text.trim().to_ascii_lowercase();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (host.to_owned(), Some(port)),
                Err(_) => (text.clone(), None),
            },
            _ => (text.clone(), None),
        };
        match host.strip_prefix("*.") {
            Some(domain) => Pattern { host: format!(".{domain}"), below: true, port },
            None => Pattern { host: host.trim_matches(['[', ']']).to_owned(), below: false, port },
        }
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && if self.below { host.ends_with(&self.host) } else { host == self.host }
    }
}

impl Targets {
    /// From the settings.
    pub fn new(settings: &Settings) -> Targets {
        let patterns = |list: &[String]| list.iter().map(|text| Pattern::new(text)).collect();
        Targets { allow: patterns(&settings.allow), deny: patterns(&settings.deny), private: settings.private_targets }
    }

    /// Whether this may be called. Addresses that names lead to are checked when they are known, see `connector`.
    pub fn check(&self, uri: &Uri) -> Result<(), CallError> {
        let refuse = |why: &str| Err(CallError::new(Failed::BadUrl, why));
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse("the URL has no scheme or host");
        };
        let port = match scheme {
            "http" => authority.port_u16().unwrap_or(80),
            "https" => authority.port_u16().unwrap_or(443),
            _ => return refuse("the URL's scheme is neither http nor https"),
        };
        // `https://trusted.example@evil.example/` deceives readers, and passwords in URLs end up in logs.
        if authority.as_str().contains('@') {
            return refuse("the URL holds a user name");
        }
        let host = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() {
            return refuse("the URL has no host");
        }
        if self.deny.iter().any(|pattern| pattern.matches(&host, port)) {
            return refuse("the settings deny calls to this host (outbound.deny)");
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|pattern| pattern.matches(&host, port)) {
            return refuse("the settings do not allow calls to this host (outbound.allow)");
        }
        if !self.private && host.parse().is_ok_and(is_private) {
            return refuse("the settings do not allow calls to private addresses (outbound.private_targets)");
        }
        Ok(())
    }
}

/// Whether an address is of this machine, of a private network, or of no single machine at all.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || a == 0
                || (a == 100 && b & 0xc0 == 64)
                || v4 == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback()
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
        }
    }
}
