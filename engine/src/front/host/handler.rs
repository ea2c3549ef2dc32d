//! From a request on a connection to the answer of a generation; also serves the gateway's own pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use smol_str::SmolStr;

use super::{Host, receive};
use crate::front::server::{ConnInfo, Handler};
use crate::policy::answer::Told;
use crate::policy::ctx::Refused;
use crate::policy::site::Routed;
use crate::services::config::{Audience, Config, Monitoring, Security};
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

    /// Decides here what to do for a request; only the waiting is in the future. The future is built from combinators, because an
    /// `async` block stores a given future beside the awaited one, and futures are copied when they are made.
    fn answer(
        &self,
        head: request::Parts,
        body: Bytes,
        conn: &ConnInfo,
        correlation: Correlation,
    ) -> impl Future<Output = Response<Bytes>> + Send {
        let request = match receive::request(head, body, conn) {
            Ok(request) => request.with(correlation),
            Err(why) => {
                let status = StatusCode::BAD_REQUEST;
                self.host.metrics.refused(status.as_u16());
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

    fn access_log(&self) -> bool {
        self.host.site.load().services.access
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

    async fn own_page(&self, path: &str) -> Response<Bytes> {
        if path == self.monitoring.metrics {
            return self.host.metrics_page();
        }
        let databases = self.host.databases().await;
        let up = databases.values().all(|up| *up) && !self.host.is_draining();
        let word = |up: bool| if up { "up" } else { "down" };
        let connections: serde_json::Map<String, serde_json::Value> =
            databases.into_iter().map(|(name, up)| (name, word(up).into())).collect();
        // One that is down keeps nobody from the others, so it is told and does not count.
        let services = self.host.services();
        let identity = services.identity.states().map(|(name, up)| (name.to_owned(), word(up.unwrap_or(true)).into()));
        let identity: serde_json::Map<String, serde_json::Value> = identity.collect();
        let status = self.host.status();
        let page = serde_json::json!({
            "status": if self.host.is_draining() { "stopping" } else { word(up) },
            "generation": status.generation,
            "last_reload": if status.last_reload.as_ref().is_none_or(|last| last.ok) { "ok" } else { "refused" },
            "connections": connections,
            "identity_providers": identity,
        });
        plain(if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "application/json", format!("{page}\n"))
    }
}

impl Handler for Front {
    fn handle(
        &self,
        head: request::Parts,
        body: Bytes,
        conn: &ConnInfo,
        correlation: Correlation,
    ) -> impl Future<Output = Response<Bytes>> + Send {
        let (security, told, tracer) = {
            let site = self.host.site.load();
            (site.services.security, site.services.told, site.services.tracer.clone())
        };
        let (correlation, traced) = match tracer {
            None => (correlation, None),
            Some(tracer) => {
                let (correlation, parent) = tracer.begin(&correlation);
                let sampled = correlation.trace().is_some_and(|trace| trace.sampled);
                (correlation, sampled.then_some((tracer, parent)))
            }
        };
        let logged = told.then(|| Box::new(Access::begin(&head, conn, &correlation, self.access_log(), traced)));
        let secure = conn.secure;
        self.answer(head, body, conn, correlation).map(move |mut response| {
            if security == Security::Strict {
                harden(response.headers_mut(), secure);
            }
            if let Some(logged) = logged {
                (*logged).end(&mut response);
            }
            response
        })
    }

    /// In the words of the service that the request is for.
    fn refuse(
        &self,
        head: request::Parts,
        conn: &ConnInfo,
        status: StatusCode,
        reason: &'static str,
        correlation: Correlation,
    ) -> impl Future<Output = Option<Response<Bytes>>> + Send {
        let site = self.host.site.load_full();
        let logged = site.services.told.then(|| Box::new(Access::begin(&head, conn, &correlation, self.access_log(), None)));
        let refused = Refused { status, reason: reason.to_owned(), headers: HeaderMap::new() };
        let request = receive::request(head, Bytes::new(), conn).ok();
        let answer = request.and_then(|request| site.refuse(request.with(correlation), refused));
        let (metrics, security, secure) = (Arc::clone(&self.host.metrics), site.services.security, conn.secure);
        async move {
            let mut response = answer?.await;
            metrics.refused(status.as_u16());
            if security == Security::Strict {
                harden(response.headers_mut(), secure);
            }
            if let Some(logged) = logged {
                (*logged).end(&mut response);
            }
            Some(response)
        }
    }

    fn refused(&self, status: StatusCode, peer: IpAddr, correlation: &Correlation) {
        self.host.metrics.refused(status.as_u16());
        if self.access_log() {
            let (request, status) = (correlation.id(), status.as_u16());
            tracing::info!(target: "access", remote = %peer, status, %request, "refused before any service");
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
        let told = serde_json::Value::Object(fields).to_string();
        tracing::info!(
            target: "access", %remote, secure, %method, path, status, bytes, micros, %service, %request, trace, told
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
