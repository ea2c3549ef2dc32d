//! A policy's run, which continues to its end whatever happens to the client.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::timeout;

/// The run panicked.
pub(super) struct Panicked;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A run in the foreground, whose answer somebody waits for. If it is dropped before its end, because the client left or the
/// answer took too long, it continues in the background for at most `limit`: the steps after a write (such as removing a revoked
/// token from caches) belong to the write.
pub(super) struct ToTheEnd<T: Send + 'static> {
    run: Option<Boxed<T>>,
    begun: bool,
    limit: Duration,
    background: Arc<AtomicU32>,
    /// The request, for the log.
    request: SmolStr,
}

impl<T: Send + 'static> ToTheEnd<T> {
    /// A run. `background` counts the runs that continue without anybody waiting.
    pub(super) fn new(run: Boxed<T>, limit: Duration, background: &Arc<AtomicU32>, request: &SmolStr) -> Self {
        ToTheEnd { run: Some(run), begun: false, limit, background: Arc::clone(background), request: request.clone() }
    }
}

fn step<T>(run: &mut Boxed<T>, cx: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
    // A run that panicked is never touched again.
    match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    }
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.begun = true;
        let Some(run) = &mut self.run else { return Poll::Pending };
        let polled = step(run, cx);
        if polled.is_ready() {
            self.run = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        let Some(mut run) = self.run.take().filter(|_| self.begun) else { return };
        // Without a runtime, the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (limit, background) = (self.limit, Arc::clone(&self.background));
        let request = std::mem::take(&mut self.request);
        background.fetch_add(1, Relaxed);
        runtime.spawn(async move {
            if timeout(limit, std::future::poll_fn(|cx| step(&mut run, cx))).await.is_err() {
                tracing::warn!(%request, ?limit, "a request that nobody waits for did not end in time and was aborted");
            }
            // The run's resources (its place among the connections) are released before it counts as gone.
            drop(run);
            background.fetch_sub(1, Relaxed);
        });
    }
}
