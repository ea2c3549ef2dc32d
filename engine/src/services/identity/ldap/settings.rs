//! The checked settings of a directory.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{Scope, parse_filter};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use crate::data::principal::Secret;
use crate::services::config::{IdentityProvider as Config, SearchScope};
use crate::services::identity::ProviderError;
use crate::services::keys::certificates_in;

/// Attributes that identify an entry permanently, in directories that have one.
pub(super) const IDS: [&str; 4] = ["entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId"];
/// Attributes that say whether an account may be used.
pub(super) const STATES: [&str; 3] = ["userAccountControl", "nsAccountLock", "pwdAccountLockedTime"];
/// Attributes that say when the password last changed.
pub(super) const PASSWORD_TIMES: [&str; 2] = ["pwdChangedTime", "pwdLastSet"];
/// Attributes of people: name in policies, name in the directory.
const PERSON: [(&str, &str); 4] =
    [("email", "mail"), ("given_name", "givenName"), ("family_name", "sn"), ("display_name", "displayName")];

pub(super) struct Settings {
    pub provider: String,
    pub url: Url,
    pub start_tls: bool,
    /// `None` if passwords travel unencrypted.
    pub tls: Option<Arc<ClientConfig>>,
    pub base: String,
    pub scope: Scope,
    pub filter: String,
    /// The account that searches.
    pub searcher: Option<(String, Secret)>,
    pub name_attribute: String,
    pub id_attribute: Option<String>,
    pub role_attribute: Option<String>,
    /// Name in policies, name in the directory.
    pub attributes: Vec<(String, String)>,
    /// Attributes that contain a login name: those that the filter compares it with, and the name attribute.
    pub compared: Vec<String>,
    /// All requested attributes.
    pub asked: Vec<String>,
    pub groups: Option<Groups>,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub pool_size: usize,
}

pub(super) struct Groups {
    pub base: String,
    pub filter: String,
}

/// Puts the name into `{}` and the distinguished name into `{dn}` of a filter; both are already escaped.
pub(super) fn fill(filter: &str, name: &str, dn: &str) -> String {
    // In one pass, so that an inserted text is not searched for placeholders.
    let mut out = String::with_capacity(filter.len() + name.len() + dn.len());
    let mut rest = filter;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{}") {
            out.push_str(name);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{dn}") {
            out.push_str(dn);
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// What is wrong with a directory's settings, apart from files.
pub fn check(config: &Config) -> Result<(), ProviderError> {
    let refuse = |key: &'static str, message: String| Err(ProviderError::Setting { key, message });
    let Some(url) = &config.url else {
        return refuse("type", "type `ldap` needs a `url` such as ldaps://ldap.example.com".to_owned());
    };
    if config.base.as_ref().is_none_or(|base| base.trim().is_empty()) {
        return refuse("base", "type `ldap` needs a `base` such as ou=people,dc=example,dc=com".to_owned());
    }
    let url = match Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "ldap" | "ldaps") && url.host_str().is_some_and(|host| !host.is_empty()) => url,
        _ => return refuse("url", format!("`{url}` is not an address such as ldaps://ldap.example.com or ldap://host:389")),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "url",
            "`url` may have only scheme, host and port; the rest goes into `base`, `filter` and `bind_dn`".to_owned(),
        );
    }
    if url.scheme() == "ldaps" && config.start_tls {
        return refuse("start_tls", "`start_tls` is for ldap://; ldaps:// is TLS from the first byte".to_owned());
    }
    if url.scheme() == "ldap" && !config.start_tls && !config.allow_plaintext && !is_loopback(&url) {
        let help = "use ldaps://, or `start_tls: true`, or `allow_plaintext: true` if the network is protected by other means";
        return refuse("url", format!("passwords would travel unencrypted to {}; {help}", url.host_str().unwrap_or("")));
    }
    let filter = config.filter.as_deref().unwrap_or("(uid={})");
    if !filter.contains("{}") {
        return refuse("filter", "`filter` needs `{}` where the login name goes".to_owned());
    }
    for (key, filter) in [("filter", Some(filter)), ("group_filter", config.group_filter.as_deref())] {
        let Some(filter) = filter else { continue };
        if !filter.starts_with('(')
            || parse_filter(fill(filter, "name", "dn")).is_err()
            || parse_filter(fill(filter, "*", "*")).is_err()
        {
            return refuse(key, format!("`{filter}` is not a search filter such as (&(objectClass=person)(uid={{}}))"));
        }
    }
    if config.group_filter.is_some() && config.group_base.is_none() {
        return refuse("group_filter", "`group_filter` needs a `group_base`, the base of the search for groups".to_owned());
    }
    match (&config.bind_dn, &config.bind_password_file) {
        (Some(_), None) => return refuse("bind_dn", "`bind_dn` needs a `bind_password_file`".to_owned()),
        (None, Some(_)) => return refuse("bind_password_file", "`bind_password_file` needs a `bind_dn`".to_owned()),
        _ => {}
    }
    let single = [
        ("name_attribute", &config.name_attribute),
        ("id_attribute", &config.id_attribute),
        ("role_attribute", &config.role_attribute),
    ];
    let single = single.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?)));
    for (key, name) in single.chain(config.attributes.values().map(|name| ("attributes", name))) {
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        if !fits {
            return refuse(key, format!("`{name}` is not the name of an attribute"));
        }
    }
    if config.pool_size == Some(0) {
        return refuse("pool_size", "`pool_size` must be 1 or more".to_owned());
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // For unknown schemes, the parser leaves the host as written.
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Settings {
    pub(super) fn read(provider: &str, config: &Config, home: &Path) -> Result<Settings, ProviderError> {
        check(config)?;
        let url = Url::parse(config.url.as_deref().unwrap_or_default());
        let url = url.map_err(|error| ProviderError::Setting { key: "url", message: error.to_string() })?;
        let secure = url.scheme() == "ldaps" || config.start_tls;
        let searcher = match (&config.bind_dn, &config.bind_password_file) {
            (Some(dn), Some(file)) => {
                let file = home.join(file);
                let text = match std::fs::read_to_string(&file) {
                    Ok(text) => text,
                    Err(error) => return Err(ProviderError::File { path: file, error }),
                };
                let password = text.lines().next().unwrap_or("");
                if password.is_empty() {
                    return Err(ProviderError::NoPassword(file));
                }
                Some((dn.clone(), Secret::new(password)))
            }
            _ => None,
        };
        let name_attribute = config.name_attribute.clone().unwrap_or_else(|| "uid".to_owned());
        let own = config.attributes.iter().map(|(name, attribute)| (name.to_lowercase(), attribute.clone()));
        let mut attributes: Vec<(String, String)> = own.collect();
        for (name, attribute) in PERSON {
            if !attributes.iter().any(|(own, _)| own == name) {
                attributes.push((name.to_owned(), attribute.to_owned()));
            }
        }
        let mut asked = vec![name_attribute.clone()];
        asked.extend(config.role_attribute.clone());
        asked.extend(attributes.iter().map(|(_, attribute)| attribute.clone()));
        asked.extend(match &config.id_attribute {
            Some(attribute) => vec![attribute.clone()],
            None => IDS.map(str::to_owned).to_vec(),
        });
        asked.extend(STATES.iter().chain(&PASSWORD_TIMES).map(|&name| name.to_owned()));
        let mut compared: Vec<String> = compared(config.filter.as_deref().unwrap_or_default()).collect();
        compared.push(name_attribute.clone());
        asked.extend(compared.iter().cloned());
        Ok(Settings {
            provider: provider.to_owned(),
            url,
            start_tls: config.start_tls,
            tls: if secure { Some(Arc::new(tls(config, home)?)) } else { None },
            base: config.base.clone().unwrap_or_default(),
            scope: match config.scope {
                SearchScope::Subtree => Scope::Subtree,
                SearchScope::One => Scope::OneLevel,
            },
            filter: config.filter.clone().unwrap_or_else(|| format!("({name_attribute}={{}})")),
            searcher,
            name_attribute,
            id_attribute: config.id_attribute.clone(),
            role_attribute: config.role_attribute.clone(),
            attributes,
            compared,
            asked,
            groups: config.group_base.as_ref().map(|base| Groups {
                base: base.clone(),
                filter: config.group_filter.clone().unwrap_or_else(|| "(member={dn})".to_owned()),
            }),
            connect_timeout: config.connect_timeout.map_or(Duration::from_secs(5), |span| span.0),
            timeout: config.timeout.map_or(Duration::from_secs(5), |span| span.0),
            pool_size: config.pool_size.map_or(8, |size| size as usize),
        })
    }
}

/// Attributes that a filter compares with the login name.
fn compared(filter: &str) -> impl Iterator<Item = String> + '_ {
    filter.split('(').filter(|part| part.contains("{}")).filter_map(|part| {
        let name = part.split(['=', '~', '<', '>', ':', ')']).next()?.trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// TLS that verifies the host of the URL with the configured authorities.
fn tls(config: &Config, home: &Path) -> Result<ClientConfig, ProviderError> {
    let mut roots = RootCertStore::empty();
    for path in &config.trusted {
        let path = home.join(path);
        let found = certificates_in(&path)?;
        if found.is_empty() {
            return Err(ProviderError::NoCertificate(path));
        }
        for certificate in found {
            if let Err(error) = roots.add(certificate.der().to_vec().into()) {
                return Err(ProviderError::Authority { path, subject: certificate.subject.clone(), error });
            }
        }
    }
    if config.trusted.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder?.with_root_certificates(roots).with_no_client_auth())
}
