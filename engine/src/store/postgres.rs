//! PostgreSQL. The server says which type each parameter must have, and values are converted to it here: policies hold mostly text,
//! and PostgreSQL, unlike the others, converts nothing by itself.

mod types;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use smol_str::SmolStr;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgPool, PgPoolOptions};
use sqlx::{Arguments, AssertSqlSafe, Column, Connection as _, Either, Executor, Postgres, Statement as _, TypeInfo};

pub(super) use self::types::number;
use self::types::{Raw, encode, read};
use super::lease::Lease;
use super::mysql::driver_error;
use super::transaction::expired;
use super::{BeginOptions, ConnectionConfig, Dialect, Kind, QueryOptions, Rows, Statement, StoreError};
use crate::value::Value;

/// A server with its pool of connections, which are made on first use.
pub(super) struct Server {
    name: SmolStr,
    options: PgConnectOptions,
    config: ConnectionConfig,
    pool: tokio::sync::OnceCell<PgPool>,
}

impl Server {
    pub(super) fn new(name: SmolStr, config: &ConnectionConfig) -> Result<Server, StoreError> {
        let mut options: PgConnectOptions = config
            .url
            .parse()
            .map_err(|_| StoreError::new(Kind::Invalid, &name, "the address is not of the form postgres://user@host/database"))?;
        if let Some(user) = &config.user {
            options = options.username(user);
        }
        if let Some(password) = &config.password {
            options = options.password(password);
        }
        let options = sqlx::ConnectOptions::disable_statement_logging(options.statement_cache_capacity(512));
        Ok(Server { name, options, config: config.clone(), pool: tokio::sync::OnceCell::new() })
    }

    async fn acquire(&self) -> Result<Lease<Postgres>, StoreError> {
        let settings = format!(
            "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET default_transaction_isolation = 'read committed'",
            self.config.statement_timeout.as_millis(),
            self.config.transaction_timeout.as_millis(),
        );
        let make = || async {
            PgPoolOptions::new()
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
                    let settings = settings.clone();
                    Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(settings)).execute(connection).await.map(|_| ()) })
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
        connection: &mut Lease<Postgres>,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let timeout = options.timeout.unwrap_or(self.config.statement_timeout);
        let work = async {
            let sql = statement.sql(Dialect::Postgres);
            let failed = |error| self.error(error);
            let text = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(Arc::clone(sql)));
            let prepared = (&mut **connection).prepare(text).await.map_err(failed)?;
            let mut arguments = PgArguments::default();
            let types = prepared.parameters().and_then(Either::left).unwrap_or_default();
            for (value, info) in params.iter().zip(types) {
                let raw = encode(value, info.name()).map_err(|detail| StoreError::new(Kind::Constraint, &self.name, detail))?;
                arguments.add(raw.map(Raw)).map_err(|error| failed(sqlx::Error::Encode(error)))?;
            }
            let columns = prepared.columns().iter().map(|column| column.name().into()).collect();
            let mut rows = Rows { columns, ..Rows::default() };
            let mut stream = (&mut **connection).fetch_many(prepared.query_with(arguments));
            while let Some(item) = stream.try_next().await.map_err(failed)? {
                match item {
                    // The server counts the rows of a select too; here they are those that were changed.
                    Either::Left(done) if !statement.may_read() => rows.affected += done.rows_affected(),
                    Either::Right(row) if rows.rows.len() < options.max_rows => {
                        rows.rows.push(read(&row).map_err(|detail| StoreError::new(Kind::Invalid, &self.name, detail))?);
                    }
                    Either::Left(_) | Either::Right(_) => {}
                }
            }
            Ok(rows)
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            // The server may still be at it: the connection is not given back, which ends the statement.
            Err(_) => Err(StoreError::new(Kind::Timeout, &self.name, "the statement took longer than its time-out")),
        }
    }

    pub(super) async fn begin(self: &Arc<Self>, options: BeginOptions<'_>) -> Result<Session, StoreError> {
        let mut connection = self.acquire().await?;
        let timeout = options.timeout.unwrap_or(self.config.transaction_timeout);
        let until = Instant::now() + timeout;
        connection.execute("BEGIN").await.map_err(|error| self.error(error))?;
        if let Some(lock) = options.lock {
            let wait = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(hash(lock)).execute(&mut *connection);
            match tokio::time::timeout(timeout, wait).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.error(error)),
                Err(_) => {
                    return Err(StoreError::new(Kind::Busy, &self.name, "the lock of the transaction was not given in time"));
                }
            }
        }
        Ok(Session { server: Arc::clone(self), connection, until })
    }

    pub(super) async fn migrate(&self, scripts: &[(String, String)]) -> Result<(), StoreError> {
        let mut connection = self.acquire().await?;
        let failed = |error| self.error(error);
        // Long scripts may take their time, and so may the gateway that was first.
        sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection).await.map_err(failed)?;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(hash("portcullis_migration"))
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        let table = "CREATE TABLE IF NOT EXISTS portcullis_migration \
                     (name VARCHAR(190) NOT NULL PRIMARY KEY, applied BIGINT NOT NULL)";
        connection.execute(table).await.map_err(failed)?;
        for (name, sql) in scripts {
            let done: Option<i32> = sqlx::query_scalar("SELECT 1 FROM portcullis_migration WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            if done.is_some() {
                continue;
            }
            connection.execute("BEGIN").await.map_err(failed)?;
            let script = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *connection).await;
            script.map_err(|error| {
                let error = self.error(error);
                StoreError { detail: format!("script `{name}`: {}", error.detail).into(), ..error }
            })?;
            sqlx::query("INSERT INTO portcullis_migration (name, applied) VALUES ($1, extract(epoch from now())::bigint)")
                .bind(name)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            connection.execute("COMMIT").await.map_err(failed)?;
        }
        // The lock belongs to the connection, which is not given back: they go together.
        Ok(())
    }

    fn error(&self, error: sqlx::Error) -> StoreError {
        let Some(database) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
            return driver_error(&self.name, &error);
        };
        let code = database.code();
        let kind = match code {
            "23505" => Kind::Duplicate,
            "40001" | "40P01" | "55P03" => Kind::Busy,
            "25006" => Kind::ReadOnly,
            "57014" | "25P03" => Kind::Timeout,
            "22001" | "22003" | "22021" => Kind::Constraint,
            _ => match &code[..2.min(code.len())] {
                "23" => Kind::Constraint,
                "08" | "53" | "57" | "58" | "28" | "3D" => Kind::Unavailable,
                _ => Kind::Invalid,
            },
        };
        // The message names constraints and types; offending values stand in the detail, which is left out, except for these.
        let message = if code == "22P02" { "invalid input syntax" } else { database.message() };
        StoreError::new(kind, &self.name, format!("{code}: {message}"))
    }
}

/// A number for a lock's name.
pub(super) fn hash(name: &str) -> i64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

/// A transaction in hand.
pub(super) struct Session {
    server: Arc<Server>,
    connection: Lease<Postgres>,
    until: Instant,
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
        if statement.may_read() {
            return self.server.execute(&mut self.connection, statement, params, options).await;
        }
        // An error would spoil the whole transaction here, and only here; a savepoint keeps it to the statement.
        self.control("SAVEPOINT portcullis").await?;
        let result = self.server.execute(&mut self.connection, statement, params, options).await;
        match &result {
            Ok(_) => self.control("RELEASE SAVEPOINT portcullis").await?,
            Err(error) if error.leaves_connection() => self.control("ROLLBACK TO SAVEPOINT portcullis").await?,
            Err(_) => {}
        }
        result
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        if Instant::now() >= self.until {
            return Err(expired(&self.server.name));
        }
        self.control("COMMIT").await?;
        self.connection.give_back();
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<(), StoreError> {
        self.control("ROLLBACK").await?;
        self.connection.give_back();
        Ok(())
    }

    async fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match tokio::time::timeout(self.server.config.statement_timeout, self.connection.execute(sql)).await {
            Ok(result) => result.map(|_| ()).map_err(|error| self.server.error(error)),
            Err(_) => Err(StoreError::new(Kind::Timeout, &self.server.name, "the server did not answer in time")),
        }
    }
}
