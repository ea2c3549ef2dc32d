//! The interface between a kind of database and the rest of the store. To add one, write a file that implements these traits, and
//! a row in `dialect.rs`.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use smol_str::SmolStr;
use sqlparser::dialect::Dialect as Grammar;

use super::{BeginOptions, Channel, ConnectionConfig, QueryOptions, Rows, SettingsError, Statement, StoreError};
use crate::data::value::Value;

/// A kind of database.
pub(super) trait Database: Sync {
    /// The word that policies and folder names use for its SQL.
    fn word(&self) -> &'static str;

    /// The schemes of its addresses.
    fn schemes(&self) -> &'static [&'static str];

    /// What is wrong with a connection's settings, apart from files.
    fn check(&self, config: &ConnectionConfig) -> Result<(), SettingsError>;

    /// Prepares a connection. Only impossible settings are an error: a database that is down is retried on each use.
    fn open(&self, name: SmolStr, config: &ConnectionConfig, home: &Path) -> Result<Arc<dyn Backend>, StoreError>;

    /// The file of an embedded database.
    fn file(&self, _: &ConnectionConfig, _: &Path) -> Option<PathBuf> {
        None
    }

    /// Its SQL spelling.
    fn spelling(&self) -> &'static dyn Spelling;
}

/// A database with its connections.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// Runs a statement on the calling thread, if that is faster than handing it over. `None`: use [`Backend::run`].
    fn run_here(&self, _: &Statement, _: &[Value], _: QueryOptions) -> Result<Option<Rows>, StoreError> {
        Ok(None)
    }

    /// Runs a statement.
    async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError>;

    /// Runs a statement that writes, by itself. The result says how long others waited for it.
    async fn run_apart(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        let begun = Instant::now();
        let rows = self.run(statement, params, options).await?;
        Ok(Rows { took: begun.elapsed(), ..rows })
    }

    /// Begins a transaction.
    async fn begin(self: Arc<Self>, options: BeginOptions<'_>) -> Result<Box<dyn Session>, StoreError>;

    /// Applies the scripts (name, SQL) that were not yet applied.
    async fn migrate(&self, scripts: Vec<(String, String)>) -> Result<(), StoreError>;

    /// Opens a channel for messages between gateways; `None` if the database passes none on.
    async fn channel(&self, _: &str) -> Option<Result<Channel, StoreError>> {
        None
    }

    /// The state of its pool, if it has one that was used.
    fn pool(&self) -> Option<Pool> {
        None
    }

    /// Finishes running statements and closes.
    async fn close(&self);
}

/// Connections to a server.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// That wait to be used.
    pub idle: usize,
    /// That are in use.
    pub used: usize,
    /// That there may be.
    pub most: usize,
}

/// An open transaction. Dropping it rolls it back.
#[async_trait]
pub(super) trait Session: Send + Sync {
    /// As [`Backend::run_here`].
    fn run_here(&mut self, _: &Statement, _: &[Value], _: QueryOptions) -> Result<Option<Rows>, StoreError> {
        Ok(None)
    }

    /// Runs a statement. A failed statement undoes only itself.
    async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError>;

    /// Commits it durably.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Rolls it back.
    async fn rollback(self: Box<Self>) -> Result<(), StoreError>;
}

/// How the parameters of a statement are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholders {
    /// `?1`: a number stands for one parameter, wherever it is used.
    Numbered,
    /// `?`: each place is bound by itself.
    InOrder,
    /// `$1`: a number stands for one parameter of one type, so the bytes of its text are a separate parameter.
    Typed,
}

/// How one kind of database spells SQL.
pub(super) trait Spelling: Sync {
    /// The parser dialect of its statements.
    fn grammar(&self) -> &'static dyn Grammar;

    /// How its parameters are written.
    fn placeholders(&self) -> Placeholders;

    /// The bytes of a text in its columns.
    fn bytes(&self, operand: &dyn Display) -> String;

    /// The condition that both operands are numbers and compare as such; `None` if that is impossible.
    fn numbers(&self, left: Operand<'_>, right: Operand<'_>) -> Option<String>;

    /// Whether `replace` and `on duplicate key` change the row that the database considers the same.
    fn changes_what_it_takes_for_equal(&self) -> bool {
        false
    }

    /// The SQL that locks the rows that a statement reads until the end of its transaction. `None` if only one transaction writes
    /// at a time anyway.
    fn holding_rows(&self) -> Option<&'static str>;

    /// Finds the columns that treat different texts as equal: collation, table and column, or the text that created the table.
    fn loose_columns(&self) -> &'static str;

    /// Lists the columns of all tables: table, column, type, most characters, character set, collation.
    fn columns(&self) -> &'static str;

    /// Lists the columns of all indexes in order: table, index, column, 1 if unique.
    fn indexes(&self) -> &'static str;

    /// The type of a text of so many characters, of a text without a practical limit, and of a number.
    fn kind(&self, column: Column) -> String;
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// A text of so many characters.
    Text(u64),
    /// A text without a practical limit.
    Long,
    /// A whole number of 64 bits.
    Number,
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    /// As SQL.
    pub(super) sql: &'a dyn Display,
    /// Its number, if it is a parameter.
    pub(super) param: Option<usize>,
    /// Whether it is a literal text in the statement.
    pub(super) literal: bool,
}

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sql.fmt(f)
    }
}
