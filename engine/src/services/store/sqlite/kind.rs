//! SQLite as a kind of database.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;
use sqlparser::dialect::{Dialect as Grammar, SQLiteDialect};

use super::file_path;
use crate::services::store::backend::{Backend, Database, Operand, Placeholders, Spelling};
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
}
