//! What tables a live database has: their columns with the lengths, their indexes.

use std::collections::BTreeMap;

use super::{Connection, QueryOptions, Statement, StoreError};
use crate::data::value::Value;

/// A database's own tables, by their names in lower case.
pub type Shape = BTreeMap<String, TableShape>;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableShape {
    /// Columns by their names in lower case.
    pub columns: BTreeMap<String, ColumnShape>,
    /// Indexes, those of unique keys too.
    pub indexes: BTreeMap<String, IndexShape>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnShape {
    /// Most characters of a text; `None`: no limit, or no text.
    pub length: Option<u64>,
    /// Character set and collation, where the database keeps them for each column.
    pub charset: Option<(String, String)>,
    /// The type as the database writes it.
    pub kind: String,
}

/// An index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexShape {
    /// Columns in order, in lower case.
    pub columns: Vec<String>,
    /// Whether no two rows may agree in them.
    pub unique: bool,
}

/// Most columns that are read.
const MOST: usize = 100_000;

impl Connection {
    /// The tables that its statements find without naming a schema.
    pub async fn shape(&self) -> Result<Shape, StoreError> {
        let spelling = self.dialect().spelling();
        let mut shape = Shape::new();
        for row in self.all(spelling.columns()).await? {
            let [table, column, kind, length, charset, collation] = &row[..] else { continue };
            let text = |value: &Value| value.as_text().into_owned();
            let length = match length.to_int() {
                // SQLite says it in the type, as in `varchar(128)`, and does not keep to it.
                None => None,
                Some(length) => u64::try_from(length).ok(),
            };
            let charset = (!charset.is_undefined()).then(|| (text(charset), text(collation)));
            let columns = &mut shape.entry(lower(table)).or_default().columns;
            columns.insert(lower(column), ColumnShape { length, charset, kind: text(kind) });
        }
        for row in self.all(spelling.indexes()).await? {
            let [table, index, column, unique] = &row[..] else { continue };
            let indexes = &mut shape.entry(lower(table)).or_default().indexes;
            let index = indexes.entry(index.as_text().into_owned()).or_default();
            index.columns.push(lower(column));
            index.unique = unique.to_int() == Some(1);
        }
        Ok(shape)
    }

    async fn all(&self, sql: &str) -> Result<Vec<Vec<Value>>, StoreError> {
        let statement = Statement::new(&[sql]).map_err(|error| error.of(self.name()))?;
        Ok(self.run(&statement, &[], QueryOptions { max_rows: MOST, timeout: None }).await?.rows)
    }
}

fn lower(value: &Value) -> String {
    value.as_text().to_lowercase()
}
