//! SQLite as a kind of database.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;
use sqlparser::dialect::{Dialect as Grammar, SQLiteDialect};

use super::file_path;
use crate::services::store::backend::{Backend, Column, Database, Operand, Placeholders, Spelling};
use crate::services::store::{ConnectionConfig, SettingsError, StoreError};

/// The kind.
pub(in crate::services::store) struct Sqlite;

impl Database for Sqlite {
    fn word(&self) -> &'static str {
        "sqlite"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn check(&self, config: &ConnectionConfig) -> Result<(), SettingsError> {
        if config.ca.is_some() || config.allow_plaintext {
            return Err(SettingsError::ServersOnly);
        }
        if config.pooler {
            return Err(SettingsError::Pooler);
        }
        file_path(&config.url, Path::new("")).map(|_| ())
    }

    fn open(&self, name: SmolStr, config: &ConnectionConfig, home: &Path) -> Result<Arc<dyn Backend>, StoreError> {
        Ok(Arc::new(super::Database::open(name, config, home)?))
    }

    fn file(&self, config: &ConnectionConfig, home: &Path) -> Option<PathBuf> {
        file_path(&config.url, home).ok().map(|(path, _)| path)
    }

    fn spelling(&self) -> &'static dyn Spelling {
        &Sqlite
    }
}

impl Spelling for Sqlite {
    fn grammar(&self) -> &'static dyn Grammar {
        &SQLiteDialect {}
    }

    fn placeholders(&self) -> Placeholders {
        Placeholders::Numbered
    }

    fn bytes(&self, operand: &dyn Display) -> String {
        format!("CAST({operand} AS BLOB)")
    }

    fn numbers(&self, left: Operand<'_>, right: Operand<'_>) -> Option<String> {
        let number = |operand: Operand<'_>| format!("typeof({operand}) IN ('integer', 'real')");
        Some(format!("({} AND {})", number(left), number(right)))
    }

    fn holding_rows(&self) -> Option<&'static str> {
        None
    }

    fn loose_columns(&self) -> &'static str {
        "select sql from sqlite_master where type = 'table' and sql is not null order by name"
    }

    fn columns(&self) -> &'static str {
        // A length in a type is only a remark here, so nothing is too short.
        "select m.name, c.name, c.type, null, null, null from sqlite_master m join pragma_table_info(m.name) c \
         where m.type = 'table' order by m.name, c.cid"
    }

    fn indexes(&self) -> &'static str {
        "select m.name, l.name, i.name, l.\"unique\" from sqlite_master m join pragma_index_list(m.name) l \
         join pragma_index_info(l.name) i where m.type = 'table' and l.partial = 0 and i.name is not null \
         order by m.name, l.name, i.seqno"
    }

    fn kind(&self, column: Column) -> String {
        match column {
            Column::Text(length) => format!("varchar({length})"),
            Column::Long => "text".to_owned(),
            Column::Number => "bigint".to_owned(),
        }
    }
}
