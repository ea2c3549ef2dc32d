//! The transport to database servers. A server on another machine needs TLS with a verified certificate and name, unless the
//! connection says `allow_plaintext: true`. A server that asks for a client certificate gets the one that the address names.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use url::Url;

use super::{ConnectionConfig, SettingsError};

/// Parameters of an address that drivers read about TLS.
const KNOWN: [&str; 10] =
    ["sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "sslrootcert", "ssl-root-cert"];

/// PEM files that the address of a server names, relative to the home like all files of `gateway.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The authorities of the server's certificate.
    pub authorities: Option<PathBuf>,
    /// The certificate for a server that asks for one, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Named {
    /// Those of this address.
    pub fn by(url: &str, home: &Path) -> Result<Named, SettingsError> {
        // What is no URL is refused elsewhere.
        let Ok(url) = Url::parse(url) else { return Ok(Named::default()) };
        let file = |names: &[&str]| {
            let pairs = url.query_pairs().filter(|(key, _)| names.contains(&&**key));
            pairs.last().map(|(_, value)| home.join(&*value))
        };
        let authorities = file(&["sslca", "ssl-ca", "sslrootcert", "ssl-root-cert"]);
        let client = match (file(&["sslcert", "ssl-cert"]), file(&["sslkey", "ssl-key"])) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(SettingsError::ClientCertificate("name both `sslcert` and `sslkey`".to_owned())),
        };
        Ok(Named { authorities, client })
    }

    /// They must be there and fit together: a driver would only notice when it connects.
    pub fn look(&self) -> Result<(), SettingsError> {
        if let Some(path) = &self.authorities {
            certificates(path).map_err(SettingsError::NamedAuthorities)?;
        }
        match &self.client {
            Some((certificate, key)) => fit(certificate, key).map_err(SettingsError::ClientCertificate),
            None => Ok(()),
        }
    }
}

/// The certificates of a file, of which there is one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(found) }
}

/// Whether the key is that of the certificate. Nothing of the key is told.
fn fit(certificate: &Path, key: &Path) -> Result<(), String> {
    let wrong = |why: String| format!("{}: {why}", key.display());
    let chain = certificates(certificate)?;
    let pem = std::fs::read(key).map_err(|error| wrong(error.to_string()))?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| wrong("it holds no private key".to_owned()))?;
    CertifiedKey::from_der(chain, der, &rustls::crypto::aws_lc_rs::default_provider())
        .map(|_| ())
        .map_err(|error| wrong(format!("it does not fit to {}: {error}", certificate.display())))
}

/// Whether the server's certificate and name must be verified; if not, the address decides. `host` is where the driver will
/// connect, `None` for a Unix socket. Fails, with the reason, for an address that asks for less than required.
pub(super) fn must_verify(config: &ConnectionConfig, host: Option<&str>) -> Result<bool, SettingsError> {
    if config.ca.is_some() && config.allow_plaintext {
        return Err(SettingsError::Contradiction);
    }
    let remote = host.filter(|host| !is_local(host));
    let url = Url::parse(&config.url).map_err(|_| SettingsError::Unreadable)?;
    let is_mode = |key: &str| matches!(key, "sslmode" | "ssl-mode");
    // Whoever names authorities and no mode wants them to be asked.
    let named = config.named.authorities.is_some() && !url.query_pairs().any(|(key, _)| is_mode(&key));
    let verify = config.ca.is_some() || named || remote.is_some() && !config.allow_plaintext;
    for (key, value) in url.query_pairs() {
        let plain = key.to_ascii_lowercase().replace(['-', '_'], "");
        let about_tls = plain.contains("ssl") || plain.contains("tls");
        if about_tls && !KNOWN.contains(&&*key) {
            return Err(SettingsError::UnknownTlsWord(key.into_owned()));
        }
        let strict = ["verify-full", "verify_identity"].iter().any(|mode| value.eq_ignore_ascii_case(mode));
        if verify && is_mode(&key) && !strict {
            let server = remote.map_or("this server".to_owned(), |host| format!("`{host}`, which is not this machine"));
            return Err(SettingsError::Unverified { setting: format!("{key}={value}"), server });
        }
    }
    Ok(verify)
}

/// The address without parameters that are neither known here nor among these. A driver would ignore them, and log them with their values: a
/// password under a misspelt name, too.
pub(super) fn understood(address: &str, parameters: &[&str]) -> String {
    let Ok(mut url) = Url::parse(address) else { return address.to_owned() };
    let all: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let is_known = |key: &str| {
        let name = if key.starts_with("options[") { "options" } else { key };
        KNOWN.contains(&name) || parameters.contains(&name)
    };
    let (known, unknown): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| is_known(key));
    if unknown.is_empty() {
        return address.to_owned();
    }
    for (key, _) in &unknown {
        tracing::warn!("the address of a database has a parameter `{key}`, which means nothing here");
    }
    url.set_query(None);
    if !known.is_empty() {
        url.query_pairs_mut().extend_pairs(known);
    }
    url.into()
}

/// Whether this is the machine itself: by address, or by the only name that always means it (RFC 6761, section 6.3). Other names
/// may mean another machine tomorrow.
pub(in crate::services) fn is_local(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address == Ipv6Addr::LOCALHOST || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::config;

    fn verified(url: &str, ca: bool, allow_plaintext: bool) -> Result<(), String> {
        let ca = ca.then(|| "ca.pem".into());
        let given = config::Connection { url: url.to_owned(), ca, allow_plaintext, ..config::Connection::default() };
        super::super::check(&given).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_machine_itself_is_local() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.8.7", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "db",
            "localhost.example",
            "localhost.",
            "127.0.0.1.example",
            "10.0.0.1",
            "0.0.0.0",
            "::",
            "127.1",
            "::ffff:10.0.0.1",
            "",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn an_address_may_not_ask_for_less_than_is_due() {
        for scheme in ["mysql", "mariadb", "postgres", "postgresql"] {
            let modes: &[&str] = if scheme.starts_with('p') {
                &["disable", "allow", "prefer", "require", "verify-ca"]
            } else {
                &["DISABLED", "preferred", "REQUIRED", "VERIFY_CA"]
            };
            for mode in modes {
                for key in ["sslmode", "ssl-mode"] {
                    let url = |host: &str| format!("{scheme}://u:hunter2@{host}/d?{key}={mode}");
                    let why = verified(&url("db.example"), false, false).unwrap_err();
                    assert!(why.contains(key) && why.contains("db.example") && !why.contains("hunter2"), "{why}");
                    assert!(verified(&url("127.0.0.1"), true, false).is_err(), "authorities are named to be asked");
                    assert_eq!(verified(&url("db.example"), false, true), Ok(()));
                    assert_eq!(verified(&url("127.0.0.1"), false, false), Ok(()));
                }
            }
            let full = if scheme.starts_with('p') { "verify-full" } else { "VERIFY_IDENTITY" };
            assert_eq!(verified(&format!("{scheme}://u@db.example/d?sslmode={full}"), true, false), Ok(()));
            assert_eq!(verified(&format!("{scheme}://u@db.example/d"), false, false), Ok(()));
            for key in ["tls", "useSSL", "SSLMODE", "ssl_mode", "requiressl", "ssl", "tls-version"] {
                assert!(verified(&format!("{scheme}://u@db.example/d?{key}=false"), false, false).is_err(), "{key}");
            }
        }
        assert!(verified("mysql://u@db/d", true, true).unwrap_err().contains("contradict"));
    }

    /// PEM files of an authority, and of a certificate with its key.
    fn files(home: &Path) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        for (name, text) in [("own.pem", certificate), ("key.pem", key.serialize_pem())] {
            std::fs::write(home.join(name), text).unwrap();
        }
        std::fs::write(home.join("other.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        std::fs::write(home.join("text.pem"), "hunter2").unwrap();
    }

    #[test]
    fn files_that_an_address_names_are_read_when_it_is() {
        let home = tempfile::tempdir().unwrap();
        files(home.path());
        for (cert, key, cause) in [
            ("own.pem", Some("key.pem"), None),
            ("own.pem", None, Some("name both `sslcert` and `sslkey`")),
            ("own.pem", Some("other.pem"), Some("does not fit to")),
            ("own.pem", Some("none.pem"), Some("No such file")),
            ("none.pem", Some("key.pem"), Some("No such file")),
            ("text.pem", Some("key.pem"), Some("holds no certificate")),
            ("own.pem", Some("text.pem"), Some("holds no private key")),
        ] {
            for scheme in ["mysql", "postgres"] {
                let key = key.map_or_else(String::new, |key| format!("&sslkey={key}"));
                let named = Named::by(&format!("{scheme}://u:hunter2@db.example/d?ssl-cert={cert}{key}"), home.path());
                let named = named.and_then(|named| named.look().map(|()| named));
                match cause {
                    None => assert_eq!(
                        named.unwrap().client,
                        Some((home.path().join("own.pem"), home.path().join("key.pem"))),
                        "relative to the home"
                    ),
                    Some(cause) => {
                        let why = named.unwrap_err().to_string();
                        assert!(why.contains(cause) && !why.contains("hunter2"), "{why}");
                    }
                }
            }
        }
        let named =
            |query: &str| Named::by(&format!("postgres://u@localhost/d?{query}"), home.path()).and_then(|named| named.look());
        assert!(named("sslrootcert=none.pem").unwrap_err().to_string().contains("none.pem"));
        assert!(named("ssl-ca=text.pem").unwrap_err().to_string().contains("no certificate"));
        for (url, verify) in [
            ("postgres://u@localhost/d?sslrootcert=own.pem", true),
            ("mysql://u@localhost/d?ssl-ca=own.pem", true),
            ("mysql://u@localhost/d?ssl-ca=own.pem&ssl-mode=REQUIRED", false),
            ("mysql://u@localhost/d", false),
        ] {
            let given = config::Connection { url: url.to_owned(), ..config::Connection::default() };
            let config = ConnectionConfig::new(&given, home.path()).unwrap();
            assert_eq!(must_verify(&config, Some("localhost")).unwrap(), verify, "{url}");
        }
    }

    #[test]
    fn what_an_address_says_for_nothing_is_left_out() {
        let given =
            "postgres://u:p%2F@db/d?host=%2Frun&pasword=hunter2&sslmode=disable&options[search_path]=a%20b&application_name=x";
        let left = understood(given, &["host", "options", "application_name"]);
        assert!(!left.contains("hunter2") && left.starts_with("postgres://u:p%2F@db/d?"), "{left}");
        let left = Url::parse(&left).unwrap();
        let left: Vec<(String, String)> = left.query_pairs().into_owned().collect();
        let kept = [("host", "/run"), ("sslmode", "disable"), ("options[search_path]", "a b"), ("application_name", "x")];
        assert_eq!(left, kept.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(understood("postgres://u@db/d?a=hunter2", &[]), "postgres://u@db/d");
        assert_eq!(understood("postgres://u@db/d?sslmode=a%20b", &[]), "postgres://u@db/d?sslmode=a%20b");
    }

    #[test]
    fn the_host_that_counts_is_the_one_that_is_asked() {
        assert!(verified("postgres://u@localhost/d?sslmode=disable&host=db.example", false, false).is_err());
        assert!(verified("postgres://u@localhost/d?sslmode=disable&hostaddr=10.0.0.1", false, false).is_err());
        assert_eq!(verified("postgres://u@db.example/d?sslmode=disable&host=/run/postgresql", false, false), Ok(()));
        assert_eq!(verified("mysql://u@db.example/d?ssl-mode=DISABLED&socket=/run/mysqld.sock", false, false), Ok(()));
        assert!(verified("postgres://u@localhost/d?sslmode=verify-full&sslmode=disable", true, false).is_err());
    }
}
