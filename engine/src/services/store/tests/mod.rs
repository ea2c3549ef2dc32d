//! What the store promises, on each database: always on the embedded one, and on servers if `PORTCULLIS_TEST_MYSQL` or
//! `PORTCULLIS_TEST_POSTGRES` is an address such as `mysql://root@127.0.0.1/test`.

mod embedded;
mod equality;
mod everywhere;
mod pieces;
mod plans;
mod pool;
mod transport;
mod upgrade;

use std::collections::BTreeMap;

use super::*;

/// A database for one test, with its folder.
struct Db {
    connection: Connection,
    home: tempfile::TempDir,
}

impl std::ops::Deref for Db {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

fn config(url: &str) -> Config {
    Config { url: url.to_owned(), ..Config::default() }
}

fn open(config: Config) -> Db {
    let home = tempfile::tempdir().unwrap();
    let connections = Connections::open(&BTreeMap::from([("Test".to_owned(), config)]), home.path()).unwrap();
    Db { connection: connections.get("Test").unwrap().clone(), home }
}

fn sqlite() -> Db {
    open(config("sqlite://data/test.db"))
}

/// The embedded database, and the servers that the environment names.
fn databases() -> Vec<Db> {
    let servers = ["PORTCULLIS_TEST_MYSQL", "PORTCULLIS_TEST_POSTGRES"];
    let servers = servers.iter().filter_map(|name| std::env::var(name).ok()).filter(|url| !url.is_empty());
    std::iter::once(sqlite()).chain(servers.map(|url| open(config(&url)))).collect()
}

impl Db {
    /// A new empty table `k` (text, unique), `n` (integer); its name.
    async fn table(&self) -> String {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        self.sql(&format!("create table {name} (k varchar(100) not null primary key, n bigint)"), &[]).await.unwrap();
        name
    }

    async fn sql(&self, sql: &str, params: &[Value]) -> Result<Rows, StoreError> {
        self.run(&statement(sql), params, QueryOptions::default()).await
    }

    async fn count(&self, table: &str) -> i64 {
        self.sql(&format!("select count(*) from {table}"), &[]).await.unwrap().rows[0][0].to_int().unwrap()
    }
}

/// `?` marks the parameters.
fn statement(sql: &str) -> Statement {
    Statement::new(&sql.split('?').collect::<Vec<_>>()).unwrap()
}

fn text(text: &str) -> Value {
    Value::from(text)
}
