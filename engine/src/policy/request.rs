//! A request as policies see it: its message, and the facts of its connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use smol_str::SmolStr;

use crate::data::certificate::Certificate;
use crate::data::message::{Message, Parameters};
use crate::services::telemetry::Correlation;

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Headers and body.
    pub message: Message,
    /// Method.
    pub method: Method,
    /// Protocol version.
    pub version: Version,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Host it was sent to, without port.
    pub host: SmolStr,
    /// Port it was sent to.
    pub port: u16,
    /// Path as sent, without the query, still escaped; escapes in upper case unless the service says `paths raw`. `data::path`
    /// says which forms it may have.
    pub path: SmolStr,
    /// What `*` in the service's path matched.
    pub path_rest: SmolStr,
    /// Query without the question mark.
    pub query: SmolStr,
    /// The peer.
    pub remote: SocketAddr,
    /// Certificate that the peer presented in the TLS handshake. The peer has proven that it has the key; trust is not decided.
    pub client_certificate: Option<Arc<Certificate>>,
    /// When it arrived, for elapsed time.
    pub started: Instant,
    /// Depth of calls between policies of this gateway.
    pub depth: u8,
    /// Connections on which the calling policies have an open transaction.
    pub held: Vec<SmolStr>,
    correlation: Correlation,
    query_parameters: OnceLock<Parameters>,
}

impl Request {
    /// A request with only method and path; the server and tests fill in the rest.
    pub fn new(method: Method, path: impl Into<SmolStr>) -> Self {
        Request::of(method, path, HeaderMap::new(), Bytes::new(), Correlation::new())
    }

    /// The same with header fields and a body, identified like this.
    // Made where it is kept, not moved there.
    #[inline(always)]
    pub fn of(method: Method, path: impl Into<SmolStr>, headers: HeaderMap, body: Bytes, correlation: Correlation) -> Self {
        Request {
            message: Message::of(headers, body),
            method,
            version: Version::HTTP_11,
            secure: false,
            host: SmolStr::default(),
            port: 0,
            path: path.into(),
            path_rest: SmolStr::default(),
            query: SmolStr::default(),
            remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            client_certificate: None,
            started: Instant::now(),
            depth: 0,
            held: Vec::new(),
            correlation,
            query_parameters: OnceLock::new(),
        }
    }

    /// Identifies this request in the log, in audit records, in its answer and to other servers.
    pub fn correlation(&self) -> &Correlation {
        &self.correlation
    }

    /// The same request, identified like this.
    #[must_use]
    pub fn with(mut self, correlation: Correlation) -> Self {
        self.correlation = correlation;
        self
    }

    /// Its id.
    pub fn id(&self) -> &SmolStr {
        self.correlation().id()
    }

    /// Puts another query in the place of this one.
    pub fn set_query(&mut self, query: &str) {
        self.query = SmolStr::new(query);
        self.query_parameters = OnceLock::new();
    }

    /// Parameters of the URL.
    pub fn query_parameters(&self) -> &Parameters {
        if self.query.is_empty() {
            return Parameters::none();
        }
        self.query_parameters.get_or_init(|| Parameters::parse(self.query.as_bytes()))
    }

    /// The first parameter of this name, in the URL or else in the form.
    pub fn parameter(&self, name: &str) -> Option<&SmolStr> {
        self.query_parameters().first(name).or_else(|| self.message.form().first(name))
    }

    /// All parameters of this name, those of the URL first.
    pub fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SmolStr> + 'a {
        self.query_parameters().all(name).chain(self.message.form().all(name))
    }

    /// The port that its scheme means when none is named.
    pub fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }

    /// The URL as the client sees it.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{scheme}://{host}:{}{}{mark}{}", self.port, self.path, self.query)
    }
}
