//! What a database can answer other than rows. A policy may turn one kind, [`Kind::Duplicate`], into an answer of its own; everything
//! else becomes a [`Fault`]. Texts never hold values that were bound: those may be secrets.

use std::borrow::Cow;
use std::fmt;

use smol_str::SmolStr;

use crate::data::fault::{Blame, Fault};

/// What kind of trouble it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row with this key exists already (a unique constraint).
    Duplicate,
    /// Another constraint: not null, foreign key, check, a value too long.
    Constraint,
    /// Locked by somebody else, or lost against a concurrent transaction; trying again may succeed.
    Busy,
    /// The database, its file or its file system takes no writes.
    ReadOnly,
    /// The account may not do it.
    Forbidden,
    /// Not there: server down, file gone, disk full.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// The statement itself cannot work: syntax, unknown table, wrong number of parameters.
    Invalid,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::Duplicate => "the row exists already",
            Kind::Constraint => "a constraint forbids it",
            Kind::Busy => "locked",
            Kind::ReadOnly => "read-only",
            Kind::Forbidden => "the account may not do it",
            Kind::Unavailable => "unavailable",
            Kind::Timeout => "took too long",
            Kind::Invalid => "the statement cannot work",
        }
    }
}

/// An error of a named connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind.
    pub kind: Kind,
    /// The connection's name in `gateway.yaml`.
    pub connection: SmolStr,
    /// What the database said, without bound values.
    pub detail: Cow<'static, str>,
}

impl StoreError {
    /// An error of the connection of this name.
    pub fn new(kind: Kind, connection: &SmolStr, detail: impl Into<Cow<'static, str>>) -> Self {
        StoreError { kind, connection: connection.clone(), detail: detail.into() }
    }

    /// Whether a unique constraint was violated, which a policy may take for an answer.
    pub fn is_duplicate(&self) -> bool {
        self.kind == Kind::Duplicate
    }

    /// Whether the server's connection is still in order: the server answered, if only to refuse.
    pub(super) fn leaves_connection(&self) -> bool {
        !matches!(self.kind, Kind::Unavailable | Kind::Timeout)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database `{}`: {}", self.connection, self.kind.words())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        let blame = if error.kind == Kind::Invalid { Blame::Configuration } else { Blame::Store };
        Fault::because(blame, "query failed", error)
    }
}
