//! What a kind of database is to the rest of the store. Adding one is a file that implements these traits, and a row in `dialect.rs`.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use smol_str::SmolStr;
use sqlparser::dialect::Dialect as Grammar;

use super::{BeginOptions, ConnectionConfig, QueryOptions, Rows, SettingsError, Statement, StoreError};
use crate::data::value::Value;

/// A kind of database.
pub(super) trait Database: Sync {
    /// The word that policies and folder names use for its SQL.
    fn word(&self) -> &'static str;

    /// The schemes of its addresses.
    fn schemes(&self) -> &'static [&'static str];

    /// What is wrong with a connection's settings, files left aside.
    fn check(&self, config: &ConnectionConfig) -> Result<(), SettingsError>;

    /// Prepares a connection. Only settings that can never work are an error: a database that is down is tried again on each use.
    fn open(&self, name: SmolStr, config: &ConnectionConfig, home: &Path) -> Result<Arc<dyn Backend>, StoreError>;

    /// The file of an embedded database.
    fn file(&self, _: &ConnectionConfig, _: &Path) -> Option<PathBuf> {
        None
    }

    /// How its SQL is spelled.
    fn spelling(&self) -> &'static dyn Spelling;
}

/// A database with its connections.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// Runs a statement on the calling thread, where that takes less time than handing it over. `None`: it is for [`Backend::run`].
    fn run_here(&self, _: &Statement, _: &[Value], _: QueryOptions) -> Result<Option<Rows>, StoreError> {
        Ok(None)
    }

    /// Runs a statement.
    async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError>;

    /// Begins a transaction.
    async fn begin(self: Arc<Self>, options: BeginOptions<'_>) -> Result<Box<dyn Session>, StoreError>;

    /// Applies the scripts (name, SQL) that were not applied yet.
    async fn migrate(&self, scripts: Vec<(String, String)>) -> Result<(), StoreError>;

    /// Its connections, where it has a pool of them that was used.
    fn pool(&self) -> Option<Pool> {
        None
    }

    /// Finishes what is in hand and closes.
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

/// A transaction in hand. Dropping it undoes it.
#[async_trait]
pub(super) trait Session: Send + Sync {
    /// As [`Backend::run_here`].
    fn run_here(&mut self, _: &Statement, _: &[Value], _: QueryOptions) -> Result<Option<Rows>, StoreError> {
        Ok(None)
    }

    /// Runs a statement. One that fails undoes itself alone.
    async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError>;

    /// Makes it durable.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Undoes it.
    async fn rollback(self: Box<Self>) -> Result<(), StoreError>;
}

/// How the parameters of a statement are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholders {
    /// `?1`: a number stands for one parameter, wherever it is used.
    Numbered,
    /// `?`: each place is bound by itself.
    InOrder,
    /// `$1`: a number stands for one parameter of one type, so that the bytes of its text are another one.
    Typed,
}

/// How one kind of database spells SQL.
pub(super) trait Spelling: Sync {
    /// What its statements are read with.
    fn grammar(&self) -> &'static dyn Grammar;

    /// How its parameters are written.
    fn placeholders(&self) -> Placeholders;

    /// The bytes of a text in its columns.
    fn bytes(&self, operand: &dyn Display) -> String;

    /// The condition under which both operands are numbers and compare as such; `None` where that cannot be.
    fn numbers(&self, left: Operand<'_>, right: Operand<'_>) -> Option<String>;

    /// Whether `replace` and `on duplicate key` change the row that the database takes for the same one.
    fn changes_what_it_takes_for_equal(&self) -> bool {
        false
    }

    /// What keeps the rows that a statement reads as they are until the end of its transaction. `None` where one transaction writes at a
    /// time anyway.
    fn holding_rows(&self) -> Option<&'static str>;

    /// Finds the columns that take different texts for equal: collation, table and column, or the text that made the table.
    fn loose_columns(&self) -> &'static str;
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    /// As SQL.
    pub(super) sql: &'a dyn Display,
    /// Its number, when it is a parameter.
    pub(super) param: Option<usize>,
    /// Whether it is a text written in the statement.
    pub(super) literal: bool,
}

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sql.fmt(f)
    }
}
