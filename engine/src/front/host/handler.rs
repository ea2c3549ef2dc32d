//! From a request on a connection to the answer of a generation; also serves the gateway's own pages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request};

use super::{Host, receive};
use crate::front::server::{ConnInfo, Handler};
use crate::policy::site::Routed;
use crate::services::config::{Audience, Config, Monitoring, Security};

/// How long the health page waits for a database.
const PING: Duration = Duration::from_secs(2);

/// The handler in front of the policies.
pub struct Front {
    host: Arc<Host>,
    monitoring: Monitoring,
    access_log: bool,
}

impl Front {
    pub(super) fn new(host: Arc<Host>, config: &Config) -> Self {
        Front { host, monitoring: config.monitoring.clone(), access_log: config.logging.access }
    }

    /// Decides here what to do for a request; only the waiting is in the future. The future is built from combinators, because an
    /// `async` block stores a given future beside the awaited one, and futures are copied when they are made.
    fn answer(&self, head: request::Parts, body: Bytes, conn: &ConnInfo) -> impl Future<Output = Response<Bytes>> + Send {
        let request = match receive::request(head, body, conn) {
            Ok(request) => request,
            Err(why) => {
                let status = StatusCode::BAD_REQUEST;
                self.refused(status);
                let refusal = plain(status, "text/plain; charset=utf-8", format!("{status}: {why}\n"));
                return Either::Right(std::future::ready(refusal).boxed());
            }
        };
        // INVARIANT: one generation from here to the answer.
        let site = self.host.site.load_full();
        if self.is_own(&request.path, conn) && matches!(site.route(&request.path), Routed::Nowhere) {
            return Either::Right(async move { self.own_page(&request.path).await }.boxed());
        }
        Either::Left(site.handle(request))
    }

    fn is_own(&self, path: &str, conn: &ConnInfo) -> bool {
        let Monitoring { health, metrics, audience } = &self.monitoring;
        (path == health || path == metrics)
            && match audience {
                // Behind a proxy on this machine, every client would seem to be on it.
                Audience::Loopback => conn.direct && conn.remote.ip().to_canonical().is_loopback(),
                Audience::Any => true,
                Audience::Off => false,
            }
    }

    async fn own_page(&self, path: &str) -> Response<Bytes> {
        if path == self.monitoring.metrics {
            let page = self.host.metrics.page();
            return plain(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", page);
        }
        let mut connections = serde_json::Map::new();
        let mut up = true;
        for connection in self.host.services().connections.iter() {
            let answers = matches!(tokio::time::timeout(PING, connection.ping()).await, Ok(Ok(())));
            up &= answers;
            connections.insert(connection.name().to_string(), if answers { "up" } else { "down" }.into());
        }
        let status = self.host.status();
        let page = serde_json::json!({
            "status": if up { "up" } else { "down" },
            "generation": status.generation,
            "last_reload": if status.last_reload.as_ref().is_none_or(|last| last.ok) { "ok" } else { "refused" },
            "connections": connections,
        });
        plain(if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "application/json", format!("{page}\n"))
    }
}

impl Handler for Front {
    fn handle(&self, head: request::Parts, body: Bytes, conn: &ConnInfo) -> impl Future<Output = Response<Bytes>> + Send {
        let logged = self.access_log.then(|| (head.method.clone(), head.uri.path().to_owned(), std::time::Instant::now()));
        let (remote, secure) = (conn.remote.ip(), conn.secure);
        let security = self.host.site.load().services.security;
        self.answer(head, body, conn).map(move |mut response| {
            if security == Security::Strict {
                harden(response.headers_mut(), secure);
            }
            if let Some((method, path, started)) = logged {
                let (status, bytes, micros) =
                    (response.status().as_u16(), response.body().len(), started.elapsed().as_micros() as u64);
                // Queries may contain tokens; paths do not.
                tracing::info!(target: "access", %remote, secure, %method, path, status, bytes, micros);
            }
            response
        })
    }

    fn refused(&self, status: StatusCode) {
        self.host.metrics.refused(status.as_u16());
    }
}

/// Tells browsers to be strict. A policy's own fields win.
fn harden(headers: &mut HeaderMap, secure: bool) {
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    // Not over plain HTTP, where it has no meaning (RFC 6797, section 7.2).
    if secure {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static("max-age=31536000"));
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
