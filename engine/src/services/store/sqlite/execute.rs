//! One statement on one SQLite connection: binding, stepping, reading, and what the error codes mean.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::ErrorCode;
use rusqlite::types::{ToSqlOutput, ValueRef};
use smol_str::SmolStr;

use super::FileId;
use crate::data::value::Value;
use crate::services::store::{Kind, Rows, StoreError};

/// A connection and its state.
pub(super) struct Handle {
    pub(super) connection: rusqlite::Connection,
    pub(super) deadline: Deadline,
    pub(super) names: Names,
    /// The file it was opened on.
    pub(super) id: FileId,
}

/// When the running statement shall be interrupted; SQLite asks every few thousand steps of its machine.
#[derive(Clone, Default)]
pub(super) struct Deadline(Arc<AtomicU64>);

impl Deadline {
    fn base() -> Instant {
        static BASE: OnceLock<Instant> = OnceLock::new();
        *BASE.get_or_init(Instant::now)
    }

    fn set(&self, until: Instant) {
        let micros = until.saturating_duration_since(Deadline::base()).as_micros() as u64;
        self.0.store(micros.max(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn passed(&self) -> bool {
        let micros = self.0.load(Ordering::Relaxed);
        micros != 0 && Deadline::base().elapsed().as_micros() as u64 > micros
    }
}

impl Handle {
    /// Runs a statement, interrupted at `until`.
    pub(super) fn run(&self, sql: &Arc<str>, params: &[Value], max_rows: usize, until: Instant) -> rusqlite::Result<Rows> {
        self.deadline.set(until);
        let rows = self.connection.prepare_cached(sql).and_then(|mut statement| {
            let before = self.connection.total_changes();
            let mut rows = self.step(sql, &mut statement, params, max_rows)?;
            // `changes` refers to the last insert, update or delete, which need not be this statement.
            rows.affected = if self.connection.total_changes() == before { 0 } else { self.connection.changes() };
            Ok(rows)
        });
        self.deadline.clear();
        rows
    }

    /// Like [`Handle::run`], but `None` for a statement that writes.
    pub(super) fn read(
        &self,
        sql: &Arc<str>,
        params: &[Value],
        max_rows: usize,
        until: Instant,
    ) -> rusqlite::Result<Option<Rows>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        if !statement.readonly() {
            statement.discard();
            return Ok(None);
        }
        self.deadline.set(until);
        let rows = self.step(sql, &mut statement, params, max_rows);
        self.deadline.clear();
        rows.map(Some)
    }

    /// `BEGIN IMMEDIATE`, `COMMIT` and the like, prepared once.
    pub(super) fn control(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(|_| ())
    }

    fn step(
        &self,
        sql: &Arc<str>,
        statement: &mut rusqlite::Statement<'_>,
        params: &[Value],
        max_rows: usize,
    ) -> rusqlite::Result<Rows> {
        if statement.parameter_count() != params.len() {
            return Err(rusqlite::Error::InvalidParameterCount(params.len(), statement.parameter_count()));
        }
        for (i, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(i + 1, Param(value))?;
        }
        let (mut columns, mut out) = (None, Vec::new());
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            // Known since the first step: before, they may be those of the tables as they once were.
            let columns = columns.get_or_insert_with(|| self.names.of(sql, row.as_ref()));
            if out.len() < max_rows {
                let mut values = Vec::with_capacity(columns.len());
                for i in 0..columns.len() {
                    values.push(value(row.get_ref(i)?));
                }
                out.push(values);
            }
        }
        drop(rows);
        let columns = columns.unwrap_or_else(|| self.names.of(sql, statement));
        Ok(Rows { columns, rows: out, ..Rows::default() })
    }
}

/// Most statements whose columns' names are kept.
const NAMED: usize = 512;

/// Names of the columns of statements, by the place of the statement's text.
#[derive(Default)]
pub(super) struct Names(RefCell<HashMap<usize, Named>>);

/// The text is kept, so that no other one can have its place.
struct Named {
    _text: Arc<str>,
    names: Arc<[SmolStr]>,
}

impl Names {
    fn of(&self, sql: &Arc<str>, statement: &rusqlite::Statement<'_>) -> Arc<[SmolStr]> {
        let (mut known, place) = (self.0.borrow_mut(), sql.as_ptr().addr());
        if let Some(named) = known.get(&place) {
            return Arc::clone(&named.names);
        }
        let names: Arc<[SmolStr]> = statement.column_names().into_iter().map(SmolStr::new).collect();
        // What `*` stands for may change.
        if !sql.contains('*') {
            if known.len() >= NAMED {
                known.clear();
            }
            known.insert(place, Named { _text: Arc::clone(sql), names: Arc::clone(&names) });
        }
        names
    }
}

/// A value for SQLite.
struct Param<'a>(&'a Value);

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::Value as Owned;
        Ok(match self.0 {
            Value::Undefined => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Text(text) | Value::Markup(_, text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Value::Decimal(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Value::Time(millis) => ToSqlOutput::Borrowed(ValueRef::Integer(millis.div_euclid(1000))),
            other => ToSqlOutput::Owned(Owned::Text(other.as_text().into_owned())),
        })
    }
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Undefined,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Decimal(number),
        ValueRef::Text(bytes) => Value::text(String::from_utf8_lossy(bytes)),
        ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(STANDARD.encode(bytes)),
        },
    }
}

/// The meaning of a SQLite error. Its texts name tables and columns, never values.
pub(super) fn store_error(name: &SmolStr, error: rusqlite::Error) -> StoreError {
    let (code, text) = match error {
        rusqlite::Error::SqliteFailure(code, text) => (code, text),
        rusqlite::Error::SqlInputError { error: code, msg, .. } => (code, Some(msg)),
        other => return StoreError::new(Kind::Invalid, name, other.to_string()),
    };
    const UNIQUE: [i32; 3] = [
        rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE,
        rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        rusqlite::ffi::SQLITE_CONSTRAINT_ROWID,
    ];
    let kind = match code.code {
        _ if UNIQUE.contains(&code.extended_code) => Kind::Duplicate,
        _ if code.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED => Kind::Unavailable,
        ErrorCode::ConstraintViolation | ErrorCode::TooBig => Kind::Constraint,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::Busy,
        ErrorCode::ReadOnly => Kind::ReadOnly,
        ErrorCode::OperationInterrupted => Kind::Timeout,
        ErrorCode::CannotOpen
        | ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Kind::Unavailable,
        _ => Kind::Invalid,
    };
    StoreError::new(kind, name, text.unwrap_or_else(|| code.to_string()))
}
