//! A transaction that lasts over several statements.

use std::sync::Arc;
use std::time::Duration;

use super::backend::Session;
use super::{Connection, Kind, QueryOptions, Rows, Statement, StoreError};
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

    /// Runs one statement. One that fails undoes itself alone; the transaction goes on.
    pub async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.connection.check(statement, params)?;
        match self.session.run_here(statement, params, options)? {
            Some(rows) => Ok(rows),
            None => self.session.run(statement, params, options).await,
        }
    }

    /// Makes it durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.session.commit().await
    }

    /// Undoes it.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.session.rollback().await
    }
}

/// The error of a transaction that was undone because it took too long.
pub(super) fn expired(name: &smol_str::SmolStr) -> StoreError {
    StoreError::new(Kind::Timeout, name, "the transaction took longer than its time-out and was undone")
}
