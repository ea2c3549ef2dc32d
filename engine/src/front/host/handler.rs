//! From a request on a connection to the answer of a generation; also serves the gateway's own pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use smol_str::SmolStr;

use super::{Host, receive};
use crate::front::server::{ConnInfo, Handler};
use crate::policy::answer::{Answering, Told};
use crate::policy::ctx::Refused;
use crate::policy::site::{Routed, Site};
use crate::services::config::{Audience, Config, Monitoring, Security};
use crate::services::telemetry::plain::Members;
use crate::services::telemetry::{Attribute, Correlation, Side, Span, Tracer, unix_nanos};

/// The handler in front of the policies.
pub struct Front {
    host: Arc<Host>,
    monitoring: Monitoring,
}

impl Front {
    pub(super) fn new(host: Arc<Host>, config: &Config) -> Self {
        Front { host, monitoring: config.monitoring.clone() }
    }

    fn answer(
        &self,
        site: &Arc<Site>,
        head: &mut request::Parts,
        body: Bytes,
        conn: &ConnInfo,
        correlation: &Correlation,
    ) -> Answering {
        let request = match receive::request(head, body, conn, correlation) {
            Ok(request) => request,
            Err(why) => {
                let status = StatusCode::BAD_REQUEST;
                self.host.metrics.refused(status.as_u16());
                return Answering::Now(plain(status, "text/plain; charset=utf-8", format!("{status}: {why}\n")));
            }
        };
        if self.is_own(&request.path, conn) && matches!(site.route(&request.path), Routed::Nowhere) {
            if request.path == self.monitoring.metrics {
                return Answering::Now(self.host.metrics_page());
            }
            let host = Arc::clone(&self.host);
            return Answering::later(async move { health(&host).await });
        }
        site.handle(request)
    }

    fn is_own(&self, path: &str, conn: &ConnInfo) -> bool {
        let Monitoring { health, metrics, audience, .. } = &self.monitoring;
        (path == health || path == metrics)
            && match audience {
                // Behind a proxy on this machine, every client would seem to be on it.
                Audience::Loopback => conn.direct && conn.remote.ip().to_canonical().is_loopback(),
                Audience::Any => true,
                Audience::Off => false,
            }
    }
}

async fn health(host: &Host) -> Response<Bytes> {
    let databases = host.databases().await;
    let up = databases.values().all(|up| *up) && !host.is_draining();
    let word = |up: bool| if up { "up" } else { "down" };
    let connections: serde_json::Map<String, serde_json::Value> =
        databases.into_iter().map(|(name, up)| (name, word(up).into())).collect();
    // One that is down keeps nobody from the others, so it is told and does not count.
    let services = host.services();
    let identity = services.identity.states().map(|(name, up)| (name.to_owned(), word(up.unwrap_or(true)).into()));
    let identity: serde_json::Map<String, serde_json::Value> = identity.collect();
    let status = host.status();
    let page = serde_json::json!({
        "status": if host.is_draining() { "stopping" } else { word(up) },
        "generation": status.generation,
        "last_reload": if status.last_reload.as_ref().is_none_or(|last| last.ok) { "ok" } else { "refused" },
        "connections": connections,
        "identity_providers": identity,
    });
    plain(if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "application/json", format!("{page}\n"))
}

impl Handler for Front {
    fn handle(&self, head: &mut request::Parts, body: Bytes, conn: &ConnInfo, correlation: &Correlation) -> Answering {
        // INVARIANT: one generation from here to the answer.
        let site = self.host.site.load();
        let services = &site.services;
        let within;
        let (correlation, traced) = match &services.tracer {
            None => (correlation, None),
            Some(tracer) => {
                let (own, parent) = tracer.begin(correlation);
                within = own;
                let sampled = within.trace().is_some_and(|trace| trace.sampled);
                (&within, sampled.then(|| (Arc::clone(tracer), parent)))
            }
        };
        let logged = services.told.then(|| Box::new(Access::begin(head, conn, correlation, services.access, traced)));
        let end = End { logged, strict: services.security == Security::Strict, secure: conn.secure };
        end.after(self.answer(&site, head, body, conn, correlation))
    }

    /// In the words of the service that the request is for.
    fn refuse(
        &self,
        head: &mut request::Parts,
        conn: &ConnInfo,
        status: StatusCode,
        reason: &'static str,
        correlation: &Correlation,
    ) -> Option<Answering> {
        let site = self.host.site.load_full();
        let services = &site.services;
        let logged = services.told.then(|| Box::new(Access::begin(head, conn, correlation, services.access, None)));
        let refused = Refused { status, reason: reason.to_owned(), headers: HeaderMap::new() };
        let request = receive::request(head, Bytes::new(), conn, correlation).ok()?;
        let answer = site.refuse(request, refused)?;
        self.host.metrics.refused(status.as_u16());
        Some(End { logged, strict: services.security == Security::Strict, secure: conn.secure }.after(answer))
    }

    fn refused(&self, status: StatusCode, peer: IpAddr, correlation: &Correlation) {
        self.host.metrics.refused(status.as_u16());
        if self.host.site.load().services.access {
            let (request, status) = (correlation.id(), status.as_u16());
            tracing::info!(target: "access", remote = %peer, status, %request, "refused before any service");
        }
    }
}

/// What comes after an answer was made.
struct End {
    logged: Option<Box<Access>>,
    strict: bool,
    secure: bool,
}

impl End {
    fn after(self, mut answer: Answering) -> Answering {
        match &mut answer {
            Answering::Now(response) => self.of(response),
            Answering::Later(_) => {
                return Answering::later(answer.into_future().map(|mut response| {
                    self.of(&mut response);
                    response
                }));
            }
        }
        answer
    }

    fn of(self, response: &mut Response<Bytes>) {
        if self.strict {
            harden(response.headers_mut(), self.secure);
        }
        if let Some(logged) = self.logged {
            (*logged).end(response);
        }
    }
}

/// A request's line in the access log, without the query, which may contain tokens.
struct Access {
    correlation: Correlation,
    remote: IpAddr,
    secure: bool,
    method: Method,
    path: String,
    started: Instant,
    /// Whether it gets a line.
    line: bool,
    /// Where its span goes, and the span that asked for it.
    traced: Option<(Arc<Tracer>, Option<u64>)>,
}

impl Access {
    fn begin(
        head: &request::Parts,
        conn: &ConnInfo,
        correlation: &Correlation,
        line: bool,
        traced: Option<(Arc<Tracer>, Option<u64>)>,
    ) -> Access {
        Access {
            line,
            traced,
            correlation: correlation.clone(),
            remote: conn.remote.ip(),
            secure: conn.secure,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            started: Instant::now(),
        }
    }

    /// By the semantic conventions for HTTP servers.
    fn span(&self, tracer: &Tracer, parent: Option<u64>, status: StatusCode, service: &SmolStr, fields: &[(SmolStr, SmolStr)]) {
        let Some(at) = self.correlation.trace().copied() else { return };
        let ended = unix_nanos();
        let text = |name: &'static str, text: &str| (SmolStr::new_static(name), Attribute::Text(text.into()));
        let mut attributes = vec![
            text("http.request.method", self.method.as_str()),
            text("url.path", &self.path),
            text("url.scheme", if self.secure { "https" } else { "http" }),
            text("client.address", &self.remote.to_string()),
            text("portcullis.request_id", self.correlation.id()),
            ("http.response.status_code".into(), i64::from(status.as_u16()).into()),
        ];
        if !service.is_empty() {
            attributes.push(text("portcullis.service", service));
        }
        attributes.extend(fields.iter().map(|(name, value)| (format!("portcullis.{name}").into(), value.clone().into())));
        tracer.end(Span {
            at,
            parent,
            side: Side::Server,
            name: if service.is_empty() { self.method.as_str().into() } else { format!("{} {service}", self.method).into() },
            began: ended.saturating_sub(self.started.elapsed().as_nanos() as u64),
            ended,
            failed: status.is_server_error(),
            attributes,
        });
    }

    fn end(self, response: &mut Response<Bytes>) {
        let Told { service, fields } = response.extensions_mut().remove().unwrap_or_default();
        let (status, bytes, micros) =
            (response.status().as_u16(), response.body().len(), self.started.elapsed().as_micros() as u64);
        if let Some((tracer, parent)) = &self.traced {
            self.span(tracer, *parent, response.status(), &service, &fields);
        }
        if !self.line {
            return;
        }
        let Access { correlation, remote, secure, method, path, .. } = self;
        let request = correlation.id();
        let trace = correlation.trace().map(|trace| format!("{:032x}", trace.id));
        let fields: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
        let told = Members(&fields);
        tracing::info!(
            target: "access", %remote, secure, %method, path, status, bytes, micros, %service, %request, trace, ?told
        );
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

pub(super) fn plain(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
