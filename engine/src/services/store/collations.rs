//! Columns whose own equality is not bytewise. Statements do not rely on it (see `bytewise`), but unique keys and other programs
//! do, so an operator should know.

use std::collections::BTreeMap;

use sqlparser::ast::{ColumnOption, Statement as Ast};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use super::{Connection, QueryOptions, Statement, StoreError};

/// Columns by collation and table.
pub type Collations = BTreeMap<String, BTreeMap<String, Vec<String>>>;

impl Connection {
    /// The columns of its tables that treat different texts as equal.
    pub async fn loose_columns(&self) -> Result<Collations, StoreError> {
        let statement = Statement::new(&[self.dialect().spelling().loose_columns()]).map_err(|error| error.of(self.name()))?;
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

/// Reads SQLite's `create table` texts.
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
