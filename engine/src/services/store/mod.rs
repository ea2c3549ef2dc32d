//! Databases by name. One async API for the embedded SQLite and for MySQL and PostgreSQL servers; policies decide what the
//! statements mean. A database that is down does not prevent the start: each use then gives a [`StoreError`], and works again as
//! soon as the database does.

mod again;
mod backend;
mod bytewise;
mod channel;
mod collations;
mod config;
mod dialect;
mod error;
mod lease;
mod mysql;
mod nowhere;
mod pace;
mod pieces;
mod postgres;
mod reach;
mod rendered;
mod server;
mod shape;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;
mod transaction;
mod transport;
mod upgrade;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

pub use again::Again;
pub use backend::Pool;
pub use channel::{Channel, ChannelSender};
pub use dialect::Dialect;
pub use error::{Kind, SettingsError, StatementError, StoreError};
pub use pieces::Pieces;
pub use sqlite::backup;
pub use statement::{Equality, Statement};
pub use transaction::{BeginOptions, Transaction};
pub(in crate::services) use transport::is_local;
pub use upgrade::Expected;

use self::backend::Backend;
use self::config::ConnectionConfig;
use crate::data::value::Value;
use crate::services::config::Connection as Config;

/// Options for running a statement.
#[derive(Clone, Copy, Debug)]
pub struct QueryOptions {
    /// Rows beyond this many are dropped.
    pub max_rows: usize,
    /// Instead of the connection's `statement_timeout`.
    pub timeout: Option<Duration>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        QueryOptions { max_rows: 1000, timeout: None }
    }
}

/// The result of a statement.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Names of the columns, even if there is no row. Runs of one statement may share them.
    pub columns: Arc<[SmolStr]>,
    /// The rows, each with a value per column; NULL is undefined.
    pub rows: Vec<Vec<Value>>,
    /// Rows that an insert, update or delete matched.
    pub affected: u64,
    /// How long others waited for it: only of what ran apart.
    took: Duration,
}

/// What is wrong with a connection's settings, apart from files.
pub fn check(given: &Config) -> Result<(), SettingsError> {
    if given.url == nowhere::WORD {
        return Ok(());
    }
    let config = ConnectionConfig::filled(given, Path::new(""), None)?;
    config.dialect()?.database().check(&config)
}

/// The file of an embedded database; `None` for what is a server, or cannot be opened.
pub fn file(given: &Config, home: &Path) -> Option<PathBuf> {
    let config = ConnectionConfig::new(given, home).ok().filter(|config| config.url != nowhere::WORD)?;
    config.dialect().ok()?.database().file(&config, home)
}

/// All connections of a gateway.
#[derive(Clone, Default)]
pub struct Connections(Arc<BTreeMap<SmolStr, Connection>>);

impl Connections {
    /// Prepares the connections. Paths of embedded databases are relative to `home`. Fails only for settings that can never work, and
    /// then tells all of them.
    pub fn open(configs: &BTreeMap<String, Config>, home: &Path) -> Result<Connections, Vec<StoreError>> {
        Connections::default().reopen(configs, home)
    }

    /// Prepares the connections of other settings. Those that stay the same, passwords included, are kept, with all that they have open.
    pub fn reopen(&self, configs: &BTreeMap<String, Config>, home: &Path) -> Result<Connections, Vec<StoreError>> {
        let (mut connections, mut errors) = (BTreeMap::new(), Vec::new());
        for (name, config) in configs {
            let name = SmolStr::new(name);
            match Connection::open(name.clone(), config, home, self.get(&name)) {
                Ok(connection) => drop(connections.insert(name, connection)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Connections(Arc::new(connections))) } else { Err(errors) }
    }

    /// Those that these others do not have.
    pub fn beyond(&self, others: &Connections) -> Connections {
        let same = |connection: &&Connection| others.get(connection.name()).is_some_and(|own| Arc::ptr_eq(&own.0, &connection.0));
        let new = self.iter().filter(|connection| !same(connection));
        Connections(Arc::new(new.map(|connection| (connection.name().clone(), connection.clone())).collect()))
    }

    /// The connection of this name.
    pub fn get(&self, name: &str) -> Option<&Connection> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.0.values()
    }

    /// Finishes running statements and closes; for the end of the process.
    pub async fn close(&self) {
        for connection in self.0.values() {
            connection.0.backend.close().await;
        }
    }
}

/// A named database. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    name: SmolStr,
    dialect: Dialect,
    backend: Arc<dyn Backend>,
    config: ConnectionConfig,
}

impl Connection {
    /// Opens it, or gives `before` where that was opened with the same settings.
    fn open(name: SmolStr, config: &Config, home: &Path, before: Option<&Connection>) -> Result<Connection, StoreError> {
        let config = ConnectionConfig::new(config, home).map_err(|error| error.of(&name))?;
        if let Some(before) = before.filter(|before| before.0.config == config) {
            return Ok(before.clone());
        }
        let (dialect, backend): (_, Arc<dyn Backend>) = if config.url == nowhere::WORD {
            (Dialect::Sqlite, Arc::new(nowhere::Nowhere(name.clone())))
        } else {
            let dialect = config.dialect().map_err(|error| error.of(&name))?;
            (dialect, dialect.database().open(name.clone(), &config, home)?)
        };
        Ok(Connection(Arc::new(Inner { name, dialect, backend, config })))
    }

    /// Its name in `gateway.yaml`.
    pub fn name(&self) -> &SmolStr {
        &self.0.name
    }

    /// Whether there is no database: it is `none` in `gateway.yaml`.
    pub fn is_nowhere(&self) -> bool {
        self.0.config.url == nowhere::WORD
    }

    /// Which SQL it speaks.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// Runs one statement. A write is durable when this returns.
    pub async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.check(statement, params)?;
        match self.0.backend.run_here(statement, params, options)? {
            Some(rows) => Ok(rows),
            None => self.0.backend.run(statement, params, options).await,
        }
    }

    /// Runs a statement that writes much, and that nobody waits for: it shares no commit with others, so that it is known how long it held
    /// them up.
    async fn run_apart(&self, statement: &Statement, params: &[Value]) -> Result<Rows, StoreError> {
        self.check(statement, params)?;
        self.0.backend.run_apart(statement, params, QueryOptions::default()).await
    }

    /// Begins a transaction. Dropping it rolls it back.
    pub async fn begin(&self, options: BeginOptions<'_>) -> Result<Transaction, StoreError> {
        Transaction::begin(self.clone(), options).await
    }

    /// Applies the scripts (name, SQL for this dialect) that were not yet applied, in order, each as a whole, and records them in
    /// the table `portcullis_migration`. Several gateways may do so at once. MySQL cannot undo half a script, so scripts should
    /// be repeatable (`CREATE TABLE IF NOT EXISTS`); then they also work with tables that somebody else created.
    pub async fn migrate<N: AsRef<str>, S: AsRef<str>>(&self, scripts: &[(N, S)]) -> Result<(), StoreError> {
        let scripts = scripts.iter().map(|(name, sql)| (name.as_ref().to_owned(), sql.as_ref().to_owned()));
        self.0.backend.migrate(scripts.collect()).await
    }

    /// Its connections, where it is on a server.
    pub fn pool(&self) -> Option<Pool> {
        self.0.backend.pool()
    }

    /// Opens a channel for messages to all gateways that use this database; they must give it the same name. An error for a database
    /// that passes no messages on.
    pub async fn channel(&self, name: &str) -> Result<Channel, StoreError> {
        let none = || StoreError::new(Kind::Invalid, self.name(), "this database passes no messages on");
        self.0.backend.channel(name).await.unwrap_or_else(|| Err(none()))
    }

    /// Whether a transaction may lose against others, and is then undone as a whole. On an embedded database only one writes at a time.
    pub fn loses_transactions(&self) -> bool {
        self.dialect() != Dialect::Sqlite
    }

    /// Whether messages between gateways may go through it: a pooler takes them and passes nothing on.
    pub fn passes_messages(&self) -> bool {
        self.dialect() == Dialect::Postgres && !self.0.config.pooler
    }

    /// Whether there is a database at all.
    pub fn exists(&self) -> bool {
        self.0.config.url != nowhere::WORD
    }

    /// Whether the database answers. One that this gateway is not to have is no trouble.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if !self.exists() {
            return Ok(());
        }
        let statement = Statement::new(&["select 1"]).map_err(|error| error.of(self.name()))?;
        self.run(&statement, &[], QueryOptions::default()).await.map(|_| ())
    }

    fn check(&self, statement: &Statement, params: &[Value]) -> Result<(), StoreError> {
        if statement.params() != params.len() {
            let detail = format!("the statement takes {} values, {} were given", statement.params(), params.len());
            return Err(StoreError::new(Kind::Invalid, self.name(), detail));
        }
        statement.rendered(self.dialect()).map(|_| ()).map_err(|error| error.of(self.name()))
    }
}
