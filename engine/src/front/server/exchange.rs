//! One request on its connection, from its header to its answer.
//!
//! Most requests wait for nothing: they have no body, and their policy asks nobody. They are answered while hyper asks for a future, and
//! the future is only the answer. Everything else is in a future that is made when there is something to wait for.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header, request};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::body::{self, Held};
use super::conn::HttpConnection;
use super::guard::Guard;
use super::outgoing::Outgoing;
use super::proxies::{self, Origin};
use super::run::{Panicked, ToTheEnd, part};
use super::{ConnInfo, Handler, strict};
use crate::policy::answer::Answering;
use crate::services::telemetry::{Correlation, REQUEST_ID, TRACEPARENT};

type Answered = Result<Response<Outgoing>, Infallible>;

/// A request's answer, at once or later.
pub(super) type Exchanged = Either<Ready<Answered>, BoxFuture<'static, Answered>>;

/// A request that has got a header.
struct Exchange<'c, H: Handler> {
    connection: &'c Arc<HttpConnection<H>>,
    correlation: Correlation,
    glance: Glance,
    http2: bool,
}

/// What a glance at a request's header tells.
#[derive(Clone, Copy)]
struct Glance {
    /// Bytes of request line and header fields, as they are on the wire in HTTP/1.1.
    bytes: usize,
    /// Whether a field is there that says how the body is framed, where the request comes from, or what it belongs to. Most requests have
    /// none, and nobody need look for them.
    special: bool,
}

impl Glance {
    fn at(request: &Request<Incoming>) -> Glance {
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        let mut glance = Glance { bytes: request.method().as_str().len() + target + "  HTTP/1.1".len() + 4, special: false };
        for (name, value) in request.headers() {
            glance.bytes += name.as_str().len() + value.len() + 4;
            glance.special |= SPECIAL.contains(name) || proxies::is_of_proxies(name);
        }
        glance
    }
}

/// What [`strict::framing`] and [`Correlation::of`] look for.
const SPECIAL: [HeaderName; 3] = [header::TRANSFER_ENCODING, REQUEST_ID, TRACEPARENT];

/// Counts a request as running until it is dropped.
struct Running<G: Deref<Target = Guard>>(G);

impl<G: Deref<Target = Guard>> Drop for Running<G> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A run keeps its place among the connections and the memory of its body.
type Run<H> = ToTheEnd<(Arc<HttpConnection<H>>, Option<Held>)>;

/// What there is to wait for.
enum Waits<H: Handler> {
    /// The rest of a policy's run.
    Run(Run<H>),
    /// What comes before the policy.
    Request(Request<Incoming>),
    /// A refusal.
    Refused(Refused),
}

/// A request that gets no answer of the handler, and its header if the handler may word the refusal.
struct Refused {
    status: StatusCode,
    request: Option<Box<(request::Parts, ConnInfo)>>,
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Self {
        Refused { status, request: None }
    }
}

/// Answers a request.
pub(super) fn answer<H: Handler>(connection: &Arc<HttpConnection<H>>, request: Request<Incoming>) -> Exchanged {
    let http2 = request.version() == Version::HTTP_2;
    let guard = connection.entered.guard();
    guard.begin(http2);
    let running = Running(&**guard);
    let glance = Glance::at(&request);
    let correlation = if glance.special {
        Correlation::of(request.headers(), connection.trusted)
    } else {
        Correlation::unnamed(connection.trusted)
    };
    let exchange = Exchange { connection, correlation, glance, http2 };
    let waits = if exchange.is_ready(&request) {
        let (mut head, _) = request.into_parts();
        match exchange.admit(&head) {
            Ok(info) => match exchange.begin(&mut head, Bytes::new(), &info) {
                Answering::Now(response) => return Either::Left(ready(Ok(exchange.finish(response)))),
                Answering::Later(run) => Waits::Run(exchange.to_the_end(run, None)),
            },
            Err(status) => Waits::Refused(status.into()),
        }
    } else {
        Waits::Request(request)
    };
    let (correlation, connection) = (exchange.correlation, Arc::clone(connection));
    let still_running = Running(Arc::clone(guard));
    std::mem::forget(running);
    Either::Right(Box::pin(async move {
        let _running = still_running;
        let exchange = Exchange { connection: &connection, correlation, glance, http2 };
        let ended = match waits {
            Waits::Run(run) => exchange.run(run).await,
            Waits::Request(request) => exchange.wait(request).await,
            Waits::Refused(refused) => Err(refused),
        };
        let response = match ended {
            Ok(response) => response,
            Err(refused) => Box::pin(exchange.refuse(refused)).await,
        };
        Ok(exchange.finish(response))
    }))
}

impl<H: Handler> Exchange<'_, H> {
    fn guard(&self) -> &Arc<Guard> {
        self.connection.entered.guard()
    }

    /// Whether there is nothing to wait for before the policy, and nothing to refuse that the policy may word.
    fn is_ready(&self, request: &Request<Incoming>) -> bool {
        !self.http2 && self.guard().is_flushed() && request.body().is_end_stream() && !self.is_too_large()
    }

    fn is_too_large(&self) -> bool {
        self.glance.bytes > self.connection.tuned.limits.header_bytes.0
    }

    /// Where a request comes from, or a status that refuses it.
    fn admit(&self, head: &request::Parts) -> Result<Cow<'_, ConnInfo>, StatusCode> {
        let connection = self.connection;
        // A client that keeps opening and resetting streams has to wait for the runs that this started. No service words this, because
        // that would be one more run.
        if connection.background.load(Relaxed) >= connection.tuned.limits.http2_streams {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let (info, special) = (&connection.info, self.glance.special);
        if special && !self.http2 {
            strict::framing(&head.headers)?;
        }
        let forwarded = special && proxies::is_forwarded(&head.headers);
        if !(connection.trusted || forwarded) {
            return Ok(Cow::Borrowed(info));
        }
        let origin = self.correlation.around(|| connection.shared.proxies.origin(info.remote, &head.headers));
        match origin {
            Ok(Origin { remote, direct: true }) if remote == info.remote => Ok(Cow::Borrowed(info)),
            Ok(Origin { remote, direct }) => Ok(Cow::Owned(ConnInfo { remote, direct, ..info.clone() })),
            Err(_) => Err(StatusCode::BAD_REQUEST),
        }
    }

    /// Begins the policy's run. Most end here.
    fn begin(&self, head: &mut request::Parts, body: Bytes, info: &ConnInfo) -> Answering {
        let handler = &self.connection.shared.handler;
        match part(&self.correlation, || handler.handle(head, body, info, &self.correlation)) {
            Ok(answering) => answering,
            Err(panicked) => Answering::Now(self.panicked(panicked)),
        }
    }

    fn to_the_end(&self, run: BoxFuture<'static, Response<Bytes>>, held: Option<Held>) -> Run<H> {
        let connection = &self.connection;
        let limit = connection.tuned.limits.request_timeout.0;
        ToTheEnd::new(run, (Arc::clone(connection), held), limit, &connection.background, &self.correlation)
    }

    /// Waits for what comes before the policy, and for the policy.
    async fn wait(&self, request: Request<Incoming>) -> Result<Response<Bytes>, Refused> {
        let (begun, held) = self.read(request).await?;
        match begun {
            Answering::Now(response) => Ok(response),
            Answering::Later(run) => self.run(self.to_the_end(run, held)).await,
        }
    }

    async fn read(&self, request: Request<Incoming>) -> Result<(Answering, Option<Held>), Refused> {
        let (guard, limits) = (self.guard(), &self.connection.tuned.limits);
        if self.http2 {
            if guard.is_closed() || timeout(limits.request_timeout.0, guard.room()).await.is_err() {
                return Err(StatusCode::SERVICE_UNAVAILABLE.into());
            }
        } else {
            guard.flushed().await; // the guard ends a connection that does not get this far
        }
        let (mut head, incoming) = request.into_parts();
        let info = self.admit(&head)?;
        let read = if self.is_too_large() {
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        } else {
            body::read(incoming, limits, &self.connection.memory).await
        };
        match read {
            Ok((body, held)) => Ok((self.begin(&mut head, body, &info), held)),
            Err(status) => Err(Refused { status, request: Some(Box::new((head, info.into_owned()))) }),
        }
    }

    async fn run(&self, run: Run<H>) -> Result<Response<Bytes>, Refused> {
        let limit = self.connection.tuned.limits.request_timeout.0;
        match timeout(limit, run).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(panicked)) => Ok(self.panicked(panicked)),
            Err(_) => {
                tracing::warn!(request = %self.correlation.id(), ?limit, "a request was not answered in time; answered 504");
                Err(StatusCode::GATEWAY_TIMEOUT.into())
            }
        }
    }

    fn panicked(&self, _: Panicked) -> Response<Bytes> {
        // The panic hook has printed message and place; the gateway continues.
        tracing::error!(request = %self.correlation.id(), "a request ended in a panic; answered 500");
        refusal(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The answer to a refused request, in the handler's words if it has any.
    async fn refuse(&self, refused: Refused) -> Response<Bytes> {
        let Refused { status, request } = refused;
        let worded = match request {
            Some(request) => self.worded(*request, status).await,
            None => None,
        };
        match worded {
            Some(response) => last(response),
            None => {
                let connection = &self.connection;
                connection.shared.handler.refused(status, connection.info.remote.ip(), &self.correlation);
                refusal(status)
            }
        }
    }

    async fn worded(&self, (mut head, info): (request::Parts, ConnInfo), status: StatusCode) -> Option<Response<Bytes>> {
        let reason = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            StatusCode::REQUEST_TIMEOUT => "the body did not arrive in time",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "request line and header fields are too large",
            StatusCode::SERVICE_UNAVAILABLE => "too many requests are being read; try again",
            _ => "the body could not be read",
        };
        let (connection, own) = (&self.connection, &self.correlation);
        let begun = part(own, || connection.shared.handler.refuse(&mut head, &info, status, reason, own));
        match begun.ok()?? {
            Answering::Now(response) => Some(response),
            Answering::Later(run) => {
                let limit = connection.tuned.limits.request_timeout.0;
                timeout(limit, self.to_the_end(run, None)).await.ok()?.ok()
            }
        }
    }

    fn finish(&self, mut response: Response<Bytes>) -> Response<Outgoing> {
        let id = self.correlation.id();
        // Also replaces the one in another server's answer.
        if let Ok(id) = HeaderValue::from_str(id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.map(|body| Outgoing::new(body, self.guard(), self.http2, id))
    }
}

/// The answer to a request that reaches no policy.
fn refusal(status: StatusCode) -> Response<Bytes> {
    let text = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or(""));
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    last(response)
}

/// What a refusal says about the connection.
fn last(mut response: Response<Bytes>) -> Response<Bytes> {
    let status = response.status();
    // The next bytes on this connection may be the rest of an unread body.
    if matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::BAD_REQUEST
            | StatusCode::NOT_IMPLEMENTED
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::SERVICE_UNAVAILABLE
    ) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
