//! Columns whose own equality is not that of bytes. Statements do not rely on it (see `bytewise`), but unique keys do, and so does
//! whoever works with the tables by other means: an operator should know.

use std::collections::BTreeMap;

use sqlparser::ast::{ColumnOption, Statement as Ast};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use super::{Connection, Dialect, Kind, QueryOptions, Statement, StoreError};

/// Columns by collation and table.
pub type Collations = BTreeMap<String, BTreeMap<String, Vec<String>>>;

const MYSQL: &str = "select collation_name, table_name, column_name from information_schema.columns where table_schema = database() \
                     and collation_name is not null and collation_name not in ('binary', 'utf8mb4_0900_bin') \
                     and collation_name not like '%nopad_bin' order by table_name, ordinal_position";
const POSTGRES: &str = "select coalesce(c.collation_name, c.udt_name)::text, c.table_name::text, c.column_name::text \
                        from information_schema.columns c left join pg_catalog.pg_collation p on p.collname = c.collation_name \
                        where c.table_schema = current_schema() \
                        and (c.udt_name in ('citext', 'bpchar') or not p.collisdeterministic) order by 2, c.ordinal_position";
const SQLITE: &str = "select sql from sqlite_master where type = 'table' and sql is not null order by name";

impl Connection {
    /// The columns of its tables that take different texts for equal.
    pub async fn loose_columns(&self) -> Result<Collations, StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => SQLITE,
            Dialect::MySql => MYSQL,
            Dialect::Postgres => POSTGRES,
        };
        let statement = Statement::new(&[sql]).map_err(|detail| StoreError::new(Kind::Invalid, self.name(), detail))?;
        let options = QueryOptions { max_rows: 10_000, timeout: None };
        let mut found = Collations::new();
        for row in self.run(&statement, &[], options).await?.rows {
            match &row[..] {
                [collation, table, column] => {
                    let tables = found.entry(collation.as_text().into_owned()).or_default();
                    tables.entry(table.as_text().into_owned()).or_default().push(column.as_text().into_owned());
                }
                [sql] => collations_of(&sql.as_text(), &mut found),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// What a `create table` of SQLite says.
fn collations_of(sql: &str, found: &mut Collations) {
    let Ok(parsed) = Parser::parse_sql(&SQLiteDialect {}, sql) else { return };
    for statement in parsed {
        let Ast::CreateTable(table) = statement else { continue };
        for column in &table.columns {
            for option in &column.options {
                if let ColumnOption::Collation(name) = &option.option
                    && !name.to_string().eq_ignore_ascii_case("binary")
                {
                    let tables = found.entry(name.to_string().to_lowercase()).or_default();
                    tables.entry(table.name.to_string()).or_default().push(column.name.value.clone());
                }
            }
        }
    }
}
