//! What tables should have, from a data file, against what they have; and the SQL that adds what is missing. Nothing is dropped or
//! shortened, and no row deleted. Each statement can be repeated, so an upgrade that was interrupted goes on where it was.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backend::Column;
use super::shape::{ColumnShape, TableShape};
use super::{Connection, Dialect, Kind, QueryOptions, Statement, StoreError};
use crate::data::value::Value;

/// What a database should have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    version: Version,
    tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    table: String,
    column: String,
    is: String,
    before: Vec<String>,
    as_well: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    columns: BTreeMap<String, String>,
    #[serde(default)]
    indexes: BTreeMap<String, String>,
    unique: Option<Unique>,
    /// Statements that put right what rows of an older version hold. Repeating them changes nothing.
    #[serde(default)]
    fill: Vec<String>,
    /// What the account must be allowed to do. Left out: everything with rows.
    grants: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unique {
    name: String,
    columns: String,
    instead_of: String,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The table, and perhaps the column.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it.
    pub advice: String,
    /// Whether everything works in spite of it.
    pub harmless: bool,
    /// The SQL that mends it; empty: something else has to be done.
    pub statements: Vec<String>,
    /// Whether it is mended after all others, because it says that they are.
    #[serde(skip)]
    pub last: bool,
}

impl Finding {
    fn new(place: impl Into<String>, problem: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            place: place.into(),
            problem: problem.into(),
            advice: advice.into(),
            harmless: false,
            statements: Vec::new(),
            last: false,
        }
    }
}

/// A statement over a large table may take long.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// What one round adds may be what the next one needs.
const ROUNDS: usize = 4;
/// What `db migrate` mends.
const MIGRATE: &str = "`portcullis db migrate` shows the statement, and `--apply` runs it";
/// Accounts with the grants that a toolkit needs may create nothing.
const INDEX: &str = "everything works, and slows down as the table grows. Let an account run this that may create indexes there";

impl Expected {
    /// Reads the data file.
    pub fn read(text: &str) -> Result<Expected, String> {
        let expected: Expected = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let specs = expected.tables.values().flat_map(|table| table.columns.values());
        specs.map(|spec| column(spec)).collect::<Result<Vec<_>, String>>()?;
        Ok(expected)
    }

    /// The version that the database says it has.
    pub async fn version(&self, connection: &Connection) -> Result<Option<String>, StoreError> {
        let shape = connection.shape().await?;
        if !shape.contains_key(&self.version.table.to_lowercase()) {
            return Ok(None);
        }
        let rows = run(connection, &format!("select {} from {}", self.version.column, self.version.table)).await?;
        // The column is of fixed length in some databases, which add blanks.
        Ok(rows.first().and_then(|row| row.first()).map(|version| version.as_text().trim_end().to_owned()))
    }

    /// Everything that is not as it should be.
    pub async fn compare(&self, connection: &Connection) -> Result<Vec<Finding>, StoreError> {
        let shape = connection.shape().await?;
        let mut found = Vec::new();
        for (name, table) in &self.tables {
            match shape.get(&name.to_lowercase()) {
                Some(own) => {
                    table.compare(name, own, connection.dialect(), &mut found);
                    table.compare_grants(name, connection, &mut found).await?;
                }
                None => found.push(Finding::new(name, "the table is missing", "`portcullis db migrate --apply` makes it")),
            }
        }
        if shape.contains_key(&self.version.table.to_lowercase()) {
            found.extend(self.compare_version(connection).await?);
        }
        Ok(found)
    }

    async fn compare_version(&self, connection: &Connection) -> Result<Option<Finding>, StoreError> {
        let Version { table, column, is, before, as_well } = &self.version;
        let place = format!("{table}.{column}");
        let update = format!("update {table} set {column} = '{is}'");
        Ok(match self.version(connection).await? {
            Some(version) if version == *is || as_well.contains(&version) => None,
            Some(version) if before.contains(&version) => Some(Finding {
                statements: vec![update],
                last: true,
                ..Finding::new(place, format!("the tables are those of {version}"), MIGRATE)
            }),
            Some(version) => Some(Finding::new(
                place,
                format!("the version {version} is unknown"),
                format!("look whether its tables are those of {is}, and write that there"),
            )),
            None => Some(Finding {
                statements: vec![format!("insert into {table} ({column}) values ('{is}')")],
                last: true,
                ..Finding::new(place, "there is no version", MIGRATE)
            }),
        })
    }

    /// Adds what is missing, and tells each statement before it is run. What is left is returned.
    pub async fn mend(
        &self,
        connection: &Connection,
        scripts: &[(String, String)],
        mut tell: impl FnMut(&str),
    ) -> Result<Vec<Finding>, StoreError> {
        for round in 0..ROUNDS {
            let found = self.compare(connection).await?;
            // The version is written when all that it stands for is there.
            let (last, first): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| finding.last);
            let mut statements: Vec<&str> = first.iter().flat_map(|finding| &finding.statements).map(String::as_str).collect();
            let settled = statements.is_empty();
            if round == 0 && !last.is_empty() {
                statements.extend(self.fill());
            } else if round > 0 && settled {
                statements.extend(last.iter().flat_map(|finding| &finding.statements).map(String::as_str));
            }
            for sql in statements {
                tell(sql);
                let options = QueryOptions { timeout: Some(PATIENCE), ..QueryOptions::default() };
                run_for(connection, sql, options).await?;
            }
            if round == 0 {
                connection.migrate(scripts).await?;
            } else if settled {
                break;
            }
        }
        self.compare(connection).await
    }

    /// Statements over the rows of an older version, to be run when the columns are there, and before the version is written.
    pub fn fill(&self) -> impl Iterator<Item = &str> {
        self.tables.values().flat_map(|table| table.fill.iter().map(String::as_str))
    }
}

impl Table {
    fn compare(&self, name: &str, own: &TableShape, dialect: Dialect, found: &mut Vec<Finding>) {
        let spelling = dialect.spelling();
        for (wanted, spec) in &self.columns {
            // Checked when the file was read.
            let Ok((kind, rest)) = column(spec) else { continue };
            let place = format!("{name}.{wanted}");
            match own.columns.get(&wanted.to_lowercase()) {
                None => found.push(Finding {
                    statements: vec![format!(
                        "alter table {name} add column {wanted} {}",
                        filled(&spelling.kind(kind), &rest, kind)
                    )],
                    ..Finding::new(place, "the column is missing", MIGRATE)
                }),
                Some(live) => compare_column(name, wanted, (kind, &rest), live, dialect, found),
            }
        }
        for (index, columns) in &self.indexes {
            let wanted = names(columns);
            let begins = own.indexes.values().any(|index| index.columns.starts_with(&wanted));
            if !begins {
                let there = wanted.iter().all(|column| own.columns.contains_key(column));
                found.push(Finding {
                    harmless: true,
                    statements: if there { vec![format!("create index {index} on {name} ({columns})")] } else { Vec::new() },
                    ..Finding::new(
                        name,
                        format!("no index begins with ({columns}): statements that need it read the whole table"),
                        INDEX,
                    )
                });
            }
        }
        if let Some(unique) = &self.unique {
            let (narrow, wide) = (names(&unique.instead_of), names(&unique.columns));
            let has = |columns: &[String]| own.indexes.iter().find(|(_, index)| index.unique && index.columns == columns);
            if let Some((old, _)) = has(&narrow) {
                let mut statements = Vec::new();
                if has(&wide).is_none() {
                    statements.push(format!("create unique index {} on {name} ({})", unique.name, unique.columns));
                }
                statements.extend(match dialect {
                    Dialect::MySql => Some(format!("alter table {name} drop index `{old}`")),
                    Dialect::Postgres => Some(format!("alter table {name} drop constraint \"{old}\"")),
                    Dialect::Sqlite => None,
                });
                let problem = format!("({}) must be unique, where ({}) should be", unique.instead_of, unique.columns);
                found.push(Finding { statements, ..Finding::new(name, problem, MIGRATE) });
            }
        }
    }

    /// Tries what the account may do, with statements that concern no row.
    async fn compare_grants(&self, name: &str, connection: &Connection, found: &mut Vec<Finding>) -> Result<(), StoreError> {
        let Some(column) = self.columns.keys().next() else { return Ok(()) };
        let all = ["select", "insert", "update", "delete"];
        for grant in all.iter().filter(|grant| self.grants.as_ref().is_none_or(|some| some.iter().any(|own| own == *grant))) {
            let sql = match *grant {
                "select" => format!("select 1 from {name} where 1 = 0"),
                "insert" => format!("insert into {name} ({column}) select {column} from {name} where 1 = 0"),
                "update" => format!("update {name} set {column} = {column} where 1 = 0"),
                _ => format!("delete from {name} where 1 = 0"),
            };
            match run(connection, &sql).await {
                Err(error) if matches!(error.kind, Kind::Forbidden | Kind::ReadOnly) => found.push(Finding::new(
                    name,
                    format!("the account may not {grant} there"),
                    format!("its owner has to `grant {grant} on {name}` to the account of this connection"),
                )),
                // A column that may be missing is told already.
                Err(error) if error.kind == Kind::Invalid || error.kind == Kind::Constraint => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

fn compare_column(
    table: &str,
    name: &str,
    (kind, rest): (Column, &str),
    live: &ColumnShape,
    dialect: Dialect,
    found: &mut Vec<Finding>,
) {
    let least = match kind {
        Column::Text(length) => Some(length),
        // 64 KiB and more.
        Column::Long => Some(60_000),
        Column::Number => None,
    };
    if let (Some(least), Some(length)) = (least, live.length)
        && length < least
    {
        let wide = dialect.spelling().kind(kind);
        let statement = match dialect {
            Dialect::MySql => {
                let charset = live.charset.as_ref();
                let charset =
                    charset.map_or_else(String::new, |(set, collation)| format!(" character set {set} collate {collation}"));
                format!("alter table {table} modify column {name} {wide}{charset}{rest}")
            }
            _ => format!("alter table {table} alter column {name} type {wide}"),
        };
        found.push(Finding {
            statements: vec![statement],
            ..Finding::new(format!("{table}.{name}"), format!("it takes {length} characters, and should take {least}"), MIGRATE)
        });
    }
    if let Some((set, _)) = &live.charset
        && !matches!(set.as_str(), "utf8mb4" | "utf8mb3" | "utf8")
    {
        found.push(Finding {
            harmless: true,
            ..Finding::new(
                format!("{table}.{name}"),
                format!("its character set {set} has no letters of most languages"),
                format!("values with other letters are refused. `alter table {table} convert to character set utf8mb4` ends that; stop its other users before"),
            )
        });
    }
}

/// The type and what follows, as the definition of a column that is added to a table with rows.
fn filled(kind: &str, rest: &str, column: Column) -> String {
    let mut sql = kind.to_owned();
    sql.push_str(rest);
    // Rows that are there need a value.
    if rest.contains("not null") && !rest.contains("default") && column != Column::Long {
        let _ = write!(sql, " default {}", if column == Column::Number { "0" } else { "''" });
    }
    sql
}

/// `text 128 not null`: the type, and the SQL after it.
fn column(spec: &str) -> Result<(Column, String), String> {
    let mut words = spec.split_whitespace();
    let kind = match words.next() {
        Some("text") => {
            let length = words.next().and_then(|word| word.parse().ok());
            Column::Text(length.ok_or_else(|| format!("`{spec}`: a text needs a length"))?)
        }
        Some("long") => Column::Long,
        Some("number") => Column::Number,
        _ => return Err(format!("`{spec}` is no column: `text LENGTH`, `long` or `number`")),
    };
    Ok((kind, words.fold(String::new(), |sql, word| sql + " " + word)))
}

fn names(columns: &str) -> Vec<String> {
    columns.split(',').map(|name| name.trim().to_lowercase()).collect()
}

async fn run(connection: &Connection, sql: &str) -> Result<Vec<Vec<Value>>, StoreError> {
    run_for(connection, sql, QueryOptions::default()).await
}

async fn run_for(connection: &Connection, sql: &str, options: QueryOptions) -> Result<Vec<Vec<Value>>, StoreError> {
    let statement = Statement::new(&[sql]).map_err(|error| error.of(connection.name()))?;
    Ok(connection.run(&statement, &[], options).await?.rows)
}
