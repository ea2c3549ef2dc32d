//! Tables of the databases: which scripts a connection gets, and applying them when the gateway starts.

use std::time::Duration;

use portcullis_dsl::Sources;

use crate::config::Config;
use crate::home::Home;
use crate::store::{Connection, Connections, Dialect, StoreError};

/// Between two attempts at a database that is down.
const RETRY: Duration = Duration::from_secs(5);

/// Names of connections whose embedded database does not exist yet.
pub(super) fn fresh_databases(config: &Config, home: &Home) -> Vec<String> {
    let missing = |url: &str| {
        let path = url.strip_prefix("sqlite://")?.split('?').next()?;
        Some(!home.path(path).exists())
    };
    config.connections.iter().filter(|(_, c)| missing(&c.url) == Some(true)).map(|(name, _)| name.clone()).collect()
}

/// What is to be applied.
pub(super) struct Migration(Vec<(Connection, Vec<(String, String)>)>);

impl Migration {
    /// Finds the scripts among the data files.
    pub(super) fn collect(config: &Config, sources: &Sources, connections: &Connections, fresh: &[String]) -> Migration {
        let mut all = Vec::new();
        for (name, schema) in &config.schemas {
            let Some(connection) = connections.get(name) else { continue };
            let mut scripts = Vec::new();
            if !schema.tables.is_empty() {
                let dialect = connection.dialect().word();
                scripts.extend(folder(sources, &format!("{}/{dialect}", schema.tables.trim_end_matches('/'))));
            }
            if !schema.samples.is_empty() && connection.dialect() == Dialect::Sqlite && fresh.iter().any(|fresh| fresh == name) {
                scripts.extend(folder(sources, schema.samples.trim_end_matches('/')));
            }
            if !scripts.is_empty() {
                all.push((connection.clone(), scripts));
            }
        }
        Migration(all)
    }

    /// Applies everything. A database that is down now is tried again in the background: what needs no database is served meanwhile.
    pub(super) async fn run(self) {
        for (connection, scripts) in self.0 {
            if let Err(error) = connection.migrate(&scripts).await {
                report(&connection, &error);
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(RETRY).await;
                        match connection.migrate(&scripts).await {
                            Ok(()) => return tracing::info!(connection = %connection.name(), "tables are up to date"),
                            Err(error) => report(&connection, &error),
                        }
                    }
                });
            }
        }
    }
}

fn report(connection: &Connection, error: &StoreError) {
    tracing::error!(connection = %connection.name(), "the tables cannot be brought up to date, trying again: {error}");
}

/// SQL files directly in a folder, as (name, text), in order of names.
fn folder(sources: &Sources, folder: &str) -> Vec<(String, String)> {
    let prefix = format!("{folder}/");
    let direct = |path: &&String| path.strip_prefix(&prefix).is_some_and(|name| name.ends_with(".sql") && !name.contains('/'));
    sources.data.iter().filter(|(path, _)| direct(path)).map(|(path, text)| (path.clone(), text.clone())).collect()
}
