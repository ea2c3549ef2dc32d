//! One connection: TLS, protocol, and its end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::body::Memory;
use super::guard::{Entered, Guard, Guards};
use super::outgoing::Streams;
use super::proxies::Proxies;
use super::socket::{Socket, Tcp};
use super::tuned::{Tuned, Tuner};
use super::{ConnInfo, Handler, Place, TlsServer, exchange};

/// How long a closed connection is still read.
const LINGER: Duration = Duration::from_secs(1);

/// State shared by all connections.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    tuned: Arc<ArcSwap<Tuned>>,
    guards: Arc<Guards>,
    /// For the bodies of all running requests.
    memory: Arc<Memory>,
    pub(super) proxies: Arc<Proxies>,
}

impl<H> Shared<H> {
    pub(super) fn new(handler: Arc<H>, tuner: &Tuner, proxies: Arc<Proxies>) -> Self {
        let (tuned, guards, memory) = (Arc::clone(&tuner.tuned), Arc::clone(&tuner.guards), Arc::clone(&tuner.memory));
        Shared { handler, tuned, guards, memory, proxies }
    }
}

/// One connection, as its requests see it. It counts as open until the last request has ended.
pub(super) struct HttpConnection<H> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) tuned: Arc<Tuned>,
    pub(super) info: ConnInfo,
    /// Whether the peer is a trusted proxy.
    pub(super) trusted: bool,
    pub(super) entered: Entered,
    /// For the bodies of its requests.
    pub(super) memory: Arc<Memory>,
    /// Runs that continue although their streams are gone.
    pub(super) background: Arc<AtomicU32>,
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
    let stream = Tcp(stream);
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
    let (trusted, background) = (shared.proxies.trusts(remote.ip()), Arc::default());
    let connection = Arc::new(HttpConnection { shared, tuned, info, trusted, entered, memory, background, _place: place });
    let _open = Arc::clone(&connection);
    let (mut told, mut registered) = (false, None);
    let ended = {
        let service = service_fn(move |request| exchange::answer(&connection, request));
        let mut conn = pin!(builder.serve_connection(io, service));
        poll_fn(|cx| {
            match guard.orders(cx, &mut registered) {
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
