//! A connection's settings with their defaults filled in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::services::config::{self, Synchronous};

/// One entry under `connections:` of `gateway.yaml`.
#[derive(Clone)]
pub(super) struct ConnectionConfig {
    /// `sqlite://data/x.db` (relative to the home; `?mode=ro` for reading only), `mysql://…`, `postgres://…`.
    pub url: String,
    /// Login name at a database server, instead of one in the address.
    pub user: Option<String>,
    /// Password at a database server, instead of one in the address.
    pub password: Option<String>,
    /// PEM file of the authorities that vouch for the server.
    pub ca: Option<PathBuf>,
    /// Whether a server on another machine may be spoken to without TLS that verifies it.
    pub allow_plaintext: bool,
    /// Most connections at once. For an embedded database: connections that read.
    pub max_connections: Option<u32>,
    /// Whether an acknowledged write survives a power cut; embedded databases only.
    pub synchronous: Synchronous,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest time for one `Transaction`; after it everything is undone, so that a stuck policy holds no locks.
    pub transaction_timeout: Duration,
    /// Longest wait for a connection, or for the lock of an embedded database.
    pub acquire_timeout: Duration,
}

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite, embedded.
    Sqlite,
    /// MySQL or MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// The word that policies and folder names use: `sqlite`, `mysql`, `postgres`.
    pub fn word(self) -> &'static str {
        match self {
            Dialect::Sqlite => "sqlite",
            Dialect::MySql => "mysql",
            Dialect::Postgres => "postgres",
        }
    }
}

impl ConnectionConfig {
    /// Fills in the defaults; a password file is relative to `home`.
    pub fn new(given: &config::Connection, home: &Path) -> Result<Self, String> {
        let password = match &given.password_file {
            Some(file) => {
                let path = home.join(file);
                let text =
                    std::fs::read_to_string(&path).map_err(|error| format!("password file {}: {error}", path.display()))?;
                Some(text.lines().next().unwrap_or("").to_owned())
            }
            None => given.password.clone(),
        };
        let span = |given: Option<config::Span>| given.map_or(Duration::from_secs(5), |span| span.0);
        Ok(ConnectionConfig {
            url: given.url.clone(),
            user: given.user.clone(),
            password,
            ca: given.ca.as_ref().map(|file| home.join(file)),
            allow_plaintext: given.allow_plaintext,
            max_connections: given.pool_size,
            synchronous: given.synchronous.unwrap_or(Synchronous::Full),
            statement_timeout: span(given.statement_timeout),
            transaction_timeout: span(given.transaction_timeout),
            acquire_timeout: span(given.wait_timeout),
        })
    }

    /// The dialect that the address names.
    pub fn dialect(&self) -> Result<Dialect, String> {
        match self.url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Dialect::Sqlite),
            Some("mysql" | "mariadb") => Ok(Dialect::MySql),
            Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
            Some(other) => Err(format!("unknown kind of database `{other}`: use sqlite://, mysql:// or postgres://")),
            None => Err("the address has no scheme: use sqlite://, mysql:// or postgres://".to_owned()),
        }
    }
}
