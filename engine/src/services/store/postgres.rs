//! PostgreSQL. The server says which type each parameter must have, and values are converted to it here, because policies mostly
//! have texts, and PostgreSQL, unlike the others, converts nothing by itself.

mod channel;
mod types;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use smol_str::SmolStr;
use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgSslMode};
use sqlx::{Arguments, AssertSqlSafe, Column as _, Either, Executor, Postgres as Driver, Statement as _, TypeInfo};

pub(super) use self::types::number;
use self::types::{Raw, bytes, encode, holds, read};
use super::backend::{Backend, Column, Database, Operand, Placeholders, Spelling};
use super::rendered::{Role, mark};
use super::server::{Server, Vendor};
use super::transport::{must_verify, understood};
use super::{Channel, ConnectionConfig, Dialect, Kind, Rows, SettingsError, Statement, StoreError};
use crate::data::value::Value;

/// The vendor.
pub(super) struct Postgres;

impl Database for Postgres {
    fn word(&self) -> &'static str {
        "postgres"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn check(&self, config: &ConnectionConfig) -> Result<(), SettingsError> {
        Postgres::options(config).map(|_| ())
    }

    fn open(&self, name: SmolStr, config: &ConnectionConfig, _: &Path) -> Result<Arc<dyn Backend>, StoreError> {
        Ok(Arc::new(Server::<Postgres>::new(name, config)?))
    }

    fn spelling(&self) -> &'static dyn Spelling {
        &Postgres
    }
}

/// The settings that end what takes too long.
fn timeouts(config: &ConnectionConfig, set: &str) -> String {
    let (statement, idle) = (config.statement_timeout.as_millis(), config.transaction_timeout.as_millis());
    format!("{set} statement_timeout = {statement}; {set} idle_in_transaction_session_timeout = {idle}")
}

/// Parameters of an address that the driver understands, apart from those about TLS.
const PARAMETERS: [&str; 9] =
    ["statement-cache-capacity", "host", "hostaddr", "port", "dbname", "user", "password", "application_name", "options"];

/// Types whose values have only one form, whatever their text.
const NOT_TEXT: &str = "^(smallint|integer|bigint|numeric|real|double|boolean|money|date|time|interval|uuid|bytea|oid|json|bit)";

impl Spelling for Postgres {
    fn grammar(&self) -> &'static dyn Grammar {
        &PostgreSqlDialect {}
    }

    fn placeholders(&self) -> Placeholders {
        Placeholders::Typed
    }

    fn bytes(&self, operand: &dyn Display) -> String {
        format!("convert_to(({operand})::text, 'UTF8')")
    }

    /// The server says which type a value must have; bytes are only sent for texts.
    fn numbers(&self, left: Operand<'_>, right: Operand<'_>) -> Option<String> {
        match (left.param, right.param) {
            (Some(number), None) | (None, Some(number)) => Some(format!("{} IS NULL", mark(Role::Bytes, number))),
            (Some(_), Some(_)) => None,
            (None, None) => {
                let operand = if left.literal { right } else { left };
                Some(format!("pg_typeof({operand})::text ~ '{NOT_TEXT}'"))
            }
        }
    }

    fn holding_rows(&self) -> Option<&'static str> {
        Some("for share")
    }

    fn loose_columns(&self) -> &'static str {
        "select coalesce(c.collation_name, c.udt_name)::text, c.table_name::text, c.column_name::text \
         from information_schema.columns c left join pg_catalog.pg_collation p on p.collname = c.collation_name \
         where c.table_schema = current_schema() \
         and (c.udt_name in ('citext', 'bpchar') or not p.collisdeterministic) order by 2, c.ordinal_position"
    }

    fn columns(&self) -> &'static str {
        "select table_name::text, column_name::text, data_type::text, character_maximum_length::bigint, null, null \
         from information_schema.columns where table_schema = current_schema() order by table_name, ordinal_position"
    }

    fn indexes(&self) -> &'static str {
        "select t.relname::text, i.relname::text, a.attname::text, x.indisunique::int::bigint \
         from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid \
         join pg_namespace n on n.oid = t.relnamespace \
         cross join lateral unnest(x.indkey::int2[]) with ordinality as k (number, place) \
         join pg_attribute a on a.attrelid = t.oid and a.attnum = k.number \
         where n.nspname = current_schema() and x.indpred is null order by 1, 2, k.place"
    }

    fn kind(&self, column: Column) -> String {
        match column {
            Column::Text(length) => format!("varchar({length})"),
            Column::Long => "text".to_owned(),
            Column::Number => "bigint".to_owned(),
        }
    }
}

impl Vendor for Postgres {
    type Driver = Driver;
    const ADDRESS: &'static str = "postgres://user@host/database";
    const FAILURE_SPOILS: bool = true;
    const TABLES_ROLL_BACK: bool = true;
    const NOW: &'static str = "extract(epoch from now())::bigint";

    fn options(config: &ConnectionConfig) -> Result<PgConnectOptions, SettingsError> {
        let url = understood(&config.url, &PARAMETERS);
        let mut options: PgConnectOptions = url.parse().map_err(|_| SettingsError::Malformed(Postgres::ADDRESS))?;
        let socket = options.get_socket().is_some() || options.get_host().starts_with('/');
        let host = (!socket).then(|| options.get_host().to_owned());
        if must_verify(config, host.as_deref())? {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        // The driver would look for these files where the process happens to run.
        if let Some(ca) = config.ca.as_ref().or(config.named.authorities.as_ref()) {
            options = options.ssl_root_cert(ca);
        }
        if let Some((certificate, key)) = &config.named.client {
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        if let Some(user) = &config.user {
            options = options.username(user);
        }
        if let Some(password) = &config.password {
            options = options.password(password);
        }
        Ok(match config.pooler {
            // Nothing prepared is there at the next use, and a pooler takes no other parameters than its own.
            true => options.statement_cache_capacity(0).extra_float_digits(None),
            false => options.statement_cache_capacity(512),
        })
    }

    fn settings(config: &ConnectionConfig) -> (String, Option<String>) {
        if config.pooler {
            return (String::new(), None);
        }
        let settings = format!("{}; SET default_transaction_isolation = 'read committed'", timeouts(config, "SET"));
        (settings, None)
    }

    fn apart(config: &ConnectionConfig) -> Option<String> {
        let timeouts = timeouts(config, "SET LOCAL");
        config.pooler.then(|| format!("BEGIN ISOLATION LEVEL READ COMMITTED; DEALLOCATE ALL; {timeouts}"))
    }

    async fn raw(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
    }

    async fn query(
        server: &Server<Postgres>,
        connection: &mut PgConnection,
        statement: &Statement,
        params: &[Value],
        max_rows: usize,
    ) -> Result<Rows, StoreError> {
        let rendered = statement.rendered(Dialect::Postgres).map_err(|error| server.unfit(&error))?;
        let sql = &rendered.sql;
        let failed = |error| server.error(&error);
        let text = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(Arc::clone(sql)));
        let prepared = connection.prepare(text).await.map_err(failed)?;
        let mut arguments = PgArguments::default();
        let types = prepared.parameters().and_then(Either::left).unwrap_or_default();
        for (bind, info) in rendered.binds.iter().zip(types) {
            let value = params.get(bind.param).unwrap_or(&Value::Undefined);
            let raw = match bind.role {
                Role::Bytes => bytes(value, types.get(bind.param).map_or("", TypeInfo::name)),
                Role::Probe if !holds(value, info.name()) => None,
                Role::Value | Role::Order | Role::Probe | Role::Number => {
                    encode(value, info.name()).map_err(|error| server.failed(error.kind(), error.to_string()))?
                }
            };
            arguments.add(Raw(raw, info.clone())).map_err(|error| failed(sqlx::Error::Encode(error)))?;
        }
        let columns: Arc<[SmolStr]> = prepared.columns().iter().map(|column| column.name().into()).collect();
        // The server also counts the rows of a select; only changed rows count here. What returns no columns selects nothing: a `with`
        // that ends in an `update`.
        let counts = !statement.may_read() || columns.is_empty();
        let mut rows = Rows { columns, ..Rows::default() };
        let mut stream = connection.fetch_many(prepared.query_with(arguments));
        while let Some(item) = stream.try_next().await.map_err(failed)? {
            match item {
                Either::Left(done) if counts => rows.affected += done.rows_affected(),
                Either::Right(row) if rows.rows.len() < max_rows => {
                    rows.rows.push(read(&row).map_err(|error| server.failed(Kind::Invalid, error.to_string()))?);
                }
                Either::Left(_) | Either::Right(_) => {}
            }
        }
        Ok(rows)
    }

    async fn begin(
        server: &Server<Postgres>,
        connection: &mut PgConnection,
        lock: Option<i64>,
        _: Duration,
    ) -> Result<bool, StoreError> {
        server.control(connection, server.apart().unwrap_or("BEGIN")).await?;
        if let Some(lock) = lock {
            server.control(connection, format!("SELECT pg_advisory_xact_lock({lock})")).await?;
        }
        Ok(true)
    }

    fn unlock(_: i64) -> Option<String> {
        None
    }

    fn lock_migrations(lock: i64, transaction: bool) -> String {
        // Long scripts may take a while, and so may the gateway that was first.
        match transaction {
            true => format!("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({lock})"),
            false => format!("SET statement_timeout = 0; SELECT pg_advisory_lock({lock})"),
        }
    }

    async fn channel(server: &Server<Postgres>, name: &str) -> Option<Result<Channel, StoreError>> {
        // A pooler takes `LISTEN`, and passes nothing on.
        if server.apart().is_some() {
            return None;
        }
        Some(channel::open(server, name).await)
    }

    fn explain(error: &sqlx::Error) -> Option<(Kind, String)> {
        let database = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
        let code = database.code();
        let kind = match code {
            "23505" => Kind::Duplicate,
            "40001" | "40P01" | "55P03" => Kind::Busy,
            "25006" => Kind::ReadOnly,
            "42501" => Kind::Forbidden,
            "57014" | "25P03" => Kind::Timeout,
            "22001" | "22003" | "22021" | "22P05" | "54000" => Kind::Constraint,
            _ => match &code[..2.min(code.len())] {
                "23" => Kind::Constraint,
                "08" | "53" | "57" | "58" | "28" | "3D" => Kind::Unavailable,
                _ => Kind::Invalid,
            },
        };
        // The message names constraints and types. Offending values are in the detail, which is left out, except for these.
        let message = if code == "22P02" { "invalid input syntax" } else { database.message() };
        Some((kind, format!("{code}: {message}")))
    }
}
