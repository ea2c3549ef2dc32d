//! Calls to other servers: pooled HTTP/1.1 and HTTP/2, TLS with the gateway's own trust, optionally with a client certificate.
//!
//! This module decides what may be called, for every policy: schemes, allowed and denied hosts and addresses, private addresses.
//! The assertion runs a call to this gateway itself in process, and asks [`Outbound::admit`] first. Proxies from the environment
//! (`HTTPS_PROXY` and the like) are not used, because they would connect to unchecked addresses.

mod anybody;
#[cfg(test)]
pub(crate) mod backend;
mod connector;
pub mod fields;
mod policy;
mod trust;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use smol_str::SmolStr;

use crate::services::config::{Forwarded, Outbound as Settings};
use crate::services::keys::KeyStore;
use crate::services::telemetry::Metrics;

pub use anybody::Anybody;
use connector::Connector;
pub use policy::{OutboundError, Target, Targets, is_localhost, is_loopback};

/// Most idle connections per host.
const IDLE_PER_HOST: usize = 32;
/// Longest idle time.
const IDLE_TIME: Duration = Duration::from_secs(50);
/// How often the other end of an HTTP/2 connection is asked whether it is there while calls wait for it, and how long for an answer: all
/// calls to a server share one connection, and one that broke silently must not hold them all up.
const PING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));

/// Why a call has no answer. Policies see the number as `reasonCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The host has no address.
    UnknownHost,
    /// The text is not a URL, or the URL may not be called.
    BadUrl,
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    ReadTimeout,
    /// Anything else: refused, aborted, not trusted, too large.
    Other,
}

impl Failed {
    /// A word for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Failed::UnknownHost => "unknown_host",
            Failed::BadUrl => "refused",
            Failed::ConnectTimeout => "connect_timeout",
            Failed::ReadTimeout => "read_timeout",
            Failed::Other => "failed",
        }
    }

    /// The number that policies see.
    pub fn code(self) -> i64 {
        match self {
            Failed::UnknownHost => -1,
            Failed::BadUrl => -2,
            Failed::ConnectTimeout => -3,
            Failed::ReadTimeout => -4,
            Failed::Other => -5,
        }
    }
}

/// A failed call with a text for the log.
#[derive(Debug)]
pub struct CallError {
    /// Which kind.
    pub failed: Failed,
    /// What happened. Never contains the URL's query.
    pub detail: String,
    /// Whether there was a connection, and it broke: the server may have got the call.
    pub broken: bool,
}

impl CallError {
    /// An error of this kind.
    pub fn new(failed: Failed, detail: impl Into<String>) -> Self {
        CallError { failed, detail: detail.into(), broken: false }
    }

    /// A connection that broke.
    fn broken(detail: impl Into<String>) -> Self {
        CallError { broken: true, ..CallError::new(Failed::Other, detail) }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for CallError {}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where.
    pub uri: Uri,
    /// Method.
    pub method: Method,
    /// Header fields of a message. Those that belong to the connection are left out, also those that the message declares so.
    pub headers: HeaderMap,
    /// Header fields set by the policy. They arrive whatever the others are.
    pub set: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Alias and key of the client certificate to show.
    pub identity: Option<(String, Arc<CertifiedKey>)>,
    /// Names of the trusted certificates that alone count for this call; `None`: all that the gateway trusts.
    pub trust: Option<Arc<[SmolStr]>>,
    /// Instead of the configured time for an answer.
    pub timeout: Option<Duration>,
    /// Instead of the configured size of an answer.
    pub max_bytes: Option<usize>,
    /// Whether the URL comes from a client: then private targets are refused unless `client_targets` of the settings names them.
    pub public_only: bool,
}

impl Call {
    /// The header fields that are sent.
    pub fn fields(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        fields::remove_connection_fields(&mut headers);
        self.set.keys().for_each(|name| drop(headers.remove(name)));
        headers.extend(self.set.clone());
        headers
    }
}

type Pool = Client<Connector, Full<Bytes>>;

/// The client side of a gateway.
#[derive(Default)]
pub struct Outbound {
    settings: Settings,
    targets: Arc<Targets>,
    /// What may be called where a client chose the URL.
    client_targets: Arc<Targets>,
    keys: Arc<KeyStore>,
    extra: Vec<CertificateDer<'static>>,
    metrics: Arc<Metrics>,
    pools: Mutex<Pools>,
}

/// Connections to use again, as long as keys and trusted certificates are those that they were made with. A connection that outlived
/// them would keep a trust that an operator has withdrawn.
#[derive(Default)]
struct Pools {
    /// Of the keys.
    version: u64,
    /// Connections are never shared between aliases, nor between lists of trusted certificates, nor between URLs of policies and URLs
    /// of clients, because different rules allowed them.
    open: HashMap<Which, Open>,
}

/// By what rules connections are made.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Which {
    /// The alias of the client certificate; the empty alias means none.
    alias: String,
    /// Names of the trusted certificates that count.
    trust: Option<Arc<[SmolStr]>>,
    public_only: bool,
}

/// Connections with one client certificate.
struct Open {
    shown: Option<Arc<CertifiedKey>>,
    pool: Pool,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbound")
    }
}

impl Outbound {
    /// Reads the authorities that are named; files are relative to `home`.
    pub fn open(settings: &Settings, home: &Path, keys: &Arc<KeyStore>) -> Result<Outbound, OutboundError> {
        let mut extra = Vec::new();
        for file in &settings.trusted {
            let path = home.join(file);
            let wrong = |error| OutboundError::Trusted { path: path.clone(), error };
            let pem = std::fs::read(&path).map_err(|error| wrong(error.into()))?;
            let before = extra.len();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                extra.push(certificate.map_err(|error| wrong(error.into()))?);
            }
            if extra.len() == before {
                return Err(wrong("there is no certificate in it".into()));
            }
        }
        let targets = Targets::new(settings)?;
        let client_targets = Arc::new(targets.of_clients(settings)?);
        let targets = Arc::new(targets);
        Ok(Outbound {
            settings: settings.clone(),
            targets,
            client_targets,
            keys: Arc::clone(keys),
            extra,
            metrics: Arc::default(),
            pools: Mutex::default(),
        })
    }

    /// The same, with the gateway's own ports and name.
    pub fn beside(mut self, ports: Vec<u16>, name: &str) -> Outbound {
        self.client_targets = Arc::new(Targets::clone(&self.client_targets).beside(ports.clone(), name));
        self.targets = Arc::new(Targets::clone(&self.targets).beside(ports, name));
        self
    }

    /// The same, counting its calls there.
    pub fn counting(mut self, metrics: &Arc<Metrics>) -> Outbound {
        self.metrics = Arc::clone(metrics);
        self
    }

    /// Whether a URL may be called, as far as its text shows.
    pub fn check(&self, uri: &Uri, public_only: bool) -> Result<Target, CallError> {
        self.rules(public_only).check(uri)
    }

    fn rules(&self, public_only: bool) -> &Arc<Targets> {
        if public_only { &self.client_targets } else { &self.targets }
    }

    /// Whether a target may be called, including its addresses: for calls without a connection.
    pub async fn admit(&self, target: &Target, public_only: bool) -> Result<(), CallError> {
        let rules = self.rules(public_only);
        match &target.host {
            url::Host::Domain(name) if rules.asks_for_addresses(target) => {
                connector::addresses(rules, target, name).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Names and prefixes (`name*`) of this gateway's own cookies, besides those that its policies set.
    pub fn own_cookies(&self) -> &[String] {
        &self.settings.own_cookies
    }

    /// The fields that tell a server for whom a request is forwarded.
    pub fn forwarded(&self) -> Forwarded {
        self.settings.forwarded
    }

    /// Makes the call. The answer contains its whole body.
    pub async fn call(&self, call: Call) -> Result<Response<Bytes>, CallError> {
        let started = std::time::Instant::now();
        let target = self.check(&call.uri, call.public_only)?;
        let pool = self.pool(&call)?;
        let limit = call.max_bytes.unwrap_or(self.settings.response_bytes.0);
        let patience = call.timeout.unwrap_or(self.settings.read_timeout.0);
        let headers = call.fields();
        let backend = format!("{}:{}", target.host, target.port);
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = target.uri;
        *request.headers_mut() = headers;
        // Connecting has its own limit. This one also starts with the call, so it must not be shorter.
        let exchange = async {
            let response = pool.request(request).await.map_err(|error| explain(&error))?;
            let (mut head, body) = response.into_parts();
            fields::remove_connection_fields(&mut head.headers);
            Ok(Response::from_parts(head, read(body, limit).await?))
        };
        let answer = match tokio::time::timeout(patience + self.settings.connect_timeout.0, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::new(Failed::ReadTimeout, format!("no answer within {patience:?}"))),
        };
        let result = match &answer {
            Ok(answer) => format!("{}xx", answer.status().as_u16() / 100),
            Err(error) => error.failed.word().to_owned(),
        };
        self.metrics.backend(&backend, result, started.elapsed());
        answer
    }

    fn pool(&self, call: &Call) -> Result<Pool, CallError> {
        let which = Which {
            alias: call.identity.as_ref().map_or_else(String::new, |(alias, _)| alias.clone()),
            trust: call.trust.clone(),
            public_only: call.public_only,
        };
        let identity = call.identity.as_ref().map(|(_, key)| key);
        // Asked for before the trusted certificates are read: if they change in between, the next call starts anew.
        let version = self.keys.version();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.version < version {
            *pools = Pools { version, open: HashMap::new() };
        }
        if let Some(Open { shown, pool }) = pools.open.get(&which)
            && shown.as_ref().map(Arc::as_ptr) == identity.map(Arc::as_ptr)
        {
            return Ok(pool.clone());
        }
        let tls =
            self.tls(identity, call.trust.as_deref()).map_err(|error| CallError::new(Failed::Other, format!("TLS: {error}")))?;
        let connector = Connector::new(tls, self.settings.connect_timeout.0, Arc::clone(self.rules(call.public_only)));
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIME)
            .build(connector);
        pools.open.insert(which, Open { shown: identity.cloned(), pool: pool.clone() });
        Ok(pool)
    }

    fn tls(
        &self,
        identity: Option<&Arc<CertifiedKey>>,
        trust: Option<&[SmolStr]>,
    ) -> Result<rustls::ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match trust {
            None => {
                let mut roots: RootCertStore = self.keys.roots();
                if self.settings.public_authorities {
                    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                }
                roots.add_parsable_certificates(self.extra.iter().cloned());
                builder.with_root_certificates(roots)
            }
            Some(names) => {
                let missing = |name: &SmolStr| rustls::Error::General(format!("there is no trusted certificate `{name}`"));
                let listed = self.keys.anchors_named(names).map_err(missing)?;
                builder.dangerous().with_custom_certificate_verifier(trust::Listed::new(&listed, provider)?)
            }
        };
        Ok(match identity {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
            None => builder.with_no_client_auth(),
        })
    }
}

/// Reads the whole body of an answer.
async fn read(mut body: hyper::body::Incoming, limit: usize) -> Result<Bytes, CallError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CallError::broken(format!("the answer was cut off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > limit {
            return Err(CallError::new(Failed::Other, format!("the answer is larger than {limit} bytes")));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// What went wrong, as far as the chain of causes shows.
fn explain(error: &hyper_util::client::legacy::Error) -> CallError {
    let mut detail = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(own) = error.downcast_ref::<CallError>() {
            return CallError::new(own.failed, own.detail.clone());
        }
        // The library wraps our error in an `io::Error`, whose `source` is that of the wrapped error.
        if let Some(own) = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()?.downcast_ref::<CallError>()) {
            return CallError::new(own.failed, own.detail.clone());
        }
        detail = format!("{detail}: {error}");
        cause = error.source();
    }
    if error.is_connect() { CallError::new(Failed::Other, detail) } else { CallError::broken(detail) }
}

#[cfg(test)]
mod tests;
