//! Databases on a server for one case: created before it begins, dropped after it ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_yaml::Mapping;
use url::Url;

use crate::services::config;
use crate::services::store::{Connection, Connections, Dialect, QueryOptions, Statement};

/// Creating a database on a busy machine takes longer than any statement of a policy may.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server where the account may create databases.
#[derive(Clone)]
pub(super) struct Server {
    url: Url,
    dialect: Dialect,
}

impl Server {
    /// The server of an address such as `mysql://user:password@host/database`. The database named there is only for connecting.
    pub(super) fn new(url: &str) -> Result<Server, String> {
        // Without the address, which may contain a password.
        let url = Url::parse(url).map_err(|error| format!("the address of the database server: {error}"))?;
        let dialect = Dialect::of_scheme(url.scheme()).filter(|dialect| *dialect != Dialect::Sqlite);
        let dialect = dialect
            .ok_or_else(|| format!("`{}:` is not the address of a database server: use mysql:// or postgres://", url.scheme()))?;
        Ok(Server { url, dialect })
    }

    /// Its dialect.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Creates a database for each of these connections. On PostgreSQL it is a schema, which does as well and takes a hundredth
    /// of the time. `tables` is SQL to run in each.
    pub(super) async fn make(&self, connections: impl Iterator<Item = &str>, tables: &str) -> Result<Scratch, String> {
        let mut scratch = Scratch { server: self.clone(), databases: Vec::new() };
        for connection in connections {
            let database = format!("portcullis_case_{}", uuid::Uuid::new_v4().simple());
            scratch.databases.push((connection.to_owned(), database));
        }
        let create = scratch.databases.iter().map(|(_, database)| match self.dialect {
            Dialect::MySql => format!("create database {database} character set utf8mb4"),
            _ => format!("create schema {database}"),
        });
        self.run(create).await?;
        if !tables.is_empty() {
            scratch.fill(tables).await?;
        }
        Ok(scratch)
    }

    /// Runs statements on a new connection. Each case has its own runtime, and connections do not outlive their runtime.
    async fn run(&self, statements: impl Iterator<Item = String>) -> Result<(), String> {
        let span = Some(config::Span(PATIENCE));
        let settings = config::Connection {
            url: self.url.to_string(),
            pool_size: Some(1),
            statement_timeout: span,
            wait_timeout: span,
            ..config::Connection::default()
        };
        let all = Connections::open(&BTreeMap::from([("server".to_owned(), settings)]), Path::new(""));
        let all = all.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let mut result = Ok(());
        for statement in statements {
            let run = run(all.get("server"), &statement).await;
            // The others must still be dropped.
            result = result.and(run);
        }
        all.close().await;
        result
    }
}

async fn run(connection: Option<&Connection>, sql: &str) -> Result<(), String> {
    let connection = connection.ok_or("there is no connection")?;
    let statement = Statement::new(&[sql]).map_err(|error| error.to_string())?;
    connection.run(&statement, &[], QueryOptions::default()).await.map(|_| ()).map_err(|error| error.to_string())
}

/// The databases of one case.
pub(super) struct Scratch {
    server: Server,
    /// Connection and database.
    databases: Vec<(String, String)>,
}

impl Scratch {
    /// `connections` of `gateway.yaml`.
    pub(super) fn settings(&self) -> Mapping {
        self.databases.iter().map(|(connection, database)| (connection.as_str().into(), self.url(database).into())).collect()
    }

    fn url(&self, database: &str) -> String {
        let mut url = self.server.url.clone();
        match self.server.dialect {
            Dialect::MySql => url.set_path(database),
            _ => drop(url.query_pairs_mut().append_pair("options[search_path]", database)),
        }
        url.to_string()
    }

    /// Runs SQL in each database.
    async fn fill(&self, sql: &str) -> Result<(), String> {
        for (_, database) in &self.databases {
            let settings = config::Connection {
                url: self.url(database),
                statement_timeout: Some(config::Span(PATIENCE)),
                ..config::Connection::default()
            };
            let all = Connections::open(&BTreeMap::from([("case".to_owned(), settings)]), Path::new(""));
            let all = all.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
            let mut filled = Ok(());
            for connection in all.iter() {
                filled = connection.migrate(&[("tables of the case", sql)]).await.map_err(|error| error.to_string());
            }
            all.close().await;
            filled?;
        }
        Ok(())
    }

    /// Drops them.
    pub(super) async fn drop(self) -> Result<(), String> {
        let drop = |database: &str| match self.server.dialect {
            Dialect::MySql => format!("drop database {database}"),
            _ => format!("drop schema {database} cascade"),
        };
        self.server.run(self.databases.iter().map(|(_, database)| drop(database))).await
    }
}
