//! The tables of the databases: finds the scripts for each connection, and applies them when the gateway starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_dsl::Sources;

use crate::data::principal::Secret;
use crate::front::home::Home;
use crate::services::config::{self, Config};
use crate::services::identity::{InternalUsers, Passwords, USERS_FILE, UserError};
use crate::services::store::{Connection, Connections, Dialect, Kind, StoreError};

/// Pause between two attempts at a database that is down.
const RETRY: Duration = Duration::from_secs(5);

/// Adds the sample users to a home that has no users yet.
pub(super) fn add_sample_users(
    config: &Config,
    home: &Home,
    passwords: &Arc<Passwords>,
    now_millis: i64,
) -> Result<(), UserError> {
    let path = home.path(USERS_FILE);
    if !home.wants_samples(config) || path.exists() {
        return Ok(());
    }
    let users = InternalUsers::new("internal", path, Arc::clone(passwords));
    for user in &config.samples.users {
        let attributes = user.role.iter().map(|role| ("role".to_owned(), role.as_str().into())).collect();
        users.add(&user.name, &Secret::new(&user.password), attributes, now_millis)?;
    }
    Ok(())
}

/// The scripts to apply.
pub(super) struct Migration {
    connections: Connections,
    scripts: Vec<(Connection, Vec<(String, String)>)>,
}

impl Migration {
    /// Finds the scripts among the data files.
    pub(super) fn collect(config: &Config, home: &Home, sources: &Sources, connections: &Connections) -> Migration {
        let samples = home.wants_samples(config);
        let mut all = Vec::new();
        for connection in connections.iter() {
            let mut scripts = Vec::new();
            scripts.extend(own_scripts(config, sources, connection));
            // Their keys and passwords are published: never put them into a database that others may share.
            if let Some(rows) = config.samples.scripts.get(connection.name().as_str())
                && samples
                && connection.dialect() == Dialect::Sqlite
            {
                scripts.extend(folder(sources, rows));
            }
            if !scripts.is_empty() {
                all.push((connection.clone(), scripts));
            }
        }
        Migration { connections: connections.clone(), scripts: all }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Applies everything once, on connections that are closed again. Gives up at the first error.
    pub(super) async fn run_apart(
        &self,
        configs: &BTreeMap<String, config::Connection>,
        home: &Path,
    ) -> Result<(), Vec<StoreError>> {
        for (connection, scripts) in &self.scripts {
            let own = configs.iter().filter(|(name, _)| connection.name() == name);
            let own = own.map(|(name, config)| (name.clone(), config.clone())).collect();
            let apart = Connections::open(&own, home)?;
            let mut result = Ok(());
            for connection in apart.iter() {
                result = result.and(connection.migrate(scripts).await);
            }
            apart.close().await;
            result.map_err(|error| vec![error])?;
        }
        Ok(())
    }

    /// Applies everything. A database that is down is retried in the background; requests that need no database are served
    /// meanwhile. Returns all connections.
    pub(super) async fn run(self) -> Connections {
        for (connection, scripts) in self.scripts {
            if let Err(error) = connection.migrate(&scripts).await {
                report(&connection, &error);
                if error.kind == Kind::Forbidden {
                    continue;
                }
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(RETRY).await;
                        match connection.migrate(&scripts).await {
                            Ok(()) => return tracing::info!(connection = %connection.name(), "tables are up to date"),
                            Err(error) => {
                                report(&connection, &error);
                                if error.kind == Kind::Forbidden {
                                    return;
                                }
                            }
                        }
                    }
                });
            }
        }
        self.connections
    }
}

/// Reports which columns of the databases treat different texts as equal. A database that is down now is not asked again.
pub(super) fn report_collations(connections: &Connections) {
    for connection in connections.iter() {
        let connection = connection.clone();
        tokio::spawn(async move {
            for (collation, tables) in connection.loose_columns().await.unwrap_or_default() {
                let columns: Vec<String> =
                    tables.iter().map(|(table, columns)| format!("{table} ({})", columns.join(", "))).collect();
                let (connection, columns) = (connection.name(), columns.join(", "));
                const REST: &str = "policies still compare bytes, but unique keys and other programs do not";
                if collation.ends_with("_bin") {
                    tracing::info!(%connection, collation, columns, "these columns ignore blanks at the end: {REST}");
                } else {
                    tracing::warn!(%connection, collation, columns, "these columns treat different texts as equal: {REST}");
                }
            }
        });
    }
}

fn report(connection: &Connection, error: &StoreError) {
    if error.kind == Kind::Forbidden {
        // An account that may only read and write rows is a good idea; somebody else then maintains the tables.
        tracing::warn!(
            connection = %connection.name(),
            "the tables are used as they are: {error}. Their owner can apply it: `portcullis db migrate`"
        );
        return;
    }
    tracing::error!(connection = %connection.name(), "the tables cannot be updated, trying again: {error}");
}

/// The scripts that make a connection's tables, as (name, SQL).
pub fn own_scripts(config: &Config, sources: &Sources, connection: &Connection) -> Vec<(String, String)> {
    let tables = config.schemas.get(connection.name().as_str());
    tables.map_or_else(Vec::new, |tables| folder(sources, &format!("{tables}/{}", connection.dialect().word())))
}

/// SQL files directly in a folder, as (name, text), in order of names.
fn folder(sources: &Sources, folder: &str) -> Vec<(String, String)> {
    let prefix = format!("{folder}/");
    let direct = |path: &&String| path.strip_prefix(&prefix).is_some_and(|name| name.ends_with(".sql") && !name.contains('/'));
    sources.data.iter().filter(|(path, _)| direct(path)).map(|(path, text)| (path.clone(), text.to_string())).collect()
}
