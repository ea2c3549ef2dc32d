//! A transaction that lasts over several statements.

use std::time::Duration;

use super::mysql::MySql;
use super::postgres::Postgres;
use super::server::Session;
use super::{Backend, Connection, Kind, QueryOptions, Rows, Statement, StoreError, sqlite};
use crate::data::value::Value;

/// How a transaction is to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeginOptions<'a> {
    /// Transactions that name the same lock run one after the other, so that "count, then insert" is exact. An embedded database runs
    /// all its writing transactions one after the other anyway.
    pub lock: Option<&'a str>,
    /// Instead of the connection's `transaction_timeout`.
    pub timeout: Option<Duration>,
}

/// A transaction: sees its own writes, nobody else does until [`Transaction::commit`]. Dropping it undoes it.
pub struct Transaction {
    connection: Connection,
    inner: Kinds,
}

enum Kinds {
    Sqlite(sqlite::Session),
    MySql(Session<MySql>),
    Postgres(Session<Postgres>),
}

impl Transaction {
    pub(super) async fn begin(connection: Connection, options: BeginOptions<'_>) -> Result<Transaction, StoreError> {
        let inner = match &connection.0.backend {
            Backend::Sqlite(database) => Kinds::Sqlite(database.begin(options).await?),
            Backend::MySql(server) => Kinds::MySql(server.begin(options).await?),
            Backend::Postgres(server) => Kinds::Postgres(server.begin(options).await?),
        };
        Ok(Transaction { connection, inner })
    }

    /// The connection it runs on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs one statement. One that fails undoes itself alone; the transaction goes on.
    pub async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.connection.check(statement, params)?;
        match &mut self.inner {
            Kinds::Sqlite(session) => session.run(statement, params, options).await,
            Kinds::MySql(session) => session.run(statement, params, options).await,
            Kinds::Postgres(session) => session.run(statement, params, options).await,
        }
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Kinds::Sqlite(session) => session.commit().await,
            Kinds::MySql(session) => session.commit().await,
            Kinds::Postgres(session) => session.commit().await,
        }
    }

    /// Undoes it.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            Kinds::Sqlite(session) => session.rollback().await,
            Kinds::MySql(session) => session.rollback().await,
            Kinds::Postgres(session) => session.rollback().await,
        }
    }
}

/// The error of a transaction that was undone because it took too long.
pub(super) fn expired(name: &smol_str::SmolStr) -> StoreError {
    StoreError::new(Kind::Timeout, name, "the transaction took longer than its time-out and was undone")
}
