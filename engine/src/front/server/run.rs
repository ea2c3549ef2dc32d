//! A policy's run, which continues to its end whatever happens to the client.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;
use tokio::time::timeout;

use crate::services::telemetry::Correlation;

/// The run panicked.
pub(super) struct Panicked;

/// Runs a part of a request; every line that it logs has the request's id. What panicked is never touched again.
pub(super) fn part<T>(correlation: &Correlation, run: impl FnOnce() -> T) -> Result<T, Panicked> {
    let mut made = None;
    // Answers are large, so they are not passed through all this.
    catch_unwind(AssertUnwindSafe(|| correlation.around(|| made = Some(run())))).map_err(|_| Panicked)?;
    made.ok_or(Panicked)
}

/// The rest of a run that has begun and has to wait, in the foreground: somebody waits for its answer. If it is dropped before its end,
/// because the client left or the answer took too long, it continues in the background for at most `limit`: the steps after a write
/// (such as removing a revoked token from caches) belong to the write.
pub(super) struct ToTheEnd<K: Send + Unpin + 'static> {
    /// The rest, and what it keeps until its end: its place among the connections, the memory of its body.
    run: Option<(BoxFuture<'static, Response<Bytes>>, K)>,
    limit: Duration,
    /// Counts the runs that continue without anybody waiting.
    background: Arc<AtomicU32>,
    correlation: Correlation,
}

impl<K: Send + Unpin + 'static> ToTheEnd<K> {
    pub(super) fn new(
        run: BoxFuture<'static, Response<Bytes>>,
        keeps: K,
        limit: Duration,
        background: &Arc<AtomicU32>,
        correlation: &Correlation,
    ) -> Self {
        ToTheEnd { run: Some((run, keeps)), limit, background: Arc::clone(background), correlation: correlation.clone() }
    }
}

fn step<T>(run: &mut BoxFuture<'static, T>, correlation: &Correlation, cx: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
    match part(correlation, || run.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    }
}

impl<K: Send + Unpin + 'static> Future for ToTheEnd<K> {
    type Output = Result<Response<Bytes>, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ToTheEnd { run, correlation, .. } = &mut *self;
        let Some((future, _)) = run else { return Poll::Pending };
        let polled = step(future, correlation, cx);
        if polled.is_ready() {
            self.run = None;
        }
        polled
    }
}

impl<K: Send + Unpin + 'static> Drop for ToTheEnd<K> {
    fn drop(&mut self) {
        let Some((mut run, keeps)) = self.run.take() else { return };
        // Without a runtime, the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (limit, background) = (self.limit, Arc::clone(&self.background));
        let correlation = self.correlation.clone();
        background.fetch_add(1, Relaxed);
        runtime.spawn(async move {
            if timeout(limit, std::future::poll_fn(|cx| step(&mut run, &correlation, cx))).await.is_err() {
                let request = correlation.id();
                tracing::warn!(%request, ?limit, "a request that nobody waits for did not end in time and was aborted");
            }
            // What it keeps is released before it counts as gone.
            drop((run, keeps));
            background.fetch_sub(1, Relaxed);
        });
    }
}
