//! MySQL and MariaDB. Values travel with their own type and the server converts; results come back by the column's type.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use smol_str::SmolStr;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlDatabaseError, MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::{Arguments, AssertSqlSafe, Column, Connection as _, Either, Executor, MySql, Row, Statement as _, TypeInfo, ValueRef};

use super::lease::Lease;
use super::transaction::expired;
use super::{BeginOptions, ConnectionConfig, Dialect, Kind, QueryOptions, Rows, Statement, StoreError};
use crate::value::Value;

/// A server with its pool of connections, which are made on first use.
pub(super) struct Server {
    name: SmolStr,
    options: MySqlConnectOptions,
    config: ConnectionConfig,
    pool: tokio::sync::OnceCell<MySqlPool>,
}

impl Server {
    pub(super) fn new(name: SmolStr, config: &ConnectionConfig) -> Result<Server, StoreError> {
        let url = match config.url.strip_prefix("mariadb:") {
            Some(rest) => format!("mysql:{rest}"),
            None => config.url.clone(),
        };
        let mut options: MySqlConnectOptions = url
            .parse()
            .map_err(|_| StoreError::new(Kind::Invalid, &name, "the address is not of the form mysql://user@host/database"))?;
        if let Some(user) = &config.user {
            options = options.username(user);
        }
        if let Some(password) = &config.password {
            options = options.password(password);
        }
        let options = sqlx::ConnectOptions::disable_statement_logging(options.statement_cache_capacity(512));
        Ok(Server { name, options, config: config.clone(), pool: tokio::sync::OnceCell::new() })
    }

    async fn acquire(&self) -> Result<Lease<MySql>, StoreError> {
        let idle = self.config.transaction_timeout.as_secs().max(1);
        let make = || async {
            MySqlPoolOptions::new()
                .max_connections(self.config.max_connections.unwrap_or(16))
                .acquire_timeout(self.config.acquire_timeout)
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        // One that rested may have been cut off by a restart of the server.
                        Ok(meta.idle_for < Duration::from_secs(1) || connection.ping().await.is_ok())
                    })
                })
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        // Counting under a lock must see what others committed before the lock was given.
                        connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                        // Only MariaDB knows this one; where it is unknown, ending the connection has to do.
                        let _ = connection.execute(AssertSqlSafe(format!("SET SESSION idle_transaction_timeout = {idle}"))).await;
                        Ok(())
                    })
                })
                .connect_lazy_with(self.options.clone())
        };
        self.pool.get_or_init(make).await.acquire().await.map(Lease::new).map_err(|error| self.error(error))
    }

    pub(super) async fn close(&self) {
        if let Some(pool) = self.pool.get() {
            pool.close().await;
        }
    }

    pub(super) async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        let mut connection = self.acquire().await?;
        let result = self.execute(&mut connection, statement, params, options).await;
        if result.as_ref().map_or_else(StoreError::leaves_connection, |_| true) {
            connection.give_back();
        }
        result
    }

    async fn execute(
        &self,
        connection: &mut Lease<MySql>,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let timeout = options.timeout.unwrap_or(self.config.statement_timeout);
        let query = query(connection, statement, params, options.max_rows);
        match tokio::time::timeout(timeout, query).await {
            Ok(result) => result.map_err(|error| self.error(error)),
            // The server may still be at it: the connection is not given back, which ends the statement.
            Err(_) => Err(StoreError::new(Kind::Timeout, &self.name, "the statement took longer than its time-out")),
        }
    }

    pub(super) async fn begin(self: &Arc<Self>, options: BeginOptions<'_>) -> Result<Session, StoreError> {
        let mut connection = self.acquire().await?;
        let timeout = options.timeout.unwrap_or(self.config.transaction_timeout);
        let until = Instant::now() + timeout;
        let lock = options.lock.map(|lock| format!("portcullis:{}", super::postgres::hash(lock)));
        if let Some(lock) = &lock {
            let taken: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
                .bind(lock)
                .bind(timeout.as_secs_f64())
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.error(error))?;
            if taken != Some(1) {
                return Err(StoreError::new(Kind::Busy, &self.name, "the lock of the transaction was not given in time"));
            }
        }
        connection.execute("START TRANSACTION").await.map_err(|error| self.error(error))?;
        Ok(Session { server: Arc::clone(self), connection, until, lock })
    }

    pub(super) async fn migrate(&self, scripts: &[(String, String)]) -> Result<(), StoreError> {
        let mut connection = self.acquire().await?;
        let failed = |error| self.error(error);
        connection.execute("SELECT GET_LOCK('portcullis_migration', 60)").await.map_err(failed)?;
        let table = "CREATE TABLE IF NOT EXISTS portcullis_migration \
                     (name VARCHAR(190) NOT NULL PRIMARY KEY, applied BIGINT NOT NULL)";
        connection.execute(table).await.map_err(failed)?;
        for (name, sql) in scripts {
            let done: Option<i64> = sqlx::query_scalar("SELECT 1 FROM portcullis_migration WHERE name = ?")
                .bind(name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            if done.is_some() {
                continue;
            }
            let script = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *connection).await;
            script.map_err(|error| {
                let error = self.error(error);
                StoreError { detail: format!("script `{name}`: {}", error.detail).into(), ..error }
            })?;
            sqlx::query("INSERT INTO portcullis_migration (name, applied) VALUES (?, UNIX_TIMESTAMP())")
                .bind(name)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        // The lock belongs to the connection, which is not given back: they go together.
        Ok(())
    }

    fn error(&self, error: sqlx::Error) -> StoreError {
        let Some(database) = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>()) else {
            return driver_error(&self.name, &error);
        };
        let kind = match database.number() {
            1022 | 1062 | 1169 | 1586 => Kind::Duplicate,
            1048 | 1216 | 1217 | 1264 | 1364 | 1406 | 1451 | 1452 | 3819 | 4025 => Kind::Constraint,
            1205 | 1213 => Kind::Busy,
            1290 | 1792 | 1836 | 3989 => Kind::ReadOnly,
            1021 | 1040 | 1041 | 1044 | 1045 | 1049 | 1053 | 1114 | 1130 | 1152 | 1203 | 1226 => Kind::Unavailable,
            1317 | 1969 | 3024 => Kind::Timeout,
            _ => Kind::Invalid,
        };
        StoreError::new(kind, &self.name, format!("{}: {}", database.number(), hide_values(database.message())))
    }
}

/// What goes wrong before the database says anything: network, pool, protocol.
pub(super) fn driver_error(name: &SmolStr, error: &sqlx::Error) -> StoreError {
    let kind = match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Kind::Unavailable,
        sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Kind::Unavailable,
        _ => Kind::Invalid,
    };
    StoreError::new(kind, name, error.to_string())
}

/// MySQL quotes offending values (`Duplicate entry 'x' for key …`); what stands in the first quotes is left out of logs.
fn hide_values(message: &str) -> String {
    let shows_value = ["Duplicate entry", "Incorrect", "Truncated", "Data truncat", "Out of range value:"];
    if !shows_value.iter().any(|start| message.contains(start)) {
        return message.to_owned();
    }
    // A value may itself hold quotes: everything from the first to the last but the key's name at the end goes.
    let tail = message.rfind(" for ").map_or("", |at| &message[at..]);
    match message.find('\'') {
        Some(open) => format!("{}[value]{}", &message[..open], tail),
        None => message.to_owned(),
    }
}

async fn query(
    connection: &mut Lease<MySql>,
    statement: &Statement,
    params: &[Value],
    max_rows: usize,
) -> Result<Rows, sqlx::Error> {
    let sql = statement.sql(Dialect::MySql);
    let mut arguments = MySqlArguments::default();
    for value in params {
        bind(&mut arguments, value).map_err(sqlx::Error::Encode)?;
    }
    let prepared = (&mut **connection).prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(Arc::clone(sql)))).await?;
    let mut rows = Rows { columns: prepared.columns().iter().map(|column| column.name().into()).collect(), ..Rows::default() };
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments);
    let mut stream = (&mut **connection).fetch_many(query);
    while let Some(item) = stream.try_next().await? {
        match item {
            Either::Left(done) => rows.affected += done.rows_affected(),
            Either::Right(row) if rows.rows.len() < max_rows => rows.rows.push(read(&row)?),
            Either::Right(_) => {}
        }
    }
    Ok(rows)
}

fn bind(arguments: &mut MySqlArguments, value: &Value) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Undefined => arguments.add(None::<&str>),
        Value::Int(number) => arguments.add(*number),
        Value::Bool(value) => arguments.add(i64::from(*value)),
        Value::Decimal(number) => arguments.add(*number),
        Value::Time(millis) => arguments.add(millis.div_euclid(1000)),
        other => arguments.add(&*other.as_text()),
    }
}

fn read(row: &MySqlRow) -> Result<Vec<Value>, sqlx::Error> {
    (0..row.len())
        .map(|i| {
            let raw = row.try_get_raw(i)?;
            if raw.is_null() {
                return Ok(Value::Undefined);
            }
            let info = raw.type_info().into_owned();
            let kind = info.name();
            Ok(match kind {
                "FLOAT" => Value::Decimal(f64::from(row.try_get_unchecked::<f32, _>(i)?)),
                "DOUBLE" => Value::Decimal(row.try_get_unchecked(i)?),
                "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Value::Int(row.try_get_unchecked(i)?),
                "YEAR" | "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "BIGINT UNSIGNED" => {
                    let number: u64 = row.try_get_unchecked(i)?;
                    i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::Int)
                }
                "DATETIME" | "TIMESTAMP" | "DATE" => moment(row.try_get_unchecked::<&[u8], _>(i)?),
                "DECIMAL" => super::postgres::number(&String::from_utf8_lossy(row.try_get_unchecked::<&[u8], _>(i)?)),
                _ => {
                    let bytes: &[u8] = row.try_get_unchecked(i)?;
                    match std::str::from_utf8(bytes) {
                        Ok(text) => Value::from(text),
                        Err(_) => Value::from(STANDARD.encode(bytes)),
                    }
                }
            })
        })
        .collect()
}

/// Year (two bytes), month, day, hour, minute, second, microseconds (four); trailing zeros left out. The session's zone is UTC.
fn moment(bytes: &[u8]) -> Value {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let year = i32::from(u16::from_le_bytes([byte(0), byte(1)]));
    let date = time::Month::try_from(byte(2)).ok().and_then(|month| time::Date::from_calendar_date(year, month, byte(3)).ok());
    let micros = u32::from_le_bytes([byte(7), byte(8), byte(9), byte(10)]);
    match date.and_then(|date| date.with_hms_micro(byte(4), byte(5), byte(6), micros).ok()) {
        Some(moment) => Value::Time((moment.assume_utc().unix_timestamp_nanos() / 1_000_000) as i64),
        None => Value::Undefined, // the zero date
    }
}

/// A transaction in hand.
pub(super) struct Session {
    server: Arc<Server>,
    connection: Lease<MySql>,
    until: Instant,
    lock: Option<String>,
}

impl Session {
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(expired(&self.server.name));
        }
        let timeout = options.timeout.unwrap_or(self.server.config.statement_timeout).min(left);
        let options = QueryOptions { timeout: Some(timeout), ..options };
        self.server.execute(&mut self.connection, statement, params, options).await
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        if Instant::now() >= self.until {
            return Err(expired(&self.server.name));
        }
        self.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(self, sql: &'static str) -> Result<(), StoreError> {
        let Session { server, mut connection, lock, .. } = self;
        let work = async {
            connection.execute(sql).await?;
            if let Some(lock) = &lock {
                sqlx::query("DO RELEASE_LOCK(?)").bind(lock).execute(&mut *connection).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(server.config.statement_timeout, work).await {
            Ok(Ok(())) => {
                connection.give_back();
                Ok(())
            }
            Ok(Err(error)) => Err(server.error(error)),
            Err(_) => Err(StoreError::new(Kind::Timeout, &server.name, "the transaction could not be ended in time")),
        }
    }
}
