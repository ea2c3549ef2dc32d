//! The transport to database servers. A server on another machine needs TLS with a verified certificate and name, unless the
//! connection says `allow_plaintext: true`.

use std::net::{IpAddr, Ipv6Addr};

use url::Url;

use super::{ConnectionConfig, SettingsError};

/// Parameters of an address that drivers read about TLS.
const KNOWN: [&str; 10] =
    ["sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "sslrootcert", "ssl-root-cert"];

/// Whether the server's certificate and name must be verified; if not, the address decides. `host` is where the driver will
/// connect, `None` for a Unix socket. Fails, with the reason, for an address that asks for less than required.
pub(super) fn must_verify(config: &ConnectionConfig, host: Option<&str>) -> Result<bool, SettingsError> {
    if config.ca.is_some() && config.allow_plaintext {
        return Err(SettingsError::Contradiction);
    }
    let remote = host.filter(|host| !is_local(host));
    let verify = config.ca.is_some() || remote.is_some() && !config.allow_plaintext;
    let url = Url::parse(&config.url).map_err(|_| SettingsError::Unreadable)?;
    for (key, value) in url.query_pairs() {
        let plain = key.to_ascii_lowercase().replace(['-', '_'], "");
        let about_tls = plain.contains("ssl") || plain.contains("tls");
        if about_tls && !KNOWN.contains(&&*key) {
            return Err(SettingsError::UnknownTlsWord(key.into_owned()));
        }
        let strict = ["verify-full", "verify_identity"].iter().any(|mode| value.eq_ignore_ascii_case(mode));
        if verify && matches!(&*key, "sslmode" | "ssl-mode") && !strict {
            let server = remote.map_or("this server".to_owned(), |host| format!("`{host}`, which is not this machine"));
            return Err(SettingsError::Unverified { setting: format!("{key}={value}"), server });
        }
    }
    Ok(verify)
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

    #[test]
    fn the_host_that_counts_is_the_one_that_is_asked() {
        assert!(verified("postgres://u@localhost/d?sslmode=disable&host=db.example", false, false).is_err());
        assert!(verified("postgres://u@localhost/d?sslmode=disable&hostaddr=10.0.0.1", false, false).is_err());
        assert_eq!(verified("postgres://u@db.example/d?sslmode=disable&host=/run/postgresql", false, false), Ok(()));
        assert_eq!(verified("mysql://u@db.example/d?ssl-mode=DISABLED&socket=/run/mysqld.sock", false, false), Ok(()));
        assert!(verified("postgres://u@localhost/d?sslmode=verify-full&sslmode=disable", true, false).is_err());
    }
}
