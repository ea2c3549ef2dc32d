//! Limits of connections that are enforced whatever the peer does: times, without a timer for each, and bytes that the peer
//! leaves unread.
//!
//! hyper can time headers itself, but needs a boxed timer per request. Here a connection records the time of events (relaxed
//! stores of a coarse clock), and one task for the whole server compares these with the limits a few times a second.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::{Notify, watch};

use crate::services::config::Limits;

/// A peer must read this much, or the rest, within `limits.write_timeout`. A peer that trickles is no better than one that reads
/// nothing.
pub(super) const PIECE: usize = 16 << 10;

/// How long a closing connection may be without requests before it is cut, and how long a connection over its share of memory may
/// read nothing. Never longer than a connection may be idle.
const GRACE_MILLIS: u64 = 5_000;

/// Requests that were sent before our GOAWAY arrived are still served (RFC 9113, section 6.8).
const CROSSING_MILLIS: u64 = 1_000;

const STAY: u8 = 0;
const CLOSE: u8 = 1;
const DIE: u8 = 2;

/// One connection's record. Times are milliseconds of the coarse clock, which starts at 1; zero means never.
pub(super) struct Guard {
    guards: Arc<Shared>,
    opened: u64,
    /// First byte of an incomplete header.
    header_since: AtomicU64,
    /// Last written byte (HTTP/1) or finished request.
    last_done: AtomicU64,
    /// Requests that have no answer yet.
    active: AtomicU32,
    /// Whether any request has come.
    used: AtomicBool,
    /// Whether the protocol is HTTP/2, whose frames do not begin headers and alone are no sign of life.
    http2: AtomicBool,
    /// Since when the peer has read less than a piece of what is being written.
    blocked_since: AtomicU64,
    /// The bytes it has read since then.
    blocked_bytes: AtomicUsize,
    /// The connection's task, waiting until everything is written.
    flushed: AtomicWaker,
    /// Unwritten bytes of answers, and the number of these answers.
    unwritten: AtomicUsize,
    answers: AtomicU32,
    /// When the last part of an answer was written.
    last_taken: AtomicU64,
    /// Further requests wait while there are more unwritten bytes than this.
    most_unwritten: usize,
    /// As when it was opened.
    times: Times,
    room: Notify,
    /// Pieces by the round in which they were handed out: alternately the current and the previous round.
    round: AtomicUsize,
    round_since: AtomicU64,
    pieces: [AtomicU32; 2],
    closing_since: AtomicU64,
    order: AtomicU8,
    /// The connection's task. An order leaves it there, so that the task need not register again at each poll.
    task: Mutex<Option<Waker>>,
}

/// State about all connections, shared by the guards.
struct Shared {
    clock: AtomicU64,
    /// Unwritten bytes of answers, on all connections.
    unwritten: AtomicUsize,
    most_unwritten: AtomicUsize,
    all: Mutex<HashMap<u64, Arc<Guard>>>,
}

/// Limits in milliseconds.
#[derive(Clone, Copy)]
struct Times {
    header: u64,
    idle: u64,
    write: u64,
    grace: u64,
    /// For requests on a closing connection.
    closing: u64,
}

impl Shared {
    fn now(&self) -> u64 {
        self.clock.load(Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Arc<Guard>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the connection with the most unwritten bytes; the others continue.
    fn make_room(&self) {
        let all = self.all();
        let open = all.values().filter(|guard| guard.order.load(Relaxed) != DIE);
        if let Some(worst) = open.max_by_key(|guard| guard.unwritten.load(Relaxed)) {
            let bytes = worst.unwritten.load(Relaxed);
            tracing::warn!(bytes, "unread answers fill `limits.answer_memory`; the connection with the most of them is cut");
            worst.order(DIE);
        }
    }
}

impl Guard {
    fn now(&self) -> u64 {
        self.guards.now()
    }

    /// Bytes arrived.
    pub(super) fn read(&self) {
        if self.active.load(Relaxed) == 0 && self.header_since.load(Relaxed) == 0 && !self.http2.load(Relaxed) {
            self.header_since.store(self.now(), Relaxed);
        }
    }

    /// Bytes were sent.
    pub(super) fn wrote(&self, bytes: usize) {
        if !self.http2.load(Relaxed) {
            self.last_done.store(self.now(), Relaxed);
        }
        if self.blocked_since.load(Relaxed) > 0 && self.blocked_bytes.fetch_add(bytes, Relaxed) + bytes >= PIECE {
            self.blocked_bytes.store(0, Relaxed);
            self.blocked_since.store(self.now(), Relaxed);
        }
    }

    /// The peer accepts no more bytes for now.
    pub(super) fn blocked(&self) {
        if self.blocked_since.load(Relaxed) == 0 {
            self.blocked_bytes.store(0, Relaxed);
            self.blocked_since.store(self.now(), Relaxed);
        }
    }

    /// All written bytes have been sent.
    pub(super) fn unblocked(&self) {
        if self.blocked_since.load(Relaxed) > 0 {
            self.blocked_since.store(0, Relaxed);
            self.flushed.wake();
        }
    }

    /// Whether everything written before has been sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.blocked_since.load(Relaxed) == 0
    }

    /// Waits until everything written before has been sent. Otherwise pipelined requests would pile up answers.
    pub(super) async fn flushed(&self) {
        poll_fn(|cx| {
            if self.is_flushed() {
                return Poll::Ready(());
            }
            self.flushed.register(cx.waker());
            if self.is_flushed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Counts an answer.
    pub(super) fn owe(&self, bytes: usize) {
        if self.unwritten.fetch_add(bytes, Relaxed) == 0 {
            self.last_taken.store(self.now(), Relaxed);
        }
        self.answers.fetch_add(1, Relaxed);
        if self.guards.unwritten.fetch_add(bytes, Relaxed) + bytes > self.guards.most_unwritten.load(Relaxed) {
            self.guards.make_room();
        }
    }

    /// A part of an answer was written or dropped.
    pub(super) fn settle(&self, bytes: usize) {
        self.guards.unwritten.fetch_sub(bytes, Relaxed);
        let before = self.unwritten.fetch_sub(bytes, Relaxed);
        let now = self.now();
        self.last_taken.store(now, Relaxed);
        if before == bytes {
            self.last_done.store(now, Relaxed);
        }
        if before >= self.most_unwritten && before - bytes < self.most_unwritten {
            self.room.notify_waiters();
        }
    }

    /// The last part of an answer is done.
    pub(super) fn answered(&self) {
        self.answers.fetch_sub(1, Relaxed);
    }

    /// Waits until enough is written for another request.
    pub(super) async fn room(&self) {
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.unwritten.load(Relaxed) < self.most_unwritten {
                return;
            }
            room.await;
        }
    }

    /// A piece is handed to HTTP/2. Returns its round, for [`Guard::took`]. From then on its stream may be gone, so that only the
    /// connection can be ended if the peer does not read it.
    pub(super) fn hand_out(&self) -> usize {
        let round = self.round.load(Relaxed) % 2;
        self.pieces(round).fetch_add(1, Relaxed);
        round
    }

    /// The number of unwritten pieces of a round. Two counters suffice: a round ends when the previous one has none left.
    fn pieces(&self, round: usize) -> &AtomicU32 {
        let [even, odd] = &self.pieces;
        if round.is_multiple_of(2) { even } else { odd }
    }

    /// A piece of that round was written.
    pub(super) fn took(&self, round: usize) {
        self.pieces(round).fetch_sub(1, Relaxed);
    }

    /// A request's header is complete. The request counts as running until [`Guard::end`].
    pub(super) fn begin(&self, http2: bool) {
        self.http2.store(http2, Relaxed);
        self.header_since.store(0, Relaxed);
        self.used.store(true, Relaxed);
        if http2 {
            self.active.fetch_add(1, Relaxed);
        } else {
            // One after the other.
            self.active.store(1, Relaxed);
        }
    }

    /// The request has an answer, or nobody waits for one.
    pub(super) fn end(&self) {
        self.last_done.store(self.now(), Relaxed);
        if self.http2.load(Relaxed) {
            self.active.fetch_sub(1, Relaxed);
        } else {
            self.active.store(0, Relaxed);
        }
    }

    /// The connection shall close, because of an order or by itself.
    pub(super) fn closing(&self) {
        let _ = self.closing_since.compare_exchange(0, self.now(), Relaxed, Relaxed);
    }

    /// Whether a request comes too late: the connection is closing, and the peer had time to learn of it.
    pub(super) fn is_closed(&self) -> bool {
        let since = self.closing_since.load(Relaxed);
        since > 0 && self.now().saturating_sub(since) > CROSSING_MILLIS
    }

    fn order(&self, order: u8) {
        self.closing();
        self.order.fetch_max(order, Relaxed);
        if let Some(task) = &*self.task() {
            task.wake_by_ref();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection's order: `None` to end now, `Some(true)` to close as soon as possible. `registered` is the task that is polled with the
    /// next one; nothing at first.
    pub(super) fn orders(&self, cx: &Context<'_>, registered: &mut Option<Waker>) -> Option<bool> {
        if !registered.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *registered = Some(cx.waker().clone());
            self.task().clone_from(registered);
        }
        match self.order.load(Relaxed) {
            STAY => Some(false),
            CLOSE => Some(true),
            _ => None,
        }
    }

    /// Runs what comes before a connection's first request; `None` if ordered to close meanwhile.
    pub(super) async fn unless_closing<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut future, mut registered) = (pin!(future), None);
        poll_fn(|cx| match self.orders(cx, &mut registered) {
            Some(false) => future.as_mut().poll(cx).map(Some),
            _ => Poll::Ready(None),
        })
        .await
    }

    fn judge(&self, now: u64) -> u8 {
        let Times { header, idle, write, grace, closing } = self.times;
        let longer = |mark: &AtomicU64, limit: u64| {
            let since = mark.load(Relaxed);
            since > 0 && now.saturating_sub(since) > limit
        };
        if longer(&self.blocked_since, write) || self.is_stalled(now, write + grace) || longer(&self.closing_since, closing) {
            return DIE;
        }
        let unwritten = self.unwritten.load(Relaxed);
        let greedy = unwritten > self.most_unwritten && self.answers.load(Relaxed) > 1;
        if greedy && longer(&self.last_taken, grace) {
            return DIE;
        }
        if self.active.load(Relaxed) > 0 || unwritten > 0 {
            return STAY; // bodies and answers have their own limits
        }
        let quiet = now.saturating_sub(self.last_done.load(Relaxed).max(self.opened));
        if longer(&self.closing_since, grace) && quiet > grace {
            return DIE;
        }
        if !self.used.load(Relaxed) && now.saturating_sub(self.opened) > header {
            return DIE;
        }
        if longer(&self.header_since, header) {
            return DIE;
        }
        if quiet > idle { CLOSE } else { STAY }
    }

    /// Whether a piece has waited for a whole round. That is longer than a stream may take, and a stream that can be reset alone
    /// has been reset by then. Also begins another round when it is time.
    fn is_stalled(&self, now: u64, round: u64) -> bool {
        let began = self.round_since.load(Relaxed);
        if began > 0 && now.saturating_sub(began) <= round {
            return false;
        }
        let next = (self.round.load(Relaxed) + 1) % 2;
        if self.pieces(next).load(Relaxed) > 0 {
            return true;
        }
        self.round.store(next, Relaxed);
        self.round_since.store(now, Relaxed);
        false
    }
}

/// All connections of a server.
pub(super) struct Guards {
    shared: Arc<Shared>,
    /// For connections that are opened from now on.
    times: Mutex<Times>,
    /// How often the limits are enforced, in milliseconds.
    period: AtomicU64,
    next: AtomicU64,
    closing: AtomicBool,
    /// The share of the memory for unwritten answers that one peer may take.
    connection_unwritten: AtomicUsize,
}

impl Times {
    fn new(limits: &Limits) -> Times {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let (header, idle, write) = (limits.header_timeout.0, limits.idle_timeout.0, limits.write_timeout.0);
        Times {
            header: millis(header),
            idle: millis(idle),
            write: millis(write),
            grace: millis(idle).min(GRACE_MILLIS),
            closing: millis(limits.shutdown_timeout.0),
        }
    }

    fn period(self) -> u64 {
        (self.header.min(self.idle).min(self.write) / 8).clamp(10, 500)
    }
}

impl Guards {
    pub(super) fn new(limits: &Limits) -> Self {
        let times = Times::new(limits);
        Guards {
            shared: Arc::new(Shared {
                clock: AtomicU64::new(1),
                unwritten: AtomicUsize::new(0),
                most_unwritten: AtomicUsize::new(limits.answer_memory.0),
                all: Mutex::new(HashMap::new()),
            }),
            times: Mutex::new(times),
            period: AtomicU64::new(times.period()),
            next: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            connection_unwritten: AtomicUsize::new(limits.connection_answer_memory.0.max(1)),
        }
    }

    /// The limits of connections that are opened from now on.
    pub(super) fn tune(&self, limits: &Limits) {
        let times = Times::new(limits);
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
        self.shared.most_unwritten.store(limits.answer_memory.0, Relaxed);
        self.connection_unwritten.store(limits.connection_answer_memory.0.max(1), Relaxed);
        // Never less often, because open connections keep their limits.
        self.period.fetch_min(times.period(), Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.shared.all().len()
    }

    /// Bytes of answers that no peer has read yet.
    pub(super) fn unwritten(&self) -> usize {
        self.shared.unwritten.load(Relaxed)
    }

    /// A new connection, registered until the result is dropped. `many`: many clients share it behind a proxy, so it has no own
    /// share.
    pub(super) fn enter(self: &Arc<Self>, many: bool) -> Entered {
        let guard = Arc::new(Guard {
            guards: Arc::clone(&self.shared),
            opened: self.shared.now(),
            header_since: AtomicU64::new(0),
            last_done: AtomicU64::new(0),
            active: AtomicU32::new(0),
            used: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            blocked_since: AtomicU64::new(0),
            blocked_bytes: AtomicUsize::new(0),
            flushed: AtomicWaker::new(),
            unwritten: AtomicUsize::new(0),
            answers: AtomicU32::new(0),
            last_taken: AtomicU64::new(0),
            most_unwritten: if many { usize::MAX } else { self.connection_unwritten.load(Relaxed) },
            times: *self.times.lock().unwrap_or_else(PoisonError::into_inner),
            room: Notify::new(),
            round: AtomicUsize::new(0),
            round_since: AtomicU64::new(0),
            pieces: [AtomicU32::new(0), AtomicU32::new(0)],
            closing_since: AtomicU64::new(0),
            order: AtomicU8::new(STAY),
            task: Mutex::default(),
        });
        let id = self.next.fetch_add(1, Relaxed);
        let mut all = self.shared.all();
        all.insert(id, Arc::clone(&guard));
        // Under the lock, so that a connection accepted while the server closes is either seen by `close_all` or sees it.
        if self.closing.load(Relaxed) {
            guard.order(CLOSE);
        }
        drop(all);
        Entered { guards: Arc::clone(self), guard, id }
    }

    /// Asks every connection to close once its requests are answered.
    pub(super) fn close_all(&self) {
        let all = self.shared.all();
        self.closing.store(true, Relaxed);
        all.values().for_each(|guard| guard.order(CLOSE));
    }

    /// Cuts every connection.
    pub(super) fn kill_all(&self) {
        self.shared.all().values().for_each(|guard| guard.order(DIE));
    }

    /// Advances the coarse clock and enforces the limits until the server has stopped and every connection is gone.
    pub(super) async fn reap(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let start = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(self.period.load(Relaxed))).await;
            let now = 1 + start.elapsed().as_millis() as u64;
            self.shared.clock.store(now, Relaxed);
            let all = self.shared.all();
            if all.is_empty() && (*stopped.borrow() || stopped.has_changed().is_err()) {
                return;
            }
            for guard in all.values() {
                match guard.judge(now) {
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
        self.guards.shared.all().remove(&self.id);
    }
}
