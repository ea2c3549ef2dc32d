//! Errors of a database. A policy may handle two kinds, [`Kind::Duplicate`] and
//! [`Kind::Constraint`]; everything else becomes a [`Fault`]. Texts never
//! contain bound values, because these may be secrets.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use smol_str::SmolStr;
use thiserror::Error;

use crate::data::fault::{Blame, Fault};

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row with this key exists already (a unique constraint).
    Duplicate,
    /// Another constraint: not null, foreign key, check; a value too long, or with characters that the column cannot hold.
    Constraint,
    /// Locked by another transaction, or lost against one; trying again may succeed.
    Busy,
    /// The database, its file or its file system is read-only.
    ReadOnly,
    /// The account may not do it.
    Forbidden,
    /// Not available: server down, file gone, disk full.
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

/// Why the settings of a connection are impossible.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file with the password.
    #[error("password file {}: {error}", path.display())]
    PasswordFile {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// A file of authorities that cannot be read, or has none.
    #[error("`ca`: {0}")]
    Authorities(String),
    /// The same, named by the address.
    #[error("`sslrootcert` in the address: {0}")]
    NamedAuthorities(String),
    /// A certificate for the server that cannot be used.
    #[error("`sslcert` and `sslkey` in the address: {0}")]
    ClientCertificate(String),
    /// An address of an unknown kind.
    #[error("unknown kind of database `{0}`: use sqlite://, mysql:// or postgres://")]
    UnknownKind(String),
    /// An address without a scheme.
    #[error("the address has no scheme: use sqlite://, mysql:// or postgres://")]
    NoScheme,
    /// An address of another form than this.
    #[error("the address is not of the form {0}")]
    Malformed(&'static str),
    /// An address that is not a URL.
    #[error("the address cannot be read")]
    Unreadable,
    /// A setting for servers on an embedded database.
    #[error("`ca` and `allow_plaintext` are for database servers")]
    ServersOnly,
    /// A setting for PostgreSQL on another database.
    #[error("`pooler` is for PostgreSQL")]
    Pooler,
    /// An embedded database without a file.
    #[error("the address must name a file, as in sqlite://data/x.db")]
    NoFile,
    /// A query in the address of an embedded database.
    #[error("`?{0}` in the address is unknown; only `?mode=ro` is")]
    UnknownMode(String),
    /// Two settings that exclude each other.
    #[error("`ca` and `allow_plaintext` contradict each other")]
    Contradiction,
    /// An unknown TLS parameter in the address.
    #[error("`{0}` in the address is not supported: use `sslmode`, or the settings `ca` and `allow_plaintext`")]
    UnknownTlsWord(String),
    /// An address that asks for less protection than required.
    #[error(
        "`{setting}` does not verify {server}: leave it out, then certificate and name are verified (with the authorities of \
         `ca`, if given); or set `allow_plaintext: true` if the network is protected by other means"
    )]
    Unverified {
        /// What the address says.
        setting: String,
        /// Which server that is.
        server: String,
    },
}

impl SettingsError {
    /// As an error of the connection of this name.
    pub(super) fn of(&self, connection: &SmolStr) -> StoreError {
        StoreError::new(Kind::Invalid, connection, self.to_string())
    }
}

/// Why a text is not a usable statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// A parameter that would be text.
    #[error("a variable inside {0} would not be bound: remove the quotes or comment; bound values need no quotes")]
    Unbound(&'static str),
    /// A character that is reserved for placeholders.
    #[error("it contains a control character")]
    ControlCharacter,
    /// No word in it.
    #[error("the statement is empty")]
    Empty,
    /// Transaction control, for which there is `Transaction`.
    #[error("`{0}` is not for statements: put them into a `Transaction {{ }}`")]
    TransactionControl(String),
    /// Access to other databases, for which there are connections.
    #[error("`{0}` is not allowed: name another connection in `gateway.yaml`")]
    Attachment(String),
    /// Locking rows in a statement that reads none.
    #[error("`hold` needs a `select` or an `insert … select`")]
    HoldsNothing,
    /// The grammar of the dialect does not know it.
    #[error("it cannot be parsed, so its comparisons cannot be made exact: {0}")]
    Unreadable(String),
    /// More than one statement, or none.
    #[error("it must be one statement")]
    NotOne,
    /// The author's own placeholder.
    #[error("`{0}` is not a variable of a policy: write `${{name}}`")]
    Placeholder(String),
    /// The parsed statement differs from the written one.
    #[error("it contains a character that is not allowed")]
    UnknownMark,
    /// A parameter that vanished from the text.
    #[error("a variable is used where a value is not allowed")]
    Misplaced,
    /// A comparison that cannot be made bytewise.
    #[error("{0}")]
    Inexact(&'static str),
    /// A name that is no plain one.
    #[error("`{0}` is not the name of a table or column: use letters, digits and `_`")]
    NotAName(String),
    /// No form of it for this dialect.
    #[error("there is no form of it for this database")]
    NoForm,
}

impl StatementError {
    /// As an error of the connection of this name.
    pub(super) fn of(&self, connection: &SmolStr) -> StoreError {
        StoreError::new(Kind::Invalid, connection, self.to_string())
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

    /// Whether a unique constraint was violated, which a policy may handle.
    pub fn is_duplicate(&self) -> bool {
        self.kind == Kind::Duplicate
    }

    /// Whether the connection to the server still works: the server answered, even if it refused.
    pub(super) fn leaves_connection(&self) -> bool {
        !matches!(self.kind, Kind::Unavailable | Kind::Timeout)
    }

    /// Whether it says nothing about the statement: at another time the same would succeed.
    fn passes(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::ReadOnly | Kind::Unavailable | Kind::Timeout)
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
        let (passing, lost) = (error.passes(), error.kind == Kind::Busy);
        let mut fault = Fault::because(blame, "query failed", error);
        (fault.passing, fault.lost) = (passing, lost);
        fault
    }
}
