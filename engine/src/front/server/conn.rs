//! One connection: TLS, protocol, and passing its requests to the handler.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header, request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::body::{self, Memory};
use super::guard::{Entered, Guard, Guards};
use super::outgoing::{Outgoing, Streams};
use super::proxies::{Origin, Proxies};
use super::run::ToTheEnd;
use super::tuned::{Tuned, Tuner};
use super::{ConnInfo, Handler, Place, TlsServer, strict};
use crate::services::telemetry::{Correlation, REQUEST_ID};

/// How long a closed connection is still read.
const LINGER: Duration = Duration::from_secs(1);

/// State shared by all connections.
pub(super) struct Shared<H> {
    handler: Arc<H>,
    tuned: Arc<ArcSwap<Tuned>>,
    guards: Arc<Guards>,
    /// For the bodies of all running requests.
    memory: Arc<Memory>,
    proxies: Arc<Proxies>,
}

impl<H> Shared<H> {
    pub(super) fn new(handler: Arc<H>, tuner: &Tuner, proxies: Arc<Proxies>) -> Self {
        let (tuned, guards, memory) = (Arc::clone(&tuner.tuned), Arc::clone(&tuner.guards), Arc::clone(&tuner.memory));
        Shared { handler, tuned, guards, memory, proxies }
    }
}

/// One connection, as its requests see it. It counts as open until the last request has ended.
struct HttpConnection<H> {
    shared: Arc<Shared<H>>,
    tuned: Arc<Tuned>,
    info: ConnInfo,
    entered: Entered,
    /// For the bodies of its requests.
    memory: Arc<Memory>,
    /// Runs that continue although their streams are gone.
    background: Arc<AtomicU32>,
    _place: Place,
}

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<TlsServer>>,
    shared: Arc<Shared<H>>,
    place: Place,
) {
    // Answers are written as a whole, so waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let entered = shared.guards.enter(shared.proxies.trusts(remote.ip()));
    let mut info = ConnInfo { remote, local, secure: tls.is_some(), direct: true, client_certificate: None };
    let tuned = shared.tuned.load_full();
    let Some(tls) = tls else {
        return drive(stream, &Arc::clone(&tuned).either, tuned, info, shared, entered, place).await;
    };
    // The guard ends a handshake that makes no progress, like a header.
    match entered.guard().unless_closing(tls.accept(stream)).await {
        Some(Ok(stream)) => {
            let session = stream.get_ref().1;
            info.client_certificate = super::tls::client_certificate(session);
            let http2 = session.alpn_protocol() == Some(b"h2");
            let builders = Arc::clone(&tuned);
            let builder = if http2 { &builders.http2 } else { &builders.http1 };
            drive(stream, builder, tuned, info, shared, entered, place).await;
        }
        Some(Err(error)) => tracing::debug!(%remote, %error, "TLS handshake failed"),
        None => {}
    }
}

/// A stream whose socket can be reached.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn drive<S, H>(
    stream: S,
    builder: &auto::Builder<Streams>,
    tuned: Arc<Tuned>,
    info: ConnInfo,
    shared: Arc<Shared<H>>,
    entered: Entered,
    place: Place,
) where
    S: Socket,
    H: Handler,
{
    let guard = Arc::clone(entered.guard());
    let remote = info.remote;
    let left = Arc::new(Mutex::new(None));
    let io = TokioIo::new(Guarded { stream: Some(stream), guard: Arc::clone(&guard), left: Arc::clone(&left) });
    let memory = shared.memory.share(tuned.limits.connection_body_memory());
    let background = Arc::default();
    let connection = Arc::new(HttpConnection { shared, tuned, info, entered, memory, background, _place: place });
    let _open = Arc::clone(&connection);
    let mut told = false;
    let ended = {
        let service = service_fn(move |request| answer(Arc::clone(&connection), request));
        let mut conn = pin!(builder.serve_connection(io, service));
        poll_fn(|cx| {
            match guard.orders(cx) {
                Some(false) => {}
                Some(true) if told => {}
                Some(true) => {
                    conn.as_mut().graceful_shutdown();
                    told = true;
                }
                None => return Poll::Ready(None),
            }
            conn.as_mut().poll(cx).map(Some)
        })
        .await
    };
    let stream = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    match &ended {
        None => {
            tracing::debug!(%remote, "connection cut: it had to close, or its time was over");
            // The system keeps no unread bytes for the peer, either.
            if let Some(stream) = &stream {
                let _ = stream.tcp().set_zero_linger();
            }
            return;
        }
        Some(Ok(())) => {}
        // Clients hang up, scan ports and send nonsense all day; hyper has already answered what it could.
        Some(Err(error)) => tracing::debug!(%remote, %error, "connection ended"),
    }
    if let (Some(stream), false) = (stream, told) {
        let _ = timeout(LINGER, linger(stream)).await;
    }
}

/// Closes our side and reads what the peer still sends, for a while (RFC 9112, section 9.6). Closing with unread bytes would
/// reset the connection, and the peer might lose the answer (413, 431) that explains it.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut rest = [0; 4096];
        while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    }
}

async fn answer<H: Handler>(
    connection: Arc<HttpConnection<H>>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let guard = connection.entered.guard();
    let http2 = request.version() == Version::HTTP_2;
    let _active = guard.begin(http2);
    let peer = connection.info.remote.ip();
    let correlation = Correlation::of(request.headers(), connection.shared.proxies.trusts(peer));
    let mut response = match handled(&connection, request, http2, &correlation).await {
        Ok(response) => response,
        Err(Refused { status, request: Some(request) }) => match refused(&connection, *request, status, &correlation).await {
            Some(response) => last(response),
            None => {
                connection.shared.handler.refused(status, peer, &correlation);
                refusal(status)
            }
        },
        Err(Refused { status, request: None }) => {
            connection.shared.handler.refused(status, peer, &correlation);
            refusal(status)
        }
    };
    // Also replaces the one in another server's answer.
    if let Ok(id) = HeaderValue::from_str(correlation.id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response.map(|body| Outgoing::new(body, guard, http2, correlation.id())))
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

/// The handler's words for a refusal.
async fn refused<H: Handler>(
    connection: &Arc<HttpConnection<H>>,
    (head, info): (request::Parts, ConnInfo),
    status: StatusCode,
    correlation: &Correlation,
) -> Option<Response<Bytes>> {
    let limit = connection.tuned.limits.request_timeout.0;
    let reason = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        StatusCode::REQUEST_TIMEOUT => "the body did not arrive in time",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "request line and header fields are too large",
        StatusCode::SERVICE_UNAVAILABLE => "too many requests are being read; try again",
        _ => "the body could not be read",
    };
    let run = {
        let (connection, own) = (Arc::clone(connection), correlation.clone());
        Box::pin(correlation.within(async move { connection.shared.handler.refuse(head, &info, status, reason, own).await }))
    };
    timeout(limit, ToTheEnd::new(run, limit, &connection.background, correlation.id())).await.ok()?.ok()?
}

/// Bytes of request line and header fields, as they are on the wire in HTTP/1.1.
fn header_bytes(head: &request::Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    head.method.as_str().len() + target + "  HTTP/1.1".len() + 4 + fields
}

/// The handler's answer, or a status that refuses the request before or instead of it.
async fn handled<H: Handler>(
    connection: &Arc<HttpConnection<H>>,
    request: Request<Incoming>,
    http2: bool,
    correlation: &Correlation,
) -> Result<Response<Bytes>, Refused> {
    let (shared, limits) = (&connection.shared, &connection.tuned.limits);
    let guard = connection.entered.guard();
    let limit = limits.request_timeout.0;
    if http2 {
        if guard.is_closed() || timeout(limit, guard.room()).await.is_err() {
            return Err(StatusCode::SERVICE_UNAVAILABLE.into());
        }
    } else {
        guard.flushed().await; // the guard ends a connection that does not get this far
    }
    // A client that keeps opening and resetting streams has to wait for the runs that this started. No service words this, because that
    // would be one more run.
    if connection.background.load(Relaxed) >= limits.http2_streams {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into());
    }
    let (head, incoming) = request.into_parts();
    if !http2 {
        strict::framing(&head.headers)?;
    }
    let Ok(Origin { remote, direct }) = correlation.around(|| shared.proxies.origin(connection.info.remote, &head.headers))
    else {
        return Err(StatusCode::BAD_REQUEST.into());
    };
    let origin = move |info: &ConnInfo| ConnInfo { remote, direct, ..info.clone() };
    let read = if header_bytes(&head) > limits.header_bytes.0 {
        Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        body::read(incoming, limits, &connection.memory).await
    };
    let (body, held) = match read {
        Ok(read) => read,
        Err(status) => return Err(Refused { status, request: Some(Box::new((head, origin(&connection.info)))) }),
    };
    let run = {
        let connection = Arc::clone(connection);
        let own = correlation.clone();
        Box::pin(correlation.within(async move {
            let _held = held;
            let info = &connection.info;
            if remote == info.remote && direct {
                return connection.shared.handler.handle(head, body, info, own).await;
            }
            connection.shared.handler.handle(head, body, &origin(info), own).await
        }))
    };
    match timeout(limit, ToTheEnd::new(run, limit, &connection.background, correlation.id())).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => {
            // The panic hook has printed message and place; the gateway continues.
            tracing::error!(request = %correlation.id(), "a request ended in a panic; answered 500");
            Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Err(_) => {
            tracing::warn!(request = %correlation.id(), ?limit, "a request was not answered in time; answered 504");
            Err(StatusCode::GATEWAY_TIMEOUT.into())
        }
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

/// A stream that marks activity on its guard, and that can be taken back when hyper is done with it.
struct Guarded<S> {
    stream: Option<S>,
    guard: Arc<Guard>,
    left: Arc<Mutex<Option<S>>>,
}

impl<S: Unpin> Guarded<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        // Only taken on drop, so it is always there.
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.stream()?.poll_read(cx, buf);
        if buf.filled().len() > before {
            self.guard.read();
        }
        polled
    }
}

impl<S> Guarded<S> {
    fn note(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(bytes)) => self.guard.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.guard.blocked(),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write(cx, buf);
        self.note(&polled);
        polled
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write_vectored(cx, bufs);
        self.note(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream()?.poll_flush(cx);
        match &polled {
            Poll::Ready(Ok(())) => self.guard.unblocked(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.guard.blocked(),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guard.closing();
        self.stream()?.poll_shutdown(cx)
    }
}
