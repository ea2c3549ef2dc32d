//! Database servers: a pool of connections, statements with a time-out, transactions, migrations. The differences of MySQL and
//! PostgreSQL are behind [`Vendor`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use smol_str::SmolStr;
use sqlx::pool::PoolOptions;
use sqlx::{Connection as _, Database, Pool};

use super::again::Again;
use super::backend::{Backend, Session};
use super::lease::Lease;
use super::reach::{Reach, SOON};
use super::transaction::expired;
use super::{
    BeginOptions, Channel, ConnectionConfig, Kind, QueryOptions, Rows, SettingsError, Statement, StatementError, StoreError,
};
use crate::data::value::Value;

/// Connections at once unless the settings say otherwise.
const POOL_SIZE: u32 = 16;
/// A connection idle for longer than this may have been cut by a restart of the server, so it is tested before use.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection of a vendor's driver.
pub(super) type Connection<V> = <<V as Vendor>::Driver as Database>::Connection;
/// How such a connection is made.
pub(super) type Options<V> = <Connection<V> as sqlx::Connection>::Options;

/// What is special to one kind of server.
pub(super) trait Vendor: Sized + Send + Sync + 'static {
    /// The driver.
    type Driver: Database<Connection: Sync>;
    /// The form of an address, for error messages.
    const ADDRESS: &'static str;
    /// Whether a failed statement makes its transaction unusable, unless a savepoint protects it.
    const FAILURE_SPOILS: bool;
    /// Whether changes of tables can be undone, so that a script is one transaction.
    const TABLES_ROLL_BACK: bool;
    /// The time as epoch seconds, in SQL.
    const NOW: &'static str;

    /// How to connect. Fails, with the reason, for an address that is not of the form [`Vendor::ADDRESS`], or that asks for less
    /// protection than required.
    fn options(config: &ConnectionConfig) -> Result<Options<Self>, SettingsError>;

    /// The settings for a new connection: those that must succeed, and those that only some versions understand.
    fn settings(config: &ConnectionConfig) -> (String, Option<String>);

    /// The statements that begin every transaction of a connection that a pooler lends for one transaction only: nothing that another
    /// one left there counts, and the settings end with it. `None`: there is no such pooler.
    fn apart(_: &ConnectionConfig) -> Option<String> {
        None
    }

    /// Runs SQL of the gateway's own, or a script.
    fn raw(connection: &mut Connection<Self>, sql: String) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs a statement.
    fn query(
        server: &Server<Self>,
        connection: &mut Connection<Self>,
        statement: &Statement,
        params: &[Value],
        max_rows: usize,
    ) -> impl Future<Output = Result<Rows, StoreError>> + Send;

    /// Begins a transaction, under a lock if one is named. `false`: the lock was not granted in time.
    fn begin(
        server: &Server<Self>,
        connection: &mut Connection<Self>,
        lock: Option<i64>,
        patience: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Releases the lock of a finished transaction; `None` if it ended with the transaction.
    fn unlock(lock: i64) -> Option<String>;

    /// Waits until no other gateway migrates this database. The lock belongs to the connection, or to the transaction.
    fn lock_migrations(lock: i64, transaction: bool) -> String;

    /// Opens a channel for messages between gateways; `None` if the server passes none on.
    fn channel(_: &Server<Self>, _: &str) -> impl Future<Output = Option<Result<Channel, StoreError>>> + Send {
        async { None }
    }

    /// What an error of the database itself means, without the values it may name; `None` for a driver error.
    fn explain(error: &sqlx::Error) -> Option<(Kind, String)>;
}

/// A server with its pool of connections, which are opened on first use.
pub(super) struct Server<V: Vendor> {
    name: SmolStr,
    options: Options<V>,
    config: ConnectionConfig,
    pool: tokio::sync::OnceCell<Pool<V::Driver>>,
    /// Connections that are lent.
    lent: Arc<AtomicUsize>,
    reach: Reach,
    /// What begins a transaction behind a pooler.
    apart: Option<String>,
}

impl<V: Vendor> Server<V> {
    pub(super) fn new(name: SmolStr, config: &ConnectionConfig) -> Result<Self, StoreError> {
        let options = V::options(config).map_err(|error| error.of(&name))?;
        let options = sqlx::ConnectOptions::disable_statement_logging(options);
        let (pool, lent, apart) = (tokio::sync::OnceCell::new(), Arc::default(), V::apart(config));
        Ok(Server { name, options, config: config.clone(), pool, lent, reach: Reach::default(), apart })
    }

    fn most(&self) -> u32 {
        self.config.max_connections.unwrap_or(POOL_SIZE)
    }

    /// A connection, as soon as there is one; an error where the pool's time is over, or the server cannot be reached.
    async fn acquire(&self) -> Result<Lease<V::Driver>, StoreError> {
        self.reach.known()?;
        let pool = self.pool().await;
        let mut lost = std::pin::pin!(self.reach.lost.notified());
        lost.as_mut().enable();
        let mut given = std::pin::pin!(pool.acquire());
        let mut soon = std::pin::pin!(tokio::time::sleep(SOON));
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                given = &mut given => {
                    return given.map(|connection| Lease::new(connection, &self.lent)).map_err(|error| self.error(&error));
                }
                () = &mut lost => {
                    let gone = || self.failed(Kind::Unavailable, "the server does not answer");
                    return Err(self.reach.known().err().unwrap_or_else(gone));
                }
                () = &mut soon, if !asked => {
                    asked = true;
                    // Where all connections are lent, waiting says nothing about the server.
                    if self.lent.load(Ordering::Relaxed) < self.most() as usize {
                        self.ask().await?;
                    }
                }
            }
        }
    }

    /// Finds out whether the server can be reached, unless somebody else does.
    async fn ask(&self) -> Result<(), StoreError> {
        let Ok(_asking) = self.reach.asking.try_lock() else { return Ok(()) };
        match tokio::time::timeout(self.config.acquire_timeout, Connection::<V>::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                let _ = tokio::time::timeout(SOON, connection.close()).await;
                Ok(())
            }
            Ok(Err(error @ sqlx::Error::Io(_))) => Err(self.reach.is_down(self.error(&error))),
            // The server answers, if only to say that it is starting, or full.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(self.reach.is_down(self.failed(Kind::Unavailable, "the server does not answer"))),
        }
    }

    async fn pool(&self) -> &Pool<V::Driver> {
        let make = || async {
            let settings = V::settings(&self.config);
            let test = self.config.test_query.clone();
            let most = self.most();
            PoolOptions::<V::Driver>::new()
                .max_connections(most)
                .min_connections(self.config.min_connections.min(most))
                .idle_timeout(self.config.max_idle)
                .max_lifetime(self.config.max_age)
                .acquire_timeout(self.config.acquire_timeout)
                .test_before_acquire(false)
                .before_acquire(move |connection, meta| {
                    let test = test.clone();
                    Box::pin(async move {
                        Ok(meta.idle_for < TRUSTED_FOR
                            || match test {
                                Some(query) => V::raw(connection, query).await.is_ok(),
                                None => connection.ping().await.is_ok(),
                            })
                    })
                })
                .after_connect(move |connection, _| {
                    let (needed, wished) = settings.clone();
                    Box::pin(async move {
                        if !needed.is_empty() {
                            V::raw(connection, needed).await?;
                        }
                        if let Some(wished) = wished {
                            let _ = V::raw(connection, wished).await;
                        }
                        Ok(())
                    })
                })
                .connect_lazy_with(self.options.clone())
        };
        self.pool.get_or_init(make).await
    }

    async fn execute(
        &self,
        connection: &mut Lease<V::Driver>,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let timeout = options.timeout.unwrap_or(self.config.statement_timeout);
        let query = V::query(self, connection, statement, params, options.max_rows);
        match tokio::time::timeout(timeout, query).await {
            Ok(result) => result,
            // The server may still be working: the connection is not returned to the pool, which ends the statement.
            Err(_) => Err(self.failed(Kind::Timeout, "the statement took longer than its time-out")),
        }
    }

    /// Runs a statement that is a transaction by itself.
    async fn single(
        &self,
        connection: &mut Lease<V::Driver>,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let Some(begin) = &self.apart else { return self.execute(connection, statement, params, options).await };
        self.control(connection, begin.as_str()).await?;
        let result = self.execute(connection, statement, params, options).await;
        match &result {
            Ok(_) => self.control(connection, "COMMIT").await?,
            Err(error) if error.leaves_connection() => self.control(connection, "ROLLBACK").await?,
            Err(_) => {}
        }
        result
    }

    /// What begins a transaction, where that is not the vendor's own.
    pub(super) fn apart(&self) -> Option<&str> {
        self.apart.as_deref()
    }

    /// Runs SQL of the gateway's own.
    pub(super) async fn control(&self, connection: &mut Connection<V>, sql: impl Into<String> + Send) -> Result<(), StoreError> {
        let sql = sql.into();
        if sql.is_empty() {
            return Ok(());
        }
        V::raw(connection, sql).await.map_err(|error| self.error(&error))
    }

    /// What an error means.
    pub(super) fn error(&self, error: &sqlx::Error) -> StoreError {
        let (kind, detail) = V::explain(error).unwrap_or_else(|| {
            // Errors before the database answers: network, pool, protocol.
            let kind = match error {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                    Kind::Unavailable
                }
                sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Kind::Unavailable,
                _ => Kind::Invalid,
            };
            let text = error.to_string();
            let about_tls =
                matches!(error, sqlx::Error::Tls(_)) || ["certificate", "alert"].iter().any(|word| text.contains(word));
            let hint = if about_tls { "; see the settings `ca` and `allow_plaintext` of this connection" } else { "" };
            (kind, format!("{text}{hint}"))
        });
        self.failed(kind, detail)
    }

    /// What is wrong with a statement.
    pub(super) fn unfit(&self, error: &StatementError) -> StoreError {
        error.of(&self.name)
    }

    /// How its connections are made.
    pub(super) fn options(&self) -> &Options<V> {
        &self.options
    }

    /// An error of this connection.
    pub(super) fn failed(&self, kind: Kind, detail: impl Into<std::borrow::Cow<'static, str>>) -> StoreError {
        StoreError::new(kind, &self.name, detail)
    }
}

#[async_trait]
impl<V: Vendor> Backend for Server<V> {
    async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        let (mut again, mut reread) = (Again::default(), false);
        loop {
            let mut connection = self.acquire().await?;
            let result = self.single(&mut connection, statement, params, options).await;
            if result.as_ref().map_or_else(StoreError::leaves_connection, |_| true) {
                connection.give_back();
            }
            match result {
                // The server has undone it: by itself it is a transaction.
                Err(error) if again.after(&error).await => tracing::debug!("a statement is tried again: {error}"),
                // A server that was started again has cut what the pool still has. Reading twice harms nobody.
                Err(error) if error.kind == Kind::Unavailable && statement.only_reads() && !reread => reread = true,
                result => return result,
            }
        }
    }

    async fn begin(self: Arc<Self>, options: BeginOptions<'_>) -> Result<Box<dyn Session>, StoreError> {
        let mut connection = self.acquire().await?;
        let timeout = options.timeout.unwrap_or(self.config.transaction_timeout);
        let until = Instant::now() + timeout;
        let lock = options.lock.map(hash);
        match tokio::time::timeout(timeout, V::begin(&self, &mut connection, lock, timeout)).await {
            Ok(Ok(true)) => Ok(Box::new(InHand { server: self, connection, until, lock, lost: false })),
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) => Err(self.failed(Kind::Busy, "the lock of the transaction was not granted in time")),
            Err(_) if lock.is_some() => Err(self.failed(Kind::Busy, "the lock of the transaction was not granted in time")),
            Err(_) => Err(self.failed(Kind::Timeout, "the transaction could not be begun in time")),
        }
    }

    async fn channel(&self, name: &str) -> Option<Result<Channel, StoreError>> {
        V::channel(self, name).await
    }

    async fn migrate(&self, scripts: Vec<(String, String)>) -> Result<(), StoreError> {
        let statement = |pieces: &[&str]| Statement::new(pieces).map_err(|error| error.of(&self.name));
        let applied = statement(&["select 1 from portcullis_migration where name = ", ""])?;
        let record = statement(&["insert into portcullis_migration (name, applied) values (", &format!(", {})", V::NOW)])?;
        let mut connection = self.acquire().await?;
        // Behind a pooler a session's lock would stay with whoever gets the session next, so that everything is one transaction.
        let whole = self.apart.is_some();
        if let Some(begin) = &self.apart {
            self.control(&mut connection, begin.as_str()).await?;
        }
        self.control(&mut connection, V::lock_migrations(hash("portcullis_migration"), whole)).await?;
        let (begin, commit, rollback) = match (V::TABLES_ROLL_BACK, whole) {
            (false, _) => ("", "", ""),
            (true, false) => ("BEGIN", "COMMIT", "ROLLBACK"),
            (true, true) => ("SAVEPOINT portcullis", "RELEASE SAVEPOINT portcullis", "ROLLBACK TO SAVEPOINT portcullis"),
        };
        let table = "CREATE TABLE IF NOT EXISTS portcullis_migration \
                     (name VARCHAR(190) NOT NULL PRIMARY KEY, applied BIGINT NOT NULL)";
        // `if not exists` alone is not enough: an account that may not create tables may not even run that.
        self.control(&mut connection, begin).await?;
        if V::query(self, &mut connection, &applied, &[Value::empty()], 1).await.is_err() {
            self.control(&mut connection, rollback).await?;
            self.control(&mut connection, table).await?;
        } else {
            self.control(&mut connection, commit).await?;
        }
        let mut forbidden = Ok(());
        for (name, sql) in &scripts {
            let name_param = [Value::from(name.as_str())];
            if !V::query(self, &mut connection, &applied, &name_param, 1).await?.rows.is_empty() {
                continue;
            }
            self.control(&mut connection, begin).await?;
            if let Err(error) = self.control(&mut connection, sql.as_str()).await {
                let error = StoreError { detail: format!("script `{name}`: {}", error.detail).into(), ..error };
                if error.kind != Kind::Forbidden {
                    return Err(error);
                }
                // If one script lacks permission, the others may still succeed.
                forbidden = forbidden.and(Err(error));
                self.control(&mut connection, rollback).await?;
                continue;
            }
            V::query(self, &mut connection, &record, &name_param, 1).await?;
            self.control(&mut connection, commit).await?;
        }
        if whole {
            self.control(&mut connection, "COMMIT").await?;
        }
        // The lock belongs to the connection, which is closed instead of returned.
        forbidden
    }

    fn pool(&self) -> Option<super::backend::Pool> {
        let pool = self.pool.get()?;
        let (all, idle) = (pool.size() as usize, pool.num_idle());
        Some(super::backend::Pool { idle, used: all.saturating_sub(idle), most: pool.options().get_max_connections() as usize })
    }

    async fn close(&self) {
        if let Some(pool) = self.pool.get() {
            pool.close().await;
        }
    }
}

/// A number for a lock's name.
fn hash(name: &str) -> i64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

/// A transaction in hand.
struct InHand<V: Vendor> {
    server: Arc<Server<V>>,
    connection: Lease<V::Driver>,
    until: Instant,
    lock: Option<i64>,
    /// It lost against another one. MySQL has then undone all of it and would run what follows outside of any transaction.
    lost: bool,
}

#[async_trait]
impl<V: Vendor> Session for InHand<V> {
    async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(expired(&self.server.name));
        }
        self.still_there()?;
        let timeout = options.timeout.unwrap_or(self.server.config.statement_timeout).min(left);
        let options = QueryOptions { timeout: Some(timeout), ..options };
        // A read needs no savepoint: its failure ends the surrounding block.
        let protected = V::FAILURE_SPOILS && !statement.only_reads();
        if protected {
            self.control("SAVEPOINT portcullis").await?;
        }
        let result = self.server.execute(&mut self.connection, statement, params, options).await;
        self.lost = result.as_ref().is_err_and(|error| error.kind == Kind::Busy);
        if protected {
            match &result {
                Ok(_) => self.control("RELEASE SAVEPOINT portcullis").await?,
                Err(error) if error.leaves_connection() => self.control("ROLLBACK TO SAVEPOINT portcullis").await?,
                Err(_) => {}
            }
        }
        result
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        if Instant::now() >= self.until {
            return Err(expired(&self.server.name));
        }
        self.still_there()?;
        self.end("COMMIT").await
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }
}

impl<V: Vendor> InHand<V> {
    fn still_there(&self) -> Result<(), StoreError> {
        match self.lost {
            true => Err(self.server.failed(Kind::Busy, "the transaction lost against another one and was undone")),
            false => Ok(()),
        }
    }

    async fn end(mut self, sql: &'static str) -> Result<(), StoreError> {
        self.control(sql).await?;
        if let Some(unlock) = self.lock.and_then(V::unlock) {
            self.control(unlock).await?;
        }
        self.connection.give_back();
        Ok(())
    }

    async fn control(&mut self, sql: impl Into<String> + Send) -> Result<(), StoreError> {
        let InHand { server, connection, .. } = self;
        match tokio::time::timeout(server.config.statement_timeout, server.control(connection, sql)).await {
            Ok(result) => result,
            Err(_) => Err(server.failed(Kind::Timeout, "the server did not answer in time")),
        }
    }
}
