//! Time limits of connections, without a timer each.
//!
//! hyper can time headers itself, at the price of a boxed timer per request. Here a connection leaves marks (relaxed stores of a coarse
//! clock) where something happens, and one task for the whole server compares them with the limits a few times a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::watch;

use crate::config::Limits;

/// How long a connection that was asked to close may take before it is cut.
const CLOSE_GRACE_MILLIS: u64 = 5_000;

const STAY: u8 = 0;
const CLOSE: u8 = 1;
const DIE: u8 = 2;

/// One connection's marks. Times are milliseconds of the coarse clock, which starts at 1: zero means never.
pub(super) struct Guard {
    clock: Arc<AtomicU64>,
    opened: u64,
    /// First byte of a header whose end has not come.
    header_since: AtomicU64,
    /// Last written byte or finished request.
    last_done: AtomicU64,
    /// Requests under way.
    active: AtomicU32,
    /// Whether any request has come.
    used: AtomicBool,
    /// Whether the protocol is HTTP/2, whose frames are no headers' beginnings.
    http2: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
}

impl Guard {
    /// Bytes came.
    pub(super) fn read(&self) {
        if self.active.load(Relaxed) == 0 && self.header_since.load(Relaxed) == 0 && !self.http2.load(Relaxed) {
            self.header_since.store(self.clock.load(Relaxed), Relaxed);
        }
    }

    /// Bytes went out.
    pub(super) fn wrote(&self) {
        self.last_done.store(self.clock.load(Relaxed), Relaxed);
    }

    /// A request's header is complete. It is under way until the result is dropped.
    pub(super) fn begin(&self, http2: bool) -> Active<'_> {
        self.http2.store(http2, Relaxed);
        self.header_since.store(0, Relaxed);
        self.used.store(true, Relaxed);
        self.active.fetch_add(1, Relaxed);
        Active(self)
    }

    fn order(&self, order: u8) {
        self.order.fetch_max(order, Relaxed);
        self.waker.wake();
    }

    /// Registers the connection's task and tells what it is ordered to do: `None` to end now, `Some(true)` to close when it can.
    pub(super) fn orders(&self, cx: &Context<'_>, registered: &mut bool) -> Option<bool> {
        // A task's waker stays the same for its life, so once is enough.
        if !*registered {
            self.waker.register(cx.waker());
            *registered = true;
        }
        match self.order.load(Relaxed) {
            STAY => Some(false),
            CLOSE => Some(true),
            _ => None,
        }
    }

    /// Runs what precedes a connection's first request; `None` when ordered to close meanwhile.
    pub(super) async fn unless_closing<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut registered = false;
        std::future::poll_fn(|cx| match self.orders(cx, &mut registered) {
            Some(false) => future.as_mut().poll(cx).map(Some),
            _ => Poll::Ready(None),
        })
        .await
    }

    fn judge(&self, now: u64, header: u64, idle: u64) -> u8 {
        if self.active.load(Relaxed) > 0 {
            return STAY; // bodies and answers have limits of their own
        }
        if !self.used.load(Relaxed) && now.saturating_sub(self.opened) > header {
            return DIE;
        }
        let since = self.header_since.load(Relaxed);
        if since > 0 && now.saturating_sub(since) > header {
            return DIE;
        }
        let quiet = now.saturating_sub(self.last_done.load(Relaxed).max(self.opened));
        if quiet > idle + CLOSE_GRACE_MILLIS {
            DIE
        } else if quiet > idle {
            CLOSE
        } else {
            STAY
        }
    }
}

/// A request under way.
pub(super) struct Active<'a>(&'a Guard);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.last_done.store(self.0.clock.load(Relaxed), Relaxed);
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// All connections of a server.
pub(super) struct Guards {
    clock: Arc<AtomicU64>,
    period: Duration,
    header: u64,
    idle: u64,
    next: AtomicU64,
    closing: AtomicBool,
    all: Mutex<HashMap<u64, Arc<Guard>>>,
}

impl Guards {
    pub(super) fn new(limits: &Limits) -> Self {
        let (header, idle) = (limits.header_timeout.0, limits.idle_timeout.0);
        Guards {
            clock: Arc::new(AtomicU64::new(1)),
            period: (header.min(idle) / 8).clamp(Duration::from_millis(10), Duration::from_millis(500)),
            header: header.as_millis() as u64,
            idle: idle.as_millis() as u64,
            next: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            all: Mutex::new(HashMap::new()),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Guard>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    /// A new connection, known until the result is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        let now = self.clock.load(Relaxed);
        let guard = Arc::new(Guard {
            clock: Arc::clone(&self.clock),
            opened: now,
            header_since: AtomicU64::new(0),
            last_done: AtomicU64::new(0),
            active: AtomicU32::new(0),
            used: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            order: AtomicU8::new(STAY),
            waker: AtomicWaker::new(),
        });
        let id = self.next.fetch_add(1, Relaxed);
        let mut all = self.all();
        all.insert(id, Arc::clone(&guard));
        // Under the lock: a connection accepted while the server closes is either seen by `close_all` or sees it.
        if self.closing.load(Relaxed) {
            guard.order(CLOSE);
        }
        drop(all);
        Entered { guards: Arc::clone(self), guard, id }
    }

    /// Asks every connection to close once its requests are answered.
    pub(super) fn close_all(&self) {
        let all = self.all();
        self.closing.store(true, Relaxed);
        all.values().for_each(|guard| guard.order(CLOSE));
    }

    /// Cuts every connection.
    pub(super) fn kill_all(&self) {
        self.all().values().for_each(|guard| guard.order(DIE));
    }

    /// Moves the coarse clock and enforces the limits until the server has stopped and every connection is gone.
    pub(super) async fn reap(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = 1 + start.elapsed().as_millis() as u64;
            self.clock.store(now, Relaxed);
            let all = self.all();
            if all.is_empty() && (*stopped.borrow() || stopped.has_changed().is_err()) {
                return;
            }
            for guard in all.values() {
                match guard.judge(now, self.header, self.idle) {
                    STAY => {}
                    order => guard.order(order),
                }
            }
        }
    }
}

/// A connection's place among the others.
pub(super) struct Entered {
    guards: Arc<Guards>,
    guard: Arc<Guard>,
    id: u64,
}

impl Entered {
    pub(super) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.guards.all().remove(&self.id);
    }
}
