//! The sections of `gateway.yaml`, each with its defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::units::{Bytes, ListenAddress, Network, Span, scalar_text};
use super::{HostName, Property};

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listeners {
    /// HTTPS. Default: `127.0.0.1:8443`, for this machine only.
    pub https: ListenAddress,
    /// Plain HTTP. Default: `127.0.0.1:8080`, for this machine only.
    pub http: ListenAddress,
    /// Networks of proxies in front of this gateway. For requests from there, `forwarded_header` says where they come from.
    /// Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The header that these proxies write: `X-Forwarded-For` (default) or `Forwarded`. The other one is ignored, because proxies
    /// forward what they do not write.
    pub forwarded_header: ForwardedHeader,
}

/// The header in which proxies name their client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// The header that most proxies write.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl<'de> Deserialize<'de> for ForwardedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match scalar_text(deserializer, "`X-Forwarded-For` or `Forwarded`")?.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(ForwardedHeader::XForwardedFor),
            "forwarded" => Ok(ForwardedHeader::Forwarded),
            other => Err(de::Error::custom(format_args!("`{other}` is not supported: use `X-Forwarded-For` or `Forwarded`"))),
        }
    }
}

impl Default for Listeners {
    fn default() -> Self {
        let at = |port| ListenAddress::At(([127, 0, 0, 1], port).into());
        Listeners { https: at(8443), http: at(8080), trusted_proxies: Vec::new(), forwarded_header: ForwardedHeader::default() }
    }
}

/// Certificate and protocol versions of the HTTPS listener.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Alias of the private key (in `keys/`) whose certificate is served. Default: `default_ssl_key`.
    pub key: String,
    /// Oldest accepted version. Default: `1.2`.
    pub min_version: TlsVersion,
    /// Whether clients are asked for a certificate. Default: `optional`.
    pub client_certificate: ClientCertificate,
}

impl Default for Tls {
    fn default() -> Self {
        Tls { key: "default_ssl_key".to_owned(), min_version: TlsVersion::V12, client_certificate: ClientCertificate::Optional }
    }
}

/// Whether what standards advise against is off, unless a policy turns it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// What existing clients may need is on.
    #[default]
    Standard,
    /// Policies turn off what new clients do not need, and answers carry `X-Content-Type-Options` and, over TLS,
    /// `Strict-Transport-Security` (RFC 6797).
    Strict,
}

impl Security {
    /// The word in `gateway.yaml` and in `${gateway.security}`.
    pub fn word(self) -> &'static str {
        match self {
            Security::Standard => "standard",
            Security::Strict => "strict",
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Without quotes, `1.2` is a number in YAML.
        match scalar_text(deserializer, "`1.2` or `1.3`")?.as_str() {
            "1.2" => Ok(TlsVersion::V12),
            "1.3" => Ok(TlsVersion::V13),
            other => Err(de::Error::custom(format_args!("`{other}` is not a supported TLS version: use `1.2` or `1.3`"))),
        }
    }
}

/// Whether TLS clients are asked for a certificate. Any certificate is accepted if the client proves that it has the key;
/// policies decide whether to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// Not asked for.
    None,
    /// Asked for, none is fine.
    Optional,
    /// A handshake without one fails.
    Required,
}

/// Limits for one client. They are live: connections that are opened after a change have the new ones. Only `drain_delay` and
/// `shutdown_timeout` need a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Request line and header fields together; more is answered with 431. Default: 32 KiB.
    pub header_bytes: Bytes,
    /// Request body; more is answered with 413. Default: 1 MiB.
    pub body_bytes: Bytes,
    /// From connecting to the end of the first header, including the TLS handshake, and from a later header's first byte to its
    /// last. Default: 10s.
    pub header_timeout: Span,
    /// For a request body, from header to last byte. Default: 30s.
    pub body_timeout: Span,
    /// For a connection without a request. Default: 60s.
    pub idle_timeout: Span,
    /// For answering one request once it has been read; then 504. Default: 60s.
    pub request_timeout: Span,
    /// For reading an answer: a client that reads less than 16 KiB of it in this time, or less than the rest, loses the HTTP/2
    /// stream or the connection. Default: 30s.
    pub write_timeout: Span,
    /// Memory for answers that clients have not read yet; when it is full, the connection that uses most of it is cut. Default:
    /// 256 MiB.
    pub answer_memory: Bytes,
    /// What one HTTP/2 connection may use of it before its further requests wait. A connection that uses more and reads nothing
    /// for five seconds is cut. One answer alone may be larger. Trusted proxies, which serve many clients, are not limited.
    /// Default: 1 MiB.
    pub connection_answer_memory: Bytes,
    /// Memory for the bodies of all running requests; when it is full, a request is answered with 503. One connection gets a 64th
    /// of it or the space of four bodies, whichever is more. Default: 256 MiB.
    pub body_memory: Bytes,
    /// Most connections over all listeners; further ones wait. Default: 10000, or what the limit of open files allows.
    pub max_connections: usize,
    /// Most connections from one address (IPv6: one /64); further ones are closed at once. Default: 5000.
    pub connections_per_address: usize,
    /// Most parallel requests on one HTTP/2 connection. Default: 128.
    pub http2_streams: u32,
    /// How long the gateway still accepts requests after it was told to stop, while `/ready` says so, so that load balancers
    /// notice. Default: 0s.
    pub drain_delay: Span,
    /// How long running requests may take to finish when the gateway is told to stop. Default: 30s.
    pub shutdown_timeout: Span,
    /// For one run of a task; then it is aborted and its transactions are rolled back. Default: 5m.
    pub task_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        Limits {
            header_bytes: Bytes(32 << 10),
            body_bytes: Bytes(1 << 20),
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            idle_timeout: seconds(60),
            request_timeout: seconds(60),
            write_timeout: seconds(30),
            answer_memory: Bytes(256 << 20),
            connection_answer_memory: Bytes(1 << 20),
            body_memory: Bytes(256 << 20),
            max_connections: 10_000,
            connections_per_address: 5_000,
            http2_streams: 128,
            drain_delay: seconds(0),
            shutdown_timeout: seconds(30),
            task_timeout: seconds(300),
        }
    }
}

impl Limits {
    /// The share of `body_memory` that one connection may take.
    pub fn connection_body_memory(&self) -> usize {
        (self.body_memory.0 / 64).max(self.body_bytes.0.saturating_mul(4))
    }
}

/// The monitoring pages.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Monitoring {
    /// Path of the health page. Default: `/health`.
    pub health: String,
    /// Path of the metrics page. Default: `/metrics`.
    pub metrics: String,
    /// Who may read them: `loopback` (default), `any`, `off`.
    pub audience: Audience,
    /// The address of `/metrics`, `/live`, `/ready` and `/status`, over plain HTTP and never through a proxy, or `off`. Default:
    /// `127.0.0.1:8444`, unless something else listens there.
    pub listen: Option<ListenAddress>,
}

impl Default for Monitoring {
    fn default() -> Self {
        Monitoring { health: "/health".to_owned(), metrics: "/metrics".to_owned(), audience: Audience::Loopback, listen: None }
    }
}

/// Who may read the monitoring pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Peers on this machine.
    Loopback,
    /// Everybody.
    Any,
    /// Nobody.
    Off,
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match scalar_text(deserializer, "`loopback`, `any` or `off`")?.as_str() {
            "loopback" => Ok(Audience::Loopback),
            "any" => Ok(Audience::Any),
            "off" | "false" => Ok(Audience::Off),
            other => Err(de::Error::custom(format_args!("`{other}` is not an audience: `loopback`, `any` or `off`"))),
        }
    }
}

/// Log and audit.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,portcullis::services::store=debug`. Default: `info`.
    pub level: String,
    /// `text` (default) or `json`. The log goes to standard error.
    pub format: LogFormat,
    /// Whether every request is logged as a line. Default: no.
    pub access: bool,
    /// Where audit records go: `log` (default), `off`, `stdout`, `syslog`, `journal`, or a file (relative to the home) that gets
    /// one JSON object a line and is reopened on SIGHUP.
    pub audit: AuditTarget,
}

impl Default for Logging {
    fn default() -> Self {
        Logging { level: "info".to_owned(), format: LogFormat::Text, access: false, audit: AuditTarget::Log }
    }
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where audit details go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Into the log.
    Log,
    /// Nowhere.
    Off,
    /// Standard output, one JSON object a line.
    Stdout,
    /// The system's log, at this socket.
    Syslog(PathBuf),
    /// The journal of systemd, at this socket.
    Journal(PathBuf),
    /// A file, one JSON object a line.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for AuditTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match scalar_text(deserializer, "`log`, `off`, `stdout`, `syslog`, `journal` or a file")?.as_str() {
            "log" | "true" => AuditTarget::Log,
            "off" | "false" => AuditTarget::Off,
            "stdout" => AuditTarget::Stdout,
            "syslog" => AuditTarget::Syslog(PathBuf::from("/dev/log")),
            "journal" => AuditTarget::Journal(PathBuf::from("/run/systemd/journal/socket")),
            // Another default address, as in a container.
            path => match path.split_once(':') {
                Some(("syslog", socket)) => AuditTarget::Syslog(PathBuf::from(socket)),
                Some(("journal", socket)) => AuditTarget::Journal(PathBuf::from(socket)),
                _ => AuditTarget::File(PathBuf::from(path)),
            },
        })
    }
}

/// Sample data; published, so never for a gateway that others can reach.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Samples {
    /// Folders of scripts by connection, as in `schemas`, but of one dialect for all.
    pub scripts: BTreeMap<String, String>,
    /// Users of the internal identity provider.
    pub users: Vec<SampleUser>,
    /// Services that ship disabled and are served together with the sample data.
    pub services: Vec<String>,
}

/// A sample user.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleUser {
    /// Login name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Role.
    #[serde(default)]
    pub role: Option<String>,
}

/// Calls to other servers.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// For connecting, including the TLS handshake. Default: 5s.
    pub connect_timeout: Span,
    /// From the request's last byte to the answer's last. Default: 30s.
    pub read_timeout: Span,
    /// Most bytes of an answer's body. Default: 10 MiB.
    pub response_bytes: Bytes,
    /// PEM files (relative to the home) of further authorities trusted for TLS, besides the gateway's own.
    pub trusted: Vec<PathBuf>,
    /// Whether the authorities that browsers trust are trusted too. Default: yes.
    pub public_authorities: bool,
    /// If not empty, the only hosts that may be called: `host`, `*.domain`, an address or a network (`10.0.0.0/8`), each with an
    /// optional `:port`. A name allows that name, whatever its address; an address or network allows URLs with such an address in
    /// any spelling.
    pub allow: Vec<String>,
    /// What may not be called, in the same form; checked before `allow`. A name denies that name. An address or network denies
    /// every name and spelling that leads to it. `localhost`, or one loopback address, denies all loopback addresses of this
    /// machine.
    pub deny: Vec<String>,
    /// Whether this machine and private networks may be called. Default: yes.
    pub private_targets: bool,
    /// Private hosts and addresses that may be called even where a client chose the URL, in the form of `allow`. Default: none.
    pub client_targets: Vec<String>,
    /// Cookies of this gateway besides those that its policies set: `name`, or `beginning*`. Policies do not forward them with a
    /// client's request unless they name them, and no other server may set them.
    pub own_cookies: Vec<String>,
    /// How a server learns from whom a forwarded request comes: `X-Forwarded` (default: `X-Forwarded-For`, `-Host`, `-Proto`),
    /// `Forwarded` (RFC 7239) or `off`.
    pub forwarded: Forwarded,
}

/// The fields that tell a server for whom a request is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// The usual fields: `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Proto`.
    #[default]
    Common,
    /// RFC 7239: `Forwarded`.
    Standard,
    /// It is not told.
    Off,
}

impl<'de> Deserialize<'de> for Forwarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match scalar_text(deserializer, "`X-Forwarded`, `Forwarded` or `off`")?.to_ascii_lowercase().as_str() {
            "x-forwarded" => Ok(Forwarded::Common),
            "forwarded" => Ok(Forwarded::Standard),
            "off" | "false" => Ok(Forwarded::Off),
            other => Err(de::Error::custom(format_args!("`{other}` is not written here: `X-Forwarded`, `Forwarded` or `off`"))),
        }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Outbound {
            connect_timeout: Span(Duration::from_secs(5)),
            read_timeout: Span(Duration::from_secs(30)),
            response_bytes: Bytes(10 << 20),
            trusted: Vec::new(),
            public_authorities: true,
            allow: Vec::new(),
            deny: Vec::new(),
            private_targets: true,
            client_targets: Vec::new(),
            own_cookies: Vec::new(),
            forwarded: Forwarded::default(),
        }
    }
}

/// Traces and metrics for a collector of OpenTelemetry, by OTLP over HTTP with JSON.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// Where the collector is, without `/v1/traces`: `https://collector.example:4318`. Default: none, and nothing is sent.
    pub endpoint: String,
    /// Header fields to send, such as credentials.
    pub headers: BTreeMap<String, Property>,
    /// Which share of requests is traced, 0 to 1. Default: 1.
    pub traces: f64,
    /// How often metrics are sent. Default: 60s.
    pub metrics: Span,
}

impl Default for Otlp {
    fn default() -> Self {
        Otlp { endpoint: String::new(), headers: BTreeMap::new(), traces: 1.0, metrics: Span(Duration::from_secs(60)) }
    }
}

/// The other gateways on the same databases. What one of them changes, all know at once if they are connected.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// A Redis server over which they tell each other what to remove from caches. Default: none; then a PostgreSQL database among
    /// `connections` passes messages on, and without one each gateway uses its caches until they expire.
    #[schemars(with = "Option<super::schema::TextOr<super::Redis>>")]
    pub redis: Option<super::Redis>,
    /// The connection whose PostgreSQL database passes messages on where there is no `redis`, or `off`. Default: the first one of
    /// PostgreSQL.
    #[serde(deserialize_with = "connection_or_off")]
    pub connection: Option<String>,
    /// Gateways with the same name on the same server belong together. Default: `portcullis`.
    pub name: String,
    /// How long caches are used while there is no connection to the others. Default: 30s.
    pub outdated: Span,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { redis: None, connection: None, name: "portcullis".to_owned(), outdated: Span(Duration::from_secs(30)) }
    }
}

fn connection_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = scalar_text(deserializer, "the name of a connection, or `off`")?;
    Ok(Some(if name == "false" { "off".to_owned() } else { name }))
}

/// How changes of files take effect.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Whether files are watched. Default: yes.
    pub watch: bool,
    /// How long files must be quiet before they are read. Default: 120ms.
    pub settle: Span,
}

impl Default for Reload {
    fn default() -> Self {
        Reload { watch: true, settle: Span(Duration::from_millis(120)) }
    }
}

pub(super) fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HostName, D::Error> {
    let name = scalar_text(deserializer, "a host name")?;
    let fits = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'));
    if fits { Ok(HostName(name)) } else { Err(de::Error::custom(format_args!("`{name}` is not a host name"))) }
}
