//! The kinds of databases, a row each.

use super::backend::{Database, Spelling};

macro_rules! databases {
    ($($(#[$about:meta])* $name:ident = $database:expr,)*) => {
        /// Which SQL a database speaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Dialect {
            $($(#[$about])* $name,)*
        }

        impl Dialect {
            /// All of them.
            pub const ALL: [Dialect; [$(stringify!($name)),*].len()] = [$(Dialect::$name),*];

            pub(super) fn database(self) -> &'static dyn Database {
                match self {
                    $(Dialect::$name => &$database,)*
                }
            }
        }
    };
}

databases! {
    /// SQLite, embedded.
    Sqlite = super::sqlite::Sqlite,
    /// MySQL or MariaDB.
    MySql = super::mysql::MySql,
    /// PostgreSQL.
    Postgres = super::postgres::Postgres,
}

impl Dialect {
    /// The word that policies and folder names use: `sqlite`, `mysql`, `postgres`.
    pub fn word(self) -> &'static str {
        self.database().word()
    }

    /// The dialect of this word.
    pub fn named(word: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.word() == word)
    }

    /// The dialect of the databases that such an address leads to.
    pub fn of_scheme(scheme: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.database().schemes().contains(&scheme))
    }

    pub(super) fn spelling(self) -> &'static dyn Spelling {
        self.database().spelling()
    }
}
