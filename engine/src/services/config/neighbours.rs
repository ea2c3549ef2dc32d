//! The gateway's neighbours: databases and identity providers, by the names that policies use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::units::Span;

/// A database. `Main: sqlite://data/main.db` is short for `Main: { url: … }`.
#[derive(Clone, PartialEq, Default, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub struct Connection {
    /// `sqlite://path` (relative to the home), `mysql://host/name`, `postgres://host/name`; `none` for a gateway that has no database,
    /// because another one stores everything for it.
    pub url: String,
    /// User, if the URL contains none.
    pub user: Option<String>,
    /// Password, if the URL contains none.
    pub password: Option<String>,
    /// File (relative to the home) whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM file (relative to the home) with the authorities of the database server's certificate. Default: the public ones. If
    /// set, even a server on this machine is verified. The same as `?sslrootcert=FILE` in the address; a server that asks for a
    /// client certificate gets that of `?sslcert=FILE&sslkey=FILE`.
    pub ca: Option<PathBuf>,
    /// Whether a server on another machine may be used without TLS, or without verifying its certificate and name. Default: no.
    pub allow_plaintext: bool,
    /// Most connections; for an embedded database, those that read. Default: 16; embedded: processors + 2.
    pub pool_size: Option<u32>,
    /// Connections to a server that are kept open even while nobody needs them. Default: 0.
    pub pool_min: Option<u32>,
    /// A connection to a server that nobody used for so long is closed; `0s`: never. Default: 10m.
    pub max_idle_time: Option<Span>,
    /// A connection to a server that is so old is closed when it is free, and a new one made; `0s`: never. Default: 30m.
    pub max_connection_age: Option<Span>,
    /// SQL that tests a connection to a server that was idle, before it is used again. Default: what the database itself has for that.
    pub test_query: Option<String>,
    /// Whether a pooler that gives each transaction another session is before the server: PgBouncer in transaction mode. Nothing is kept
    /// in a session then. The same as `?statement-cache-capacity=0` in the address. Default: false.
    pub pooler: bool,
    /// For one statement. Default: 5s.
    pub statement_timeout: Option<Span>,
    /// For one `Transaction`; then it is rolled back, so that a stuck policy holds no locks. Default: 5s.
    pub transaction_timeout: Option<Span>,
    /// For getting a connection, or the lock of an embedded database. Default: 5s.
    pub wait_timeout: Option<Span>,
    /// Durability of the embedded database: `full` (default) survives a power cut, `normal` only a crash of the gateway.
    pub synchronous: Option<Synchronous>,
}

/// Durability of the embedded database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// An acknowledged write survives a power cut.
    Full,
    /// It survives the end of the process, not of the machine.
    Normal,
}

/// Prints only the scheme, because URLs and passwords are secret.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection({}://[secret])", self.url.split(':').next().unwrap_or(""))
    }
}

/// A Redis server. `redis: redis://127.0.0.1` is short for `redis: { url: … }`.
#[derive(Clone, PartialEq, Default, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub struct Redis {
    /// `rediss://host:port/database`, `redis://…` without TLS, or `unix:///path`.
    pub url: String,
    /// User, if the URL contains none.
    pub user: Option<String>,
    /// Password, if the URL contains none.
    pub password: Option<String>,
    /// File (relative to the home) whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM file (relative to the home) with the authorities of the server's certificate. Default: the public ones.
    pub ca: Option<PathBuf>,
    /// Whether a server on another machine may be used without TLS. Default: no.
    pub allow_plaintext: bool,
}

/// Prints nothing of it, because URLs and passwords are secret.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redis([secret])")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisFields {
    url: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    allow_plaintext: bool,
}

impl From<RedisFields> for Redis {
    fn from(f: RedisFields) -> Self {
        Redis {
            url: f.url,
            user: f.user,
            password: f.password,
            password_file: f.password_file,
            ca: f.ca,
            allow_plaintext: f.allow_plaintext,
        }
    }
}

impl<'de> Deserialize<'de> for Redis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<D, RedisFields, _>(
            deserializer,
            "the URL of a Redis server such as `rediss://redis.example`, or a map with `url`",
            |text| text.contains("://").then(|| Redis { url: text.to_owned(), ..Redis::default() }),
        )
    }
}

/// A user of a `federated` provider: found by the subject of a certificate, or by the certificate itself.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederatedUser {
    /// Name in policies.
    pub name: String,
    /// The whole distinguished name (RFC 4514) of the certificate's subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// PEM file (relative to the home) whose first certificate is this user's only one. No authority has to vouch for it.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
}

/// Where users come from. `Name: internal` is short for `Name: { type: internal }`.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct IdentityProvider {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ProviderKind,
    /// PEM files (relative to the home) of authorities. `federated`: those whose certificates identify users; default: those in
    /// `keys/trusted/`. `ldap`: those of the directory's certificate; default: the ones that browsers trust.
    #[serde(default)]
    pub trusted: Vec<PathBuf>,
    /// `federated`: regular expression that the certificate's subject must match. Default: any subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// `federated`: the users, where not everybody whom an authority certifies is one.
    #[serde(default)]
    pub users: Vec<FederatedUser>,
    /// `ldap`: `ldaps://host`, or `ldap://host` with `start_tls`.
    #[serde(default)]
    pub url: Option<String>,
    /// `ldap`: whether an `ldap://` connection switches to TLS before anything else. Default: no.
    #[serde(default)]
    pub start_tls: bool,
    /// `ldap`: whether passwords may travel unencrypted to another machine. Default: no.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// `ldap`: base of the search for users.
    #[serde(default)]
    pub base: Option<String>,
    /// `ldap`: how far below `base` to search. Default: `subtree`.
    #[serde(default)]
    pub scope: SearchScope,
    /// `ldap`: search filter with `{}` for the name that was typed. Default: `(NAME_ATTRIBUTE={})`.
    #[serde(default)]
    pub filter: Option<String>,
    /// `ldap`: the account that searches. Default: anonymous.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// `ldap`: file (relative to the home) with the password of `bind_dn`.
    #[serde(default)]
    pub bind_password_file: Option<PathBuf>,
    /// `ldap`: attribute with the login name. Default: `uid`; Active Directory: `sAMAccountName`.
    #[serde(default)]
    pub name_attribute: Option<String>,
    /// `ldap`: attribute that survives renaming and is never given to another user. Default: the first of `entryUUID`,
    /// `objectGUID`, `ipaUniqueID`, `nsUniqueId` that the entry has, otherwise its distinguished name.
    #[serde(default)]
    pub id_attribute: Option<String>,
    /// `ldap`: attribute that becomes the user's `role`; for a distinguished name (`memberOf`) its first part. Default: none.
    #[serde(default)]
    pub role_attribute: Option<String>,
    /// `ldap`: further attributes of users: name in policies, name in the directory.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// `ldap`: base of the search for groups, whose `cn` become the user's `groups`. Default: no search.
    #[serde(default)]
    pub group_base: Option<String>,
    /// `ldap`: search filter for groups, with `{dn}` for the user's distinguished name and `{}` for the login name. Default:
    /// `(member={dn})`.
    #[serde(default)]
    pub group_filter: Option<String>,
    /// `ldap`: for connecting, including the TLS handshake. Default: 5s.
    #[serde(default)]
    pub connect_timeout: Option<Span>,
    /// `ldap`: for one request. Default: 5s.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// `ldap`: most connections that search, and most that check passwords. Default: 8.
    #[serde(default)]
    pub pool_size: Option<u32>,
}

/// How far a search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SearchScope {
    /// The base and everything below it.
    #[default]
    Subtree,
    /// Only entries directly below the base.
    One,
}

impl fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity provider({:?})", self.kind)
    }
}

/// Kinds of identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// The gateway's own users (`portcullis user add`).
    Internal,
    /// Holders of certificates.
    Federated,
    /// A directory.
    Ldap,
}

/// Reads either a text, for the most important field, or the whole map.
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
            // INVARIANT: the text is not shown. An address may hold a password, in whatever form it was written.
            (self.1)(text).ok_or_else(|| E::custom(format_args!("this is not {}", self.0)))
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
    ca: Option<PathBuf>,
    #[serde(default)]
    allow_plaintext: bool,
    #[serde(default)]
    pool_size: Option<u32>,
    #[serde(default)]
    pool_min: Option<u32>,
    #[serde(default)]
    max_idle_time: Option<Span>,
    #[serde(default)]
    max_connection_age: Option<Span>,
    #[serde(default)]
    test_query: Option<String>,
    #[serde(default)]
    pooler: bool,
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
            ca: f.ca,
            allow_plaintext: f.allow_plaintext,
            pool_size: f.pool_size,
            pool_min: f.pool_min,
            max_idle_time: f.max_idle_time,
            max_connection_age: f.max_connection_age,
            test_query: f.test_query,
            pooler: f.pooler,
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
            |text| (text == "none" || text.contains("://")).then(|| Connection { url: text.to_owned(), ..Connection::default() }),
        )
    }
}

/// The whole map of a provider.
struct ProviderMap(IdentityProvider);

impl<'de> Deserialize<'de> for ProviderMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function, which `remote = "Self"` makes a function of the type instead of the trait.
        IdentityProvider::deserialize(deserializer).map(ProviderMap)
    }
}

impl From<ProviderMap> for IdentityProvider {
    fn from(map: ProviderMap) -> Self {
        map.0
    }
}

impl<'de> Deserialize<'de> for IdentityProvider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<D, ProviderMap, _>(deserializer, "`internal`, `federated`, or a map with `type`", |text| {
            let kind = match text {
                "internal" => ProviderKind::Internal,
                "federated" => ProviderKind::Federated,
                _ => return None,
            };
            Some(IdentityProvider::new(kind))
        })
    }
}

impl IdentityProvider {
    /// A provider of this kind with all defaults.
    pub fn new(kind: ProviderKind) -> Self {
        IdentityProvider {
            kind,
            trusted: Vec::new(),
            subject: None,
            users: Vec::new(),
            url: None,
            start_tls: false,
            allow_plaintext: false,
            base: None,
            scope: SearchScope::default(),
            filter: None,
            bind_dn: None,
            bind_password_file: None,
            name_attribute: None,
            id_attribute: None,
            role_attribute: None,
            attributes: BTreeMap::new(),
            group_base: None,
            group_filter: None,
            connect_timeout: None,
            timeout: None,
            pool_size: None,
        }
    }
}
