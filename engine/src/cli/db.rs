//! `portcullis db`: which version a database has, what it lacks, adding that, and copies of embedded databases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use portcullis_dsl::Sources;
use serde_json::json;

use super::{Done, Failure, NO, Place, runtime, say, table};
use crate::front::host::own_scripts;
use crate::services::config::{self, Config, Span};
use crate::services::store::{self, Connection, Connections, Expected, QueryOptions, Statement, backup};

/// The data file beside the scripts of a connection.
const TABLES: &str = "tables.yaml";
/// A statement over a large table may take long.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What to do with databases.
#[derive(Subcommand)]
pub enum DbCommand {
    /// Show which version each database says it has.
    Version {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare each database with what it should have, and say what to do. Changes nothing. Exit code 1: something does not work.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the statements that add what a database lacks, and run them with `--apply`. No row is lost. Can be repeated.
    Migrate {
        /// Run them.
        #[arg(long)]
        apply: bool,
    },
    /// Copy an embedded database into a new file while it is in use.
    Backup {
        /// The new file.
        file: PathBuf,
        /// The connection's name in `gateway.yaml`. Default: the only embedded one.
        #[arg(long)]
        connection: Option<String>,
    },
}

/// The databases of a home whose tables are described.
struct Databases {
    config: Config,
    sources: Sources,
    connections: Connections,
    expected: BTreeMap<String, Expected>,
}

pub fn run(place: &Place, command: &DbCommand) -> Done {
    let home = place.home()?;
    let config = home.config()?;
    if let DbCommand::Backup { file, connection } = command {
        return copy(&config, home.root(), file, connection.as_deref());
    }
    let sources = home.sources().map_err(|problems| Failure {
        message: problems.iter().map(|problem| problem.sentence()).collect::<Vec<_>>().join("\n"),
        code: 1,
    })?;
    let mut expected = BTreeMap::new();
    let mut own = BTreeMap::new();
    for (name, folder) in &config.schemas {
        let file = format!("{folder}/{TABLES}");
        let (Some(settings), Some(text)) = (config.connections.get(name), sources.data.get(&file)) else { continue };
        let described = Expected::read(text).map_err(|error| Failure { message: format!("{file}: {error}"), code: 1 })?;
        expected.insert(name.clone(), described);
        own.insert(name.clone(), config::Connection { statement_timeout: Some(Span(PATIENCE)), ..settings.clone() });
    }
    let connections = Connections::open(&own, home.root())
        .map_err(|errors| Failure { message: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), code: 1 })?;
    let databases = Databases { config, sources, connections, expected };
    runtime()?.block_on(async {
        let done = match command {
            DbCommand::Version { json } => databases.version(*json).await,
            DbCommand::Check { json } => databases.check(*json).await,
            DbCommand::Migrate { apply } => databases.migrate(*apply).await,
            DbCommand::Backup { .. } => Ok(ExitCode::SUCCESS), // done before any database was opened
        };
        databases.connections.close().await;
        done
    })
}

impl Databases {
    fn all(&self) -> impl Iterator<Item = (&Connection, &Expected)> {
        self.connections.iter().filter_map(|own| Some((own, self.expected.get(own.name().as_str())?)))
    }

    async fn version(&self, as_json: bool) -> Done {
        let mut rows = Vec::new();
        for (connection, expected) in self.all() {
            let version = expected.version(connection).await?.unwrap_or_else(|| "none".to_owned());
            rows.push([connection.name().to_string(), connection.dialect().word().to_owned(), version]);
        }
        if as_json {
            let object = |[name, kind, version]: &[String; 3]| json!({ "connection": name, "kind": kind, "version": version });
            say(serde_json::to_string_pretty(&rows.iter().map(object).collect::<Vec<_>>())?);
        } else {
            say(table(&["connection", "kind", "version"], rows.into_iter().map(Vec::from).collect()));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn check(&self, as_json: bool) -> Done {
        let (mut harmful, mut told) = (false, Vec::new());
        for (connection, expected) in self.all() {
            let found = expected.compare(connection).await?;
            harmful |= found.iter().any(|finding| !finding.harmless);
            if as_json {
                told.push(
                    json!({ "connection": connection.name().as_str(), "kind": connection.dialect().word(), "findings": found }),
                );
                continue;
            }
            say(format!(
                "{} ({}): {}",
                connection.name(),
                connection.dialect().word(),
                match found.len() {
                    0 => "has all that is needed".to_owned(),
                    1 => "1 finding".to_owned(),
                    count => format!("{count} findings"),
                }
            ));
            for finding in found {
                let weight = if finding.harmless { "note" } else { "error" };
                say(format!("  {weight}: {}: {}\n    {}", finding.place, finding.problem, finding.advice));
                finding.statements.iter().for_each(|sql| say(format!("    {sql};")));
            }
        }
        if as_json {
            say(serde_json::to_string_pretty(&told)?);
        }
        Ok(if harmful { NO } else { ExitCode::SUCCESS })
    }

    async fn migrate(&self, apply: bool) -> Done {
        let mut left = false;
        for (connection, expected) in self.all() {
            say(format!("-- {} ({})", connection.name(), connection.dialect().word()));
            let scripts = own_scripts(&self.config, &self.sources, connection);
            if !apply {
                self.show(connection, expected, &scripts).await?;
                continue;
            }
            let rest = expected.mend(connection, &scripts, |sql| say(format!("{sql};"))).await?;
            for finding in rest.iter().filter(|finding| !finding.harmless) {
                left = true;
                say(format!("-- left: {}: {}; {}", finding.place, finding.problem, finding.advice));
            }
            say("-- done");
        }
        if !apply {
            say("-- nothing was changed: make a copy of the database, stop what writes to it, and run this again with `--apply`");
        }
        Ok(if left { NO } else { ExitCode::SUCCESS })
    }

    /// Everything that `--apply` would run.
    async fn show(&self, connection: &Connection, expected: &Expected, scripts: &[(String, String)]) -> Result<(), Failure> {
        let found = expected.compare(connection).await?;
        let (last, first): (Vec<_>, Vec<_>) = found.iter().partition(|finding| finding.last);
        for finding in &first {
            if finding.statements.is_empty() {
                say(format!("-- {}: {}", finding.place, finding.problem));
            }
            finding.statements.iter().for_each(|sql| say(format!("{sql};")));
        }
        if !last.is_empty() {
            expected.fill().for_each(|sql| say(format!("{sql};")));
        }
        let applied = rows(connection, "select name from portcullis_migration").await.unwrap_or_default();
        for (name, sql) in scripts.iter().filter(|(name, _)| !applied.contains(name)) {
            say(format!("-- {name}\n{}", sql.trim_end()));
        }
        for finding in &last {
            finding.statements.iter().for_each(|sql| say(format!("{sql};")));
        }
        Ok(())
    }
}

/// The first column of what a statement gives.
async fn rows(connection: &Connection, sql: &str) -> Result<Vec<String>, Failure> {
    let statement = Statement::new(&[sql])?;
    let rows = connection.run(&statement, &[], QueryOptions { max_rows: 10_000, timeout: Some(PATIENCE) }).await?;
    Ok(rows.rows.iter().filter_map(|row| row.first()).map(|value| value.as_text().into_owned()).collect())
}

/// Copies an embedded database.
fn copy(config: &Config, home: &Path, to: &Path, connection: Option<&str>) -> Done {
    let wrong = |message: String| Failure { message, code: 2 };
    let files = config.connections.iter().filter_map(|(name, own)| Some((name.as_str(), store::file(own, home)?)));
    let mut files: Vec<_> = files.filter(|(name, _)| connection.is_none_or(|wanted| wanted == *name)).collect();
    let (Some((name, from)), true) = (files.pop(), files.is_empty()) else {
        return Err(wrong(match connection {
            Some(name) => {
                format!("`{name}` is no connection with an embedded database; a server has tools of its own for copies")
            }
            None => "name the connection: `--connection NAME`, one whose address begins with sqlite://".to_owned(),
        }));
    };
    backup(&from, to)?;
    say(format!("copied the database of {name} to {}", to.display()));
    Ok(ExitCode::SUCCESS)
}
