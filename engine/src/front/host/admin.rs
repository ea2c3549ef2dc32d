//! The listener for operators and monitoring: `/metrics`, `/live`, `/ready`, `/status`. It serves no policies.
//!
//! INVARIANT: nobody gets here through a proxy. A forwarded request is refused, whatever the listener's address. On this machine,
//! so is a request that names a host, because a page in a browser may have caused it (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header, request};

use super::handler::plain;
use super::{Host, receive};
use crate::front::server::{ConnInfo, Handler, Running, Server};
use crate::policy::answer::Answering;
use crate::policy::request::Request;
use crate::services::config::{Config, Limits, ListenAddress};
use crate::services::telemetry::Correlation;

/// Its default address.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8444);
/// Connections at a time.
const CONNECTIONS: usize = 64;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The listener.
pub(super) struct Admin {
    host: Arc<Host>,
}

/// Opens the listener unless it is off. An address in use is only an error if it was configured.
pub(super) fn listen(config: &Config) -> Result<Option<Server>, crate::front::server::BindError> {
    let limits = Limits { max_connections: CONNECTIONS, connections_per_address: CONNECTIONS, ..config.limits.clone() };
    match config.monitoring.listen {
        Some(ListenAddress::Off) => Ok(None),
        Some(ListenAddress::At(address)) => Server::bind_plain(address, limits).map(Some),
        None => Ok(Server::bind_plain(DEFAULT, limits)
            .inspect_err(|error| {
                tracing::warn!("no `/ready`, `/live` and `/status`: {error}; see `monitoring.listen` in gateway.yaml")
            })
            .ok()),
    }
}

/// Begins to answer.
pub(super) fn start(host: &Arc<Host>, server: Server) -> Running {
    server.start(Arc::new(Admin { host: Arc::clone(host) }))
}

impl Handler for Admin {
    fn handle(&self, head: &mut request::Parts, body: Bytes, conn: &ConnInfo, correlation: &Correlation) -> Answering {
        let (admin, direct) = (Admin { host: Arc::clone(&self.host) }, conn.direct);
        match receive::request(head, body, conn, correlation) {
            Ok(request) => Answering::later(async move { admin.answer(request, direct).await }),
            Err(why) => Answering::Now(plain(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n"))),
        }
    }
}

impl Admin {
    /// `direct`: whether no proxy passed the request on.
    async fn answer(&self, request: Box<Request>, direct: bool) -> Response<Bytes> {
        if !direct {
            return plain(StatusCode::FORBIDDEN, TEXT, "a proxy passed this request on; ask the gateway itself\n".to_owned());
        }
        if request.remote.ip().to_canonical().is_loopback() && !names_this_machine(&request.host) {
            return plain(StatusCode::FORBIDDEN, TEXT, "ask by address, or by the name `localhost`\n".to_owned());
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET, HEAD\n".to_owned());
            refusal.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match request.path.as_str() {
            "/live" => plain(StatusCode::OK, TEXT, "live\n".to_owned()),
            "/ready" => self.ready().await,
            "/status" => {
                let account = self.host.account().await;
                plain(StatusCode::OK, JSON, serde_json::to_string_pretty(&account).unwrap_or_default() + "\n")
            }
            "/metrics" => self.host.metrics_page(),
            _ => plain(StatusCode::NOT_FOUND, TEXT, "/metrics, /live, /ready, /status\n".to_owned()),
        }
    }

    /// Whether requests should be sent here: not after the gateway was told to stop, and not while a database is down.
    async fn ready(&self) -> Response<Bytes> {
        let databases = self.host.databases().await;
        let down: Vec<&str> = databases.iter().filter(|(_, up)| !**up).map(|(name, _)| name.as_str()).collect();
        let (status, why) = if self.host.is_draining() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping".to_owned())
        } else if down.is_empty() {
            (StatusCode::OK, "ready".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("no answer from: {}", down.join(", ")))
        };
        plain(status, TEXT, why + "\n")
    }
}

fn names_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}
