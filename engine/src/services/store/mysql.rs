//! MySQL and MariaDB. Values are sent with their own type and the server converts them; results have the column's type.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use smol_str::SmolStr;
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect};
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode};
use sqlx::{Arguments, AssertSqlSafe, Column as _, Either, Executor, MySql as Driver, Row, Statement as _, TypeInfo, ValueRef};

use super::backend::{Backend, Column, Database, Operand, Placeholders, Spelling};
use super::rendered::{self, Bind, Rendered, Role, mark};
use super::server::{Server, Vendor};
use super::transport::must_verify;
use super::{ConnectionConfig, Dialect, Kind, Rows, SettingsError, Statement, StoreError};
use crate::data::value::Value;

/// The vendor.
pub(super) struct MySql;

impl Database for MySql {
    fn word(&self) -> &'static str {
        "mysql"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["mysql", "mariadb"]
    }

    fn check(&self, config: &ConnectionConfig) -> Result<(), SettingsError> {
        if config.pooler {
            return Err(SettingsError::Pooler);
        }
        MySql::options(config).map(|_| ())
    }

    fn open(&self, name: SmolStr, config: &ConnectionConfig, _: &Path) -> Result<Arc<dyn Backend>, StoreError> {
        Ok(Arc::new(Server::<MySql>::new(name, config)?))
    }

    fn spelling(&self) -> &'static dyn Spelling {
        &MySql
    }
}

impl Spelling for MySql {
    fn grammar(&self) -> &'static dyn Grammar {
        &MySqlDialect {}
    }

    fn placeholders(&self) -> Placeholders {
        Placeholders::InOrder
    }

    fn bytes(&self, operand: &dyn Display) -> String {
        format!("CAST(CONVERT({operand} USING utf8mb4) AS BINARY)")
    }

    fn numbers(&self, left: Operand<'_>, right: Operand<'_>) -> Option<String> {
        let number = |operand: Operand<'_>| match operand.param {
            Some(number) => mark(Role::Number, number),
            None => format!("CHARSET({operand}) = 'binary'"),
        };
        Some(format!("({} AND {})", number(left), number(right)))
    }

    fn changes_what_it_takes_for_equal(&self) -> bool {
        true
    }

    fn holding_rows(&self) -> Option<&'static str> {
        Some("lock in share mode") // MariaDB knows no `for share`, MySQL knows both
    }

    fn loose_columns(&self) -> &'static str {
        "select collation_name, table_name, column_name from information_schema.columns where table_schema = database() \
         and collation_name is not null and collation_name not in ('binary', 'utf8mb4_0900_bin') \
         and collation_name not like '%nopad_bin' order by table_name, ordinal_position"
    }

    fn columns(&self) -> &'static str {
        "select table_name, column_name, column_type, character_maximum_length, character_set_name, collation_name \
         from information_schema.columns where table_schema = database() order by table_name, ordinal_position"
    }

    fn indexes(&self) -> &'static str {
        "select table_name, index_name, column_name, 1 - non_unique from information_schema.statistics \
         where table_schema = database() order by table_name, index_name, seq_in_index"
    }

    fn kind(&self, column: Column) -> String {
        match column {
            Column::Text(length) => format!("varchar({length})"),
            Column::Long => "longtext".to_owned(),
            Column::Number => "bigint".to_owned(),
        }
    }
}

impl Vendor for MySql {
    type Driver = Driver;
    const ADDRESS: &'static str = "mysql://user@host/database";
    const FAILURE_SPOILS: bool = false;
    const TABLES_ROLL_BACK: bool = false;
    const NOW: &'static str = "unix_timestamp()";

    fn options(config: &ConnectionConfig) -> Result<MySqlConnectOptions, SettingsError> {
        let url = match config.url.strip_prefix("mariadb:") {
            Some(rest) => format!("mysql:{rest}"),
            None => config.url.clone(),
        };
        let mut options: MySqlConnectOptions = url.parse().map_err(|_| SettingsError::Malformed(MySql::ADDRESS))?;
        let host = options.get_socket().is_none().then(|| options.get_host().to_owned());
        if must_verify(config, host.as_deref())? {
            options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
        }
        // The driver would look for these files where the process happens to run.
        if let Some(ca) = config.ca.as_ref().or(config.named.authorities.as_ref()) {
            options = options.ssl_ca(ca);
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
        Ok(options.statement_cache_capacity(512))
    }

    fn settings(config: &ConnectionConfig) -> (String, Option<String>) {
        let idle = config.transaction_timeout.as_secs().max(1);
        (
            // Counting under a lock must see what others committed before the lock was granted. A value that does not fit into a
            // column is an error on every engine and never cut.
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
                .to_owned(),
            // Only MariaDB supports this; elsewhere, ending the connection has to be enough.
            Some(format!("SET SESSION idle_transaction_timeout = {idle}")),
        )
    }

    async fn raw(connection: &mut MySqlConnection, sql: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
    }

    async fn query(
        server: &Server<MySql>,
        connection: &mut MySqlConnection,
        statement: &Statement,
        params: &[Value],
        max_rows: usize,
    ) -> Result<Rows, StoreError> {
        let rendered = statement.rendered(Dialect::MySql).map_err(|error| server.unfit(&error))?;
        let mut result = query(connection, rendered, params, max_rows, Foreign::None).await;
        for foreign in [Foreign::Supplementary, Foreign::All] {
            if !result.as_ref().is_err_and(mixes_characters) {
                break;
            }
            result = query(connection, rendered, params, max_rows, foreign).await;
        }
        result.map_err(|error| server.error(&error))
    }

    async fn begin(
        server: &Server<MySql>,
        connection: &mut MySqlConnection,
        lock: Option<i64>,
        patience: Duration,
    ) -> Result<bool, StoreError> {
        if let Some(lock) = lock {
            let get_lock = Statement::new(&["select get_lock(", ", ", ")"]);
            let get_lock = get_lock.map_err(|error| server.unfit(&error))?;
            let params = [Value::from(name(lock)), Value::Decimal(patience.as_secs_f64())];
            let given = Self::query(server, connection, &get_lock, &params, 1).await?;
            if !matches!(&given.rows[..], [row] if row.first().and_then(Value::to_int) == Some(1)) {
                return Ok(false);
            }
        }
        server.control(connection, "START TRANSACTION").await?;
        Ok(true)
    }

    fn unlock(lock: i64) -> Option<String> {
        Some(format!("DO RELEASE_LOCK('{}')", name(lock)))
    }

    fn lock_migrations(_: i64, _: bool) -> String {
        "SELECT GET_LOCK('portcullis_migration', 60)".to_owned()
    }

    fn explain(error: &sqlx::Error) -> Option<(Kind, String)> {
        let database = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
        let kind = match database.number() {
            1022 | 1062 | 1169 | 1586 => Kind::Duplicate,
            1048 | 1216 | 1217 | 1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 1451 | 1452 | 3140 | 3819 | 4025 => Kind::Constraint,
            // Texts that do not exist in a column's character set, in places where no NULL can stand for them.
            1267 | 1270 | 1271 | 3854 | 3988 => Kind::Constraint,
            1205 | 1213 => Kind::Busy,
            1290 | 1792 | 1836 | 3989 => Kind::ReadOnly,
            1021 | 1040 | 1041 | 1044 | 1045 | 1049 | 1053 | 1114 | 1130 | 1152 | 1203 | 1226 => Kind::Unavailable,
            1142 | 1143 | 1227 => Kind::Forbidden,
            1317 | 1969 | 3024 => Kind::Timeout,
            _ => Kind::Invalid,
        };
        Some((kind, format!("{}: {}", database.number(), hide_values(database.message()))))
    }
}

/// Locks of MySQL are names shared by all databases of a server.
fn name(lock: i64) -> String {
    format!("portcullis:{lock}")
}

/// MySQL quotes offending values (`Duplicate entry 'x' for key …`), so the first quoted text is kept out of logs.
fn hide_values(message: &str) -> String {
    let shows_value = ["Duplicate entry", "Incorrect", "Truncated", "Data truncat", "Out of range value:"];
    if !shows_value.iter().any(|start| message.contains(start)) {
        return message.to_owned();
    }
    // A value may itself contain quotes, so everything from the first quote to the last is removed, except the key's name at the
    // end.
    let tail = message.rfind(" for ").map_or("", |at| &message[at..]);
    match message.find('\'') {
        Some(open) => format!("{}[value]{}", &message[..open], tail),
        None => message.to_owned(),
    }
}

/// Which texts count as impossible for a column. MySQL refuses to compare a column with a text that does not exist in the
/// column's character set. No row has such a text, so NULL is looked up instead. The server does not say which text it was.
#[derive(Clone, Copy, PartialEq)]
enum Foreign {
    None,
    /// Those with four-byte characters, which `utf8` (three bytes) lacks.
    Supplementary,
    /// Non-ASCII texts.
    All,
}

impl Foreign {
    fn is(self, bind: Bind, value: &Value) -> bool {
        let compared = matches!(bind.role, Role::Probe | Role::Order);
        compared
            && match self {
                Foreign::None => false,
                Foreign::Supplementary => value.as_text().chars().any(|c| c > '\u{ffff}'),
                Foreign::All => !value.as_text().is_ascii(),
            }
    }
}

/// Whether the server refused to compare texts of different character sets.
fn mixes_characters(error: &sqlx::Error) -> bool {
    let database = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    database.is_some_and(|error| matches!(error.number(), 1267 | 1270 | 1271 | 3854 | 3988))
}

async fn query(
    connection: &mut MySqlConnection,
    rendered: &Rendered,
    params: &[Value],
    max_rows: usize,
    foreign: Foreign,
) -> Result<Rows, sqlx::Error> {
    let sql = &rendered.sql;
    let mut arguments = MySqlArguments::default();
    for bind in &rendered.binds {
        let value = params.get(bind.param).filter(|value| !foreign.is(*bind, value)).unwrap_or(&Value::Undefined);
        add(&mut arguments, bind.role, value).map_err(sqlx::Error::Encode)?;
    }
    let prepared = connection.prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(Arc::clone(sql)))).await?;
    let mut rows = Rows { columns: prepared.columns().iter().map(|column| column.name().into()).collect(), ..Rows::default() };
    let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments);
    let mut stream = connection.fetch_many(query);
    while let Some(item) = stream.try_next().await? {
        match item {
            Either::Left(done) => rows.affected += done.rows_affected(),
            Either::Right(row) if rows.rows.len() < max_rows => rows.rows.push(read(&row)?),
            Either::Right(_) => {}
        }
    }
    Ok(rows)
}

fn add(arguments: &mut MySqlArguments, role: Role, value: &Value) -> Result<(), sqlx::error::BoxDynError> {
    match (role, value) {
        (_, Value::Undefined) => arguments.add(None::<&str>),
        // A text also finds numbers. A number would be compared numerically with every text, without an index.
        (Role::Probe, value) => arguments.add(&*rendered::compared(value)),
        (Role::Bytes, value) => arguments.add(rendered::compared(value).as_bytes()),
        (Role::Number, value) => arguments.add(i64::from(rendered::is_number(value))),
        (Role::Value | Role::Order, value) => match value {
            Value::Int(number) => arguments.add(*number),
            Value::Bool(value) => arguments.add(i64::from(*value)),
            Value::Decimal(number) => arguments.add(*number),
            Value::Time(millis) => arguments.add(millis.div_euclid(1000)),
            other => arguments.add(&*other.as_text()),
        },
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
