//! The body of an answer on its way out. Counts what a peer has not read yet, for each connection and for all of them.
//!
//! HTTP/1.1 has one answer at a time, and the next request waits until it has been sent (see [`Guard::flushed`]), so only large
//! bodies are counted. HTTP/2 has many answers, and its flow control lets a peer leave all of them unread. So they are handed out
//! in small pieces, and [`Streams`] ends a stream that reads none.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use smol_str::SmolStr;

use super::guard::{Guard, PIECE};

tokio::task_local! {
    /// The stream of the current task.
    static FLOW: Arc<Flow>;
}

/// What a stream's peer has read of its answer.
#[derive(Default)]
struct Flow {
    begun: AtomicBool,
    /// Completely written pieces.
    taken: AtomicU32,
    /// The id of its request.
    request: OnceLock<SmolStr>,
}

/// Runs HTTP/2 streams. A stream whose peer does not read a piece of the answer within `patience` is reset.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) patience: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(run(stream, self.patience));
    }
}

async fn run<F: Future>(stream: F, patience: Duration) {
    let flow = Arc::new(Flow::default());
    let mut stream = pin!(FLOW.scope(Arc::clone(&flow), stream));
    // Until there is an answer, the request's own limits apply and no timer is needed.
    let ended = poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if flow.begun.load(Relaxed) => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    });
    if ended.await {
        return;
    }
    loop {
        let taken = flow.taken.load(Relaxed);
        if tokio::time::timeout(patience, &mut stream).await.is_ok() {
            return;
        }
        if flow.taken.load(Relaxed) == taken {
            let request = flow.request.get().map(SmolStr::as_str);
            tracing::debug!(request, "a stream was reset: its peer does not read the answer");
            return; // dropping the stream resets it
        }
    }
}

/// An answer's body.
pub(super) struct Outgoing {
    rest: Bytes,
    counted: Option<Counted>,
}

struct Counted {
    guard: Arc<Guard>,
    /// Of an HTTP/2 stream.
    flow: Option<Arc<Flow>>,
}

impl Outgoing {
    /// The body of an answer on this connection.
    pub(super) fn new(rest: Bytes, guard: &Arc<Guard>, http2: bool, request: &SmolStr) -> Outgoing {
        if rest.is_empty() || (!http2 && rest.len() <= PIECE) {
            return Outgoing { rest, counted: None };
        }
        let flow = FLOW.try_with(Arc::clone).ok();
        if let Some(flow) = &flow {
            flow.begun.store(true, Relaxed);
            let _ = flow.request.set(request.clone());
        }
        guard.owe(rest.len());
        Outgoing { rest, counted: Some(Counted { guard: Arc::clone(guard), flow }) }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let data = match &self.counted {
            None => std::mem::take(&mut self.rest),
            Some(Counted { guard, flow }) => {
                let (guard, flow) = (Arc::clone(guard), flow.clone());
                let most = if flow.is_some() { PIECE } else { usize::MAX };
                let end = self.rest.len().min(most);
                let bytes = self.rest.split_to(end);
                let round = flow.as_ref().map(|_| guard.hand_out());
                Bytes::from_owner(Piece { bytes, guard, flow, round, last: self.rest.is_empty() })
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let (Some(Counted { guard, .. }), false) = (&self.counted, self.rest.is_empty()) {
            guard.settle(self.rest.len());
            guard.answered();
        }
    }
}

/// A part of a body, which lives until it is written or dropped.
struct Piece {
    bytes: Bytes,
    guard: Arc<Guard>,
    flow: Option<Arc<Flow>>,
    /// When it was handed out; see [`Guard::hand_out`].
    round: Option<usize>,
    /// Whether it ends the body.
    last: bool,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(flow) = &self.flow {
            flow.taken.fetch_add(1, Relaxed);
        }
        if let Some(round) = self.round {
            self.guard.took(round);
        }
        self.guard.settle(self.bytes.len());
        if self.last {
            self.guard.answered();
        }
    }
}
