//! A connection's settings with their defaults filled in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::transport::Named;
use super::{Dialect, SettingsError};
use crate::services::config::{self, Synchronous};
use crate::services::keys::certificates_in;

/// One entry under `connections:` of `gateway.yaml`.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectionConfig {
    /// `sqlite://data/x.db` (relative to the home; `?mode=ro` for reading only), `mysql://…`, `postgres://…`.
    pub url: String,
    /// Login name at a database server, instead of one in the address.
    pub user: Option<String>,
    /// Password at a database server, instead of one in the address.
    pub password: Option<String>,
    /// PEM file with the authorities of the server's certificate.
    pub ca: Option<PathBuf>,
    /// Files that the address names.
    pub named: Named,
    /// Whether a server on another machine may be used without TLS, or without verifying it.
    pub allow_plaintext: bool,
    /// Most connections at once. For an embedded database: connections that read.
    pub max_connections: Option<u32>,
    /// Connections to a server that stay open.
    pub min_connections: u32,
    /// Longest time that a connection to a server may be unused; `None`: for ever.
    pub max_idle: Option<Duration>,
    /// Longest life of a connection to a server; `None`: for ever.
    pub max_age: Option<Duration>,
    /// Tests a connection to a server before it is used again.
    pub test_query: Option<String>,
    /// Whether each transaction may get another session, from a pooler between here and the server.
    pub pooler: bool,
    /// Whether an acknowledged write survives a power cut; embedded databases only.
    pub synchronous: Synchronous,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest time for one `Transaction`; then it is rolled back, so that a stuck policy holds no locks.
    pub transaction_timeout: Duration,
    /// Longest wait for a connection, or for the lock of an embedded database.
    pub acquire_timeout: Duration,
}

impl ConnectionConfig {
    /// Fills in the defaults; files are relative to `home`, and must be there.
    pub fn new(given: &config::Connection, home: &Path) -> Result<Self, SettingsError> {
        let password = match &given.password_file {
            Some(file) => {
                let path = home.join(file);
                let text = std::fs::read_to_string(&path).map_err(|error| SettingsError::PasswordFile { path, error })?;
                Some(text.lines().next().unwrap_or("").to_owned())
            }
            None => given.password.clone(),
        };
        let config = ConnectionConfig::filled(given, home, password)?;
        if let Some(path) = &config.ca {
            let found = certificates_in(path).map_err(|error| SettingsError::Authorities(error.to_string()))?;
            if found.is_empty() {
                return Err(SettingsError::Authorities(format!("{} holds no certificate", path.display())));
            }
        }
        config.named.look()?;
        Ok(config)
    }

    /// The same, without a look at any file.
    pub fn filled(given: &config::Connection, home: &Path, password: Option<String>) -> Result<Self, SettingsError> {
        let span = |given: Option<config::Span>| given.map_or(Duration::from_secs(5), |span| span.0);
        // 0 is for ever, as in other pools.
        let life = |given: Option<config::Span>, minutes: u64| {
            let time = given.map_or(Duration::from_secs(60 * minutes), |span| span.0);
            (!time.is_zero()).then_some(time)
        };
        Ok(ConnectionConfig {
            url: given.url.clone(),
            user: given.user.clone(),
            password,
            ca: given.ca.as_ref().map(|file| home.join(file)),
            named: Named::by(&given.url, home)?,
            allow_plaintext: given.allow_plaintext,
            max_connections: given.pool_size,
            min_connections: given.pool_min.unwrap_or(0),
            max_idle: life(given.max_idle_time, 10),
            max_age: life(given.max_connection_age, 30),
            test_query: given.test_query.clone(),
            // What other programs say in the address for the same purpose.
            pooler: given.pooler || given.url.split(['?', '&']).skip(1).any(|word| word == "statement-cache-capacity=0"),
            synchronous: given.synchronous.unwrap_or(Synchronous::Full),
            statement_timeout: span(given.statement_timeout),
            transaction_timeout: span(given.transaction_timeout),
            acquire_timeout: span(given.wait_timeout),
        })
    }

    /// The dialect that the address names.
    pub fn dialect(&self) -> Result<Dialect, SettingsError> {
        let (scheme, _) = self.url.split_once(':').ok_or(SettingsError::NoScheme)?;
        Dialect::of_scheme(scheme).ok_or_else(|| SettingsError::UnknownKind(scheme.to_owned()))
    }
}
