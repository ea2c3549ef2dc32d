//! A transaction over several statements.

use std::sync::Arc;
use std::time::Duration;

use super::backend::Session;
use super::{Connection, Kind, QueryOptions, Rows, Statement, StoreError};
use crate::data::value::Value;

/// Options for beginning a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeginOptions<'a> {
    /// Transactions that name the same lock run one after the other, so that "count, then insert" is exact. An embedded database
    /// runs all writing transactions one after the other anyway.
    pub lock: Option<&'a str>,
    /// Instead of the connection's `transaction_timeout`.
    pub timeout: Option<Duration>,
}

/// A transaction: it sees its own writes, and nobody else does until [`Transaction::commit`]. Dropping it rolls it back.
pub struct Transaction {
    connection: Connection,
    session: Box<dyn Session>,
}

impl Transaction {
    pub(super) async fn begin(connection: Connection, options: BeginOptions<'_>) -> Result<Transaction, StoreError> {
        let session = Arc::clone(&connection.0.backend).begin(options).await?;
        Ok(Transaction { connection, session })
    }

    /// The connection it runs on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs one statement. A failed statement undoes only itself; the transaction continues.
    pub async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.connection.check(statement, params)?;
        match self.session.run_here(statement, params, options)? {
            Some(rows) => Ok(rows),
            None => self.session.run(statement, params, options).await,
        }
    }

    /// Commits it durably.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.session.commit().await
    }

    /// Rolls it back.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.session.rollback().await
    }
}

/// The error of a transaction that was rolled back because it took too long.
pub(super) fn expired(name: &smol_str::SmolStr) -> StoreError {
    StoreError::new(Kind::Timeout, name, "the transaction took longer than its time-out and was rolled back")
}
