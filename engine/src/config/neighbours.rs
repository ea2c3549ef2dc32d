//! What the gateway talks to: databases and identity providers, by the names that policies use.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::units::Span;

/// A database. `Main: sqlite://data/main.db` is short for `Main: { url: … }`.
#[derive(Clone, PartialEq, Default)]
pub struct Connection {
    /// `sqlite://path` (relative to the home), `mysql://host/name`, `postgres://host/name`.
    pub url: String,
    /// User, when the URL holds none.
    pub user: Option<String>,
    /// Password, when the URL holds none.
    pub password: Option<String>,
    /// File (relative to the home) whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Connections at a time; of an embedded database, those that read. Default: 16; embedded: processors + 2.
    pub pool_size: Option<u32>,
    /// For one statement. Default: 5s.
    pub statement_timeout: Option<Span>,
    /// For one `Transaction`; then everything in it is undone, so that a stuck policy holds no locks. Default: 5s.
    pub transaction_timeout: Option<Span>,
    /// For getting a connection, or the lock of an embedded database. Default: 5s.
    pub wait_timeout: Option<Span>,
    /// Durability of the embedded database: `full` (default) survives a power cut, `normal` only a crash of the gateway.
    pub synchronous: Option<Synchronous>,
}

/// Durability of the embedded database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// An acknowledged write survives a power cut.
    Full,
    /// It survives the end of the process, not of the machine.
    Normal,
}

/// URLs and passwords are secret: only the scheme is printed.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection({}://[secret])", self.url.split(':').next().unwrap_or(""))
    }
}

/// Where users come from. `Name: internal` is short for `Name: { type: internal }`.
#[derive(Clone, PartialEq)]
pub struct IdentityProvider {
    /// Which kind.
    pub kind: ProviderKind,
    /// `ldap`: `ldaps://host:636`.
    pub url: Option<String>,
    /// `ldap`: where users are searched.
    pub base: Option<String>,
    /// `ldap`: search filter with `{}` for the user name. Default: `(uid={})`.
    pub filter: Option<String>,
    /// `ldap`: who searches.
    pub bind_dn: Option<String>,
    /// `ldap`: file (relative to the home) with that one's password.
    pub bind_password_file: Option<PathBuf>,
    /// `federated`: PEM files (relative to the home) of the authorities whose certificates count as users. Default: those in
    /// `keys/trusted/`.
    pub trusted: Vec<PathBuf>,
    /// `federated`: regular expression that must be found in the certificate's subject. Default: any subject.
    pub subject: Option<String>,
}

impl fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity provider({:?})", self.kind)
    }
}

/// Kinds of identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// The gateway's own users (`portcullis user add`).
    Internal,
    /// Holders of certificates.
    Federated,
    /// A directory.
    Ldap,
}

/// Reads either a text, as the one field that matters most, or the whole map.
fn text_or_map<'de, D, F, T>(deserializer: D, expecting: &'static str, short: fn(&str) -> Option<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: Deserialize<'de> + Into<T>,
{
    struct Either<F, T>(&'static str, fn(&str) -> Option<T>, std::marker::PhantomData<F>);
    impl<'de, F: Deserialize<'de> + Into<T>, T> Visitor<'de> for Either<F, T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).ok_or_else(|| E::custom(format_args!("`{text}` is not {}", self.0)))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            F::deserialize(de::value::MapAccessDeserializer::new(map)).map(Into::into)
        }
    }
    deserializer.deserialize_any(Either::<F, T>(expecting, short, std::marker::PhantomData))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionFields {
    url: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    pool_size: Option<u32>,
    #[serde(default)]
    statement_timeout: Option<Span>,
    #[serde(default)]
    transaction_timeout: Option<Span>,
    #[serde(default)]
    wait_timeout: Option<Span>,
    #[serde(default)]
    synchronous: Option<Synchronous>,
}

impl From<ConnectionFields> for Connection {
    fn from(f: ConnectionFields) -> Self {
        Connection {
            url: f.url,
            user: f.user,
            password: f.password,
            password_file: f.password_file,
            pool_size: f.pool_size,
            statement_timeout: f.statement_timeout,
            transaction_timeout: f.transaction_timeout,
            wait_timeout: f.wait_timeout,
            synchronous: f.synchronous,
        }
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<D, ConnectionFields, _>(
            deserializer,
            "a database URL such as `sqlite://data/main.db`, or a map with `url`",
            |text| text.contains("://").then(|| Connection { url: text.to_owned(), ..Connection::default() }),
        )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFields {
    #[serde(rename = "type")]
    kind: ProviderKind,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    base: Option<String>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    bind_dn: Option<String>,
    #[serde(default)]
    bind_password_file: Option<PathBuf>,
    #[serde(default)]
    trusted: Vec<PathBuf>,
    #[serde(default)]
    subject: Option<String>,
}

impl From<ProviderFields> for IdentityProvider {
    fn from(f: ProviderFields) -> Self {
        IdentityProvider {
            kind: f.kind,
            url: f.url,
            base: f.base,
            filter: f.filter,
            bind_dn: f.bind_dn,
            bind_password_file: f.bind_password_file,
            trusted: f.trusted,
            subject: f.subject,
        }
    }
}

impl<'de> Deserialize<'de> for IdentityProvider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<D, ProviderFields, _>(deserializer, "`internal`, `federated`, or a map with `type`", |text| {
            let kind = match text {
                "internal" => ProviderKind::Internal,
                "federated" => ProviderKind::Federated,
                _ => return None,
            };
            Some(IdentityProvider {
                kind,
                url: None,
                base: None,
                filter: None,
                bind_dn: None,
                bind_password_file: None,
                trusted: Vec::new(),
                subject: None,
            })
        })
    }
}
