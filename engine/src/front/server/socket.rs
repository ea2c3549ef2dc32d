//! The TCP stream below a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What is not longer is copied together to be sent, in bytes.
const SMALL: usize = 2048;

/// A TCP stream that sends the parts of a small answer with one `send`: to copy a few hundred bytes costs less than what `writev` costs the
/// system more.
pub(super) struct Tcp(pub(super) TcpStream);

impl Tcp {
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.0)
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let [whole] = bufs {
            return self.stream().poll_write(cx, whole);
        }
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL {
            return self.stream().poll_write_vectored(cx, bufs);
        }
        let mut whole = SmallVec::<[u8; SMALL]>::new();
        bufs.iter().for_each(|buf| whole.extend_from_slice(buf));
        self.stream().poll_write(cx, &whole)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

/// A stream whose TCP stream can be reached.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for Tcp {
    fn tcp(&self) -> &TcpStream {
        &self.0
    }
}

impl Socket for TlsStream<Tcp> {
    fn tcp(&self) -> &TcpStream {
        &self.get_ref().0.0
    }
}
