//! How `gateway.yaml` describes a database connection: either its address alone, or a mapping with the address as `url`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};

/// One entry under `connections:`.
#[derive(Clone)]
pub struct ConnectionConfig {
    /// `sqlite://data/x.db` (relative to the home; `?mode=ro` for reading only), `mysql://…`, `postgres://…`.
    pub url: String,
    /// Login name at a database server, instead of one in the address.
    pub user: Option<String>,
    /// Password at a database server, instead of one in the address.
    pub password: Option<String>,
    /// Most connections at once. For an embedded database: connections that read.
    pub max_connections: Option<u32>,
    /// Whether an acknowledged write survives a power cut; embedded databases only.
    pub synchronous: Synchronous,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest time for one `Transaction`; after it everything is undone, so that a stuck policy holds no locks.
    pub transaction_timeout: Duration,
    /// Longest wait for a connection, or for the lock of an embedded database.
    pub acquire_timeout: Duration,
}

/// When the embedded database hands its data to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// With each commit: what was acknowledged survives a power cut.
    #[default]
    Full,
    /// Now and then: the last commits may be lost in a power cut (not in a crash of the gateway), never torn.
    Normal,
}

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite, embedded.
    Sqlite,
    /// MySQL or MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// The word that policies and folder names use: `sqlite`, `mysql`, `postgres`.
    pub fn word(self) -> &'static str {
        match self {
            Dialect::Sqlite => "sqlite",
            Dialect::MySql => "mysql",
            Dialect::Postgres => "postgres",
        }
    }
}

impl ConnectionConfig {
    /// A connection to this address, everything else by default.
    pub fn new(url: impl Into<String>) -> Self {
        ConnectionConfig {
            url: url.into(),
            user: None,
            password: None,
            max_connections: None,
            synchronous: Synchronous::Full,
            statement_timeout: Duration::from_secs(5),
            transaction_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
        }
    }

    /// The dialect that the address names.
    pub fn dialect(&self) -> Result<Dialect, String> {
        match self.url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Dialect::Sqlite),
            Some("mysql" | "mariadb") => Ok(Dialect::MySql),
            Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
            Some(other) => Err(format!("unknown kind of database `{other}`: use sqlite://, mysql:// or postgres://")),
            None => Err("the address has no scheme: use sqlite://, mysql:// or postgres://".to_owned()),
        }
    }
}

/// The address may hold a password, so everything between `//` and `@` is hidden.
impl fmt::Debug for ConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://[secret]@{host}"),
            _ => self.url.clone(),
        };
        f.debug_struct("ConnectionConfig").field("url", &shown).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: String,
    user: Option<String>,
    password: Option<String>,
    max_connections: Option<u32>,
    #[serde(default)]
    synchronous: Synchronous,
    #[serde(default, deserialize_with = "duration")]
    statement_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    transaction_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    acquire_timeout: Option<Duration>,
}

impl From<Fields> for ConnectionConfig {
    fn from(fields: Fields) -> Self {
        let default = ConnectionConfig::new(fields.url);
        ConnectionConfig {
            user: fields.user,
            password: fields.password,
            max_connections: fields.max_connections,
            synchronous: fields.synchronous,
            statement_timeout: fields.statement_timeout.unwrap_or(default.statement_timeout),
            transaction_timeout: fields.transaction_timeout.unwrap_or(default.transaction_timeout),
            acquire_timeout: fields.acquire_timeout.unwrap_or(default.acquire_timeout),
            ..default
        }
    }
}

impl<'de> Deserialize<'de> for ConnectionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrFields;
        impl<'de> Visitor<'de> for AddressOrFields {
            type Value = ConnectionConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as `sqlite://data/x.db`, or a mapping with `url`")
            }

            fn visit_str<E: Error>(self, url: &str) -> Result<ConnectionConfig, E> {
                Ok(ConnectionConfig::new(url))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ConnectionConfig, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(ConnectionConfig::from)
            }
        }
        let config = deserializer.deserialize_any(AddressOrFields)?;
        config.dialect().map_err(Error::custom)?;
        Ok(config)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as `250ms`, `5s` or `2m`")
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Option<Duration>, E> {
            Ok(Some(Duration::from_secs(seconds)))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<Duration>, E> {
            parse_duration(text)
                .map(Some)
                .ok_or_else(|| E::custom(format!("`{text}` is no duration: write `250ms`, `5s` or `2m`")))
        }
    }
    deserializer.deserialize_any(Text)
}

/// Reads `250ms`, `5s`, `2m`, `1h`, `7d`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..unit].parse().ok()?;
    let millis = match &text[unit..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}
