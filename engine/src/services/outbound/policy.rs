//! What may be called: checks host names before their addresses are known, and addresses before a connection is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use http::Uri;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;
use smallvec::{SmallVec, smallvec};
use thiserror::Error;
use url::Host;

use super::connector::Names;
use super::{CallError, Failed};
use crate::services::config::Outbound as Settings;

/// Hosts and addresses that may and may not be called.
#[derive(Clone, Debug)]
pub struct Targets {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    private: bool,
    /// If set, the only private targets: the URL comes from a client.
    only: Option<Vec<Rule>>,
    /// Ports of this gateway's own listeners, and its name.
    own: (Vec<u16>, String),
    /// Who knows their addresses.
    pub(super) names: Names,
}

impl Default for Targets {
    fn default() -> Self {
        Targets {
            allow: Vec::new(),
            deny: Vec::new(),
            private: true,
            only: None,
            own: Default::default(),
            names: Names::default(),
        }
    }
}

/// A text that does not name a target.
#[derive(Debug, Error)]
#[error("`{0}` is not a host, `*.domain`, address or network, with or without `:port`")]
pub struct NoRule(String);

/// Why calls cannot work as configured in `gateway.yaml`.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// An entry of a list that cannot be read.
    #[error("outbound.{list}: {error}")]
    Rule {
        /// `allow`, `deny` or `client_targets`.
        list: &'static str,
        /// What is wrong.
        error: NoRule,
    },
    /// A file of authorities that cannot be read.
    #[error("outbound.trusted, {}: {error}", path.display())]
    Trusted {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An entry of `outbound.allow` or `outbound.deny`.
#[derive(Clone, Debug)]
struct Rule {
    who: Who,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Who {
    /// This name.
    Name(String),
    /// Every name with this ending, which begins with a dot.
    Below(String),
    /// Every address in this network, whatever name leads to it.
    Network(IpNet),
    /// This machine: the loopback addresses, and those that lead to them.
    Loopback,
}

impl Rule {
    /// `host`, `*.domain`, an address or a network, each with an optional `:port`.
    fn parse(text: &str) -> Result<Rule, NoRule> {
        let wrong = || NoRule(text.to_owned());
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Rule { who: Who::network(network.trunc()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        if let Ok(network) = host.parse::<IpNet>() {
            return Ok(Rule { who: Who::network(network.trunc()), port });
        }
        if let Some(domain) = host.strip_prefix("*.") {
            return match Host::parse(domain) {
                Ok(Host::Domain(domain)) => Ok(Rule { who: Who::Below(format!(".{}", domain.trim_end_matches('.'))), port }),
                _ => Err(wrong()),
            };
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let bare: Option<IpAddr> = bare.parse().ok();
        let who = match bare {
            Some(address) => Who::network(address.into()),
            None => match Host::parse(host).map_err(|_| wrong())? {
                Host::Ipv4(address) => Who::network(IpAddr::V4(address).into()),
                Host::Ipv6(address) => Who::network(IpAddr::V6(address).into()),
                Host::Domain(name) => match name.trim_end_matches('.') {
                    "" => return Err(wrong()),
                    name => Who::Name(name.to_owned()),
                },
            },
        };
        Ok(Rule { who, port })
    }

    fn names(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && match &self.who {
                Who::Name(name) => host == name,
                Who::Below(domain) => host.ends_with(domain),
                Who::Network(_) | Who::Loopback => false,
            }
    }

    fn holds(&self, address: IpAddr, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && match &self.who {
                Who::Network(network) => network.contains(&address),
                Who::Loopback => is_loopback(address),
                Who::Name(_) | Who::Below(_) => false,
            }
    }

    fn is_of_addresses(&self) -> bool {
        matches!(self.who, Who::Network(_) | Who::Loopback)
    }
}

impl Who {
    fn network(network: IpNet) -> Who {
        match network {
            // IPv4 in IPv6 notation is IPv4.
            IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => {
                let address = v6.addr().to_canonical();
                Who::Network(IpNet::new(address, v6.prefix_len() - 96).unwrap_or(address.into()))
            }
            other => Who::Network(other),
        }
    }
}

/// A URL that may be called, as far as its text shows.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URL with the normalized host, so that the checked URL is the called one.
    pub uri: Uri,
    /// The host.
    pub host: Host<String>,
    /// The port.
    pub port: u16,
    /// Whether `outbound.allow` names the host, so that any of its addresses is allowed.
    named: bool,
}

impl Target {
    /// Whether another URL has the same origin: scheme, host and port (RFC 6454).
    pub fn same_origin(&self, other: &Target) -> bool {
        self.uri.scheme() == other.uri.scheme() && self.host == other.host && self.port == other.port
    }
}

impl Targets {
    /// From the settings. An unreadable entry is an error, because otherwise nobody would notice that it denies nothing.
    pub fn new(settings: &Settings) -> Result<Targets, OutboundError> {
        let rules = |list: &'static str, texts: &[String]| {
            let rules = texts.iter().map(|text| Rule::parse(text));
            rules.collect::<Result<Vec<Rule>, NoRule>>().map_err(|error| OutboundError::Rule { list, error })
        };
        let allow = rules("allow", &settings.allow)?;
        let mut deny = rules("deny", &settings.deny)?;
        // Denying only one loopback address would deny nothing, because most servers listen on all of them.
        let local = |rule: &Rule| {
            let local = match &rule.who {
                Who::Network(network) => {
                    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].iter().any(|own| network.contains(&IpAddr::V4(*own)))
                        || [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].iter().any(|own| network.contains(&IpAddr::V6(*own)))
                        || is_loopback(network.addr())
                }
                Who::Name(name) => is_localhost(name),
                Who::Below(_) | Who::Loopback => false,
            };
            local.then_some(Rule { who: Who::Loopback, port: rule.port })
        };
        let machine: Vec<Rule> = deny.iter().filter_map(local).collect();
        deny.extend(machine);
        Ok(Targets { allow, deny, private: settings.private_targets, ..Targets::default() })
    }

    /// The same for URLs that clients choose: private targets only where the settings name them for that.
    pub fn of_clients(&self, settings: &Settings) -> Result<Targets, OutboundError> {
        let rules = settings.client_targets.iter().map(|text| Rule::parse(text));
        let only = rules.collect::<Result<Vec<Rule>, NoRule>>();
        let only = only.map_err(|error| OutboundError::Rule { list: "client_targets", error })?;
        Ok(Targets { only: Some(only), ..self.clone() })
    }

    /// The same, with the gateway's own ports and name.
    pub fn beside(mut self, ports: Vec<u16>, name: &str) -> Targets {
        self.own = (ports, name.to_ascii_lowercase());
        self
    }

    /// Whether this may be called, as far as its text shows. If the host is a name, its addresses are checked when they are
    /// known.
    pub fn check(&self, uri: &Uri) -> Result<Target, CallError> {
        let refuse = |why: &str| Err(CallError::new(Failed::BadUrl, why));
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return refuse("the URL has no scheme or host");
        };
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return refuse("the URL's scheme is neither http nor https"),
        };
        // `https://trusted.example@evil.example/` deceives readers, and passwords in URLs end up in logs.
        if authority.as_str().contains('@') {
            return refuse("the URL contains a user name");
        }
        if authority.as_str().contains('%') {
            return refuse("the URL's host contains escapes or a zone");
        }
        let port = authority.port_u16().unwrap_or(default);
        let host = match Host::parse(authority.host()) {
            Ok(Host::Domain(name)) => Host::Domain(name.trim_end_matches('.').to_owned()),
            Ok(Host::Ipv6(address)) if address.to_ipv4_mapped().is_some() => {
                Host::Ipv4(address.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED))
            }
            Ok(address) => address,
            Err(_) => return refuse("the URL has no valid host"),
        };
        let uri = rewritten(uri, scheme, authority, &host)?;
        let mut target = Target { uri, host, port, named: false };
        match &target.host {
            Host::Domain(name) => {
                if name.is_empty() {
                    return refuse("the URL has no host");
                }
                if self.deny.iter().any(|rule| rule.names(name, port)) {
                    return refuse(DENIED);
                }
                target.named = self.allow.is_empty() || self.allow.iter().any(|rule| rule.names(name, port));
                // A name must be allowed as a name: the owner of any other name can point it to an allowed address.
                if !target.named && !is_localhost(name) {
                    return refuse(NOT_ALLOWED);
                }
            }
            Host::Ipv4(address) => self.admits(&target, IpAddr::V4(*address))?,
            Host::Ipv6(address) => self.admits(&target, IpAddr::V6(*address))?,
        }
        Ok(target)
    }

    /// Whether a connection to this address of a target is allowed.
    pub fn admits(&self, target: &Target, address: IpAddr) -> Result<(), CallError> {
        let refuse = |why: &str| Err(CallError::new(Failed::BadUrl, why));
        let reached = reached(address);
        if self.deny.iter().any(|rule| reached.iter().any(|address| rule.holds(*address, target.port))) {
            return refuse(DENIED);
        }
        // A call to itself under a foreign name would come from this machine's own address, which may be trusted more than the
        // client. Calls under its own names run in process and keep the client's address.
        if let Host::Domain(name) = &target.host
            && self.own.0.contains(&target.port)
            && !is_localhost(name)
            && *name != self.own.1
            && reached.iter().any(|address| is_loopback(*address))
        {
            return refuse("the name leads back to this gateway, which is called as `localhost`");
        }
        let canonical = address.to_canonical();
        let allowed = target.named || self.allow.is_empty() || self.allow.iter().any(|rule| rule.holds(canonical, target.port));
        if !allowed {
            return refuse(NOT_ALLOWED);
        }
        if !self.private && reached.iter().any(|address| is_private(*address)) {
            return refuse("the settings do not allow calls to private addresses (outbound.private_targets)");
        }
        if let Some(only) = &self.only
            && reached.iter().any(|address| is_private(*address))
        {
            let named = matches!(&target.host, Host::Domain(name) if only.iter().any(|rule| rule.names(name, target.port)));
            if !named && !only.iter().any(|rule| rule.holds(canonical, target.port)) {
                return refuse("a client chose this URL, and it leads to a private address (outbound.client_targets)");
            }
        }
        Ok(())
    }

    /// Whether the address decides about a target, or its name has already decided.
    pub fn asks_for_addresses(&self, target: &Target) -> bool {
        !target.named
            || !self.private
            || self.only.is_some()
            || self.own.0.contains(&target.port)
            || self.deny.iter().any(Rule::is_of_addresses)
    }
}

const DENIED: &str = "the settings deny calls to this host (outbound.deny)";
const NOT_ALLOWED: &str = "the settings do not allow calls to this host (outbound.allow)";

/// The URL with the normalized host.
fn rewritten(uri: &Uri, scheme: &Scheme, authority: &Authority, host: &Host<String>) -> Result<Uri, CallError> {
    let text = host.to_string();
    if text == authority.host() {
        return Ok(uri.clone());
    }
    let authority = authority.port().map_or_else(|| text.clone(), |port| format!("{text}:{port}"));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let made = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path).build();
    made.map_err(|_| CallError::new(Failed::BadUrl, "the URL has no valid host"))
}

/// Whether a name always means this machine (RFC 6761, section 6.3).
pub fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Whether an address leads to this machine itself. On most systems the unspecified addresses do.
pub fn is_loopback(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
    }
}

/// Every address that a packet to this one may reach: itself, and the IPv4 address embedded for a translator or a tunnel.
fn reached(address: IpAddr) -> SmallVec<[IpAddr; 3]> {
    let IpAddr::V6(v6) = address.to_canonical() else { return smallvec![address.to_canonical()] };
    let mut all: SmallVec<[IpAddr; 3]> = smallvec![IpAddr::V6(v6)];
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        // IPv4-compatible (RFC 4291, section 2.5.5.1); `::` and `::1` do not count.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => all.push(v4(high, low)),
        // IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, high, low] => all.push(v4(high, low)),
        // NAT64 (RFC 6052, and RFC 8215 for local prefixes, whose length decides where the address is).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => all.push(v4(high, low)),
        [0x64, 0xff9b, 1, third, fourth, fifth, high, low] => {
            all.push(v4(high, low));
            all.push(v4(third, fourth & 0xff << 8 | fifth >> 8));
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => all.push(v4(high, low)),
        // Teredo (RFC 4380): the client's address is inverted, the server's is not.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            all.push(v4(!high, !low));
            all.push(v4(server_high, server_low));
        }
        // ISATAP (RFC 5214).
        [.., 0x5efe, high, low] => all.push(v4(high, low)),
        _ => {}
    }
    all
}

/// Whether an address belongs to this machine or a private network, is reserved, or is not that of a single machine.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || a == 0
                || (a == 100 && b & 0xc0 == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && b & 0xfe == 18)
                || a >= 224
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback()
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xff80 == 0xfe80
        }
    }
}
